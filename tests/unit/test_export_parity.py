"""Which windows are compared, and what counts as a difference."""

from __future__ import annotations

import numpy as np
import pytest

from sensorad.data import SensorScaler
from sensorad.export import TOLERANCE, Parity
from sensorad.export.parity import complete_windows, random_windows
from sensorad.types import RowBlock, SensorSchema

LENGTH = 4
POSITIONS = [0, 2]


def blocks(cuts: list[int], seed: int) -> list[RowBlock]:
    """Sixty rows of two machines in turns that nobody can foresee, with holes, cut at the given rows."""
    rng = np.random.default_rng(seed)
    n_rows = 60
    values = rng.normal(size=(n_rows, 3)).astype(np.float32)
    flaw = (rng.random((n_rows, 3)) < 0.08).astype(np.uint8)
    group = rng.integers(0, 2, n_rows).astype(np.int32)
    made = []
    for first, stop in zip([0, *cuts], [*cuts, n_rows], strict=True):
        part = slice(first, stop)
        made.append(
            RowBlock(
                index=np.arange(first, stop),
                time=np.arange(first, stop) * 10**9,
                values=values[part],
                flaw=flaw[part],
                group=group[part],
                group_names=("a", "b"),
            )
        )
    return made


def naive_windows(parts: list[RowBlock]) -> list[bytes]:
    """Every window, by looking at every row of it."""
    rows: dict[str, list[tuple[np.ndarray, bool]]] = {"a": [], "b": []}
    for block in parts:
        for i in range(len(block)):
            cells, flaws = block.values[i][POSITIONS], block.flaw[i][POSITIONS]
            rows[block.group_names[block.group[i]]].append((cells, not flaws.any()))
    found = []
    for machine in rows.values():
        for end in range(LENGTH, len(machine) + 1):
            window = machine[end - LENGTH : end]
            if all(is_complete for _, is_complete in window):
                found.append(np.stack([cells for cells, _ in window]).tobytes())
    return sorted(found)


@pytest.mark.parametrize("cuts", [[], [1, 2, 3], [30], [5, 9, 22, 23, 58], list(range(1, 60))])
def test_all_complete_windows_are_compared_however_the_rows_are_cut(cuts: list[int]) -> None:
    for seed in range(5):
        parts = blocks(cuts, seed)
        found = [window.tobytes() for batch in complete_windows(parts, POSITIONS, LENGTH) for window in batch]
        assert len(found) > 10
        assert sorted(found) == naive_windows(parts)


def test_random_windows_reach_beyond_the_knee_and_stay_near_the_centre() -> None:
    rows = np.random.default_rng(0).normal([50.0, -3.0], [2.0, 0.1], size=(500, 2)).astype(np.float32)
    scaler = SensorScaler.fit(rows, np.ones(rows.shape, bool), SensorSchema(()))
    windows = random_windows(scaler, 6, 40, seed=1)
    assert windows.shape == (40, 6, 2)
    size = np.abs((windows - scaler.centre) / scaler.scale)
    assert (size > 10).any()
    assert (size < 1).mean() > 0.2
    assert (windows == random_windows(scaler, 6, 40, seed=1)).all()


def test_differences_are_relative_and_nothing_slips_through() -> None:
    one = np.array([0.5, 200.0])
    parity = Parity()
    parity.add({"a": (one, one), "b": (np.array([0.5, 200.001]), one)})
    assert parity.largest == {"a": 0.0, "b": pytest.approx(0.001 / 200)}
    assert parity.is_kept == (parity.worst <= TOLERANCE)
    for wrong in (np.array([np.nan, 200.0]), np.array([0.5]), np.array([0.5, np.inf])):
        parity = Parity()
        parity.add({"a": (wrong, one)})
        assert not parity.is_kept
    same = Parity()
    same.add({"a": (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))})
    assert same.is_kept
    assert same.n_windows == 2
