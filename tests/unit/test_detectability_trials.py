"""Faults tried side by side give what a whole log with one fault gives, scored and judged as any log."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from white_noise import SECOND, block_of, schema_of

import sensorad
from sensorad.alarm_line import AlarmLine
from sensorad.augment.faults import Fault, SensorStatistics
from sensorad.augment.faults.injection import apply_fault
from sensorad.detectability import CardConfig, FunctionJudge, Judge, measure
from sensorad.detectability.places import Passage, Place, read_normal_log, spread_places
from sensorad.detectability.search import Search, mildest_found
from sensorad.detectability.trials import Outcome, Request, Trials, rows_before
from sensorad.errors import TooLittleDataError, UsageError
from sensorad.events import EventBuilder, EventRule
from sensorad.types import FLAWS, RowBlock, ScoreBlock

SIGNED = ("bias", "drift", "gain", "spike", "intermittent", "frequency")


def plant(n_rows: int, seed: int, holes: float = 0.0) -> pd.DataFrame:
    """Three sensors that follow one load, and one on its own."""
    rng = np.random.default_rng(seed)
    load = np.sin(np.arange(n_rows) / 40) + 0.2 * rng.normal(size=n_rows)
    values = np.stack([load, 2 * load, np.roll(load, 3), rng.normal(size=n_rows)], axis=1)
    values += 0.1 * rng.normal(size=values.shape)
    values[rng.random(values.shape) < holes] = np.nan
    frame = pd.DataFrame(values, columns=["flow", "power", "temp", "level"])
    frame.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return frame


@pytest.fixture(scope="module")
def detector() -> sensorad.Detector:
    return sensorad.Detector(window=16).fit(plant(3000, 0))


def whole_log_outcome(
    judge: Judge, rows: RowBlock, places: list[Place], request: Request, statistics: SensorStatistics, seed: int
) -> tuple[int, int, list[int]]:
    """Slow twin: for each place the whole log is copied, faulted, scored and turned into events, and so without."""
    n, n_found, delays = 0, 0, []
    for number, place in enumerate(places):
        sign = -1 if number % 2 and request.kind in SIGNED else 1
        fault = Fault(request.kind, (request.sensor,), place.row, request.length, request.severity, sign)
        cells = np.where(rows.flaw == 0, rows.values, np.float32(np.nan))
        draws = np.random.default_rng([seed, *request.kind.encode(), request.sensor, number])
        if apply_fault(cells, fault, statistics, draws, None, None):
            continue
        n += 1
        flaw = np.where(np.isnan(cells) & (rows.flaw == 0), FLAWS.index("missing"), rows.flaw).astype(np.uint8)
        faulty = RowBlock(rows.index, rows.time, np.nan_to_num(cells), flaw, rows.group)
        first, stop = rows.time[place.row], rows.time[place.row + request.length - 1]
        opened = [opening for opening in openings(judge, faulty) if first <= opening[0] <= stop]
        clean = [opening for opening in openings(judge, rows) if first <= opening[0] <= stop]
        if opened and not clean:
            n_found += 1
            delays.append(int(np.flatnonzero(rows.time == opened[0][1])[0]) - place.row)
    return n, n_found, delays


def openings(judge: Judge, rows: RowBlock) -> list[tuple[int, int]]:
    """Times at which events of a whole log open and have enough rows above the line."""
    scores = judge.engine().score(rows)
    builder = EventBuilder(judge.schema_.names, judge.line_, judge.rule_)
    events = [*builder.update(scores), *builder.finish()]
    above = scores.time[scores.score > judge.line_.threshold]
    return [(event.start, int(above[above >= event.start][judge.rule_.min_rows - 1])) for event in events]


@pytest.mark.parametrize(
    ("kind", "severity", "length"),
    [("bias", 0.8, 40), ("stuck", 20.0, 20), ("noise", 3.0, 40), ("lag", 6.0, 40), ("correlation", 0.9, 40)],
)
def test_trials_agree_with_whole_logs(detector: sensorad.Detector, kind: str, severity: float, length: int) -> None:
    log = read_normal_log(detector.open_log(plant(1500, 1, holes=0.002)).blocks())
    (passage,) = log.passages
    places = spread_places(log.passages, 8, rows_before(detector), 41, np.random.default_rng(0))
    trials = Trials(detector, log.passages, places, log.statistics, longest=40, random_state=3)
    before = passage.cells.copy()
    requests = [Request(kind, sensor, severity, length) for sensor in (1, 3)]
    outcomes = trials.run(requests)
    assert np.array_equal(passage.cells, before, equal_nan=True), "the rows are put back"
    for request, outcome in zip(requests, outcomes, strict=True):
        n, n_found, delays = whole_log_outcome(detector, passage.rows, places, request, log.statistics, 3)
        assert (outcome.n, outcome.n_found) == (n, n_found)
        assert outcome.delay_rows == (float(np.median(delays)) if delays else None)
        assert outcome.delay_seconds == (60.0 * float(np.median(delays)) if delays else None)
    assert sum(outcome.n_found for outcome in outcomes) > 0, "a test of something that is found"


def test_a_rule_that_wants_several_rows_confirms_later(detector: sensorad.Detector) -> None:
    """Also with a fault whose last row opens the alarm, confirmed after it."""
    rule = EventRule(merge_gap_rows=3, min_rows=4, release=1.0)
    judge = FunctionJudge(schema_of(1), mean_of_last(6), 0.9, context_rows=5, rule=rule)
    noise = 0.2 * np.random.default_rng(2).standard_normal((600, 1))
    log = read_normal_log([block_of(noise)])
    places = spread_places(log.passages, 12, rows_before(judge), 20, np.random.default_rng(0))
    trials = Trials(judge, log.passages, places, log.statistics, longest=10, random_state=0)
    for severity in (4.6, 5.5, 9.0):
        request = Request("bias", 0, severity, 10)
        n, n_found, delays = whole_log_outcome(judge, log.passages[0].rows, places, request, log.statistics, 0)
        (outcome,) = trials.run([request])
        assert (outcome.n, outcome.n_found) == (n, n_found)
        assert outcome.delay_rows == (float(np.median(delays)) if delays else None)


def mean_of_last(n: int) -> Callable[[np.ndarray], np.ndarray]:
    def score(rows: np.ndarray) -> np.ndarray:
        return np.array([abs(rows[max(0, t - n + 1) : t + 1, 0].mean()) for t in range(len(rows))])

    return score


def test_results_do_not_depend_on_what_else_is_tried(detector: sensorad.Detector) -> None:
    log = plant(2000, 4)
    config = CardConfig(kinds=("bias", "noise", "drift"), rows=30, n_placements=10, n_severities=5, random_state=7)
    whole = sensorad.detectability_card(detector, log, config=config)
    part = sensorad.detectability_card(
        detector, log, config=CardConfig.from_json(config.to_json() | {"kinds": ["noise"], "sensors": ["temp"]})
    )
    assert part.cells == (whole.cell("temp", "noise"),)
    assert whole == sensorad.detectability_card(detector, log, config=config), "the same seed, the same card"


class ModeJudge(FunctionJudge):
    """Has a line of its own in mode "loud"."""

    def __init__(self) -> None:
        super().__init__(schema_of(1), lambda rows: np.abs(rows[:, 0]).astype(np.float64), 2.0)
        self.line_ = AlarmLine(2.0, {"loud": 1000.0})


def test_each_row_is_judged_by_the_line_of_its_mode() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((800, 1))
    rows = block_of(noise)
    rows.mode = (np.arange(800) >= 400).astype(np.int32)
    rows.mode_names = ("quiet", "loud")
    settings = CardConfig(kinds=("bias",), rows=20, n_placements=20, severities={"bias": (40.0,)})
    card = measure(ModeJudge(), [rows], settings)
    (tried,) = card.cell("x0", "bias").tried
    assert 8 <= tried.outcome.n_found <= 11, "found in the quiet half alone"


def test_a_fault_that_changes_nothing_is_not_counted() -> None:
    """The limit of 90 % of the range lies above all values of the second half."""
    values = np.random.default_rng(0).uniform(0.0, 1.0, size=(1000, 1))
    values[500:] *= 0.5
    judge = FunctionJudge(schema_of(1), lambda rows: np.zeros(len(rows)), 1.0)
    settings = CardConfig(kinds=("saturation",), rows=20, n_placements=20, severities={"saturation": (0.9,)})
    (tried,) = measure(judge, [block_of(values)], settings).cell("x0", "saturation").tried
    assert 8 <= tried.outcome.n <= 12
    constant = measure(judge, [block_of(np.ones((300, 1)))], CardConfig(rows=20, n_placements=5))
    assert {cell.state for cell in constant.cells} <= {"no fault", "never"}
    assert constant.cell("x0", "bias").state == "no fault"


def test_a_lost_value_is_told_to_the_scorer() -> None:
    seen: list[np.ndarray] = []

    def score(rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return np.isnan(rows[:, 0]).astype(np.float64)

    values = np.random.default_rng(0).standard_normal((200, 1))
    values[50] = np.nan
    log = read_normal_log([block_of(values)])
    trials = Trials(
        FunctionJudge(schema_of(1), score, 0.5),
        log.passages,
        [Place(0, 45)],
        log.statistics,
        longest=10,
        random_state=0,
    )
    assert np.isnan(np.concatenate(seen)).sum() == 1, "the hole of the log stays one"
    assert trials.run([Request("bias", 0, 3.0, 10)])[0].n_found == 0, "the hole alarms without a fault too"


def test_passages_end_at_gaps_labels_and_machines() -> None:
    n_rows = 100
    time = np.arange(n_rows) * SECOND
    time[40:] += 3600 * SECOND
    rows = block_of(np.arange(float(n_rows))[:, None])
    rows.time[:] = time
    rows.label = np.zeros(n_rows, np.bool_)
    rows.label[60:65] = True
    rows.group[80:] = 1
    rows.group_names = ("a", "b")
    log = read_normal_log([rows.take(slice(0, 33)), rows.take(slice(33, None))])
    found = [(int(p.cells[0, 0]), int(p.cells[-1, 0])) for p in log.passages]
    assert found == [(0, 39), (40, 59), (65, 79), (80, 99)]
    newest = read_normal_log([rows], since={0: int(time[70]), 1: int(time[90])})
    assert [(int(p.cells[0, 0]), int(p.cells[-1, 0])) for p in newest.passages] == [(70, 79), (90, 99)]
    assert newest.statistics.minimum[0] == 0.0, "statistics are those of the whole log"
    assert log.statistics.centre[0] == pytest.approx(np.delete(np.arange(100.0), np.s_[60:65]).mean())


def test_a_time_that_comes_twice_counts_once() -> None:
    rows = block_of(np.arange(50.0)[:, None])
    twice = rows.take(np.sort(np.concatenate([np.arange(50), [7, 8]])))
    (passage,) = read_normal_log([twice]).passages
    assert len(passage) == 50


def test_places_have_room_and_are_spread() -> None:
    passages = [Passage(block_of(np.zeros((n, 1))), np.zeros((n, 1), np.float32)) for n in (30, 100, 20, 200)]
    places = spread_places(passages, 12, 10, 25, np.random.default_rng(0))
    assert {place.passage for place in places} == {1, 3}
    assert all(place.row >= 10 and place.row + 25 <= len(passages[place.passage]) for place in places)
    assert len({(place.passage, place.row) for place in places}) == 12
    assert sum(place.passage == 1 for place in places) in (3, 4), "in proportion to the room: 66 of 232"
    with pytest.raises(TooLittleDataError, match="there are 7 such places"):
        spread_places([*passages[:1], Passage(block_of(np.zeros((41, 1))), np.zeros((41, 1), np.float32))], 9, 10, 25,
                      np.random.default_rng(0))  # fmt: skip


@pytest.mark.parametrize("n_severities", [1, 2, 5, 9])
def test_bisection_finds_what_trying_everything_finds(n_severities: int) -> None:
    rng = np.random.default_rng(n_severities)
    for _ in range(60):
        shares = np.sort(rng.integers(0, 21, size=n_severities))
        every = {i: Outcome(20, int(n)) for i, n in enumerate(shares)}
        search = Search(n_severities, least=5)
        while (at := search.next()) is not None:
            assert at not in search.outcomes, "nothing is tried twice"
            search.outcomes[at] = every[at]
        for share in (0.5, 0.9):
            expected = next((i for i, n in enumerate(shares) if n / 20 >= share), None)
            assert mildest_found(search.outcomes, share, 5) == expected
        assert n_severities < 9 or len(search.outcomes) <= 7


def test_too_few_places_are_no_find() -> None:
    assert mildest_found({0: Outcome(2, 2), 1: Outcome(20, 20)}, 0.5, least=5) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kinds": ()}, "at least one kind"),
        ({"kinds": ("bios",)}, "bias"),
        ({"kinds": "bias"}, "list of names"),
        ({"rows": 2}, "at least 4"),
        ({"n_placements": True}, "whole number"),
        ({"severities": {"bias": (2.0, 1.0)}}, "mildest to the worst"),
        ({"severities": {"saturation": (0.6, 0.9)}}, "the smaller the number, the worse"),
        ({"severities": {"stuck": (1.0, 5.0)}}, "whole rows"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CardConfig(**settings)  # type: ignore[arg-type]


def test_unknown_sensor_and_short_log(detector: sensorad.Detector) -> None:
    with pytest.raises(UsageError, match="power"):
        sensorad.detectability_card(detector, plant(500, 1), sensors=["powr"])
    with pytest.raises(TooLittleDataError, match="longest passage has 90 rows"):
        sensorad.detectability_card(detector, plant(90, 1), kinds=["bias"])


def test_a_scorer_of_functions_goes_back_to_where_it_was() -> None:
    judge = FunctionJudge(schema_of(1), lambda rows: np.cumsum(rows[:, 0]).astype(np.float64), 5.0, context_rows=2)
    scorer = judge.engine()

    def scores(first: int, stop: int) -> list[float]:
        block: ScoreBlock = scorer.score(block_of(np.arange(1.0, 10.0)[:, None]).take(slice(first, stop)))
        return list(block.score)

    assert scores(0, 3) == [1.0, 3.0, 6.0]
    state = scorer.state()
    assert scores(3, 5) == [2 + 3 + 4.0, 2 + 3 + 4 + 5.0]
    assert scores(5, 6) == [4 + 5 + 6.0]
    scorer.restore(state)
    assert scores(3, 5) == [9.0, 14.0]


def test_an_alarm_that_was_open_shortly_before_goes_on_and_finds_nothing() -> None:
    """Many alarms by chance and a long merge gap: what opened before the fault decides, as in a whole log."""
    rule = EventRule(merge_gap_rows=25, release=1.0)
    judge = FunctionJudge(schema_of(1), mean_of_last(3), 1.5, context_rows=2, rule=rule)
    noise = np.random.default_rng(8).standard_normal((900, 1))
    log = read_normal_log([block_of(noise)])
    places = spread_places(log.passages, 30, rows_before(judge), 20, np.random.default_rng(0))
    trials = Trials(judge, log.passages, places, log.statistics, longest=20, random_state=0)
    request = Request("bias", 0, 5.0, 20)
    n, n_found, _ = whole_log_outcome(judge, log.passages[0].rows, places, request, log.statistics, 0)
    (outcome,) = trials.run([request])
    assert (outcome.n, outcome.n_found) == (n, n_found)
    assert 3 < n_found < 27, "every fault is above the line, and some went on from an alarm before"
