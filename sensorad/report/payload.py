"""A report as plain JSON values, within a budget that keeps the file below 5 MB whatever came in.

What does not fit is left out in a stated order (the least severe first), and a note says so on the page.
Times become milliseconds, the first absolute and the rest as differences; values keep five significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.report.data import ReportData
from sensorad.report.timeline import Timeline
from sensorad.report.traces import Line, SensorTraces
from sensorad.types import Event

__all__ = ["build_payload", "plain"]

MAX_EVENTS = 1_000
MAX_LABELS = 2_000
MAX_GROUPS = 48
MAX_SENSORS = 240
MAX_TRACE_CELLS = 90_000
"""Buckets x sensors over all groups; a cell is three numbers, about 20 bytes."""
MAX_SNIPPET_POINTS = 60_000
"""Points over all events; a point is a time and up to two values, about 20 bytes."""
N_BINS = 60
DIGITS = 5


def build_payload(data: ReportData) -> dict[str, Any]:
    """The JSON object that the page's script reads: no NaN, no infinity, no numpy types."""
    notes = list(data.notes)
    ranked = sorted(data.events, key=lambda event: (-_rank(event.severity), event.start, event.event_id))
    events = sorted(_first(ranked, MAX_EVENTS, "events", notes), key=lambda event: (event.start, event.event_id))
    groups = _drawn_groups(data, ranked, notes)
    sensors = _Sensors(data)
    traces = _fit_traces([t for t in data.sensor_traces if t.group in groups], sensors, notes)
    shown = {event.event_id for event in events}
    span = data.span
    return {
        "format": 1,
        "title": data.title,
        "subtitle": data.subtitle,
        "span": None if span is None else [_ms(span[0]), _ms(span[1])],
        "n_rows": data.n_rows,
        "groups": groups,
        "n_groups": len(_group_names(data)),
        "watched": sum(_ms(int(line.end.max() - line.start.min())) for line in data.timeline if len(line)),
        "in_alarm": _ms(_time_in_alarm(data.events)),
        "sensors": sensors.rows,
        "status": {name: int(n) for name, n in data.status_counts.items()},
        "reasons": {name: int(n) for name, n in data.reason_counts.items() if name},
        "threshold": plain(data.threshold),
        "card": plain({key: value for key, value in data.card.items() if key != "sensors"}),
        "runtime": plain(data.runtime),
        "events": [_event(event, sensors) for event in events],
        "n_events": len(data.events),
        "kinds": {kind: sum(e.kind == kind for e in data.events) for kind in ("interval", "point", "quality")},
        "labels": [
            {"start": _ms(x.start), "end": _ms(x.end), "text": x.text, "group": x.group}
            for x in _first(data.labels, MAX_LABELS, "known faults", notes)
        ],
        "timeline": [_timeline(line) for line in data.timeline if line.group in groups],
        "traces": traces,
        "missing": _missing(data.sensor_traces, sensors),
        "snippets": _snippets(data, [e for e in ranked if e.event_id in shown], sensors, notes),
        "calibration": None if data.calibration_scores is None else _histogram(data.calibration_scores),
        "notes": notes,
        "warnings": list(data.warnings),
    }


