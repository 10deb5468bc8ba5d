"""Filled cells against the conditional mean of a Gaussian, written out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.data import GaussianImputer
from sensorad.data.imputation import RIDGE


def _rows(n_rows: int, n_sensors: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.zeros((n_rows, n_sensors))
    mix = rng.normal(size=(n_sensors, n_sensors))
    for t in range(1, n_rows):
        rows[t] = 0.8 * rows[t - 1] + 0.6 * rng.normal(size=n_sensors) @ mix
    return (rows / rows.std(axis=0)).astype(np.float32)


def _holes(shape: tuple[int, int], seed: int, share: float = 0.2) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) >= share


def test_the_covariance_is_that_of_neighbouring_rows() -> None:
    rows = _rows(4000, 3)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    pairs = np.concatenate([rows[:-1], rows[1:]], axis=1).astype(np.float64)
    explicit = sum(np.outer(pair, pair) for pair in pairs) / len(pairs)
    np.testing.assert_allclose(imputer.covariance, explicit + RIDGE * np.eye(6), rtol=1e-9, atol=1e-12)


def test_pairs_of_cells_count_where_both_are_there() -> None:
    rows = _rows(500, 2)
    usable = _holes(rows.shape, 1)
    imputer = GaussianImputer.fit([np.where(usable, rows, 99.0).astype(np.float32)], [usable])
    explicit = np.zeros((4, 4))
    pairs = np.concatenate([rows[:-1], rows[1:]], axis=1).astype(np.float64)
    both = np.concatenate([usable[:-1], usable[1:]], axis=1)
    for a in range(4):
        for b in range(4):
            at = both[:, a] & both[:, b]
            explicit[a, b] = np.mean(pairs[at, a] * pairs[at, b])
    values = np.linalg.eigvalsh(explicit)
    assert values.min() > 0, "no eigenvalue to lift"
    np.testing.assert_allclose(imputer.covariance, explicit + RIDGE * np.eye(4), rtol=1e-9)


def test_no_pair_of_rows_spans_two_segments() -> None:
    rows = _rows(200, 2)
    usable = np.ones(rows.shape, bool)
    apart = GaussianImputer.fit([rows[:100], rows[100:]], [usable[:100], usable[100:]])
    pairs = np.concatenate([rows[:-1], rows[1:]], axis=1).astype(np.float64)
    kept = np.delete(pairs, 99, axis=0)
    np.testing.assert_allclose(apart.covariance, kept.T @ kept / len(kept) + RIDGE * np.eye(4), rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(st.integers(2, 5), st.integers(0, 99), st.floats(0.05, 0.9))
def test_a_filled_cell_is_the_conditional_mean(n_sensors: int, seed: int, share: float) -> None:
    """x_m = S_mk S_kk^-1 x_k, with the previous row as filled and the present cells of the row as known."""
    rows = _rows(300, n_sensors, seed)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    usable = _holes((40, n_sensors), seed, share)
    start = _rows(9, n_sensors, seed + 1)[8] if seed % 2 else None
    filled = imputer.fill(np.where(usable, rows[:40], 77.0).astype(np.float32), usable, start)
    before = np.zeros(n_sensors) if start is None else start
    for t in range(40):
        known = np.concatenate([np.arange(n_sensors), n_sensors + np.flatnonzero(usable[t])])
        x = np.concatenate([before, rows[t][usable[t]]])
        for c in range(n_sensors):
            if usable[t, c]:
                assert filled[t, c] == rows[t, c]
            else:
                cross = imputer.covariance[n_sensors + c, known]
                expected = cross @ np.linalg.inv(imputer.covariance[np.ix_(known, known)]) @ x
                assert filled[t, c] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        before = filled[t].astype(np.float64)


@settings(max_examples=20)
@given(st.integers(0, 99), st.sets(st.integers(1, 59), max_size=5))
def test_pieces_are_filled_as_the_whole(seed: int, places: set[int]) -> None:
    rows = _rows(60, 3, seed)
    usable = _holes(rows.shape, seed, 0.4)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    whole = imputer.fill(rows, usable)
    before, bounds = None, [0, *sorted(places), 60]
    for a, b in pairwise(bounds):
        part = imputer.fill(rows[a:b], usable[a:b], before)
        np.testing.assert_array_equal(part, whole[a:b])
        before = part[-1]


def test_correlated_sensors_fill_each_other_better_than_the_mean() -> None:
    rows = _rows(2000, 2)
    rows[:, 1] = rows[:, 0] + 0.1 * rows[:, 1]
    imputer = GaussianImputer.fit([rows[:1000]], [np.ones((1000, 2), bool)])
    usable = _holes((1000, 2), 0, 0.1)
    usable[~usable.any(axis=1)] = True
    error = (imputer.fill(rows[1000:], usable) - rows[1000:])[~usable]
    assert error.std() < 0.3 * rows[1000:][~usable].std()


def test_long_silence_fades_to_the_mean_and_stays_finite() -> None:
    rows = _rows(500, 3)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    filled = imputer.fill(rows, np.broadcast_to(np.arange(500)[:, None] < 10, rows.shape))
    assert np.isfinite(filled).all()
    assert np.abs(filled[300:]).max() < 1e-3


def test_rows_without_holes_are_not_touched_and_the_input_never_is() -> None:
    rows = _rows(20, 3)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    before = rows.copy()
    np.testing.assert_array_equal(imputer.fill(rows, np.ones(rows.shape, bool)), before)
    imputer.fill(rows, np.zeros(rows.shape, bool))
    np.testing.assert_array_equal(rows, before)


def test_arrays_bring_it_back() -> None:
    rows = _rows(50, 3)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    again = GaussianImputer.from_arrays(imputer.to_arrays())
    np.testing.assert_array_equal(again.covariance, imputer.covariance)


def _one_by_one(imputer: GaussianImputer, rows: np.ndarray, usable: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Row after row, each with its own inverse."""
    n_sensors = rows.shape[1]
    filled = rows.copy()
    for t, present in enumerate(usable):
        known = [*range(n_sensors), *(n_sensors + np.flatnonzero(present))]
        missing = n_sensors + np.flatnonzero(~present)
        given_cells = np.concatenate([filled[t - 1] if t else previous, filled[t]]).astype(np.float64)[known]
        inverse = np.linalg.inv(imputer.covariance[np.ix_(known, known)])
        filled[t, ~present] = imputer.covariance[np.ix_(missing, known)] @ inverse @ given_cells
    return filled


