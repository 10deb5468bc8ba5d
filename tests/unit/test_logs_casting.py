"""Cells of every type: exact, flagged, or an error with a sample; never a silent NaN."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import SchemaError
from sensorad.logs.casting import cells_of, labels_of
from sensorad.logs.failures import Place
from sensorad.types import FLAWS

MISSING, INFINITE, OVERFLOW = (FLAWS.index(name) for name in ("missing", "infinite", "overflow"))
HERE = Place("log.csv", first_row=100)
FLOAT32_MAX = float(np.finfo(np.float32).max)
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def cells(array: pa.Array) -> tuple[list[float], list[int]]:
    values, flaw = cells_of(array, "TI-101", HERE)
    assert values.dtype == np.float32
    assert flaw.dtype == np.uint8
    return values.tolist(), flaw.tolist()


def naive_cell(value: float | None) -> tuple[float, int]:
    """The rules of the contract for one float64 cell, one by one."""
    if value is None or math.isnan(value):
        return 0.0, MISSING
    if math.isinf(value):
        return 0.0, INFINITE
    with np.errstate(over="ignore"):
        rounded = float(np.float32(value))
    if math.isinf(rounded):
        return 0.0, OVERFLOW
    return (0.0 if abs(rounded) < SMALLEST_NORMAL else rounded), 0


@given(st.lists(st.one_of(st.none(), st.floats(), st.sampled_from([-0.0, 1e-42, 1e300, FLOAT32_MAX, 3.5e38]))))
@settings(deadline=None)
def test_floats_follow_the_naive_rules(values: list[float | None]) -> None:
    got, flaw = cells(pa.array(values, pa.float64()))
    expected = [naive_cell(value) for value in values]
    assert got == [value for value, _ in expected]
    assert flaw == [f for _, f in expected]
    assert not any(math.copysign(1, value) < 0 for value in got if value == 0)


@given(st.lists(st.one_of(st.none(), st.floats(width=32))))
@settings(deadline=None)
def test_text_reads_like_the_number_it_spells(values: list[float | None]) -> None:
    text = pa.array([None if value is None else repr(value) for value in values], pa.string())
    assert cells(text) == cells(pa.array(values, pa.float64()))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, None, 3], pa.int8()),
        pa.array([1, None, 3], pa.uint64()),
        pa.array([1, None, 3], pa.float16()),
        pa.array([1, None, 3], pa.float32()),
        pa.array([Decimal("1.0"), None, Decimal(3)], pa.decimal128(20, 3)),
        pa.array([Decimal(1), None, Decimal(3)], pa.decimal256(60, 0)),
        pa.array([1.0, None, 3.0]).dictionary_encode(),
        pa.array(["1", None, "3.0"]).dictionary_encode(),
        pa.array(["1", "", "3"], pa.string_view()),
        pa.array([" 1 ", "NaN", "+3"]),
        pa.array(["1e0", "NuLL", "3."]),
        pa.array(["true", "null", "3"]),
        pa.Array.from_pandas(pd.Series([1, None, 3], dtype="Int64")),
        pa.Array.from_pandas(pd.Series([1, None, 3], dtype="Float32")),
        pa.Array.from_pandas(pd.Series(pd.Categorical([1, None, 3]))),
        pa.Array.from_pandas(pd.Series([Decimal(1), None, Decimal(3)])),
        pl.Series(["1", None, "3"], dtype=pl.Categorical).to_arrow(),
        pl.Series([1, None, 3], dtype=pl.Int16).to_arrow(),
    ],
    ids=lambda array: str(array.type),
)
def test_one_missing_three_in_every_type(array: pa.Array) -> None:
    assert cells(array) == ([1, 0, 3], [0, MISSING, 0])
    assert cells(array.slice(1)) == ([0, 3], [MISSING, 0])


def test_booleans_are_0_and_1() -> None:
    assert cells(pa.array([True, None, False])) == ([1, 0, 0], [0, MISSING, 0])
    assert cells(pa.array(["True", "FALSE"])) == ([1, 0], [0, 0])


def test_all_null_column_is_missing() -> None:
    assert cells(pa.nulls(2)) == ([0, 0], [MISSING, MISSING])


def test_infinities_and_overflow_in_text() -> None:
    assert cells(pa.array(["inf", "-Infinity", "1e39", "-1e400"])) == (
        [0, 0, 0, 0],
        [INFINITE, INFINITE, OVERFLOW, OVERFLOW],
    )


@pytest.mark.parametrize("word", ["12,5", "ERR", "1_000", "0x1A", "1 2", "--3", "N/A", "٣", "=1", "1.2.3"])
def test_other_text_is_an_error_with_sample_and_row(word: str) -> None:
    with pytest.raises(SchemaError) as caught:
        cells_of(pa.array(["1.5", None, "true", word]), "TI-101", HERE)
    message = str(caught.value)
    assert repr(word) in message
    assert "log.csv, column 'TI-101', row 103" in message
    assert "--exclude TI-101" in message


@pytest.mark.parametrize("array", [pa.array([1], pa.timestamp("s")), pa.array([b"1"]), pa.array([[1.0]])])
def test_types_that_are_no_numbers_are_refused(array: pa.Array) -> None:
    with pytest.raises(SchemaError, match="expected numbers"):
        cells_of(array, "TI-101", HERE)


def test_labels() -> None:
    assert labels_of(pa.array([0, 1, 3]), "y", HERE).tolist() == [False, True, True]
    assert labels_of(pa.array(["0", "1"]), "y", HERE).tolist() == [False, True]
    assert labels_of(pa.array([True, False]), "y", HERE).tolist() == [True, False]


@pytest.mark.parametrize("values", [[0, None], [0.0, math.inf]])
def test_doubtful_labels_are_refused(values: list[Any]) -> None:
    with pytest.raises(SchemaError, match="row 101"):
        labels_of(pa.array(values), "y", HERE)
