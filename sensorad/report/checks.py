"""What must hold for the parts of a report, said where it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sensorad.errors import UsageError

__all__ = ["check_bands", "check_calibration", "check_names", "check_normal_ranges", "check_stale"]

_PARTS = ("curve", "tail", "modes")
_CURVE = ("threshold", "events_per_day", "low", "high", "found", "n_faults")
_TAIL = ("score", "return_days", "points", "shape", "shape_interval", "scale", "calibration_days", "cap_days")
_MODE = ("mode", "threshold", "events_per_day", "days", "own")
_STALE = ("is_stale", "statement", "since", "weeks")
_WEEK = ("start", "n_events", "upper", "days")


def check_names(what: str, counts: Mapping[str, int], known: Sequence[str]) -> None:
    """Counts by known names, none of them negative."""
    for name, n in counts.items():
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}", hint=f"known are {', '.join(filter(None, known))}")
        if n < 0:
            raise UsageError(f"a count cannot be negative: {what} {name!r} is {n}")


def check_bands(bands: Mapping[str, float]) -> None:
    """Half-widths that are finite and not negative."""
    for sensor, width in bands.items():
        if not (math.isfinite(width) and width >= 0):
            raise UsageError(
                f"the band of a sensor must be finite and not negative, got {width!r}",
                where=f"sensor {sensor!r}",
                hint="leave out the sensors without a band",
            )


def check_normal_ranges(ranges: Mapping[str, tuple[float, float]]) -> None:
    """Pairs low <= high, both finite."""
    for sensor, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise UsageError(
                f"a normal range runs from a finite low to a finite high, got {low!r} to {high!r}",
                where=f"sensor {sensor!r}",
                hint="leave out the sensors without a range",
            )


def check_calibration(calibration: Mapping[str, Any]) -> None:
    """Known parts, columns of equal length, thresholds in ascending order."""
    _check_keys("calibration", calibration, _PARTS, ())
    curve = calibration.get("curve")
    if curve is not None:
        _check_keys("calibration curve", curve, _CURVE, ("threshold", "events_per_day"))
        _check_lengths("calibration curve", {key: curve[key] for key in _CURVE[:-1] if curve.get(key) is not None})
        line = np.asarray(curve["threshold"], np.float64)
        if not (np.isfinite(line).all() and (np.diff(line) > 0).all()):
            raise UsageError("the thresholds of a calibration curve must be finite and ascend")
    tail = calibration.get("tail")
    if tail is not None:
        _check_keys("calibration tail", tail, _TAIL, ("score", "return_days"))
        _check_lengths("calibration tail", {key: tail[key] for key in ("score", "return_days")})
        score = np.asarray(tail["score"], np.float64)
        if not (np.isfinite(score).all() and (np.diff(score) >= 0).all()):
            raise UsageError("the scores of a calibration tail must be finite and ascend")
    for row in calibration.get("modes") or ():
        _check_keys("calibration mode", row, _MODE, ("mode", "threshold"))


def check_stale(stale: Mapping[str, Any]) -> None:
    """The verdict is there, and every week says when it began and what it held."""
    if not stale:
        return
    _check_keys("staleness", stale, _STALE, ("is_stale",))
    for week in stale.get("weeks") or ():
        _check_keys("staleness week", week, _WEEK, ("start", "n_events"))


def _check_keys(what: str, given: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"unknown {what} entries {unknown}", hint=f"known are {', '.join(known)}")
    missing = [key for key in needed if given.get(key) is None]
    if missing:
        raise UsageError(f"a {what} needs {', '.join(missing)}")


def _check_lengths(what: str, columns: Mapping[str, Sequence[Any]]) -> None:
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"the columns of a {what} must have one length, got {lengths}")
    if 0 in lengths.values():
        raise UsageError(f"a {what} needs at least one point", hint="leave it out where there is none")