def plain(value: Any) -> Any:
    """Plain JSON values for anything: numpy scalars and arrays unpacked, non-finite numbers null, the rest text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


class _Sensors:
    """Every sensor that is named anywhere: those of the schema in its order, then others as they are met."""

    def __init__(self, data: ReportData) -> None:
        self.rows: list[dict[str, Any]] = []
        self._position: dict[str, int] = {}
        for row in data.card.get("sensors") or ():
            self._take(plain(row))
        for traces in data.sensor_traces:
            for row in traces.schema.to_json():
                self._take(row)

    def _take(self, row: dict[str, Any]) -> None:
        if row["name"] not in self._position:
            self._position[row["name"]] = len(self.rows)
            self.rows.append(row)

    def position(self, name: str) -> int:
        self._take({"name": name})
        return self._position[name]


def _drawn_groups(data: ReportData, ranked: Sequence[Event], notes: list[str]) -> list[str]:
    """Machines in the order met; the ones with the most severe events where there are too many to draw."""
    names = _group_names(data)
    if len(names) <= MAX_GROUPS:
        return names
    worst = [name for name in dict.fromkeys(event.group for event in ranked) if name in names]
    kept = set(list(dict.fromkeys(worst + names))[:MAX_GROUPS])
    notes.append(f"Drawn are {MAX_GROUPS} of {len(names):,} machines: those with the most severe events.")
    return [name for name in names if name in kept]


def _group_names(data: ReportData) -> list[str]:
    parts = (data.timeline, data.sensor_traces, data.events)
    return list(dict.fromkeys(item.group for part in parts for item in part))


def _time_in_alarm(events: Iterable[Event]) -> int:
    """Nanoseconds covered by alarm events, overlaps on one machine counted once, machines added up."""
    total = 0
    until: dict[str, int] = {}
    for event in sorted((e for e in events if e.kind != "quality"), key=lambda e: e.start):
        seen = max(event.start, until.get(event.group, event.start))
        total += max(0, event.end - seen)
        until[event.group] = max(seen, event.end)
    return total


def _first(items: Sequence[Any], limit: int, what: str, notes: list[str]) -> Sequence[Any]:
    if len(items) > limit:
        order = "most severe" if what == "events" else "first"
        notes.append(f"Listed are the {limit:,} {order} of {len(items):,} {what}.")
    return items[:limit]


def _event(event: Event, sensors: _Sensors) -> dict[str, Any]:
    blamed = []
    for i, name in enumerate(event.sensors):
        values = (event.shares[i : i + 1], event.expected[i : i + 1], event.actual[i : i + 1])
        blamed.append([sensors.position(name), *(_number(v[0]) if v else None for v in values)])
    return {
        "id": event.event_id,
        "group": event.group,
        "start": _ms(event.start),
        "end": _ms(event.end),
        "peak": _ms(event.peak),
        "kind": event.kind,
        "severity": _number(event.severity),
        "score": _number(event.score),
        "n_rows": int(event.n_rows),
        "sensors": blamed,
        "note": event.note,
    }


def _timeline(line: Timeline) -> dict[str, Any]:
    return {
        "group": line.group,
        "start": _differences(line.start),
        "length": _milliseconds(line.end - line.start),
        "low": _numbers(line.low),
        "high": _numbers(line.high),
        "rows": line.n_rows.tolist(),
        "unscored": line.n_unscored.tolist(),
        "width": _ms(line.width),
    }


def _fit_traces(traces: list[SensorTraces], sensors: _Sensors, notes: list[str]) -> list[dict[str, Any]]:
    if not traces:
        return []
    n_sensors = max(len(trace.schema) for trace in traces)
    n_drawn = min(n_sensors, MAX_SENSORS)
    if n_drawn < n_sensors:
        notes.append(f"Values are drawn for the first {n_drawn} of {n_sensors:,} sensors.")
    while sum(len(t) for t in traces) * n_drawn > MAX_TRACE_CELLS and max(len(t) for t in traces) > 2:
        traces = [trace.coarsened() for trace in traces]
    return [_trace(trace, sensors) for trace in traces]


def _trace(trace: SensorTraces, sensors: _Sensors) -> dict[str, Any]:
    mean = trace.mean
    unusable = 1.0 - trace.n_usable / np.maximum(trace.n_rows, 1)[:, None]
    lines = []
    for i, name in enumerate(trace.schema.names[:MAX_SENSORS]):
        missing = np.round(unusable[:, i], 2).tolist() if unusable[:, i].any() else None
        lines.append(
            {
                "sensor": sensors.position(name),
                "low": _numbers(trace.low[:, i]),
                "high": _numbers(trace.high[:, i]),
                "mean": _numbers(mean[:, i]),
                "missing": missing,
            }
        )
    return {
        "group": trace.group,
        "start": _differences(trace.start),
        "length": _milliseconds(trace.end - trace.start),
        "width": _ms(trace.width),
        "lines": lines,
    }


def _missing(traces: Sequence[SensorTraces], sensors: _Sensors) -> list[list[float | None]]:
    """[sensor, share of its cells without a usable number] over all groups, for sensors that lack any."""
    rows = sum(int(t.n_rows.sum()) for t in traces)
    usable: dict[int, int] = {}
    for trace in traces:
        for name, n in zip(trace.schema.names, trace.n_usable.sum(axis=0).tolist(), strict=True):
            usable[sensors.position(name)] = usable.get(sensors.position(name), 0) + n
    return [[sensor, _number(1 - n / rows)] for sensor, n in usable.items() if n < rows]


def _snippets(data: ReportData, ranked: Iterable[Event], sensors: _Sensors, notes: list[str]) -> dict[str, Any]:
    snippets: dict[str, Any] = {}
    left = MAX_SNIPPET_POINTS
    n_dropped = 0
    for event in ranked:
        lines = data.snippets.get(event.event_id)
        if not lines and event.event_id not in data.event_scores:
            continue
        snippet, size = _snippet(lines or {}, data.event_scores.get(event.event_id), sensors)
        left -= size
        if left < 0:
            n_dropped += 1
        else:
            snippets[event.event_id] = snippet
    if n_dropped:
        notes.append(f"{n_dropped:,} less severe events are listed without a close view of their sensors.")
    return snippets


def _snippet(
    lines: Mapping[str, Line], score: tuple[NDArray[np.int64], NDArray[np.float64]] | None, sensors: _Sensors
) -> tuple[dict[str, Any], int]:
    """Lines of one event; sensors that were read at the same times share one list of times."""
    times: list[Any] = []
    known: dict[bytes, int] = {}
    size = 0

    def number_of(time: NDArray[np.int64]) -> int:
        nonlocal size
        key = np.ascontiguousarray(time).tobytes()
        if key not in known:
            known[key] = len(times)
            times.append(_differences(time))
            size += len(time)
        return known[key]

    drawn = []
    for name, (time, actual, expected) in lines.items():
        if len(time) == 0:
            continue
        size += len(time)
        row = [sensors.position(name), number_of(time), _numbers(actual)]
        drawn.append([*row, None if expected is None else _numbers(expected)])
    scored = None
    if score is not None and len(score[0]):
        size += len(score[0])
        scored = [number_of(score[0]), _numbers(score[1])]
    return {"times": times, "lines": drawn, "score": scored}, size


def _histogram(scores: NDArray[np.float64]) -> dict[str, Any] | None:
    finite = np.asarray(scores, np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return None
    counts, edges = np.histogram(finite, bins=N_BINS)
    return {"edges": _numbers(edges), "counts": counts.tolist(), "n": len(finite)}


def _rank(severity: float) -> float:
    return severity if math.isfinite(severity) else math.inf


def _ms(ns: int) -> float | int:
    whole, rest = divmod(int(ns), 1_000_000)
    return whole if rest == 0 else round(whole + rest / 1e6, 3)


def _differences(time: NDArray[np.int64]) -> list[float | int]:
    if len(time) == 0:
        return []
    return [_ms(int(time[0])), *_milliseconds(np.diff(time))]


def _milliseconds(ns: NDArray[np.int64]) -> list[float | int]:
    is_whole = not (ns % 1_000_000).any()
    milliseconds: list[float | int] = (ns // 1_000_000 if is_whole else np.round(ns / 1e6, 4)).tolist()
    return milliseconds


def _number(value: float | None) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _numbers(values: NDArray[Any]) -> list[float | int | None]:
    return [_number(value) for value in np.asarray(values, np.float64).tolist()]
