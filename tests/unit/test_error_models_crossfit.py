"""Nothing that is scored out of fold was seen by the model that scores it, nor lies next to what it saw."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensorad.error_models import LinearErrors
from sensorad.error_models.crossfit import Fold, Stretch, blocked_folds, out_of_fold_errors, rows_outside
from sensorad.models import RidgeAutoregression, WindowPCA

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def _numbered(sizes: list[int]) -> list[Stretch]:
    """Stretches whose rows hold (stretch, position), so that a kept row can be traced."""
    stretches = []
    for number, size in enumerate(sizes):
        rows = np.stack([np.full(size, number), np.arange(size)], axis=1).astype(np.float32)
        stretches.append(Stretch(rows, np.ones(rows.shape, bool), np.arange(len(rows))))
    return stretches


def _assert_apart(held: list[tuple[int, int, int]], kept: list[Stretch], margin: int) -> None:
    for piece in kept:
        assert len(np.unique(piece.rows[:, 0])) == 1
        assert (np.diff(piece.rows[:, 1]) == 1).all(), "a piece without holes"
        for number, start, stop in held:
            if piece.rows[0, 0] == number:
                position = piece.rows[:, 1]
                assert ((position < start - margin) | (position >= stop + margin)).all()


@given(lengths, st.integers(2, 6), st.integers(0, 12))
def test_folds_keep_no_held_row_and_nothing_within_the_margin(sizes: list[int], n_folds: int, margin: int) -> None:
    stretches = _numbered(sizes)
    folds = blocked_folds(stretches, n_folds, margin)
    assert len(folds) == n_folds
    n_held = np.zeros((len(sizes), max(sizes)), int)
    for fold in folds:
        _assert_apart(fold.held, fold.kept, margin)
        for number, start, stop in fold.held:
            assert 0 <= start < stop <= sizes[number]
            n_held[number, start:stop] += 1
    for number, size in enumerate(sizes):
        assert (n_held[number, :size] == 1).all(), "every row is held out once"
    n_rows = [sum(stop - start for _, start, stop in fold.held) for fold in folds]
    assert max(n_rows) - min(n_rows) <= 1


@given(lengths, st.integers(2, 6), st.integers(1, 12))
def test_networks_of_half_the_log_keep_no_held_row_either(sizes: list[int], n_folds: int, margin: int) -> None:

    stretches = _numbered(sizes)
    folds = blocked_folds(stretches, n_folds, margin)
    held = [rows for fold in folds[: n_folds // 2] for rows in fold.held]
    _assert_apart(held, rows_outside(stretches, held, margin), margin)


def _stretch(n_rows: int, seed: int) -> Stretch:
    rows = np.cumsum(np.random.default_rng(seed).normal(size=(n_rows, 3)), axis=0).astype(np.float32)
    return Stretch(rows, np.ones(rows.shape, bool), np.arange(len(rows)))


def _fit(fold: Fold) -> LinearErrors:
    kept = [piece.rows for piece in fold.kept]
    return LinearErrors(WindowPCA.fit(kept, 5, 0.8), RidgeAutoregression.fit(kept, 2, 1.0))


def test_each_row_is_scored_by_the_model_that_did_not_see_it() -> None:
    stretches = [_stretch(60, 0), _stretch(45, 1)]
    folds = blocked_folds(stretches, 3, margin=5)
    found = out_of_fold_errors(stretches, folds, _fit)
    for fold in folds:
        model = _fit(fold)
        for number, start, stop in fold.held:
            direct = model.errors(stretches[number].rows, stretches[number].usable, stretches[number].time)
            for name in ("window", "newest", "expected", "step"):
                np.testing.assert_allclose(
                    getattr(found[number], name)[start:stop], getattr(direct, name)[start:stop], rtol=1e-9
                )
    assert np.isnan(found[1].window[:4]).all(), "the past of another stretch is no past"
    assert np.isfinite(found[1].window[4:]).all()


def test_a_change_inside_a_block_changes_no_model_that_scores_it() -> None:
    stretches = [_stretch(120, 0)]
    folds = blocked_folds(stretches, 4, margin=5)
    before = out_of_fold_errors(stretches, folds, _fit)[0]
    changed = stretches[0].rows.copy()
    changed[59] += 100.0  # the last row of the second block
    altered = [Stretch(changed, stretches[0].usable, stretches[0].time)]
    after = out_of_fold_errors(altered, blocked_folds(altered, 4, margin=5), _fit)[0]
    np.testing.assert_array_equal(before.window[30:59], after.window[30:59])
    assert (before.window[:30][4:] != after.window[:30][4:]).any(), "other blocks are scored by models that saw it"
