"""What every detector does with bad rows: it says so, invents nothing, and forgets them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cases import CASES, DEFAULTS, LENGTH, SCORED, Case, assert_close, detector_of, rows_of, score_rows
from small_plant import MACHINES, SENSORS, normal_log

from sensorad.scoring.engine import BLIND_ROWS
from sensorad.types import REASONS, STATUSES

EAST = MACHINES[:1]
FLOAT32_MAX = float(np.finfo(np.float32).max)


def _words(columns: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.array(STATUSES if name == "status" else REASONS)[columns[name]]


def _scores(case: Case, log: pd.DataFrame) -> dict[str, np.ndarray]:
    detector = detector_of(case)
    return score_rows(detector, rows_of(detector, log))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_missing_cell_degrades_its_row_and_raises_no_alarm(case: Case) -> None:
    log = normal_log(300, seed=11, machines=EAST)
    holed = log.copy()
    rng = np.random.default_rng(0)
    rows = LENGTH + rng.choice(len(log) - LENGTH, 40, replace=False)
    sensors = np.array(SENSORS[:4])[rng.integers(0, 4, len(rows))]
    for row, sensor in zip(rows, sensors, strict=True):
        holed.loc[row, sensor] = np.nan
    clean, found = _scores(case, log), _scores(case, holed)
    assert set(_words(found, "status")[rows]) == {"degraded"}
    assert set(_words(found, "reason")[rows]) == {"missing"}
    assert np.isfinite(found["score"][LENGTH - 1 :]).all()
    rest = np.setdiff1d(np.arange(LENGTH - 1, len(log)), rows)
    assert set(_words(found, "status")[rest]) == {"scored"}
    line = 1.1 * np.nanmax(clean["score"])
    assert np.nanmax(found["score"]) < line
    missing = [list(SENSORS).index(sensor) for sensor in sensors]
    named = found["top_sensors"][rows] == np.array(missing)[:, None]
    assert np.isnan(found["top_actual"][rows][named]).all()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("n_silent", [1, BLIND_ROWS, BLIND_ROWS + 1, BLIND_ROWS + 20])
def test_silent_rows_are_unscorable_and_then_forgotten(case: Case, n_silent: int) -> None:
    """After ``context_rows`` rows, a log with silent rows scores as its twin without them."""
    context = detector_of(case).engine().context_rows
    log = normal_log(80 + context, seed=12, machines=EAST)
    silent = log.copy()
    burst = slice(30, 30 + n_silent)
    silent.loc[30 : 30 + n_silent - 1, list(SENSORS)] = np.nan
    clean, found = _scores(case, log), _scores(case, silent)
    status = _words(found, "status")
    assert set(status[burst]) == {"unscorable"}
    assert set(_words(found, "reason")[burst]) == {"missing"}
    assert np.isnan(found["score"][burst]).all()
    after = status[burst.stop :]
    n_lost = int(np.argmax(after == "scored"))
    assert n_lost <= LENGTH
    if n_silent > BLIND_ROWS:
        assert after[: LENGTH - 1].tolist() == ["warmup"] * (LENGTH - 1)
    assert set(after[n_lost:]) == {"scored"}
    forgotten = slice(burst.stop + context, None)
    assert len(found["score"][forgotten]) >= 20
    assert_close(found["score"][forgotten], clean["score"][forgotten], detector_of(case).threshold_)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_after_a_gap_a_log_starts_anew(case: Case) -> None:
    detector = detector_of(case)
    log = normal_log(120, seed=13, machines=EAST)
    log.loc[50:, "time"] += pd.Timedelta(minutes=60)
    found, fresh = _scores(case, log), _scores(case, log.iloc[50:])
    warm = _words(found, "status")[50 : 50 + LENGTH - 1]
    assert warm.tolist() == ["warmup"] * (LENGTH - 1)
    assert set(_words(found, "reason")[50 : 50 + LENGTH - 1]) == {"segment_start"}
    assert_close(found["score"][50:], fresh["score"], detector.threshold_)
    np.testing.assert_array_equal(found["status"][50:], fresh["status"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_repeated_times_are_duplicates_and_change_nothing_else(case: Case) -> None:
    detector = detector_of(case)
    log = normal_log(100, seed=14, machines=EAST)
    repeats = np.repeat(np.arange(100), np.where(np.arange(100) % 10 == 3, 3, 1))
    doubled = log.iloc[repeats].reset_index(drop=True)
    is_extra = doubled["time"].duplicated().to_numpy()
    doubled.loc[is_extra & (np.arange(len(doubled)) % 2 == 0), "flow"] = 1e6  # contradicts the first of its time
    plain, found = _scores(case, log), _scores(case, doubled)
    assert set(_words(found, "status")[is_extra]) == {"duplicate"}
    assert set(_words(found, "reason")[is_extra]) == {"same_time"}
    assert np.isnan(found["score"][is_extra]).all()
    assert_close(found["score"][~is_extra], plain["score"], detector.threshold_)
    np.testing.assert_array_equal(found["status"][~is_extra], plain["status"])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("odd", [np.inf, -np.inf, 1e300, -1e300])
def test_what_is_no_number_for_a_sensor_never_reaches_a_score(case: Case, odd: float) -> None:
    """An infinite or overflowing cell is a missing cell with another reason."""
    log = normal_log(90, seed=15, machines=EAST)
    holed, spoilt = log.copy(), log.copy()
    holed.loc[[40, 60], "power"] = np.nan
    spoilt.loc[[40, 60], "power"] = odd
    missing, found = _scores(case, holed), _scores(case, spoilt)
    np.testing.assert_array_equal(found["score"], missing["score"])
    assert np.isfinite(found["score"][LENGTH - 1 :]).all()
    assert _words(found, "reason")[40] == ("infinite" if np.isinf(odd) else "overflow")
    assert _words(found, "status")[40] == "degraded"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_largest_and_smallest_numbers_stay_finite(case: Case) -> None:
    log = normal_log(90, seed=15, machines=EAST)
    for sensor, value in zip(SENSORS, (FLOAT32_MAX, FLOAT32_MAX, -FLOAT32_MAX, -0.0, 1e-45), strict=True):
        log.loc[40:44, sensor] = value
    found = _scores(case, log)
    has_score = np.isin(_words(found, "status"), ("scored", "degraded"))
    assert has_score[LENGTH - 1 :].all()
    for name in ("score", "row_surprise"):
        assert np.isfinite(found[name][has_score]).all()
    assert not np.isinf(found["top_expected"]).any()
    assert found["score"][40] > detector_of(case).threshold_
    detector_of(case).detect(log)


@pytest.mark.parametrize("case", SCORED, ids=str)
def test_a_sensor_that_never_moved_is_blamed_by_name_when_it_does(case: Case) -> None:
    detector = detector_of(case)
    assert detector.training_["constant_sensors"] == ["valve"]
    log = normal_log(120, seed=16, machines=EAST)
    log.loc[60:, "valve"] = 60.0
    table = detector.score(log)
    assert table["top_sensors"].iloc[62][0] == "valve"
    events = detector.detect(log)
    moved = log["time"].iloc[62]
    at = events[(events["start"] <= moved) & (events["end"] >= moved)]
    assert [sensors[0] for sensors in at["sensors"]] == ["valve"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_log_shorter_than_a_window_has_no_scores(case: Case) -> None:
    for n_rows in (0, 1, LENGTH - 1):
        table = detector_of(case).score(normal_log(120, seed=17, machines=EAST).iloc[:n_rows])
        assert table["status"].tolist() == ["warmup"] * n_rows
        assert table["score"].isna().all()
        assert len(detector_of(case).detect(normal_log(120, seed=17).iloc[:n_rows])) == 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_another_sampling_rate_is_degraded_then_unscorable(case: Case) -> None:
    log = normal_log(120, seed=18, machines=EAST)
    for factor, status in ((1.5, "degraded"), (2.5, "unscorable"), (0.7, "degraded"), (0.3, "unscorable")):
        stretched = log.copy()
        minutes = np.arange(len(log)) * factor
        stretched["time"] = log["time"].iloc[0] + pd.to_timedelta(minutes * 60, unit="s").round("s")
        found = _scores(case, stretched)
        assert set(_words(found, "status")[LENGTH:]) == {status}
        assert set(_words(found, "reason")[LENGTH:]) == {"rate"}
        assert (np.isnan(found["score"][LENGTH:]) == (status == "unscorable")).all()


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_silent_rows_are_forgotten_also_where_a_sensor_is_dead(case: Case) -> None:
    """A filled cell follows from the filled cell before it; what that carries on fades below the last digits."""
    detector = detector_of(case)
    context = detector.engine().context_rows
    log = normal_log(60 + context, seed=21, machines=EAST)
    log["flow"] = np.nan
    late = _scores(case, log.iloc[10:])["score"]
    whole = _scores(case, log)["score"][10:]
    np.testing.assert_allclose(late[context:], whole[context:], rtol=1e-9)
