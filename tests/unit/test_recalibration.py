"""New alarm lines from Python: from logs, from stored scores, with labels, with and without modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad import Detector, EventRule, LogFormat
from sensorad.errors import DataError, UsageError
from sensorad.logs import ScoreWriter
from sensorad.thresholds import SigmaThreshold, what_if

N_ROWS = 3000
START = pd.Timestamp("2024-05-01T00:00Z")


def _log(seed: int, n_rows: int = N_ROWS) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    load = np.sin(np.arange(n_rows) / 40) + 0.1 * draws.normal(size=n_rows)
    number = np.arange(n_rows) // 200 % 2
    noise = np.where(number == 1, 0.3, 0.05)
    return pd.DataFrame(
        {
            "time": pd.date_range(START, periods=n_rows, freq="min"),
            "flow": load + noise * draws.normal(size=n_rows),
            "power": 2 * load + noise * draws.normal(size=n_rows),
            "mode": np.where(number == 1, "rough", "calm"),
        }
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fitted") / "m.sensorad"
    Detector().fit(_log(0), time="time", mode="mode").save(path)
    return path


def _store(detector: Detector, log: pd.DataFrame, path: Path) -> Path:
    source = detector.open_log(log, format=detector.later_format(with_modes=True))
    about = {"detector": detector.scorer_}
    with ScoreWriter(path, detector.schema_, "time", None, detector.line_, about, mode_name="mode") as writer:
        for block in detector.score_blocks(source):
            writer.write(block)
    return path


def test_stored_scores_and_the_log_behind_them_give_the_same_line(fitted: Path, tmp_path: Path) -> None:
    detector, again = sensorad.load(fitted), sensorad.load(fitted, has_model=False)
    weights = detector.weights_hash_
    stored = _store(detector, _log(1), tmp_path / "scores.parquet")
    from_log = detector.calibrate(_log(1), budget="3/day")
    from_scores = again.calibrate(stored, budget="3/day")
    assert from_scores == from_log
    assert set(from_log.modes) == {"calm", "rough"}
    assert detector.weights_hash_ == again.weights_hash_ == weights
    assert again.calibrate(stored, method=SigmaThreshold(k=4.0), pooled=True).modes == {}
    detector.save(tmp_path / "m2.sensorad")
    assert sensorad.load(tmp_path / "m2.sensorad").threshold_result_ == from_log


def test_scores_of_another_detector_are_refused(fitted: Path, tmp_path: Path) -> None:
    other = Detector().fit(_log(5), time="time", mode="mode")
    stored = _store(other, _log(1), tmp_path / "scores.parquet")
    with pytest.raises(DataError, match="other weights"):
        sensorad.load(fitted).calibrate(stored)


def test_labelled_rows_do_not_count_as_normal_whoever_labels_them(fitted: Path) -> None:
    log = _log(2)
    log["bad"] = 0
    log.loc[1000:1100, ["flow", "bad"]] += [5.0, 1]
    labels = pd.DataFrame({"start": [log["time"][1000]], "end": [log["time"][1100]]})
    detector = sensorad.load(fitted)
    loud = detector.calibrate(log.drop(columns="bad"), budget="4/day")
    by_table = detector.calibrate(log.drop(columns="bad"), budget="4/day", labels=labels)
    by_column = detector.calibrate(
        log, budget="4/day", format=LogFormat(time="time", mode="mode", label="bad", exclude=("bad",))
    )
    assert by_table == by_column
    assert by_table.n_rows == loud.n_rows - 101 - detector.context_rows_
    assert by_table.threshold < loud.threshold
    outside = pd.concat([labels, labels + pd.Timedelta(days=90)])
    assert detector.calibrate(log.drop(columns="bad"), budget="4/day", labels=outside) == by_table
    assert any("outside" in note for note in detector.notes_)


def test_a_line_belongs_to_its_event_rule(fitted: Path) -> None:
    detector = sensorad.load(fitted)
    rule = EventRule(merge_gap_rows=200, min_rows=3, step_seconds=60.0)
    loose = detector.calibrate(_log(1), budget="3/day")
    strict = detector.calibrate(_log(1), budget="3/day", events=rule)
    assert detector.rule_ == rule
    assert strict.threshold < loose.threshold, "fewer events at every line leave room for a lower one"


def test_what_cannot_be_meant_is_refused_before_any_work(fitted: Path) -> None:
    detector = sensorad.load(fitted)
    with pytest.raises(UsageError, match="has no option quarter"):
        detector.calibrate(_log(1), method="sigma", quarter=1)
    with pytest.raises(UsageError, match="put them into it"):
        detector.calibrate(_log(1), method=SigmaThreshold(), confidence=0.5)
    with pytest.raises(UsageError, match="not been fitted"):
        Detector().calibrate(_log(1))


def test_rarity_rises_with_severity_and_belongs_to_the_line_in_force(fitted: Path) -> None:
    detector = sensorad.load(fitted)
    detector.calibrate(_log(4, n_rows=30_000), budget="1/day")
    log = _log(3)
    for first, size in ((500, 0.8), (1500, 2.0), (2500, 6.0)):
        log.loc[first : first + 30, "power"] += size
    events = detector.detect(log)
    events = events[events["kind"] != "quality"].sort_values("severity")
    assert len(events) >= 3
    assert events["return_days"].is_monotonic_increasing
    assert detector.returns_ is not None
    assert events["return_days"].max() <= detector.returns_.longest_days
    builder = detector.event_builder(1.0)
    blocks = detector.score_blocks(detector.open_log(log))
    others = [event for block in blocks for event in builder.update(block)] + builder.finish()
    assert {event.return_days for event in others} == {None}, "another line is another scale"


def test_the_table_of_lines_agrees_with_the_calibration(fitted: Path) -> None:
    detector = sensorad.load(fitted)
    scores = detector.calibration_scores(detector.open_log(_log(1)))
    result = detector.calibrate_scores(scores, budget="3/day")
    table = what_if(scores.comparable(result.line), detector.rule_, result.threshold)
    place = table.threshold.tolist().index(result.threshold)
    assert table.per_day[place] == pytest.approx(result.expected_events_per_day)


def test_half_widths_of_bands_are_in_the_unit_of_the_sensor(fitted: Path) -> None:
    """The band holds most normal readings around their expectation: as wide as the noise of the sensor, in its unit."""
    detector = sensorad.load(fitted)
    assert set(detector.bands_) == {"flow", "power"}
    scaled = _log(0).assign(power=lambda log: 100 * log["power"])
    wide = Detector().fit(scaled, time="time", mode="mode").bands_
    assert wide["power"] == pytest.approx(100 * detector.bands_["power"], rel=0.05)
    assert wide["flow"] == pytest.approx(detector.bands_["flow"], rel=0.2)
