"""The blamed sensors of each row: which, how much, what was expected and what was measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.types import TOP_SENSORS, RowBlock, ScoreBlock

__all__ = ["write_top_sensors"]


def write_top_sensors(
    result: ScoreBlock,
    rows: NDArray[np.intp],
    *,
    blame: NDArray[np.float64],
    expected: NDArray[np.float64],
    positions: NDArray[np.intp],
    block: RowBlock,
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
    """
    if len(rows) == 0:
        return
    n_top = min(TOP_SENSORS, blame.shape[1])
    order = np.argsort(-blame, axis=1, kind="stable")[:, :n_top]  # (t, n_top)
    at = np.arange(len(rows))[:, None]
    sensors = positions[order]
    result.top_sensors[rows, :n_top] = sensors
    result.top_shares[rows, :n_top] = blame[at, order]
    limit = np.finfo(np.float32).max  # an expectation may go beyond what float32 holds: say its largest, not infinity
    result.top_expected[rows, :n_top] = np.clip(expected[at, order], -limit, limit)
    actual = block.values[rows[:, None], sensors]
    result.top_actual[rows, :n_top] = np.where(block.flaw[rows[:, None], sensors] == 0, actual, np.nan)
