"""Labels of tables and of rows onto scores, against double loops; and what labels are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import DataError
from sensorad.logs import Labels
from sensorad.thresholds.base import ECHO, NORMAL, CalibrationScores
from sensorad.thresholds.labelled import fault_heights, labelled, labelled_by_rows

MAY = 1_714_521_600 * 10**9
NAMES = ("A", "B", "C")


def _scores(n_rows: int, n_machines: int = 1, seed: int | None = None) -> CalibrationScores:
    """Rows one second apart, machines interleaved by chance where a seed is given; a tenth has no score."""
    rng = np.random.default_rng(seed)
    group = (rng.integers(0, n_machines, n_rows) if seed is not None else np.zeros(n_rows)).astype(np.int32)
    score = rng.exponential(size=n_rows)
    score[rng.random(n_rows) < 0.1] = np.nan
    return CalibrationScores(MAY + np.arange(n_rows) * 10**9, score, group, 1.0)


def _labels(*spans: tuple[float, float], group: tuple[str, ...] | None = None, kind: str = "fault") -> Labels:
    """Labels in seconds after the first row."""
    start, end = (MAY + np.array([round(s[i] * 1e9) for s in spans], np.int64) for i in (0, 1))
    return Labels(start, end, group or ("",) * len(spans), (kind,) * len(spans))


def _fault(scores: CalibrationScores) -> list[int]:
    assert scores.fault is not None
    assert scores.fault.dtype == np.int32
    return scores.fault.tolist()


def _naive(scores: CalibrationScores, names: tuple[str, ...], labels: Labels, echo_rows: int) -> list[int]:
    fault = []
    for time, machine in zip(scores.time, scores.group, strict=True):
        own = [k for k in range(len(labels)) if labels.group[k] in ("", names[machine])]
        held = [k for k in own if labels.start[k] <= time <= labels.end[k]]
        fault.append(max(held, key=lambda k: (labels.start[k], labels.end[k]), default=NORMAL))
    if scores.fault is not None:
        numbers, n_new = {}, 0
        for number in sorted(set(scores.fault[scores.fault >= 0].tolist())):
            met = [fault[i] for i in range(len(fault)) if scores.fault[i] == number and fault[i] >= 0]
            numbers[number] = min(met) if met else len(labels) + n_new
            n_new += not met
        for i, number in enumerate(scores.fault.tolist()):
            if fault[i] == NORMAL:
                fault[i] = numbers.get(number, number)
    return _with_echo(fault, scores.group, echo_rows)


def _with_echo(fault: list[int], group: np.ndarray, echo_rows: int) -> list[int]:
    result = list(fault)
    for i in range(len(fault)):
        if fault[i] >= 0:
            after = [j for j in range(i + 1, len(fault)) if group[j] == group[i]][:echo_rows]
            for j in after:
                if fault[j] < 0:
                    result[j] = ECHO
    return result


def _random_labels(rng: np.random.Generator, n_rows: int, names: tuple[str, ...]) -> Labels:
    """Stretches that may touch, in any order, some for all machines, some outside the log or between two rows."""
    cuts = rng.uniform(-20, n_rows + 20, 2 * int(rng.integers(1, 7))).round(1)
    cuts = np.sort(np.where(rng.random(len(cuts)) < 0.5, np.floor(cuts), cuts))
    spans = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    spans = [(spans[i - 1][1] if i and rng.random() < 0.3 else a, b) for i, (a, b) in enumerate(spans)]
    spans = [span for i, span in enumerate(spans) if i == 0 or span[0] != spans[i - 1][0]]
    order = rng.permutation(len(spans))
    return _labels(*(spans[i] for i in order), group=tuple(rng.choice(["", *names], len(spans)).tolist()))


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 3), st.integers(0, 12), st.booleans())
def test_tables_by_double_loop(seed: int, n_rows: int, n_machines: int, echo_rows: int, has_faults: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = _scores(n_rows, n_machines, seed)
    if has_faults:
        before = rng.choice([NORMAL, NORMAL, NORMAL, ECHO, 3, 7, 8], n_rows).astype(np.int32)
        scores = replace(scores, fault=before)
    labels = _random_labels(rng, n_rows, NAMES)
    is_inside = (labels.end >= scores.time[0]) & (labels.start <= scores.time[-1])
    if not is_inside.any():
        with pytest.raises(DataError, match="lie outside the log"):
            labelled(scores, NAMES, labels, echo_rows=echo_rows)
        return
    got = labelled(scores, NAMES, labels, echo_rows=echo_rows)
    assert _fault(got.scores) == _naive(scores, NAMES, labels, echo_rows)
    np.testing.assert_array_equal(got.scores.score, scores.score)
    assert any("outside" in note for note in got.notes) == (not is_inside.all())


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 90), st.integers(1, 3), st.integers(0, 12))
def test_row_labels_by_double_loop(seed: int, n_rows: int, n_machines: int, echo_rows: int) -> None:
    scores = _scores(n_rows, n_machines, seed)
    is_anomalous = np.random.default_rng(seed).random(n_rows) < 0.2
    expected, number = [NORMAL] * n_rows, -1
    for machine in range(n_machines):
        was = False
        for i in range(n_rows):
            if scores.group[i] == machine:
                number += bool(is_anomalous[i] and not was)
                expected[i] = number if is_anomalous[i] else NORMAL
                was = bool(is_anomalous[i])
    got = labelled_by_rows(scores, is_anomalous, echo_rows=echo_rows)
    assert _fault(got) == _with_echo(expected, scores.group, echo_rows)


def test_the_order_in_which_tables_and_columns_come_does_not_change_which_rows_are_faulty() -> None:
    scores = _scores(60, 2, seed=5)
    is_anomalous = (np.arange(60) % 20) > 15
    table = _labels((3, 8), (17.5, 30))
    one = labelled(labelled_by_rows(scores, is_anomalous, echo_rows=3), NAMES, table, echo_rows=3).scores
    other = labelled_by_rows(labelled(scores, NAMES, table, echo_rows=3).scores, is_anomalous, echo_rows=3)
    np.testing.assert_array_equal(np.minimum(one.fault, 0), np.minimum(other.fault, 0))
    assert set(_fault(one)) > {ECHO, NORMAL, 0, 1}


def test_labels_hold_to_their_ends_and_shared_ends_belong_to_the_later_label() -> None:
    scores = _scores(12)
    got = labelled(scores, ("",), _labels((6, 8), (2, 6)), echo_rows=2)
    assert _fault(got.scores) == [-1, -1, 1, 1, 1, 1, 0, 0, 0, -2, -2, -1]
    assert got.notes == ()


def test_false_alarms_stay_normal_and_no_labels_are_no_faults() -> None:
    scores = _scores(5)
    for labels in (_labels((1, 2), kind="false-alarm"), _labels()):
        got = labelled(scores, ("",), labels, echo_rows=2)
        assert _fault(got.scores) == [NORMAL] * 5
        assert got.notes == ()
    times = _labels((1, 1), (3, 3), (1, 1))
    relabelled = Labels(times.start, times.end, times.group, ("fault", "fault:X", "false-alarm"), ("a", "b", "a"))
    assert _fault(labelled(scores, ("",), relabelled, echo_rows=0).scores) == [-1, -1, -1, 0, -1]


def test_labels_without_a_machine_hold_for_all_machines_and_others_for_their_own() -> None:
    scores = replace(_scores(9), group=np.tile(np.arange(3), 3).astype(np.int32))
    got = labelled(scores, NAMES, _labels((0, 2), (3, 8), group=("", "B")), echo_rows=0)
    assert _fault(got.scores) == [0, 0, 0, -1, 1, -1, -1, 1, -1]


def test_labels_outside_the_log_are_counted_with_both_spans() -> None:
    scores = _scores(60)
    with pytest.raises(
        DataError,
        match=r"all 2 fault labels \(2024-04-30T23:58:20Z to 2024-05-01T00:03:20Z\) lie outside the log "
        r"\(2024-05-01T00:00:00Z to 2024-05-01T00:00:59Z\).*time zone",
    ):
        labelled(scores, ("",), _labels((-100, -50), (150, 200)), echo_rows=5)
    got = labelled(scores, ("",), _labels((-100, -50), (10, 20), (150, 200)), echo_rows=5)
    assert len(got.notes) == 1
    assert got.notes[0].startswith("2 of 3 fault labels (2024-04-30T23:58:20Z to 2024-05-01T00:03:20Z) lie outside")
    assert _fault(got.scores)[10:21] == [1] * 11
    with pytest.raises(DataError, match="no rows"):
        labelled(_scores(0), ("",), _labels((1, 2)), echo_rows=5)


def test_labels_that_meet_no_score_are_counted() -> None:
    scores = _scores(30)
    scores.score[:] = 1.0
    scores.score[5:8] = np.nan
    got = labelled(scores, ("",), _labels((5, 7), (10.2, 10.8), (20, 21), (99, 99)), echo_rows=1)
    assert len(got.notes) == 2
    assert got.notes[1].startswith("2 of 4 fault labels meet no row")


@pytest.mark.parametrize(
    ("spans", "group"),
    [
        ([(1, 5), (4, 9)], ("A", "A")),
        ([(4, 9), (1, 5)], ("A", "")),
        ([(1, 9), (20, 21), (3, 4)], ("", "B", "A")),
        ([(1, 5), (1, 9)], ("B", "B")),
        ([(2, 2), (2, 2)], ("B", "B")),
    ],
)
def test_overlapping_labels_of_a_machine_are_both_named(spans: list[tuple[int, int]], group: tuple[str, ...]) -> None:
    scores = _scores(30, 3, seed=0)
    first, second = sorted(span for span in spans if span[0] < 20)
    words = ".*".join(f"00:00:0{second_of}Z" for second_of in (*first, *second))
    with pytest.raises(DataError, match=rf"overlap.*{words}"):
        labelled(scores, NAMES, _labels(*spans, group=group), echo_rows=0)


def test_labels_of_different_machines_may_overlap() -> None:
    scores = replace(_scores(10), group=np.tile([0, 1], 5).astype(np.int32))
    got = labelled(scores, NAMES, _labels((1, 5), (4, 9), group=("A", "B")), echo_rows=0)
    assert _fault(got.scores) == [-1, -1, 0, -1, 0, 1, -1, 1, -1, 1]


def test_unknown_machines_are_named_with_the_closest() -> None:
    scores = _scores(30)
    with pytest.raises(DataError, match=r"'pump-1l'.*2024-05-01T00:00:01Z.*did you mean 'pump-11'"):
        labelled(scores, ("pump-11", "fan"), _labels((1, 5), group=("pump-1l",)), echo_rows=0)
    with pytest.raises(DataError, match=r"'A'.*the log has no machines"):
        labelled(scores, ("",), _labels((1, 5), group=("A",)), echo_rows=0)


def test_row_labels_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"30 rows, got shape \(29,\)"):
        labelled_by_rows(_scores(30), np.zeros(29, bool), echo_rows=0)


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 80), st.integers(1, 3), st.integers(0, 9), st.integers(1, 4))
def test_heights_of_faults_by_double_loop(
    seed: int, n_rows: int, n_machines: int, echo_rows: int, min_rows: int
) -> None:
    scores = _scores(n_rows, n_machines, seed)
    is_anomalous = np.random.default_rng(seed).random(n_rows) < 0.15
    scores = labelled_by_rows(scores, is_anomalous, echo_rows=echo_rows)
    fault = _fault(scores)
    expected = []
    for number in range(max(fault, default=-1) + 1):
        own = [i for i in range(n_rows) if fault[i] == number]
        seen = [float(scores.score[i]) for i in own]
        last = own[-1]
        for j in (j for j in range(last + 1, n_rows) if scores.group[j] == scores.group[last]):
            if fault[j] != ECHO:
                break
            seen.append(float(scores.score[j]))
        scored = sorted((s for s in seen if not np.isnan(s)), reverse=True)
        expected.append(np.nan if not scored else scored[min_rows - 1] if len(scored) >= min_rows else -np.inf)
    np.testing.assert_array_equal(fault_heights(scores, min_rows), expected)


def test_no_faults_have_no_heights() -> None:
    assert len(fault_heights(_scores(5))) == 0
    assert len(fault_heights(replace(_scores(5), fault=np.full(5, NORMAL, np.int32)))) == 0


def test_a_thousand_labels_on_a_million_rows_need_no_double_loop() -> None:
    """A double loop would take some minutes here."""
    n_rows = 1_000_000
    scores = CalibrationScores(MAY + np.arange(n_rows) * 10**9, np.ones(n_rows), np.zeros(n_rows, np.int32), 1.0)
    labels = _labels(*((k * 1000.0, k * 1000 + 99.0) for k in range(1000)))
    fault = labelled(scores, ("",), labels, echo_rows=30).scores.fault
    assert fault is not None
    np.testing.assert_array_equal(np.bincount(fault + 2), [30_000, 870_000, *([100] * 1000)])