@pytest.mark.parametrize("kind", ["rare", "frequent", "one sensor silent", "a long outage", "nothing present"])
def test_runs_of_holes_are_filled_row_after_row(kind: str) -> None:
    rows = _rows(300, 4)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    usable = {
        "rare": _holes(rows.shape, 1, 0.02),
        "frequent": _holes(rows.shape, 2, 0.6),
        "one sensor silent": np.tile(np.arange(4) != 2, (300, 1)),
        "a long outage": ~((np.arange(300)[:, None] > 100) & (np.arange(4) % 2 == 0)),
        "nothing present": np.zeros(rows.shape, bool),
    }[kind]
    spoilt = np.where(usable, rows, 9.0).astype(np.float32)
    previous = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    expected = _one_by_one(imputer, spoilt, usable, previous)
    np.testing.assert_allclose(imputer.fill(spoilt, usable, previous), expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 99), st.sets(st.integers(1, 149), max_size=6), st.sampled_from([0.03, 0.3, 0.9]))
def test_segments_side_by_side_are_segments_one_by_one(seed: int, places: set[int], share: float) -> None:
    rows = _rows(150, 3, seed)
    usable = _holes(rows.shape, seed, share)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    bounds = [0, *sorted(places), 150]
    age = np.concatenate([np.arange(b - a) for a, b in pairwise(bounds)])
    apart = np.concatenate([imputer.fill(rows[a:b], usable[a:b]) for a, b in pairwise(bounds)])
    np.testing.assert_allclose(imputer.fill(rows, usable, age=age), apart, rtol=1e-6, atol=1e-6)
