"""The blamed sensors of each row: which, how much, what was expected and what was measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler
from sensorad.types import TOP_SENSORS, RowBlock, ScoreBlock

__all__ = ["write_top_sensors"]

LARGEST = float(np.finfo(np.float32).max)
"""An expectation may go beyond what float32 holds: say its largest number, not infinity."""


def write_top_sensors(
    result: ScoreBlock,
    rows: NDArray[np.intp] | slice,
    *,
    blame: NDArray[np.float64],
    expected: NDArray[np.floating],
    positions: NDArray[np.intp],
    block: RowBlock,
    scaler: SensorScaler | None = None,
) -> None:
    """Fill the ``top_*`` columns of ``rows`` in place.

    Parameters
    ----------
    rows : (t,)
        Positions in ``result`` and ``block``.
    blame, expected : (t, C_used)
        Shares, and expected values in the sensors' units.
    positions : (C_used,)
        Position of each used sensor in the schema.
    scaler
        Given where ``expected`` is in compressed deviations: those of blamed sensors alone are then turned into units.
    """
    n_rows, n_used = blame.shape
    if n_rows == 0:
        return
    n_top = min(TOP_SENSORS, n_used)
    order, shares = _largest(blame, n_top)  # (t, n_top)
    cell = np.arange(0, n_rows * n_used, n_used)[:, None] + order
    chosen = np.ascontiguousarray(expected).reshape(-1).take(cell)
    if scaler is not None:
        chosen = scaler.inverse_of(chosen, positions.take(order))
    sensors = positions.take(order)
    values, flaw = block.values[rows], block.flaw[rows]
    cell = np.arange(0, values.size, values.shape[1])[:, None] + sensors
    actual = np.ascontiguousarray(values).reshape(-1).take(cell)
    if flaw.any():
        actual[np.ascontiguousarray(flaw).reshape(-1).take(cell) != 0] = np.nan
    result.top_sensors[rows, :n_top] = sensors
    result.top_shares[rows, :n_top] = shares
    result.top_expected[rows, :n_top] = np.clip(chosen, -LARGEST, LARGEST)
    result.top_actual[rows, :n_top] = actual


def _largest(blame: NDArray[np.float64], n_top: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions and shares (t, n_top) of the largest shares of each row (t, C), largest first; ties in order.

    A share that is not negative orders like its bits. With the position in place of its last ones, where float64 has no
    digits that mean anything, one sort of whole numbers finds both, several times faster than a sort of positions.
    """
    n_sensors = blame.shape[1]
    low_bits = np.int64((1 << (n_sensors - 1).bit_length()) - 1)
    keys = np.array(blame, np.float64, order="C")
    keys += 0.0  # -0.0 becomes 0.0
    bits = keys.view(np.int64)
    bits &= ~low_bits
    bits |= np.arange(n_sensors)[::-1]
    bits.sort(axis=1)
    top = bits[:, : -n_top - 1 : -1]
    return n_sensors - 1 - (top & low_bits), (top & ~low_bits).view(np.float64)
