"""What a stream says of its calibration: what a batch run says of the same rows, through restarts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.errors import ArtefactError
from sensorad.monitoring import StaleVerdict
from sensorad.streaming import Stream, state_file
from sensorad.streaming.state_file import pack, unpack
from sensorad.thresholds import QuantileThreshold

STEP = 1200
GROUPS = ("east", "west")
N_DAYS = 70
"""After which a level that rose by a little has condemned the calibration, without an alarm for each row."""


def _log(n_days: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n_rows = n_days * 86_400 // STEP
    parts = []
    for name in GROUPS:
        wave = np.sin(np.arange(n_rows) / 5.0)[:, None] * [1.0, 2.0, -1.0]
        noise = rng.normal(size=(n_rows, 3)) * np.where(np.arange(n_rows) > n_rows // 3, 1.0 + shift, 1.0)[:, None]
        part = pd.DataFrame(wave + 0.1 * noise, columns=["flow", "power", "level"])
        part["time"] = pd.date_range("2024-05-01", periods=n_rows, freq=f"{STEP}s", tz="UTC")
        part["machine"] = name
        parts.append(part)
    return pd.concat(parts).sort_values(["time", "machine"], kind="stable", ignore_index=True)


@cache
def _detector() -> Detector:
    config = DetectorConfig(window=6, lags=2)
    return Detector(config=config, threshold=QuantileThreshold(0.999)).fit(_log(40, 0), group="machine")


@cache
def _drifting() -> pd.DataFrame:
    log = _log(N_DAYS, 1, shift=0.25)
    log.loc[500:520, "power"] += 3.0  # an alarm, which is no drift
    log.loc[1000:1010, "flow"] = np.nan
    return log


@cache
def _batch() -> StaleVerdict:
    detector = _detector()
    findings = detector.findings()
    log = detector.open_log(_drifting())
    for rows, scores in detector.score_pairs(log):
        findings.update(scores, rows)
    findings.finish()
    assert findings.stale is not None
    return findings.stale


def _rows() -> list[tuple[int, np.ndarray, str]]:
    log = _drifting()
    times = log["time"].to_numpy("datetime64[ns]").astype(np.int64)
    return list(zip(times.tolist(), log[["flow", "power", "level"]].to_numpy(), log["machine"], strict=True))


def _fed(stream: Stream, how: str, rows: list[tuple[int, np.ndarray, str]]) -> None:
    if how == "ticks":
        for first in range(0, len(rows), len(GROUPS)):
            times, values, groups = zip(*rows[first : first + len(GROUPS)], strict=True)
            stream.update_many(list(times), np.array(values), list(groups))
        return
    for time, values, group in rows:
        (stream.update if how == "rows" else stream.push)(time, values, group)


@pytest.mark.parametrize("how", ["rows", "ticks", "late rows"])
def test_a_stream_says_of_its_calibration_what_a_batch_run_says(how: str) -> None:
    detector, rows = _detector(), _rows()
    lateness = 2.0 * STEP if how == "late rows" else 0.0
    if how == "late rows":
        rows = [*rows[:100], *rows[103:106], *rows[100:103], *rows[106:]]
    stream = detector.stream(lateness_seconds=lateness)
    half = len(rows) // 2 // len(GROUPS) * len(GROUPS)
    _fed(stream, how, rows[:half])
    before = stream.verdict()
    stream = detector.stream(stream.state_bytes(), lateness_seconds=lateness)
    assert stream.verdict() == before
    _fed(stream, how, [rows[half - 1], *rows[half:]] if how == "rows" else rows[half:])  # a duplicate counts once
    stream.flush()
    stream.finish()
    assert stream.verdict() == _batch()
    assert _batch().is_stale
    assert _batch().n_events > 0
    assert before is not None
    assert before.n_blocks < _batch().n_blocks


def test_states_of_before_are_taken_and_watching_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, rows = _detector(), _rows()[:400]
    stream = detector.stream()
    _fed(stream, "rows", rows[:200])
    owner = stream._owner()
    state = unpack(stream.state_bytes(), owner)
    del state["core"]["feed"]["monitor"]
    with pytest.raises(ArtefactError, match="what it says of the calibration"):
        detector.stream(pack(state, owner))
    monkeypatch.setattr(state_file, "FORMAT_VERSION", 1)
    old = pack(state, owner)
    monkeypatch.undo()
    again, fresh = detector.stream(old), detector.stream()
    _fed(again, "rows", rows[200:])
    _fed(fresh, "rows", rows)
    assert again.counts == fresh.counts
    late, whole = again.verdict(), fresh.verdict()
    assert late is not None
    assert whole is not None
    assert 0 < late.n_blocks < whole.n_blocks


def test_without_a_baseline_a_stream_says_nothing() -> None:
    detector = _detector()
    calibration = detector._calibration
    assert calibration is not None
    bare = Detector(config=detector.config)
    bare.__dict__.update(detector.__dict__ | {"_calibration": replace(calibration, baseline=None)})
    stream = bare.stream()
    _fed(stream, "rows", _rows()[:50])
    assert stream.verdict() is None
    state = stream.state_bytes()
    assert bare.stream(state).verdict() is None
