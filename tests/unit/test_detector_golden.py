"""Detectors that were saved by an earlier version load, and give the scores that they gave then."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from make_golden_detector import EVENTS, GOLDEN, SCORES, SENSORS, golden_path, modes_log

import sensorad
from sensorad.types import STATUSES


@pytest.fixture(scope="module")
def stored() -> pd.DataFrame:
    table = pd.read_csv(SCORES)
    table["time"] = pd.to_datetime(table["time"])
    return table


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_detector_gives_the_scores_of_its_day(name: str, stored: pd.DataFrame) -> None:
    """If a change of constants or formulas breaks this, every detector in use changes as well: see the generator."""
    detector = sensorad.load(golden_path(name))
    scores = detector.score(stored[["time", *SENSORS]])
    assert scores["status"].tolist() == stored[f"{name}_status"].tolist()
    expected = stored[f"{name}_score"].to_numpy()
    np.testing.assert_array_equal(scores["score"].isna(), np.isnan(expected))
    np.testing.assert_allclose(scores["score"], expected, rtol=1e-4, atol=1e-4)
    has_score = scores["score"].notna()
    blamed = scores["top_sensors"][has_score].str[0]
    assert (blamed == stored[f"{name}_blamed"][has_score]).mean() > 0.95, "a tie may break the other way"


def test_a_golden_detector_finds_the_fault(stored: pd.DataFrame) -> None:
    events = sensorad.load(golden_path("linear")).detect(stored[["time", *SENSORS]])
    onset = stored["time"].iloc[30]
    found = events[(events["start"] <= onset) & (events["end"] >= onset)]
    assert [sensors[0] for sensors in found["sensors"]] == ["PI-7"]


def test_the_stored_rows_show_every_status_but_late(stored: pd.DataFrame) -> None:
    assert set(stored["linear_status"]) == set(STATUSES) - {"late"}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_detector_still_has_its_settings(name: str) -> None:
    detector = sensorad.load(golden_path(name))
    assert detector.config == GOLDEN[name]
    assert detector.schema_.names == tuple(SENSORS)
    assert detector.training_["constant_sensors"] == ["valve"]
    assert detector.describe()["weights"] == detector.weights_hash_


def test_a_golden_calibration_gives_the_events_of_its_day() -> None:
    """Lines of modes, return periods, quality limits and the baseline of the watch, all as they were saved."""
    detector = sensorad.load(golden_path("modes"))
    assert set(detector.line_.by_mode) == {"idle", "run"}
    findings = detector.findings()
    log = detector.open_log(modes_log())
    events = [event for rows, scores in detector.score_pairs(log) for event in findings.update(scores, rows)]
    events = sorted([*events, *findings.finish()], key=lambda event: (event.start, event.group))
    expected = json.loads(EVENTS.read_text())
    assert {event["kind"] for event in expected} >= {"interval", "quality"}
    assert [event.event_id for event in events] == [event["event_id"] for event in expected]
    assert [event.reason for event in events] == [event["reason"] for event in expected]
    for name in ("severity", "return_days"):
        got = [np.nan if getattr(event, name) is None else getattr(event, name) for event in events]
        stored = [np.nan if event[name] is None else event[name] for event in expected]
        np.testing.assert_allclose(got, stored, rtol=1e-3, err_msg=name)
    assert findings.stale is not None
