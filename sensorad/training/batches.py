"""Where batches come from: windows of a long log by strided view, or whole arrays such as images.

A source hands out items by index, copied into a buffer that it uses again. Windows are never materialised: a
log of T rows costs T rows of memory, whatever the window length and stride, and a pass over 30,000 windows takes
a sixth of the time of a data set that collates them one by one (tests/benchmarks/bench_training.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.errors import DataError, UsageError

__all__ = ["Batch", "BatchSource", "TensorSource", "WindowSource"]


@dataclass(slots=True)
class Batch:
    """Items that go through the network together.

    Attributes
    ----------
    inputs : (N, ...)
        What the network reads.
    targets : (N, ...), optional
        What it should answer; None: the inputs themselves.
    mask : (N, ...) bool, optional
        True = the cell is usable and counts; None: all are.
    labels : (N, ...), optional
        Classes, for objectives that need them; operating modes of windows.
    weight : (N, ...) float32, optional
        Of each cell in means, beside the mask; None: all alike.
    progress
        Share of the training that is done, 0 to 1, for objectives that change on the way; 1 where a loss is judged.
    """

    inputs: Tensor
    targets: Tensor | None = None
    mask: Tensor | None = None
    labels: Tensor | None = None
    progress: float = 1.0
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        parts = (self.targets, self.mask, self.labels, self.weight)
        targets, mask, labels, weight = (None if part is None else part.to(device) for part in parts)
        return Batch(self.inputs.to(device), targets, mask, labels, self.progress, weight)


class BatchSource(Protocol):
    """Anything that knows how many items it has and can hand out any of them."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> Batch:
        """The items at ``indices`` (N,) int64, valid until the next call."""


