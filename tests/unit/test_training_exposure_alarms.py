"""Exposure changes what is found and not how often normal operation alarms: the line is set after it, out of fold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.config import DetectorConfig

DAY = 1440
BUDGET = 2


def normal(days: int, seed: int) -> pd.DataFrame:
    """Four sensors of two causes that wander, a row a minute."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(days * DAY, 2))
    causes = np.zeros_like(noise)
    for t in range(1, len(causes)):
        causes[t] = 0.98 * causes[t - 1] + 0.2 * noise[t]
    rows = causes @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(len(causes), 4))
    log = pd.DataFrame(rows, columns=list("abcd"))
    log.insert(0, "time", pd.date_range("2024-05-01", periods=len(log), freq="min", tz="UTC"))
    return log


@pytest.mark.parametrize(
    ("model", "exposure"), [("linear", None), ("linear", "head"), ("lstm", "repair"), ("lstm", "hinge")]
)
def test_false_alarms_stay_within_the_budget(model: str, exposure: str | None) -> None:
    log = normal(14, seed=1)
    config = DetectorConfig(
        model=model,
        exposure=exposure,
        window=10,
        lags=4,
        epochs=2 if model == "lstm" else None,
        network={"width": 8, "code": 3} if model == "lstm" else {},
    )
    detector = Detector(config=config).fit(log.iloc[: 3 * DAY], budget=f"{BUDGET}/day")
    fresh = log.iloc[3 * DAY :]
    events = detector.find_events(detector.open_log(fresh))
    n_false = sum(event.kind != "quality" for event in events)
    assert n_false <= BUDGET * 11, f"{n_false / 11:.2f} a day"
    faulty = fresh.copy()
    at = slice(5 * DAY, 5 * DAY + 60)
    faulty.iloc[at, 2] += 2.0 * fresh["b"].std()
    scores = detector.score(faulty)["severity"].to_numpy(float)
    assert np.nanmax(scores[at]) > 1.0, "and it still alarms"
