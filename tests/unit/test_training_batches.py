"""Sources of batches: the strided view against slicing row by row, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import DataError, UsageError
from sensorad.training import Batch, TensorSource, WindowSource


def log(n_rows: int = 50, n_sensors: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_rows, n_sensors)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.data())
def test_windows_equal_slices_of_the_log(length: int, n_sensors: int, data: st.DataObject) -> None:
    values = log(30, n_sensors)
    missing = np.random.default_rng(1).random(values.shape) < data.draw(st.sampled_from([0.0, 0.2]))
    starts = np.array(data.draw(st.lists(st.integers(0, 30 - length), min_size=1, max_size=9)), np.int64)
    source = WindowSource(values, missing, starts, length)
    indices = data.draw(st.lists(st.integers(0, len(starts) - 1), min_size=1, max_size=9))
    batch = source.take(torch.tensor(indices))
    assert len(source) == len(starts)
    assert len(batch) == len(indices)
    for at, index in enumerate(indices):
        rows = slice(starts[index], starts[index] + length)
        np.testing.assert_array_equal(batch.inputs[at].numpy(), np.where(missing[rows], 0.0, values[rows]))
        if missing.any():
            assert batch.mask is not None
            np.testing.assert_array_equal(batch.mask[at].numpy(), ~missing[rows])
        else:
            assert batch.mask is None


def test_the_log_is_shared_and_the_buffer_used_again() -> None:
    values = log(1000, 4)
    source = WindowSource(values, None, np.arange(900), 100)
    first = source.take(torch.arange(64)).inputs
    place = first.data_ptr()
    assert source.take(torch.arange(64, 128)).inputs.data_ptr() == place
    assert source.take(torch.arange(10)).inputs.data_ptr() == place
    values[5, 2] = 123.0
    assert float(source.take(torch.tensor([5])).inputs[0, 0, 2]) == 123.0


def test_a_read_only_log_is_copied_not_warned_of() -> None:
    values = log()
    values.setflags(write=False)
    np.testing.assert_array_equal(
        WindowSource(values, None, np.array([3]), 4).take(torch.tensor([0])).inputs[0].numpy(), values[3:7]
    )


def test_a_column_major_log_is_read_row_by_row() -> None:
    values = np.asfortranarray(log())
    np.testing.assert_array_equal(
        WindowSource(values, None, np.array([3]), 4).take(torch.tensor([0])).inputs[0].numpy(), values[3:7]
    )


def test_missing_cells_may_hold_anything() -> None:
    values, missing = log(), np.zeros((50, 3), bool)
    values[7, 1], missing[7, 1] = np.nan, True
    batch = WindowSource(values, missing, np.array([5]), 4).take(torch.tensor([0]))
    assert float(batch.inputs[0, 2, 1]) == 0.0
    assert batch.mask is not None
    assert not batch.mask[0, 2, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("row", "is_covered"), [(9, False), (10, True), (13, True), (14, False), (30, True), (49, False)]
)
def test_values_that_are_not_finite_are_named_where_a_window_covers_them(
    bad: float, row: int, is_covered: bool
) -> None:
    values, starts = log(), np.array([28, 10, 29])
    values[row, 2] = bad
    if is_covered:
        with pytest.raises(DataError, match=f"row {row}, sensor 2"):
            WindowSource(values, None, starts, 4)
    else:
        WindowSource(values, None, starts, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": log().astype(np.float64)}, "float32 expected"),
        ({"values": log()[0]}, "values \\(T, C\\)"),
        ({"missing": np.zeros((49, 3), bool)}, "missing \\(50, 3\\) bool expected"),
        ({"missing": np.zeros((50, 3))}, "bool expected"),
        ({"starts": np.array([-1])}, "within 50 rows, got rows -1 to 2"),
        ({"starts": np.array([47])}, "within 50 rows, got rows 47 to 50"),
        ({"starts": np.array([1.5])}, "whole numbers"),
        ({"length": 0}, "length must be 1 or more"),
    ],
)
def test_windows_are_checked(change: dict[str, object], message: str) -> None:
    arguments = {"values": log(), "missing": None, "starts": np.array([0, 46]), "length": 4} | change
    with pytest.raises(UsageError, match=message):
        WindowSource(**arguments)  # type: ignore[arg-type]


def test_tensor_source_hands_out_all_parts_of_an_item() -> None:
    inputs = torch.arange(12.0).reshape(6, 2)
    source = TensorSource(inputs, targets=inputs * 2, mask=inputs > 3, labels=torch.arange(6))
    indices = torch.tensor([4, 1])
    batch = source.take(indices)
    assert len(source) == 6
    assert torch.equal(batch.inputs, inputs[indices])
    for part, expected in ((batch.targets, inputs * 2), (batch.mask, inputs > 3), (batch.labels, torch.arange(6))):
        assert part is not None
        assert torch.equal(part, expected[indices])
    moved = batch.to(torch.device("cpu"))
    assert isinstance(moved, Batch)
    assert moved.labels is not None


def test_tensor_source_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="6 labels expected, one per item, got 5"):
        TensorSource(torch.zeros(6, 2), labels=torch.zeros(5))
    with pytest.raises(DataError, match="inputs must be finite \\(item 3\\)"):
        TensorSource(torch.tensor([0.0, 1.0, 2.0, np.nan]))
