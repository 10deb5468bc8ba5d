"""Batch == chunks == any interleaving: a score depends on the row and the rows before it in its machine, only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cases import (
    CASES,
    LENGTH,
    SCORED,
    Case,
    assert_close,
    assert_same_bits,
    cut,
    detector_of,
    events_of,
    joined,
    rows_of,
    run,
    score_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plant import MACHINES, SENSORS, messy_log, normal_log, with_fault

N_ROWS = 110
EXACT = ("index", "time", "group", "status", "reason")
EXAMPLES = 5


def _log(seed: int) -> pd.DataFrame:
    return with_fault(messy_log(N_ROWS, seed), 70, 80)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.integers(0, 50), st.sets(st.integers(1, 2 * N_ROWS), max_size=40))
def test_any_cut_into_blocks_gives_the_same_scores_and_events(case: Case, seed: int, places: set[int]) -> None:
    detector = detector_of(case)
    block = rows_of(detector, _log(seed))
    whole, parts = run(detector, [block]), run(detector, cut(block, places))
    left, right = joined(whole), joined(parts)
    for name in EXACT:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    assert_close(right["score"], left["score"], detector.threshold_)
    assert_close(right["row_surprise"], left["row_surprise"], 1.0)
    # a line between two scores that occur, so that rounding of the last digit cannot move a row across it
    found = np.unique(left["score"][np.isfinite(left["score"])])
    middle = len(found) * 9 // 10
    line = max(float(found[middle - 1 : middle + 1].mean()), 1e-6)
    expected, got = events_of(detector, whole, line), events_of(detector, parts, line)
    assert expected
    for one, other in zip(expected, got, strict=True):
        assert (one.event_id, one.group, one.start, one.end, one.n_rows, one.kind) == (
            other.event_id, other.group, other.start, other.end, other.n_rows, other.kind
        )  # fmt: skip
        assert other.severity == pytest.approx(one.severity, rel=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row_by_row_is_one_of_the_cuts(case: Case) -> None:
    detector = detector_of(case)
    block = rows_of(detector, _log(seed=3)).take(slice(0, 90))
    whole, single = joined(run(detector, [block])), joined(run(detector, cut(block, range(len(block)))))
    np.testing.assert_array_equal(whole["status"], single["status"])
    assert_close(single["score"], whole["score"], detector.threshold_)


@pytest.mark.parametrize("case", SCORED, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.lists(st.booleans(), min_size=20, max_size=60))
def test_machines_may_come_in_any_interleaving(case: Case, turns: list[bool]) -> None:
    detector = detector_of(case)
    block = rows_of(detector, _log(seed=5))
    queues = {turn: list(np.flatnonzero(block.group == code)) for code, turn in enumerate((True, False))}
    order = [queues[turn].pop(0) for turn in np.resize(turns, len(block)) if queues[turn]]
    order += [*queues[True], *queues[False]]
    assert sorted(order) == list(range(len(block)))
    mixed = score_rows(detector, block.take(np.array(order)))
    straight = score_rows(detector, block)
    back = np.argsort(order)
    assert_same_bits({name: column[back] for name, column in mixed.items()}, straight)


@pytest.mark.parametrize("case", SCORED, ids=str)
def test_bad_data_of_one_machine_change_no_bit_of_another(case: Case) -> None:
    detector = detector_of(case)
    log = normal_log(N_ROWS, seed=6)
    bad = log.copy()
    rng = np.random.default_rng(0)
    rows = np.flatnonzero(log["machine"] == MACHINES[1])
    names = list(SENSORS)
    values = bad.loc[rows, names].to_numpy(copy=True)
    values[:] = rng.choice([np.nan, np.inf, -np.inf, 1e300, 3e38, 1e-42, 5.0], size=values.shape)
    bad.loc[rows, names] = values
    bad.loc[rows, "time"] += pd.to_timedelta(np.sort(rng.integers(0, 500, len(rows))), unit="min")
    clean, spoilt = (score_rows(detector, rows_of(detector, frame)) for frame in (log, bad))
    assert not np.array_equal(clean["score"][rows], spoilt["score"][rows], equal_nan=True)
    assert_same_bits(clean, spoilt, np.flatnonzero(log["machine"] == MACHINES[0]))


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.integers(1, N_ROWS - 1), st.integers(0, 20))
def test_nothing_after_a_row_changes_a_bit_of_its_score(case: Case, place: int, seed: int) -> None:
    detector = detector_of(case)
    log = normal_log(N_ROWS, seed=7)
    later = log.copy()
    rng = np.random.default_rng(seed)
    names = list(SENSORS)
    values = later.loc[2 * place :, names].to_numpy(copy=True)
    values += rng.choice([0.0, 1.0, -1e6, np.nan, np.inf], size=values.shape)
    later.loc[2 * place :, names] = values
    before, after = (score_rows(detector, rows_of(detector, frame)) for frame in (log, later))
    assert_same_bits(before, after, slice(0, 2 * place))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("place", [1, 40, 41, N_ROWS - 1])
def test_no_gap_after_a_row_and_no_end_of_the_log_changes_its_score(case: Case, place: int) -> None:
    """Rows are then multiplied in batches of another size, which rounds in another way: no promise on bits."""
    detector = detector_of(case)
    log = normal_log(N_ROWS, seed=7)
    later = log.copy()
    later.loc[2 * place :, "time"] += pd.Timedelta(minutes=60)
    whole, interrupted, ended = (
        score_rows(detector, rows_of(detector, frame)) for frame in (log, later, log.iloc[: 2 * place])
    )
    for other in (interrupted, ended):
        np.testing.assert_array_equal(whole["status"][: 2 * place], other["status"][: 2 * place])
        assert_close(other["score"][: 2 * place], whole["score"][: 2 * place], detector.threshold_)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_rows_that_a_score_depends_on_are_as_many_as_stated(case: Case) -> None:
    """A log that starts ``context_rows`` before a row gives that row the same score."""
    detector = detector_of(case)
    context = detector.engine().context_rows
    log = normal_log(context + 60, seed=8, machines=MACHINES[:1])
    whole = score_rows(detector, rows_of(detector, log))["score"]
    late = score_rows(detector, rows_of(detector, log.iloc[40:]))["score"]
    assert_close(late[context:], whole[40 + context :], detector.threshold_)
    assert np.isfinite(late[context:]).all()
    assert np.isnan(late[: LENGTH - 1]).all()
    if detector.engine().scheme.memory_rows > 1:
        assert np.nanmax(np.abs(late[:context] - whole[40 : 40 + context])) > 1e-3, "so many rows are not needed"
