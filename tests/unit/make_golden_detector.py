"""Writes the golden detectors and the scores that they must go on giving.

``python tests/unit/make_golden_detector.py``, when a change of the scores is intended, and never to make a test pass:
detectors that users have saved would change their scores just the same, and their alarm lines would no longer mean
what was promised.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from sensorad import Detector, load
from sensorad.config import DetectorConfig
from sensorad.thresholds import QuantileThreshold

FOLDER = Path(__file__).parent / "golden"
SCORES = FOLDER / "detector_scores.csv"
EVENTS = FOLDER / "detector_modes_events.json"
SENSORS = ["TI-101", "PI-7", "valve"]

GOLDEN = {
    "linear": DetectorConfig(window=6, lags=2),
    "lstm": DetectorConfig(
        model="lstm", score="mahalanobis", window=6, lags=2, epochs=0,
        network={"width": 4, "code": 2, "near_zero": False},
    ),
}  # fmt: skip
"""Name -> settings; the network is left untrained, because training may differ from one torch to the next."""


def golden_path(name: str) -> Path:
    """Directory of the golden detector of that name."""
    return FOLDER / f"detector_{name}.sensorad"


def golden_log(n_rows: int, seed: int) -> pd.DataFrame:
    """Three sensors, one of which never moves, as short decimal numbers that a CSV file keeps exactly."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows) / 5.0)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"),
            "TI-101": np.round(70.0 + 3.0 * wave + 0.4 * rng.normal(size=n_rows), 2),
            "PI-7": np.round(1.5 + 0.2 * np.roll(wave, 2) + 0.03 * rng.normal(size=n_rows), 3),
            "valve": 1.0,
        }
    )


def new_log() -> pd.DataFrame:
    """Rows to be scored: normal ones, a fault, missing cells, silent rows, a gap and a repeated time."""
    log = golden_log(90, seed=2)
    log.loc[30:36, "PI-7"] += 0.5
    log.loc[45, "TI-101"] = np.nan
    log.loc[50:51, SENSORS] = np.nan
    log.loc[60:, "time"] += pd.Timedelta(hours=1)
    log.loc[80, "time"] = log.loc[79, "time"]
    return log


def with_modes(log: pd.DataFrame) -> pd.DataFrame:
    """Two operating modes that take turns every half hour; in the second, the temperature scatters more."""
    number = np.arange(len(log)) // 30 % 2
    log["TI-101"] += np.round(number * 0.8 * np.cos(np.arange(len(log)) * 2.4), 2)
    return log.assign(mode=np.where(number == 1, "run", "idle"))


def write_modes() -> None:
    """A detector with all that a calibration can hold: lines of modes, return periods, a baseline, quality limits."""
    path = golden_path("modes")
    if path.exists():
        shutil.rmtree(path)
    detector = Detector(config=DetectorConfig(window=6, lags=2), threshold=QuantileThreshold(0.97))
    detector.fit(with_modes(golden_log(2400, seed=1)), mode="mode").save(path)
    load(path).detect(modes_log()).to_json(EVENTS, orient="records", date_format="iso", indent=1)


def modes_log() -> pd.DataFrame:
    """Normal rows with a fault, and a sensor that stands still."""
    log = with_modes(golden_log(200, seed=3))
    log.loc[95:110, "PI-7"] += 0.5
    log.loc[140:199, "TI-101"] = 71.0
    return log


def main() -> None:
    """Fit, save, score with what was loaded, and write the scores."""
    FOLDER.mkdir(exist_ok=True)
    write_modes()
    table = new_log()
    for name, config in GOLDEN.items():
        path = golden_path(name)
        if path.exists():
            shutil.rmtree(path)
        Detector(config=config).fit(golden_log(300, seed=1)).save(path)
        scores = load(path).score(new_log())
        table[f"{name}_score"] = scores["score"]
        table[f"{name}_status"] = scores["status"]
        table[f"{name}_blamed"] = scores["top_sensors"].str[0]
    table.to_csv(SCORES, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
