"""Fitting: which rows are learned from, what is refused and with which number, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.errors import TooLittleDataError, UsageError
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.normal_rows import LEAST_WINDOWS, NormalRows, read_normal_rows
from sensorad.thresholds import QuantileThreshold

LENGTH = 8
CONFIG = DetectorConfig(window=LENGTH, lags=3)
NAMES = ["a", "b", "c"]


def _log(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 6.0 + np.arange(3)) + 0.2 * rng.normal(size=(n_rows, 3))
    columns = dict(zip(NAMES, (wave * [1.0, 20.0, 0.3] + [0.0, 100.0, 5.0]).T, strict=True))
    return pd.DataFrame({"time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"), **columns})


def _read(log: pd.DataFrame, **form: str) -> NormalRows:
    source = SortedLog(SensorLog(log, LogFormat(time="time", **form)))
    return read_normal_rows(source.blocks(), source.schema, LENGTH)


def _learned(detector: Detector) -> dict[str, np.ndarray]:
    return {**detector._parts.arrays, **detector._calibration.to_parts()[1]}


def test_rows_labelled_anomalous_teach_nothing() -> None:
    """Not the weights, not the scaler, not the alarm line: their values may be anything."""
    log = _log(400)
    log["bad"] = 0
    log.loc[150:180, "bad"] = 1
    spoilt = log.copy()
    spoilt.loc[150:180, NAMES] = 1e6
    form = LogFormat(time="time", label="bad")
    one, other = (Detector(config=CONFIG).fit(frame, format=form) for frame in (log, spoilt))
    assert one.training_["rows"]["anomalous"] == 31
    assert one.training_["stretches"] == 2
    assert "bad" not in one.schema_.names
    expected, found = _learned(one), _learned(other)
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)
    assert one.threshold_ == other.threshold_
    plain = log.drop(columns="bad")
    pd.testing.assert_frame_equal(one.score(plain), other.score(plain), check_exact=True)


def test_no_stretch_spans_a_gap_a_silent_row_or_two_machines() -> None:
    log = _log(120)
    log.loc[40:, "time"] += pd.Timedelta(hours=1)
    log.loc[70, NAMES] = np.nan
    log.loc[75, "a"] = np.nan
    rows = _read(log)
    assert [len(stretch) for stretch in rows.stretches] == [40, 30, 49]
    for stretch in rows.stretches:
        time = stretch.time
        assert (np.diff(time) == 60 * 10**9).all()
        assert np.isfinite(stretch.rows).all()
    assert not rows.stretches[2].usable[4, 0]
    counted = {name: rows.counts[name] for name in ("read", "gaps", "blind", "missing_cells", "short")}
    assert counted == {"read": 120, "gaps": 1, "blind": 1, "missing_cells": 4, "short": 0}

    both = pd.concat([_log(60, 1).assign(unit="x"), _log(50, 2).assign(unit="y")])
    rows = _read(both.sort_values("time", kind="stable"), group="unit")
    assert sorted(zip(rows.machines, map(len, rows.stretches), strict=True)) == [(0, 60), (1, 50)]


def test_short_pieces_and_repeated_times_are_counted_and_left_out() -> None:
    log = _log(120)
    log.loc[[60, 60 + LENGTH], NAMES] = np.nan  # leaves a piece one row shorter than a window
    log.loc[100, "time"] = log.loc[99, "time"]
    rows = _read(log)
    assert rows.counts["short"] == LENGTH - 1
    assert rows.counts["equal_times"] == 1
    assert rows.n_rows == 120 - 2 - (LENGTH - 1) - 1


def test_a_log_that_is_too_short_is_told_how_many_rows_are_missing() -> None:
    needed = LEAST_WINDOWS * LENGTH
    with pytest.raises(
        TooLittleDataError, match=rf"at least {needed} usable normal rows.*got 31.*add {needed - 31} rows"
    ):
        _read(_log(31))
    assert _read(_log(needed)).n_rows == needed
    with pytest.raises(TooLittleDataError, match="got 0"):
        _read(_log(200).iloc[:0])


def test_rows_that_do_not_count_do_not_help() -> None:
    log = _log(60)
    log["bad"] = (np.arange(60) < 25).astype(int)
    with pytest.raises(TooLittleDataError, match="got 35: add 5 rows"):
        _read(log, label="bad")
    silent = _log(60)
    silent.loc[20:50, NAMES] = np.nan
    with pytest.raises(TooLittleDataError, match="got 29"):
        _read(silent)
    with pytest.raises(TooLittleDataError, match="got 0"):
        _read(_log(60).assign(a=np.nan, b=np.nan, c=np.nan))


def test_as_many_rows_as_were_asked_for_are_enough() -> None:
    """Nobody follows an error message twice."""
    log = _log(5000)
    n_rows, asked = 10, []
    for _ in range(8):
        try:
            Detector(config=CONFIG).fit(log.iloc[:n_rows])
            break
        except TooLittleDataError as refusal:
            missing = int(refusal.hint.removeprefix("add ").split()[0].replace(",", ""))
            asked.append(missing)
            n_rows += missing
    else:
        pytest.fail(f"asked for more {len(asked)} times: {asked}")
    assert n_rows < 300
    assert len(asked) <= 3


@pytest.mark.parametrize("kind", ["dead sensor", "dead flag among flags", "one sensor", "constants", "coarse"])
def test_odd_logs_are_learned_from_without_a_nan(kind: str) -> None:
    log = _log(400)
    if kind == "dead sensor":
        log["b"] = np.nan
    elif kind == "dead flag among flags":
        log[["a", "b"]] = (log[["a", "b"]] > log[["a", "b"]].mean()).astype(float)
        log["c"] = np.nan
    elif kind == "one sensor":
        log = log[["time", "a"]]
    elif kind == "constants":
        log[["a", "b"]] = 3.0
    else:
        log[NAMES] = log[NAMES].round(0)
    detector = Detector(config=CONFIG).fit(log)
    assert all(np.isfinite(array).all() for array in _learned(detector).values())
    table = detector.score(log)
    assert table["score"].notna().sum() == 400 - LENGTH + 1
    unused = {"dead sensor": ["b"], "dead flag among flags": ["c"], "constants": ["a", "b"]}
    assert detector.training_["unused_sensors"] == unused.get(kind, [])


def test_the_fingerprint_is_of_the_rows() -> None:
    log = _log(100)
    changed = log.copy()
    changed.loc[50, "a"] += 1e-3
    prints = [_read(frame).fingerprint for frame in (log, log.copy(), changed, log.iloc[:-1])]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_log_too_short_for_a_promise_gets_a_quantile_and_says_so() -> None:
    detector = Detector(config=CONFIG).fit(_log(600))
    assert detector.threshold_result_.method == "quantile"
    assert not detector.threshold_result_.is_promised
    assert any("no promise" in note and "machine-hours" in note for note in detector.notes_)
    with pytest.raises(TooLittleDataError, match="machine-hours"):
        Detector(config=CONFIG).fit(_log(600), budget="1/week")
    long = Detector(config=CONFIG).fit(_log(5000))
    assert long.threshold_result_.is_promised
    assert long.notes_ == []
    assert Detector(config=CONFIG).fit(_log(600), threshold=QuantileThreshold(0.95)).notes_ == []


def test_a_fit_that_is_refused_leaves_the_detector_as_it_was() -> None:
    detector = Detector(config=DetectorConfig(lags=3)).fit(_log(600))
    log = _log(200, seed=5)
    before, card, line, notes = detector.score(log), detector.describe(), detector.threshold_, list(detector.notes_)
    wide = pd.concat([_log(160, 7)] + [_log(160, seed)[NAMES].add_prefix(f"s{seed}") for seed in range(10)], axis=1)
    for bad in (_log(20), wide):  # the second one is refused at the very end, and would have another window
        with pytest.raises(TooLittleDataError):
            detector.fit(bad, budget="1/month")
        pd.testing.assert_frame_equal(detector.score(log), before, check_exact=True)
        assert detector.describe() == card
        assert detector.threshold_ == line
        assert detector.notes_ == notes


def test_progress_ends_at_one() -> None:
    seen: list[tuple[str, float]] = []
    Detector(config=CONFIG).fit(_log(300), progress=lambda what, share: seen.append((what, share)))
    shares = [share for _, share in seen]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert shares[-1] == 1.0
    assert len(seen) > 3


UNFITTED: dict[str, Callable[[Detector], object]] = {
    "score": lambda detector: detector.score(_log(50)),
    "detect": lambda detector: detector.detect(_log(50)),
    "calibrate": lambda detector: detector.calibrate(_log(50)),
    "calibrate_scores": lambda detector: detector.calibrate_scores([]),
    "engine": lambda detector: detector.engine(),
    "open_log": lambda detector: detector.open_log(_log(50)),
    "describe": lambda detector: detector.describe(),
    "threshold_": lambda detector: detector.threshold_,
    "weights_hash_": lambda detector: detector.weights_hash_,
    "rule_": lambda detector: detector.rule_,
}


@pytest.mark.parametrize("use", UNFITTED)
def test_an_unfitted_detector_says_so(use: str) -> None:
    with pytest.raises(UsageError, match="has not been fitted"):
        UNFITTED[use](Detector())


def test_an_unfitted_detector_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has not been fitted"):
        Detector().save(tmp_path / "nothing.sensorad")
    assert list(tmp_path.iterdir()) == []


def test_sensors_can_be_chosen_and_roles_are_no_sensors() -> None:
    log = _log(300).assign(line="x", speed=1.0)
    assert Detector(config=CONFIG).fit(log, sensors=["c", "a"]).schema_.names == ("c", "a")
    assert set(Detector(config=CONFIG).fit(log, group="line", mode="speed").schema_.names) == set(NAMES)