class TensorSource:
    """Items along the first axis of whole tensors, such as images.

    Parameters
    ----------
    inputs, targets, mask, labels
        As in `Batch`, for all items; the first sizes must agree.

    Raises
    ------
    UsageError
        If the first sizes differ.
    DataError
        If an input or a target is NaN or infinite.

    Examples
    --------
    >>> source = TensorSource(torch.eye(4))
    >>> source.take(torch.tensor([2, 0])).inputs
    tensor([[0., 0., 1., 0.],
            [1., 0., 0., 0.]])
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        mask: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        for name, part in (("targets", targets), ("mask", mask), ("labels", labels)):
            if part is not None and len(part) != len(inputs):
                raise UsageError(f"{len(inputs)} {name} expected, one per item, got {len(part)}")
        for name, part in (("inputs", inputs), ("targets", targets)):
            # A finite sum has only finite terms, and is cheaper than asking each.
            if part is not None and not bool(part.sum().isfinite()) and not bool(part.isfinite().all()):
                item = int(part.isfinite().reshape(len(part), -1).all(1).logical_not().nonzero()[0])
                raise DataError(f"{name} must be finite", where=f"item {item}", hint="drop it, or fill and mask it")
        self._inputs = _Gather(inputs)
        self._targets = None if targets is None else _Gather(targets)
        self._mask = None if mask is None else _Gather(mask)
        self._labels = None if labels is None else _Gather(labels)
        self._n_items = len(inputs)

    def __len__(self) -> int:
        return self._n_items

    def take(self, indices: Tensor) -> Batch:
        """The items at ``indices`` (N,) int64, valid until the next call."""
        return Batch(
            self._inputs(indices),
            None if self._targets is None else self._targets(indices),
            None if self._mask is None else self._mask(indices),
            None if self._labels is None else self._labels(indices),
        )


class WindowSource:
    """Windows of consecutive rows of one long array, by the row in which each starts.

    Parameters
    ----------
    values : (T, C) float32
        Scaled rows. Shared, not copied, where it is contiguous and writable.
    missing : (T, C) bool, optional
        True = the cell holds no measurement: it is read as 0 and does not count in the loss.
    starts : (N,) int64
        First row of each window; windows may overlap. Windows over a gap in time are left out by the caller.
    length
        Rows per window, L.
    labels : (N,) int64, optional
        Of each window, such as its operating mode.

    Raises
    ------
    UsageError
        If a shape or dtype is not the one above, or a window reaches beyond the rows.
    DataError
        If a value inside a window is NaN or infinite without being marked missing.

    Examples
    --------
    >>> rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    >>> source = WindowSource(rows, None, np.array([0, 3]), length=3)
    >>> source.take(torch.tensor([1])).inputs
    tensor([[[ 6.,  7.],
             [ 8.,  9.],
             [10., 11.]]])
    """

    def __init__(
        self,
        values: NDArray[np.float32],
        missing: NDArray[np.bool_] | None,
        starts: NDArray[np.int64],
        length: int,
        labels: NDArray[np.int64] | None = None,
    ) -> None:
        if values.ndim != 2 or values.dtype != np.float32:
            raise UsageError(f"values (T, C) float32 expected, got {values.shape} {values.dtype}")
        if missing is not None and (missing.shape != values.shape or missing.dtype != np.bool_):
            raise UsageError(f"missing {values.shape} bool expected, got {missing.shape} {missing.dtype}")
        if starts.ndim != 1 or not np.issubdtype(starts.dtype, np.integer):
            raise UsageError(f"starts (N,) of whole numbers expected, got {starts.shape} {starts.dtype}")
        if length < 1:
            raise UsageError(f"length must be 1 or more, got {length}")
        if labels is not None and (labels.shape != starts.shape or not np.issubdtype(labels.dtype, np.integer)):
            raise UsageError(f"labels {starts.shape} of whole numbers expected, got {labels.shape} {labels.dtype}")
        if len(starts) and (starts.min() < 0 or starts.max() + length > len(values)):
            raise UsageError(
                f"windows must lie within {len(values)} rows, got rows {starts.min()} to {starts.max() + length - 1}"
            )
        if missing is not None and not missing.any():
            missing = None
        _check_finite(values, missing, starts, length)
        if missing is not None:
            values = np.where(missing, np.float32(0.0), values)
        self.length = length
        self.n_sensors = values.shape[1]
        self._starts = torch.from_numpy(np.array(starts, np.int64))
        self._labels = None if labels is None else torch.from_numpy(np.array(labels, np.int64))
        self._windows = _Gather(_strided(values, length))
        self._usable = None if missing is None else _Gather(_strided(~missing, length))

    def __len__(self) -> int:
        return len(self._starts)

    def take(self, indices: Tensor) -> Batch:
        """The windows at ``indices`` (N,) int64, as inputs (N, L, C); valid until the next call."""
        rows = self._starts[indices]
        shape = (len(indices), self.length, self.n_sensors)
        mask = None if self._usable is None else self._usable(rows).view(shape)
        labels = None if self._labels is None else self._labels[indices]
        return Batch(self._windows(rows).view(shape), mask=mask, labels=labels)


class _Gather:
    """Copies chosen items into one buffer that grows to the largest batch and is then used again."""

    def __init__(self, items: Tensor) -> None:
        self._items = items
        self._buffer = items.new_empty((0, *items.shape[1:]))

    def __call__(self, indices: Tensor) -> Tensor:
        if len(indices) > len(self._buffer):
            self._buffer = self._items.new_empty((len(indices), *self._items.shape[1:]))
        return torch.index_select(self._items, 0, indices, out=self._buffer[: len(indices)])


def _strided(rows: NDArray[np.float32] | NDArray[np.bool_], length: int) -> Tensor:
    """All windows of ``length`` rows as a view (T - L + 1, L C): consecutive rows lie side by side in memory."""
    # torch warns of arrays that it could write to but must not; such a log is copied once.
    base = torch.from_numpy(np.require(rows, requirements=["C", "W"]))  # (T, C)
    n_windows, n_sensors = max(len(rows) - length + 1, 0), rows.shape[1]
    return base.as_strided((n_windows, length * n_sensors), (n_sensors, 1))


def _check_finite(
    values: NDArray[np.float32], missing: NDArray[np.bool_] | None, starts: NDArray[np.int64], length: int
) -> None:
    bad = ~np.isfinite(values)  # (T, C)
    if missing is not None:
        bad &= ~missing
    rows = np.flatnonzero(bad.any(axis=1))
    # A bad row matters only where a window covers it: where the last start not after it is near enough.
    ordered = np.sort(starts)
    last = np.searchsorted(ordered, rows, side="right") - 1  # -1: every window starts after the row
    rows, last = rows[last >= 0], last[last >= 0]
    covered = rows[ordered[last] + length > rows]
    if len(covered):
        row = int(covered[0])
        sensor = int(np.flatnonzero(bad[row])[0])
        raise DataError(
            f"finite values expected, got {values[row, sensor]}",
            where=f"row {row}, sensor {sensor} (counted from 0)",
            hint="mark the cell missing or leave out the windows that contain it",
        )
