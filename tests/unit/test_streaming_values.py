"""Values and times of single rows: read as a log is read, and refused with a reason."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.errors import DataError, SchemaError, TimeError
from sensorad.logs.casting import cells_of
from sensorad.logs.failures import Place
from sensorad.streaming.stamps import stamp_of, stamps_of_tick, text_of
from sensorad.streaming.values import CellReader
from sensorad.types import FLAWS

NAMES = ("TI-101", "PI-7", "valve")
NOON = 1_714_564_800_000_000_000


def _log_cells(row: list[float | None]) -> tuple[list[float], list[int]]:
    """What reading a column of a log makes of the same values."""
    values, flaw = cells_of(pa.array(row, pa.float64()), "x", Place())
    return values.tolist(), flaw.tolist()


odd_numbers = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(10**6), 10**6).map(float),
    st.sampled_from([0.0, -0.0, 1e-42, -1e-310, 3.4028235e38, 3.4028236e38, -3.5e38, 1e300, np.inf, -np.inf, np.nan]),
)


@given(st.lists(odd_numbers, min_size=3, max_size=3))
def test_a_row_is_read_as_a_log_is(row: list[float | None]) -> None:
    expected = _log_cells(row)
    reader = CellReader(NAMES)
    mapping = dict(zip(reversed(NAMES), reversed(row), strict=True))
    array = np.array([np.nan if value is None else value for value in row])
    for form in (
        row,
        tuple(row),
        mapping,
        OrderedDict(mapping),
        MappingProxyType(mapping),
        array,
        pd.Series(array).array,
        pd.Series(mapping),
    ):
        values, flaw = reader.row(form)
        assert values.dtype == np.float32
        found = np.zeros(3, np.uint8) if flaw is None else flaw
        assert (values.tolist(), found.tolist()) == expected
        assert not np.signbit(values[values == 0]).any()
        assert (flaw is None) == (not any(expected[1]))
    for form in (array[None], [row, mapping][:1]):
        values, flaw = reader.rows(form)
        found = np.zeros((1, 3), np.uint8) if flaw is None else flaw
        assert (values[0].tolist(), found[0].tolist()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (True, 1.0),
        (10**400, "overflow"),
        (-(10**30), -1e30),
        (Decimal("12.5"), 12.5),
        (Decimal("NaN"), "missing"),
        (Fraction(1, 4), 0.25),
        (np.float32(1.25), 1.25),
        (np.float64("inf"), "infinite"),
        (np.int64(7), 7.0),
        (np.bool_(True), 1.0),
        (np.array(2.5), 2.5),
        (pd.NA, "missing"),
        (None, "missing"),
    ],
    ids=str,
)
def test_any_real_number_will_do(value: object, expected: float | str) -> None:
    reader = CellReader(NAMES)
    for form in ([1.0, value, 2.0], {"TI-101": 1.0, "PI-7": value, "valve": 2.0}):
        values, flaw = reader.row(form)
        if isinstance(expected, str):
            assert flaw is not None
            assert [FLAWS[code] for code in flaw] == ["", expected, ""]
            assert values.tolist() == [1.0, 0.0, 2.0]
        else:
            assert flaw is None
            np.testing.assert_array_equal(values, np.array([1.0, expected, 2.0], np.float32))


@pytest.mark.parametrize("value", ["12,5", "12.5", "", b"1", [1.0], 1j, {}, {1, 2}, date(2024, 5, 1), pd.NaT], ids=repr)
def test_what_is_no_number_is_an_error_that_names_sensor_and_value(value: object) -> None:
    reader = CellReader(NAMES)
    for form in ([1.0, value, 2.0], {"TI-101": 1.0, "PI-7": value, "valve": 2.0}, {"PI-7": value}):
        with pytest.raises(SchemaError, match=r"expected a number, got .*\(sensor 'PI-7'\)"):
            reader.row(form)
        with pytest.raises(SchemaError, match="sensor 'PI-7'"):
            reader.rows([form])


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(SchemaError) as found:
        CellReader(NAMES).row([1.0, "x" * 5_000, 2.0])
    assert len(str(found.value)) < 200


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], [1.0] * 4, np.ones(4), np.ones((1, 3)), np.array(1.0), [], ()], ids=repr
)
def test_a_row_has_one_value_for_each_sensor(values: object) -> None:
    with pytest.raises(SchemaError, match=r"expected values of 3 sensors .* TI-101, PI-7, valve"):
        CellReader(NAMES).row(values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [1.0, None, "abc", b"abc", iter([1.0, 2.0, 3.0])], ids=lambda values: type(values).__name__
)
def test_a_row_is_a_mapping_or_a_sequence(values: object) -> None:
    with pytest.raises(SchemaError):
        CellReader(NAMES).row(values)  # type: ignore[arg-type]


def test_a_tick_of_arrays_has_one_column_for_each_sensor() -> None:
    reader = CellReader(NAMES)
    for shape in ((2, 2), (3,), (2, 3, 1)):
        with pytest.raises(SchemaError, match="3 sensors"):
            reader.rows(np.ones(shape))
    assert reader.rows(np.ones((0, 3)))[0].shape == (0, 3)
    assert reader.rows([])[0].shape == (0, 3)
    mixed, flaw = reader.rows([{"PI-7": 1.0}, [1, 2, 3]])
    assert mixed.tolist() == [[0.0, 1.0, 0.0], [1.0, 2.0, 3.0]]
    assert flaw is not None
    assert flaw.tolist() == [[1, 0, 1], [0, 0, 0]]
    with pytest.raises(DataError):
        reader.rows(np.array([["1", "2", "3"]]))


def test_one_sensor_is_enough() -> None:
    reader = CellReader(("only",))
    assert reader.row({"only": 2.0})[0].tolist() == [2.0]
    assert reader.row([2.0])[0].tolist() == [2.0]


def test_a_row_keeps_its_values_when_the_caller_reuses_the_array() -> None:
    reader, buffer = CellReader(NAMES), np.ones(3, np.float32)
    values, _ = reader.row(buffer)
    many, _ = reader.rows(buffer[None])
    buffer[:] = 9.0
    assert values.tolist() == many[0].tolist() == [1.0, 1.0, 1.0]


def test_unknown_names_are_remembered_in_bounded_memory() -> None:
    reader = CellReader(NAMES)
    for number in range(100):
        reader.row({"TI-101": 1.0, f"new {number}": 1.0, f"new {number % 3}": 2.0})
    assert reader.n_with_unknown == 100
    assert len(reader.unknown) == 5


@pytest.mark.parametrize(
    "time",
    [
        NOON,
        np.int64(NOON),
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2024-05-01 12:00", tz="UTC"),
        pd.Timestamp("2024-05-01 14:00", tz="Europe/Berlin"),
        np.datetime64("2024-05-01T12"),
        np.datetime64("2024-05-01T12:00:00.000000000"),
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00:00+00:00",
        " 2024-05-01T14:00:00.000+02:00 ",
        "20240501T120000Z",
    ],
    ids=repr,
)
def test_times_of_all_sorts(time: object) -> None:
    assert stamp_of(time) == NOON  # type: ignore[arg-type]
    assert stamps_of_tick(time, 2).tolist() == [NOON, NOON]  # type: ignore[arg-type]
    assert stamps_of_tick([time, time], 2).tolist() == [NOON, NOON]  # type: ignore[list-item]


@given(st.integers(946_684_800 * 10**9, 4_133_980_799 * 10**9))
def test_times_keep_their_nanoseconds(stamp: int) -> None:
    text = text_of(stamp)
    assert stamp_of(text) == stamp
    assert stamp_of(text.replace("Z", "+00:00")) == stamp
    assert stamp_of(np.datetime64(stamp, "ns")) == stamp
    assert stamp_of(pd.Timestamp(stamp, tz="UTC")) == stamp
    assert np.datetime64(text.rstrip("Z"), "ns").astype(np.int64) == stamp
    whole = stamp // 1_000 * 1_000
    assert stamp_of(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=whole // 1_000)) == whole


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("2024-05-01T12:00:00", "no time zone"),
        (datetime(2024, 5, 1, 12), "no time zone"),
        (pd.Timestamp("2024-05-01"), "no time zone"),
        ("yesterday", "ISO 8601"),
        ("1714564800", "ISO 8601|outside"),
        ("", "ISO 8601"),
        (1_714_564_800, "outside 2000-2100.*nanoseconds"),
        (-1, "outside"),
        (2**70, "outside"),
        ("1999-12-31T23:59:59Z", "outside"),
        ("2101-01-01T00:00:00Z", "outside"),
        (np.datetime64("3000-01-01"), "outside"),
        (np.datetime64("NaT"), "missing"),
        (pd.NaT, "expected a time|no time zone|missing"),
        (1.5, "expected a time"),
        (None, "expected a time"),
        (True, "expected a time"),
        (date(2024, 5, 1), "expected a time"),
    ],
    ids=repr,
)
def test_times_that_mean_nothing_are_errors(time: object, message: str) -> None:
    with pytest.raises(TimeError, match=message):
        stamp_of(time)  # type: ignore[arg-type]
    with pytest.raises(TimeError, match=message):
        stamps_of_tick([NOON, time], 2)  # type: ignore[list-item]


def test_a_tick_has_one_time_or_one_for_each_row() -> None:
    assert stamps_of_tick(np.array([NOON, NOON + 1]), 2).tolist() == [NOON, NOON + 1]
    assert stamps_of_tick(np.array([NOON, NOON + 1]).astype("datetime64[ns]"), 2).tolist() == [NOON, NOON + 1]
    with pytest.raises(TimeError, match="3 rows came with 2 times"):
        stamps_of_tick([NOON, NOON], 3)
    with pytest.raises(TimeError, match="outside"):
        stamps_of_tick(np.array([NOON, 7]), 2)


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (NOON, "2024-05-01T12:00:00Z"),
        (NOON + 1_000_000, "2024-05-01T12:00:00.001000Z"),
        (NOON + 1, "2024-05-01T12:00:00.000000001Z"),
    ],
)
def test_times_are_told_with_as_many_digits_as_they_need(stamp: int, text: str) -> None:
    assert text_of(stamp) == text
