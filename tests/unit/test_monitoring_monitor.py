"""The monitor over incoming scores: same verdict in any cut and mix, faults forgiven, drift named and dated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from naive_events import cut, make_block

from sensorad.errors import TimeError, UsageError
from sensorad.events import EventBuilder, EventRule
from sensorad.monitoring import CalibrationBaseline, CalibrationMonitor, StaleVerdict
from sensorad.thresholds import CalibrationScores
from sensorad.thresholds.blocks import block_maxima
from sensorad.types import STATUSES, Event, ScoreBlock

DAY = 86_400 * 10**9
START = 19_700 * DAY  # 2023-12-09
STEP = 300.0
ROWS = 288
LINE = 12.0
RULE = EventRule(merge_gap_rows=6, step_seconds=STEP)


def _normal(n_days: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(4.0, size=round(n_days * ROWS))


def _scores(score: np.ndarray, start: int = START) -> CalibrationScores:
    time = start + np.arange(len(score)) * round(STEP * 1e9)
    return CalibrationScores(time, score, np.zeros(len(score), np.int32), STEP)


def _baseline(n_days: float = 14, n_events: int = 8, line: float = LINE) -> CalibrationBaseline:
    found = CalibrationBaseline.fit(_scores(_normal(n_days, seed=0)), line, n_events, 1.0)
    assert found is not None
    return found


def _block(
    score: np.ndarray, start: int = START + 14 * DAY, group: int = 0, names: Sequence[str] = ("",)
) -> ScoreBlock:
    block = make_block(score.tolist(), group=[group] * len(score), group_names=names)
    block.time[:] = start + np.arange(len(score)) * round(STEP * 1e9)
    return block


def _watched(blocks: Sequence[ScoreBlock], baseline: CalibrationBaseline | None = None) -> StaleVerdict:
    baseline = baseline or _baseline()
    builder = EventBuilder(("TI-101",), baseline.threshold, RULE)
    monitor = CalibrationMonitor(baseline, STEP)
    for block in blocks:
        monitor.update(block, block.score, builder.update(block))
    return monitor.finish(builder.finish())


def _event(start: int, kind: str = "interval") -> Event:
    return Event("e", "", start, start, start, kind, 1.5, 18.0, 1)  # type: ignore[arg-type]


def test_blocks_are_those_of_the_calibration() -> None:
    """Row by row the monitor finds the block maxima that the calibration would find, holes and all."""
    rng = np.random.default_rng(3)
    baseline = _baseline()
    score = _normal(3, seed=5)
    score[rng.random(len(score)) < 0.4] = np.nan
    block = _block(score, start=START + 1234 * 10**9)
    block = block.take(np.flatnonzero((np.arange(len(score)) < 200) | (np.arange(len(score)) > 330)))
    monitor = CalibrationMonitor(baseline, STEP)
    for part in cut(block, list(range(len(block)))):
        monitor.update(part, part.score, ())
    monitor.finish()
    rows = CalibrationScores(block.time, block.score, block.group, STEP)
    maxima = block_maxima(rows, baseline.block_seconds)
    expected: dict[int, list[int]] = {}
    for height, start in zip(maxima.height, maxima.start, strict=True):
        if height <= LINE:
            expected.setdefault(int(start // 3600e9), []).append(baseline.bin_of(height))
    assert {number: list(bins) for number, bins in monitor._bins.items()} == expected
    assert 20 < monitor._n_blocks < 60


def test_the_verdict_is_the_same_in_any_cut_and_mix() -> None:
    """Two machines: one after the other, row by row in turns with names the other way round, in random pieces."""
    rng = np.random.default_rng(0)
    n_days = 25
    one, two = _normal(n_days, 1), 1.15 * _normal(n_days, 2)
    one[rng.integers(0, len(one), 15)] = 30.0
    start = START + 14 * DAY
    after = [_block(one, start, 0, ("A", "B")), _block(two, start + 7200 * 10**9, 1, ("A", "B"))]
    both = ScoreBlock.joined(after)
    order = np.argsort(both.time, kind="stable")
    mixed = both.take(order)
    mixed.group[:] = 1 - mixed.group
    mixed = replace_names(mixed, ("B", "A"))
    expected = _watched(after)
    assert expected.is_stale
    assert expected.n_events > 10
    for blocks in (
        [both],
        [mixed],
        cut(mixed, rng.integers(0, len(mixed), 300).tolist()),
        cut(mixed.take(slice(0, None)), list(range(0, len(mixed), 1))),
    ):
        found = _watched(blocks)
        assert found.since == expected.since
        assert found.weeks == expected.weeks
        assert found.evidence == pytest.approx(expected.evidence, rel=1e-9)
        assert found.statement() == expected.statement()


def replace_names(block: ScoreBlock, names: Sequence[str]) -> ScoreBlock:
    return replace(block, group_names=names)


def test_rows_that_take_no_part_change_nothing() -> None:
    score = _normal(20, 1)
    plain = _block(score)
    doubled = plain.take(np.repeat(np.arange(len(score)), 2))
    doubled.status[1::2] = STATUSES.index("late")
    doubled.score[1::2] = 1e6
    doubled.time[1::2] -= 3 * 3600 * 10**9
    expected, found = _watched([plain]), _watched([doubled])
    assert found == expected


def test_normal_scores_stay_described() -> None:
    verdict = _watched([_block(_normal(90, 1))], _baseline(line=30.0, n_events=2))
    assert not verdict.is_stale
    assert (verdict.since, verdict.reasons) == (None, ())
    assert verdict.n_blocks == 90 * 24
    assert verdict.statement().startswith("this calibration describes the scores so far (90 days, 0 alarm events, at")


@pytest.mark.parametrize(("factor", "way"), [(1.3, "higher"), (0.75, "lower")])
def test_drift_is_named_and_dated(factor: float, way: str) -> None:
    score = _normal(60, 1)
    score[30 * ROWS :] *= factor
    verdict = _watched([_block(score)], _baseline(line=40.0, n_events=1))
    assert verdict.is_stale
    assert verdict.since is not None
    assert abs(verdict.since - (START + 44 * DAY)) <= 2 * DAY
    [reason] = verdict.reasons
    assert f"have been {way} than in the calibration" in reason
    assert verdict.evidence[1] > 2.0
    assert verdict.statement().startswith("this calibration no longer describes normal: since 2024-01-2")


def test_faults_are_not_drift() -> None:
    """A week in alarm, ten events a day, is a fault and no word on the calibration."""
    score = np.minimum(_normal(60, 1), 11.0)
    score[20 * ROWS : 27 * ROWS : 28] = 50.0
    verdict = _watched([_block(score)], _baseline(n_events=2))
    assert verdict.n_events > 60
    assert not verdict.is_stale
    assert "in doubt" in verdict.statement()


def test_lasting_alarms_condemn() -> None:
    score = np.minimum(_normal(42, 1), 11.0)
    score[21 * ROWS :: 70] = 50.0  # four events a day for three weeks
    verdict = _watched([_block(score)], _baseline(n_events=8))
    assert verdict.is_stale
    assert verdict.since == START + 35 * DAY
    assert "in two weeks in a row, at most 12 and 12 expected" in verdict.reasons[0]
    assert [week.is_beyond for week in verdict.weeks] == [False] * 3 + [True] * 3


def test_scores_far_above_the_line_are_one_event_and_still_condemn() -> None:
    verdict = _watched([_block(_normal(20, 1) + 40.0)], _baseline())
    assert verdict.n_events == 1
    assert verdict.is_stale
    assert "stood above the alarm line for 100% and 100% of the time" in verdict.statement()
    assert verdict.since == START + 14 * DAY


def test_nothing_is_dated_before_the_first_row() -> None:
    start = START + 14 * DAY + DAY // 2
    verdict = _watched([_block(_normal(20, 1) + 40.0, start)], _baseline())
    assert (verdict.weeks[0].start, verdict.since) == (START + 14 * DAY, start)


def test_a_low_rate_shows_in_the_total() -> None:
    baseline = _baseline(60, n_events=8, line=40.0)
    score = _normal(140, 1)
    score[100 :: 2 * ROWS] = 60.0
    verdict = _watched([_block(score)], baseline)
    assert verdict.is_stale
    assert "alarm events have been more frequent than it explains" in verdict.statement()


def test_too_early_to_say() -> None:
    verdict = _watched([_block(_normal(1.5, 1))])
    assert verdict.is_early
    assert not verdict.is_stale
    assert verdict.statement().startswith("too early to say")
    assert _watched([]).statement() == (
        "too early to say whether this calibration describes the scores (0 seconds, 0 alarm events, at most 0 expected)"
    )


def test_without_blocks_alarms_are_still_counted() -> None:
    baseline = _baseline(0.2, n_events=1, line=LINE)
    assert len(baseline.edges) == 0
    score = np.minimum(_normal(21, 1), 11.0)
    score[::30] = 50.0
    verdict = _watched([_block(score)], replace(baseline, days=30.0))
    assert verdict.n_blocks == 0
    assert verdict.is_stale


def test_quality_events_are_ignored_and_events_count_where_they_begin() -> None:
    monitor = CalibrationMonitor(_baseline(), STEP)
    block = _block(_normal(9, 1) / 3)
    monitor.update(block, block.score, [_event(START + 15 * DAY), _event(START + 15 * DAY, "quality")])
    verdict = monitor.finish([_event(START + 22 * DAY, "point")])
    assert [week.n_events for week in verdict.weeks] == [1, 1]


def test_the_verdict_so_far_leaves_out_what_is_open() -> None:
    monitor = CalibrationMonitor(_baseline(), STEP)
    block = _block(_normal(5.02, 1) / 3)
    monitor.update(block, block.score, ())
    before = monitor.verdict()
    after = monitor.finish()
    assert (before.n_blocks, after.n_blocks) == (5 * 24, 5 * 24 + 1)
    assert [week.is_over for week in before.weeks] == [False]
    assert [week.is_over for week in after.weeks] == [True]
    assert monitor.finish() == after


def test_levels_and_not_scores_are_compared() -> None:
    block = _block(_normal(30, 1))
    monitor = CalibrationMonitor(_baseline(line=40.0), STEP)
    monitor.update(block, block.score * 1.4, ())
    assert monitor.finish().is_stale


def test_misuse_is_refused() -> None:
    monitor = CalibrationMonitor(_baseline(), STEP)
    block = _block(_normal(1, 1))
    with pytest.raises(UsageError, match="one level for each row"):
        monitor.update(block, block.score[1:], ())
    monitor.update(block, block.score, ())
    with pytest.raises(TimeError, match="steps back"):
        monitor.update(block, block.score, ())
    monitor.finish()
    with pytest.raises(UsageError, match="the log is over"):
        monitor.update(block, block.score, ())
    with pytest.raises(UsageError, match="must be positive"):
        CalibrationMonitor(_baseline(), 0.0)


def test_memory_is_a_byte_a_block() -> None:
    monitor = CalibrationMonitor(_baseline(), STEP)
    for machine in range(5):
        block = _block(_normal(10, machine) / 3, group=machine, names=tuple("ABCDE"))
        monitor.update(block, block.score, ())
    assert len(monitor._open) == 5
    assert len(monitor._days) == 10
    assert len(monitor._bins) <= 10 * 24
    assert sum(len(bins) for bins in monitor._bins.values()) == 5 * (10 * 24 - 1)


def test_the_verdict_is_plain_json() -> None:
    score = _normal(30, 1) * 1.4
    verdict = _watched([_block(score)], _baseline(line=40.0))
    values = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert values["is_stale"] is True
    assert values["since"] == "2023-12-23T00:00:00Z"
    assert values["statement"] == verdict.statement()
    assert values["weeks"][0]["start"] == "2023-12-23T00:00:00Z"
    assert values["weeks"][0]["days_observed"] == 7.0
    assert values["peak_evidence_log10"] >= values["evidence_log10"]
