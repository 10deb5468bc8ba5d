"""What is measured on one series, against slow twins and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sensorad.errors import DataError
from sensorad.metrics import auc_pr, vus_pr, vus_roc
from sensorad.types import Event
from sensorad_datasets import BenchmarkSeries, Cause, Fault, load_series
from sensorad_datasets.bench import DEFAULT_METHODS, Scored, Task, measure, run_task
from sensorad_datasets.bench.measures import filled, top_sensor_hits
from sensorad_datasets.bench.methods import row_alarms
from sensorad_datasets.bench.plant_trial import judge_faults
from sensorad_datasets.bench.tasks import clock_score
from sensorad_datasets.bench.tep import measure_fault
from sensorad_datasets.series import log_table, row_times

N_ROWS = 600
MINUTE = 60 * 10**9


def series(period: int = 40, score_from: int = 0, causes: tuple[Cause, ...] = ()) -> BenchmarkSeries:
    """Two sensors, one a sine of the given period; rows 200..249 and 400..409 anomalous."""
    wave = np.sin(2 * np.pi * np.arange(N_ROWS) / period)
    table = pa.table({"a": wave.astype(np.float32), "b": (-wave).astype(np.float32)})
    log = log_table(table, ("a", "b"), row_times(N_ROWS, 60.0))
    labels = np.zeros(N_ROWS, bool)
    labels[200:250] = labels[400:410] = True
    return BenchmarkSeries("made", "up", log, log, labels, ("a", "b"), 60.0, score_from=score_from, causes=causes)


def scored(**changes: object) -> Scored:
    score = np.random.default_rng(0).random(N_ROWS)
    score[205:240] += 0.7
    score[:30] = np.nan
    return Scored(score, 0.5, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("period", [40, 100, 150])
def test_volumes_are_those_of_the_metrics(period: int) -> None:
    data = series(period)
    row = measure(data, scored())
    score = filled(scored().score)
    assert row["period"] == period
    assert row["vus_pr"] == pytest.approx(vus_pr(data.labels, score, 100))
    assert row["vus_roc"] == pytest.approx(vus_roc(data.labels, score, 100))
    assert row["vus_pr_period"] == pytest.approx(vus_pr(data.labels, score, period))
    assert row["auc_pr"] == auc_pr(data.labels, score)
    assert row["base_rate"] == 60 / N_ROWS
    assert (row["n_unscored"], row["n_events"], row["score_seconds"]) == (30, 2, 0.5)


def test_rows_before_the_scored_part_do_not_count() -> None:
    data = series(score_from=300)
    row = measure(data, scored())
    assert row["auc_pr"] == auc_pr(data.labels[300:], filled(scored().score)[300:])
    assert (row["n_rows"], row["n_unscored"], row["n_events"]) == (300, 0, 1)


def test_unscored_rows_are_the_least_anomalous() -> None:
    assert filled(np.array([np.nan, -3.0, 2.0, np.nan])).tolist() == [-3.0, -3.0, 2.0, 2.0]
    with pytest.raises(DataError, match="no row of the series has a score"):
        filled(np.full(3, np.nan))


def test_a_perfect_score_is_perfect() -> None:
    data = series()
    row = measure(data, Scored(data.labels.astype(float), 0.0))
    assert (row["auc_pr"], row["auc_roc"], row["recall_at_1_per_10k"]) == (1.0, 1.0, 1.0)


def alarm_event(first: int, last: int, kind: str = "interval", group: str = "", sensors: tuple[str, ...] = ()) -> Event:
    start, end = (int(row_times(N_ROWS, 60.0)[row]) for row in (first, last))
    return Event(f"{first}-{last}", group, start, end, start, kind, 2.0, 4.0, last - first + 1, sensors)  # type: ignore[arg-type]


def test_the_own_line_counts_events_found_delays_and_alarms_that_open_on_normal_rows() -> None:
    data = series()
    events = [alarm_event(20, 25), alarm_event(190, 220), alarm_event(405, 430), alarm_event(500, 510, "quality")]
    alarm, openings = row_alarms(events, data)
    assert openings.tolist() == [20, 190, 405]
    assert np.flatnonzero(alarm).tolist() == [*range(20, 26), *range(190, 221), *range(405, 431)]
    row = measure(data, scored(alarm=alarm, openings=openings))
    assert (row["n_found"], row["n_events"], row["n_false"]) == (2, 2, 2)
    assert row["delay_median_rows"] == 2.5
    assert row["normal_days"] == pytest.approx(540 / 1440)


def test_without_a_line_there_is_nothing_to_count() -> None:
    row = measure(series(), scored())
    assert row["n_found"] is None
    assert row["n_false"] is None


def test_alarms_belong_to_their_machine() -> None:
    table = pa.table({"a": np.zeros(4, np.float32)})
    times = np.repeat(row_times(2, 60.0), 2)
    log = log_table(table, ("a",), times, groups=("box", list("xyxy")))
    data = BenchmarkSeries("made", "up", log, log, np.zeros(4, bool), ("a",), 60.0, group_column="box")
    alarm, openings = row_alarms([alarm_event(0, 1, group="y")], data)
    assert alarm.tolist() == [False, True, False, True]
    assert openings.tolist() == [1]


def test_blame_is_summed_over_the_rows_of_a_cause() -> None:
    causes = (Cause(200, 250, ("a",)), Cause(400, 410, ("a",)), Cause(400, 410, ("a", "b")))
    data = series(causes=causes)
    blame = np.zeros((N_ROWS, 2), np.float32)
    blame[200:249, 1] = 1.0  # many weak rows
    blame[249, 0] = 60.0  # one strong row
    blame[405, 1] = 1.0
    blame[410, 0] = 99.0  # after the end
    hits, chance = top_sensor_hits(data, scored(blame=blame))
    assert hits == [True, False, True]
    assert chance == pytest.approx(2 / 3)
    row = measure(data, scored(blame=blame))
    assert (row["n_causes"], row["n_top1"]) == (3, 2)


def test_nobody_blamed_is_no_hit() -> None:
    data = series(causes=(Cause(200, 250, ("a", "b")),))
    assert top_sensor_hits(data, scored(blame=np.zeros((N_ROWS, 2), np.float32)))[0] == [False]
    assert top_sensor_hits(data, scored())[0] is None
    assert top_sensor_hits(series(), scored()) == (None, None)


def test_the_clock_never_sees_its_own_series() -> None:
    own = SimpleNamespace(labels=np.array([True, True, False]))
    others = [np.array([False, True]), np.array([False, False, True, True])]
    assert clock_score(own, others).tolist() == [0.0, 0.5, 1.0]  # type: ignore[arg-type]


def test_a_tep_fault_counts_from_row_160() -> None:
    score = np.zeros(960)
    score[:30] = np.nan
    score[[50, 60, 163]] = 2.0
    score[400:] = 2.0
    row = measure_fault(score, line=1.0)
    assert row["detection_rate"] == 561 / 800
    assert (row["delay_rows"], row["n_false_rows"], row["n_normal_rows"]) == (3, 2, 130)
    assert measure_fault(score, line=2.0)["delay_rows"] is None


def test_faults_found_blamed_excused_and_missed() -> None:
    faults = (
        Fault("leak", 50, 30, 5.0),
        Fault("bias", 300, 20, 9.0, "PI-101"),
        Fault("spike", 560, 1, 20.0, "LI-201"),
    )
    events = [
        alarm_event(10, 12),  # false
        alarm_event(60, 90, sensors=("JI-001", "II-101", "FI-101", "LI-201")),  # the leak, rightly blamed
        alarm_event(200, 205),  # two hours after the leak: neither
        alarm_event(335, 340, sensors=("FI-101", "TI-001", "TI-304", "PI-101")),  # in the echo of the bias, fourth
        alarm_event(400, 402),  # 81 minutes after a sensor fault: false
    ]
    row = judge_faults(events, faults, row_times(N_ROWS, 60.0), window_rows=40)
    assert (row["n_faults"], row["n_found"], row["n_blamed"], row["n_false"]) == (3, 2, 1, 2)
    assert row["missed"] == ["spike"]
    assert row["delay_median_rows"] == (10 + 35) / 2
    excused = {*range(50, 80 + 180), *range(300, 320 + 40), *range(560, N_ROWS)}
    assert row["false_days"] == pytest.approx((N_ROWS - len(excused)) / 1440)


def test_on_a_real_series_the_product_is_far_above_chance(shared_data: Path) -> None:
    rows = {
        method: run_task(Task("asd", ("omi-10",), method, 0), shared_data)[0]
        for method in ("linear", "random", "window-pca")
    }
    assert set(rows) <= set(DEFAULT_METHODS)
    linear, chance = rows["linear"], rows["random"]
    assert linear["vus_pr"] > chance["vus_pr"] + 0.3
    assert linear["vus_pr"] > rows["window-pca"]["vus_pr"]
    assert chance["auc_roc"] == pytest.approx(0.5, abs=0.05)
    assert linear["n_events"] == 8
    assert linear["n_found"] >= 5
    assert linear["n_top1"] > linear["top1_chance"] * linear["n_causes"]
    assert linear["base_rate"] == pytest.approx(load_series("asd", "omi-10", shared_data).labels.mean())
    json.dumps(rows, allow_nan=False)
