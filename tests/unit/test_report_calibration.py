"""The calibration's part of a report: a made-up but lifelike example, its packing, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sensorad.errors import UsageError
from sensorad.report import ReportData
from sensorad.report.calibration import pack_budget, pack_calibration, pack_histogram, pack_stale

DAY_MS = 86_400_000
SHAPE, SCALE = 0.08, 0.55
RATE_AT_LOW = 36.0
"""Events a day above LOW in the example."""
LOW = 1.6
CALIBRATION_DAYS = 14.0


def sample_calibration(n_lines: int = 120, seed: int = 2) -> dict[str, Any]:
    """Curve, tail and modes of fourteen days with a generalised Pareto tail of event heights."""
    rng = np.random.default_rng(seed)
    n_events = rng.poisson(RATE_AT_LOW * CALIBRATION_DAYS)
    heights = np.sort(LOW + SCALE / SHAPE * (rng.random(n_events) ** -SHAPE - 1))[::-1]
    line = np.geomspace(LOW, 9.0, n_lines)
    rate = (heights > line[:, None]).sum(axis=1) / CALIBRATION_DAYS
    spread = 1.64 * np.sqrt((rate + 0.1) / CALIBRATION_DAYS)
    faults = 11 * np.clip(1.12 - 0.04 * line**1.35, 0, 1)
    score = np.linspace(LOW, 12.0, n_lines)
    return {
        "curve": {
            "threshold": line,
            "events_per_day": rate,
            "low": np.maximum(0, rate - spread),
            "high": rate + spread + 0.05,
            "found": np.floor(faults) / 11,
            "n_faults": 11,
        },
        "tail": {
            "score": score,
            "return_days": (1 + SHAPE * (score - LOW) / SCALE) ** (1 / SHAPE) / RATE_AT_LOW,
            "points": [[height, CALIBRATION_DAYS / (rank + 1)] for rank, height in enumerate(heights)],
            "shape": SHAPE,
            "shape_interval": [-0.11, 0.27],
            "scale": SCALE,
            "calibration_days": CALIBRATION_DAYS,
        },
        "modes": [
            {"mode": "production", "threshold": 4.2, "events_per_day": 0.64, "days": 10.6, "own": True},
            {"mode": "start-up", "threshold": 7.85, "events_per_day": 0.31, "days": 2.9, "own": True},
            {"mode": "cleaning", "threshold": 4.2, "events_per_day": 0.2, "days": 0.48, "own": False},
        ],
    }


def sample_stale(start_ms: int, is_stale: bool = True, n_weeks: int = 9) -> dict[str, Any]:
    """Weekly counts that leave the band in the last weeks, or do not; the last week is not over yet."""
    counts = [3, 5, 2, 4, 6, 3, 14, 17, 9] if is_stale else [3, 5, 2, 4, 6, 3, 5, 2, 1]
    weeks = [
        {
            "start": start_ms + i * 7 * DAY_MS,
            "n_events": counts[i % len(counts)],
            "upper": 9.0 if i < n_weeks - 1 else 5.0,
            "days": 7.0 if i < n_weeks - 1 else 3.2,
        }
        for i in range(n_weeks)
    ]
    if is_stale:
        statement = "Weeks 7 to 9 hold 40 alarm events where chance explains at most 23 (Poisson, 99 %)."
        return {"is_stale": True, "statement": statement, "since": "2024-03-05T06:30:00Z", "weeks": weeks}
    statement = "All weekly counts lie within what chance explains (Poisson, 99 %)."
    return {"is_stale": False, "statement": statement, "since": None, "weeks": weeks}


def test_curves_keep_their_ends_and_their_shape_when_thinned() -> None:
    sample = sample_calibration(n_lines=5_000)
    packed = pack_calibration(sample, [])
    curve, tail = packed["curve"], packed["tail"]
    lengths = {len(curve[name]) for name in ("threshold", "events_per_day", "low", "high", "found")}
    assert lengths == {400}
    assert len(tail["score"]) == len(tail["return_days"]) <= 400
    for name in ("threshold", "events_per_day"):
        values = sample["curve"][name]
        assert [curve[name][0], curve[name][-1]] == pytest.approx([values[0], values[-1]], rel=1e-4)
        expected = np.interp(curve["threshold"], sample["curve"]["threshold"], values)
        np.testing.assert_allclose(curve[name], expected, atol=0.08)
    observed = sorted(sample["tail"]["points"])
    assert len(tail["points"]) == 300 < len(observed)
    np.testing.assert_allclose(tail["points"][-150:], observed[-150:], rtol=1e-4)
    np.testing.assert_allclose(tail["points"][0], observed[0], rtol=1e-4)


def test_what_is_not_given_is_not_there() -> None:
    assert pack_calibration({}, []) == {}
    packed = pack_calibration({"curve": {"threshold": [1.0, 2.0], "events_per_day": [3.0, float("nan")]}}, [])
    assert packed == {"curve": {"threshold": [1, 2], "events_per_day": [3, None], "n_faults": None}}
    assert pack_stale({}, []) is None


def test_long_lists_are_cut_and_said() -> None:
    notes: list[str] = []
    modes = [{"mode": f"m{i}", "threshold": 1.0} for i in range(1_000)]
    assert len(pack_calibration({"modes": modes}, notes)["modes"]) == 200
    weeks = pack_stale(sample_stale(0, n_weeks=900), notes)
    assert weeks is not None
    assert [week["start"] for week in weeks["weeks"]] == [i * 7 * DAY_MS for i in range(380, 900)]
    assert "first 200 of 1,000 operating modes" in notes[0]
    assert "latest 520 of 900 weekly counts" in notes[1]


@pytest.mark.parametrize(
    ("threshold", "per_day"),
    [
        ({"budget": "1/week"}, 0.14286),
        ({"budget": "30/month", "parameters": {"events_per_machine_day": 0.25}}, 0.25),
        ({"budget": "few, please"}, None),
        ({}, None),
    ],
)
def test_budget_is_a_rate_per_machine_day(threshold: dict[str, Any], per_day: float | None) -> None:
    assert pack_budget(threshold) == per_day


def test_quantiles_and_scores_give_the_same_histogram_of_shares() -> None:
    scores = np.random.default_rng(0).exponential(size=400_000)
    quantiles = np.quantile(scores[scores < 6], np.linspace(0, 1, 2001))
    raw, few = pack_histogram(scores[scores < 6]), pack_histogram(quantiles)
    assert raw is not None
    assert few is not None
    assert sum(few["shares"]) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(few["shares"], raw["shares"], atol=0.002)
    assert pack_histogram(np.array([np.nan])) is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"bands": {"TI-101": float("nan")}}, "finite and not negative, got nan"),
        ({"bands": {"TI-101": -1.0}}, "finite and not negative"),
        ({"normal_ranges": {"TI-101": (2.0, 1.0)}}, "2.0 to 1.0"),
        ({"calibration": {"curves": {}}}, "unknown calibration entries"),
        ({"calibration": {"curve": {"threshold": [1.0]}}}, "needs events_per_day"),
        ({"calibration": {"curve": {"threshold": [1.0, 2.0], "events_per_day": [1.0]}}}, "one length"),
        ({"calibration": {"curve": {"threshold": [2.0, 1.0], "events_per_day": [1.0, 2.0]}}}, "ascend"),
        ({"calibration": {"curve": {"threshold": [], "events_per_day": []}}}, "at least one point"),
        ({"calibration": {"tail": {"score": [2.0, 1.0], "return_days": [1.0, 2.0]}}}, "ascend"),
        ({"calibration": {"modes": [{"mode": "a"}]}}, "needs threshold"),
        ({"stale": {"statement": "?"}}, "needs is_stale"),
        ({"stale": {"is_stale": True, "weeks": [{"start": 0}]}}, "needs n_events"),
    ],
)
def test_parts_that_cannot_be_drawn_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ReportData(title="t", **more)
