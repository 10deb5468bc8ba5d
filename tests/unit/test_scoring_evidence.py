"""Histories of one-step errors: which rows are judged, and which rows before them are needed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensorad.scoring.evidence import StepHistory


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=8), st.integers(0, 12))
def test_recent_rows_are_those_directly_before(parts: list[tuple[int, int]], n_before: int) -> None:
    """Parts of (rows before, rows to judge), one after another."""
    age = np.concatenate([np.arange(before + own) for before, own in parts])
    is_judged = np.concatenate([np.arange(before + own) >= before for before, own in parts])
    step = np.random.default_rng(0).normal(size=(len(age), 2))
    history = StepHistory(step, age, np.flatnonzero(is_judged))
    recent = history.recent(n_before)
    np.testing.assert_array_equal(recent.judged(recent.step), history.judged(step))
    expected_rows, expected_age = [], []
    offset = 0
    for before, own in parts:
        kept = min(before, n_before)
        expected_rows += range(offset + before - kept, offset + before + own)
        expected_age += range(kept + own)
        offset += before + own
    np.testing.assert_array_equal(recent.step, step[expected_rows])
    np.testing.assert_array_equal(recent.age, expected_age)


def test_a_single_stretch_is_judged_as_a_whole_or_at_its_end() -> None:
    step = np.arange(10.0)[:, None]
    assert StepHistory(step).judged(step) is step
    assert StepHistory(step, None, np.arange(6, 10)).judged(step).ravel().tolist() == [6.0, 7.0, 8.0, 9.0]
    assert len(StepHistory(step).recent(2).step) == 10
