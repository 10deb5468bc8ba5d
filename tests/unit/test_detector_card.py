"""The model card: what it says, and that no name from a log can say anything else in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.card import card_text
from sensorad.config import DetectorConfig
from sensorad.thresholds import ThresholdResult

RESULT = ThresholdResult(
    threshold=3.25,
    method="quantile",
    parameters={"q": 0.99},
    expected_events_per_day=2.0,
    interval=(1.0, 3.0),
    confidence=0.9,
    calibration_days=4.0,
    n_rows=5760,
)

HOSTILE = [
    "a|b",
    "`rm -rf`",
    "x\n# Heading\n",
    "\x00\x1b[31m",
    "\u202eevil",
    "<script>alert(1)</script>",
    "[link](javascript:x)",
    "=cmd()|'/c calc'!A0",
    "../../etc/passwd",
    "n" * 5000,
    "",
]


def _card(**changes: Any) -> dict[str, Any]:
    return {
        "model": "linear",
        "score": "fused",
        "sensors": [{"name": "TI-101", "unit": "degC"}, {"name": "PI-7"}],
        "window_rows": 30,
        "context_rows": 118,
        "step_seconds": 60.0,
        "roles": {"final weights": "all 1,000 usable rows"},
        "fit": {"read": 1234, "usable_rows": 1000, "stretches": 3},
        "fingerprint": "0123456789abcdef" * 4,
    } | changes


def test_it_says_what_the_detector_is_and_rests_on() -> None:
    text = card_text(_card(), RESULT)
    for said in ("`linear`", "`fused`", "windows of 30 rows", "118 rows before", "1,234 rows read, 1,000 used in 3"):
        assert said in text
    assert RESULT.statement() in text
    assert "| `TI-101` | `degC` |" in text
    assert "| `PI-7` |  |" in text
    assert "- final weights: all 1,000 usable rows" in text
    assert "`0123456789abcdef`" in text


@pytest.mark.parametrize("name", HOSTILE, ids=[repr(name[:20]) for name in HOSTILE])
@pytest.mark.parametrize("part", ["name", "unit"])
def test_a_name_is_shown_as_code_and_formats_nothing(name: str, part: str) -> None:
    row = {"name": "plain", "unit": "bar"} | {part: name}
    lines = card_text(_card(sensors=[row]), RESULT).split("\n")
    usual = card_text(_card(sensors=[{"name": "plain", "unit": "bar"}]), RESULT).split("\n")
    assert len(lines) == len(usual), "no name adds a line"
    [changed] = [line for line, other in zip(lines, usual, strict=True) if line != other]
    assert changed.isprintable()
    assert changed.count("|") == 3, "no name adds a cell"
    assert changed.count("`") in (2, 4), "no name ends its own code"
    assert len(changed) < 300


def test_the_card_of_a_saved_detector_is_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"time": pd.date_range("2024-05-01", periods=300, freq="min", tz="UTC")})
    for name in ("a|b", "c\nd", "plain"):
        log[name] = rng.normal(size=300)
    detector = Detector(config=DetectorConfig(window=8, lags=2)).fit(log)
    detector.save(tmp_path / "x.sensorad")
    text = (tmp_path / "x.sensorad" / "README.md").read_text()
    assert text == card_text(detector.describe(), detector.threshold_result_)
    assert "| `a?b` |" in text
    assert f"the {detector.engine().context_rows} rows before it" in text
    described = detector.describe()
    assert described["window_rows"] == 8
    assert described["weights"] == detector.weights_hash_
    assert [row["name"] for row in described["sensors"]] == ["a|b", "c\nd", "plain"]
