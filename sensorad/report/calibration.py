"""The calibration's figures as JSON: what-if curve, tail, lines of operating modes, weekly counts, histogram.

Long columns are thinned to what a screen can show; first and last points always stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.report.packing import number, numbers, plain
from sensorad.thresholds import Budget

__all__ = ["pack_budget", "pack_calibration", "pack_histogram", "pack_stale"]

MAX_CURVE_POINTS = 400
MAX_TAIL_POINTS = 300
MAX_WEEKS = 520
MAX_MODES = 200
N_BINS = 60
CAP_DAYS = 36_525.0
"""A hundred years: longer return periods are shown as "more than" it, whatever the fit says."""


def pack_calibration(calibration: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The parts given of curve, tail and modes; ``notes`` gets a sentence for what is left out."""
    packed: dict[str, Any] = {}
    if calibration.get("curve") is not None:
        packed["curve"] = _curve(calibration["curve"])
    if calibration.get("tail") is not None:
        packed["tail"] = _tail(calibration["tail"])
    modes = list(calibration.get("modes") or ())
    if modes:
        if len(modes) > MAX_MODES:
            notes.append(f"Listed are the first {MAX_MODES} of {len(modes):,} operating modes.")
        packed["modes"] = plain(modes[:MAX_MODES])
    return packed


def pack_budget(threshold: Mapping[str, Any]) -> float | int | None:
    """Alarm events allowed per machine-day; None where the line was not set by a budget.

    Examples
    --------
    >>> pack_budget({"budget": "7/week"}), pack_budget({"method": "quantile"})
    (1, None)
    """
    parameters = threshold.get("parameters")
    if isinstance(parameters, Mapping) and parameters.get("events_per_machine_day") is not None:
        return number(float(parameters["events_per_machine_day"]))
    try:
        return number(Budget.parse(str(threshold.get("budget"))).per_day)
    except UsageError:  # a budget in other words is shown as text only
        return None


def pack_stale(stale: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | None:
    """The verdict on the calibration with the latest weeks."""
    if not stale:
        return None
    weeks = list(stale.get("weeks") or ())
    if len(weeks) > MAX_WEEKS:
        notes.append(f"Drawn are the latest {MAX_WEEKS} of {len(weeks):,} weekly counts.")
    shown = [{key: number(value) if key != "start" else value for key, value in w.items()} for w in weeks[-MAX_WEEKS:]]
    return {
        "is_stale": bool(stale["is_stale"]),
        "statement": str(stale.get("statement") or ""),
        "since": stale.get("since"),
        "weeks": plain(shown),
    }


def pack_histogram(scores: NDArray[np.float64]) -> dict[str, Any] | None:
    """Share of the scores in each bin; None where no score is finite."""
    finite = np.asarray(scores, np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return None
    counts, edges = np.histogram(finite, bins=N_BINS)
    return {"edges": numbers(edges), "shares": numbers(counts / len(finite))}


def _curve(curve: Mapping[str, Any]) -> dict[str, Any]:
    kept = _thinned(len(curve["threshold"]), MAX_CURVE_POINTS)
    columns = ("threshold", "events_per_day", "low", "high", "found")
    packed: dict[str, Any] = {name: _column(curve[name], kept) for name in columns if curve.get(name) is not None}
    return packed | {"n_faults": plain(curve.get("n_faults"))}


def _tail(tail: Mapping[str, Any]) -> dict[str, Any]:
    kept = _thinned(len(tail["score"]), MAX_TAIL_POINTS)
    points = sorted((float(score), float(days)) for score, days in tail.get("points") or ())
    # The highest are the few on which the tail rests: only the crowd below them is thinned.
    n_high = MAX_TAIL_POINTS // 2
    crowd, high = points[:-n_high], points[-n_high:]
    observed = [crowd[i] for i in _thinned(len(crowd), MAX_TAIL_POINTS - n_high)] + high
    return {
        "score": _column(tail["score"], kept),
        "return_days": _column(tail["return_days"], kept),
        "points": [numbers(point) for point in observed],
        "shape": number(tail.get("shape")),
        "shape_interval": None if tail.get("shape_interval") is None else numbers(tail["shape_interval"]),
        "scale": number(tail.get("scale")),
        "calibration_days": number(tail.get("calibration_days")),
    }


def _column(values: Sequence[float], kept: Sequence[int]) -> list[float | int | None]:
    return numbers(np.asarray(values, np.float64)[kept])


def _thinned(n: int, limit: int) -> list[int]:
    """Positions of at most ``limit`` of ``n`` points, evenly spread from the first to the last."""
    if n <= limit:
        return list(range(n))
    positions: list[int] = np.round(np.linspace(0, n - 1, limit)).astype(int).tolist()
    return positions
