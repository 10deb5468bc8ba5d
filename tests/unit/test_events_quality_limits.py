"""What normal data teach about still and silent sensors."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.data.timing import GAP_STEPS
from sensorad.errors import ArtefactError
from sensorad.events.quality_limits import BLIND_SHARE, FEW_LEVELS, LEAST_CHANGES, SEGMENT_STEPS, QualityLimits
from sensorad.scoring.engine import LEAST_SENSORS
from sensorad.types import FLAWS, RowBlock, Sensor, SensorSchema

SECOND = 10**9


def _rows(
    values: np.ndarray,
    flaw: np.ndarray | None = None,
    seconds: np.ndarray | None = None,
    label: np.ndarray | None = None,
) -> RowBlock:
    n = len(values)
    return RowBlock(
        index=np.arange(n),
        time=(np.arange(n) if seconds is None else np.asarray(seconds)) * SECOND,
        values=np.asarray(values, np.float32),
        flaw=np.zeros(values.shape, np.uint8) if flaw is None else flaw.astype(np.uint8),
        group=np.zeros(n, np.int32),
        label=label,
    )


def _schema(n: int, **declared: object) -> SensorSchema:
    return SensorSchema(tuple(Sensor(f"S{i}", **declared) for i in range(n)))


def _fit_one(column: np.ndarray, **declared: object) -> QualityLimits:
    return QualityLimits.fit([_rows(np.asarray(column)[:, None])], _schema(1, **declared), 1.0)


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 60), st.sampled_from([None, 1.0]))
def test_longest_runs_are_those_of_a_double_loop(seed, n_machines, n_rows, step):
    rng = np.random.default_rng(seed)
    machines = [
        _rows(
            rng.integers(0, 2, (n_rows, 3)),
            rng.choice([0, 0, 1, 1, 2], (n_rows, 3)),
            np.cumsum(rng.choice([1, 1, 1, 9], n_rows)),
            None if rng.random() < 0.5 else rng.random(n_rows) < 0.1,
        )
        for _ in range(n_machines)
    ]
    flat, missing, blind, is_seen = [0] * 3, [0] * 3, 0, [False] * 3
    for rows in machines:
        value: list[float | None] = [None] * 3
        n_flat, n_missing, n_blind = [0] * 3, [0] * 3, 0
        for row in range(n_rows):
            is_gap = row > 0 and step is not None and rows.time[row] - rows.time[row - 1] > 6 * SECOND
            is_labelled = rows.label is not None and bool(rows.label[row])
            if is_gap or is_labelled:
                value, n_flat, n_missing, n_blind = [None] * 3, [0] * 3, [0] * 3, 0
            if is_labelled:
                continue
            for c in range(3):
                is_missing = FLAWS[rows.flaw[row, c]] == "missing"
                n_missing[c] = n_missing[c] + 1 if is_missing else 0
                missing[c] = max(missing[c], n_missing[c])
                if rows.flaw[row, c] == 0:
                    is_seen[c] = True
                    n_flat[c] = n_flat[c] + 1 if value[c] == rows.values[row, c] else 1
                    value[c] = rows.values[row, c]
                    flat[c] = max(flat[c], n_flat[c])
            n_blind = n_blind + 1 if (rows.flaw[row] == FLAWS.index("missing")).sum() > 1.5 else 0
            blind = max(blind, n_blind)
    limits = QualityLimits.fit(machines, _schema(3), step)
    assert limits.longest_flat == tuple(flat)
    assert limits.longest_missing == tuple(n if seen else None for n, seen in zip(missing, is_seen, strict=True))
    assert limits.longest_blind == blind


def test_limits_are_three_times_the_longest_normal_run_and_at_least_a_floor():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=1200)
    slow = np.repeat(rng.normal(size=60), 20)
    flaw = np.zeros((1200, 2))
    flaw[100:107, 1] = FLAWS.index("missing")
    limits = QualityLimits.fit([_rows(np.column_stack([noise, slow]), flaw)], _schema(2), 1.0)
    assert [limits.rows_until_flat(c) for c in range(2)] == [10, 60]
    assert [limits.rows_until_missing(c) for c in range(2)] == [5, 21]
    assert limits.rows_until_blind == 1
    assert limits.still == ("", "")


def test_sensors_that_never_move_or_are_states_are_never_flat():
    rng = np.random.default_rng(0)
    restless = rng.integers(0, 4, 2000)  # four levels, a new one in most rows: a coarse measurement
    stages = np.repeat(rng.permutation(np.arange(60) % 4), 40)  # four levels, each kept for long: a state
    rare = np.repeat(rng.normal(size=LEAST_CHANGES), 100)
    often = np.repeat(rng.normal(size=LEAST_CHANGES + 1), 100)
    assert _fit_one(np.full(2000, 7.0)).still == ("constant",)
    assert _fit_one(np.full(2000, 7.0)).rows_until_flat(0) is None
    assert _fit_one(rng.integers(0, 2, 2000)).still == ("two values",)
    assert _fit_one(rng.integers(0, 2, 2000), kind="measurement").still == ("",)
    assert _fit_one(restless).still == ("",)
    assert _fit_one(restless, kind="state").still == ("state",)
    assert _fit_one(stages).still == ("few values",)
    assert _fit_one(stages, kind="measurement").still == ("",)
    assert _fit_one(rare).still == ("rarely moves",)
    assert _fit_one(often).still == ("",)
    assert _fit_one(often).rows_until_flat(0) == 300


def test_few_levels_are_counted_over_all_machines_and_rows():
    levels = np.repeat(np.arange(200) % FEW_LEVELS, 20)
    late = levels.copy()
    late[-1] = 99.0
    one, other = _rows(levels[:, None]), _rows(late[:, None])
    assert QualityLimits.fit([one, one], _schema(1), 1.0).still == ("few values",)
    assert QualityLimits.fit([one, other], _schema(1), 1.0).still == ("",)


def test_a_sensor_never_seen_is_never_missing_and_never_flat():
    rng = np.random.default_rng(0)
    flaw = np.zeros((300, 3))
    flaw[:, 1] = FLAWS.index("missing")
    limits = QualityLimits.fit([_rows(rng.normal(size=(300, 3)), flaw)], _schema(3), 1.0)
    assert limits.still == ("", "never seen", "")
    assert limits.longest_missing == (0, None, 0)
    assert limits.rows_until_missing(1) is limits.rows_until_flat(1) is None


def test_labelled_rows_teach_nothing_and_join_nothing():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 1))
    values[100:180] = 5.0
    label = np.zeros(500, bool)
    label[104:176] = True
    limits = QualityLimits.fit([_rows(values, label=label)], _schema(1), 1.0)
    assert limits.longest_flat == (4,)


def test_a_sensor_that_is_missing_in_all_rows_of_one_machine_only():
    rng = np.random.default_rng(0)
    there = _rows(rng.normal(size=(300, 1)))
    absent = _rows(np.zeros((50, 1)), np.ones((50, 1)))
    assert QualityLimits.fit([there, absent], _schema(1), 1.0).rows_until_missing(0) == 150


def test_outages_in_normal_data_leave_blindness_to_the_sensors():
    rng = np.random.default_rng(0)
    flaw = np.zeros((300, 2))
    flaw[50:53] = FLAWS.index("missing")
    limits = QualityLimits.fit([_rows(rng.normal(size=(300, 2)), flaw)], _schema(2), 1.0)
    assert limits.longest_blind == 3
    assert limits.rows_until_blind is None
    assert limits.rows_until_missing(0) == 9


def test_one_long_gap_is_not_the_way_of_the_log_but_many_are():
    rng = np.random.default_rng(0)

    def gap_steps(steps: np.ndarray) -> float:
        rows = _rows(rng.normal(size=(len(steps), 1)), seconds=np.cumsum(steps))
        return QualityLimits.fit([rows], _schema(1), 1.0).gap_steps

    steps = np.ones(5000, int)
    assert gap_steps(steps) == SEGMENT_STEPS
    steps[2000] = 100_000
    assert gap_steps(steps) == SEGMENT_STEPS
    steps[::500] = 60
    assert gap_steps(steps) == 60.0


def test_machines_are_asked_for_one_by_one():
    alive: list[int] = []

    def machines() -> Iterator[RowBlock]:
        for i in range(3):
            alive.append(i)
            yield _rows(np.random.default_rng(i).normal(size=(100, 2)))

    assert QualityLimits.fit(machines(), _schema(2), 1.0).longest_flat == (1, 1)
    assert alive == [0, 1, 2]


def test_empty_logs_and_empty_schemas():
    assert QualityLimits.fit([], _schema(2), 1.0).still == ("never seen", "never seen")
    assert QualityLimits.fit([_rows(np.zeros((0, 2)))], _schema(2), 1.0).longest_flat == (0, 0)
    assert len(QualityLimits.fit([_rows(np.zeros((5, 0)))], _schema(0), 1.0)) == 0


def test_limits_of_a_detector_saved_without_them():
    limits = QualityLimits.unknown(3)
    assert len(limits) == 3
    assert [limits.rows_until_flat(c) for c in range(3)] == [None] * 3
    assert [limits.rows_until_missing(c) for c in range(3)] == [None] * 3
    assert limits.rows_until_blind == 1


def test_json_round_trip_in_plain_values():
    limits = QualityLimits((1, 12, 0), (0, 3, None), ("", "two values", "never seen"), 2, 60.0)
    text = json.dumps(limits.to_json(), allow_nan=False)
    assert QualityLimits.from_json(json.loads(text)) == limits
    rng = np.random.default_rng(0)
    learned = QualityLimits.fit([_rows(rng.normal(size=(300, 4)))], _schema(4), 1.0)
    assert QualityLimits.from_json(json.loads(json.dumps(learned.to_json()))) == learned


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("longest_flat", [1]),
        ("longest_flat", [1, -1]),
        ("longest_flat", [1, True]),
        ("longest_flat", [1, 2.5]),
        ("longest_flat", "12"),
        ("longest_missing", [1, "2"]),
        ("still", ["", None]),
        ("longest_blind", None),
        ("longest_blind", 2**70),
        ("gap_steps", 0.0),
        ("gap_steps", float("nan")),
        ("gap_steps", True),
        ("more", 1),
    ],
)
def test_damaged_limits_are_refused(name, value):
    values = QualityLimits((1, 2), (0, None), ("", "")).to_json() | {name: value}
    with pytest.raises(ArtefactError, match="quality limits"):
        QualityLimits.from_json(values)


def test_gaps_and_blind_rows_are_those_of_the_scores():
    assert SEGMENT_STEPS == GAP_STEPS
    assert BLIND_SHARE == LEAST_SENSORS
