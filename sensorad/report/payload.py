"""A report as plain JSON values, within a budget that keeps the file below 5 MB whatever came in.

What does not fit is left out in a stated order (the least severe first), and a note says so on the page.
Times become milliseconds, the first absolute and the rest as differences; values keep five significant digits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.report.calibration import CAP_DAYS, pack_budget, pack_calibration, pack_histogram, pack_stale
from sensorad.report.data import ReportData
from sensorad.report.detectability import pack_detectability
from sensorad.report.packing import differences, milliseconds, number, numbers, plain, to_ms
from sensorad.report.ranking import ranked_alarms, ranked_findings
from sensorad.report.timeline import Timeline
from sensorad.report.traces import Line, SensorTraces
from sensorad.types import Event

__all__ = ["build_payload"]

MAX_EVENTS = 1_000
MAX_FINDINGS = 500
MAX_NAMED = 12
"""Sensors listed for one event; a finding about the data can concern all of them."""
MAX_NOTE = 500
"""Characters of an event's note."""
MAX_LABELS = 2_000
MAX_GROUPS = 48
MAX_SENSORS = 240
MAX_TRACE_CELLS = 90_000
"""Buckets x sensors over all groups; a cell is three numbers, about 20 bytes."""
MAX_SNIPPET_POINTS = 60_000
"""Points over all events; a point is a time and up to two values, about 20 bytes."""


def build_payload(data: ReportData) -> dict[str, Any]:
    """The JSON object that the page's script reads: no NaN, no infinity, no numpy types."""
    notes = list(data.notes)
    alarms, findings = ranked_alarms(data.events), ranked_findings(data.events)
    ranked = [
        *_first(alarms, MAX_EVENTS, "events", "most severe", notes),
        *_first(findings, MAX_FINDINGS, "data-quality findings", "longest", notes),
    ]
    groups = _drawn_groups(data, alarms, notes)
    sensors = _Sensors(data)
    tail = data.calibration.get("tail") or {}
    cap = float(tail.get("cap_days") or CAP_DAYS)
    traces = _fit_traces([t for t in data.sensor_traces if t.group in groups], sensors, notes)
    shown = [_event(event, sensors, cap) for event in sorted(ranked, key=lambda e: (e.start, e.event_id))]
    span = data.span
    return {
        "format": 1,
        "title": data.title,
        "subtitle": data.subtitle,
        "span": None if span is None else [to_ms(span[0]), to_ms(span[1])],
        "n_rows": data.n_rows,
        "groups": groups,
        "n_groups": len(_group_names(data)),
        "watched": sum(to_ms(int(line.end.max() - line.start.min())) for line in data.timeline if len(line)),
        "in_alarm": to_ms(_time_in_alarm(alarms)),
        "sensors": sensors.rows,
        "status": {name: int(n) for name, n in data.status_counts.items()},
        "reasons": {name: int(n) for name, n in data.reason_counts.items() if name},
        "threshold": plain(data.threshold),
        "card": plain({key: value for key, value in data.card.items() if key != "sensors"}),
        "runtime": plain(data.runtime),
        "events": [event for event in shown if event["kind"] != "quality"],
        "n_events": len(alarms),
        "kinds": {kind: sum(e.kind == kind for e in alarms) for kind in ("interval", "point")},
        "findings": [event for event in shown if event["kind"] == "quality"],
        "n_findings": dict(Counter(e.reason for e in findings)),
        "return_cap": number(cap),
        "labels": [
            {"start": to_ms(x.start), "end": to_ms(x.end), "text": x.text, "group": x.group}
            for x in _first(data.labels, MAX_LABELS, "known faults", "first", notes)
        ],
        "timeline": [_timeline(line) for line in data.timeline if line.group in groups],
        "traces": traces,
        "missing": _missing(data.sensor_traces, sensors),
        "snippets": _snippets(data, ranked, sensors, notes),
        "histogram": None if data.calibration_scores is None else pack_histogram(data.calibration_scores),
        "budget": pack_budget(data.threshold),
        "calibration": pack_calibration(data.calibration, notes),
        "stale": pack_stale(data.stale, notes),
        "detectability": pack_detectability(data.detectability, notes),
        "notes": notes,
        "warnings": list(data.warnings),
    }


class _Sensors:
    """Every sensor that is named anywhere: those of the schema in its order, then others as they are met."""

    def __init__(self, data: ReportData) -> None:
        self.rows: list[dict[str, Any]] = []
        self._position: dict[str, int] = {}
        self._bands, self._normal = data.bands, data.normal_ranges
        for row in data.card.get("sensors") or ():
            self._take(plain(row))
        for traces in data.sensor_traces:
            for row in traces.schema.to_json():
                self._take(row)

    def _take(self, row: dict[str, Any]) -> None:
        name = row["name"]
        if name in self._position:
            return
        if name in self._bands:
            row["band"] = number(self._bands[name])
        if name in self._normal:
            row["normal"] = numbers(self._normal[name])
        self._position[name] = len(self.rows)
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
    """Nanoseconds covered by events, overlaps on one machine counted once, machines added up."""
    total = 0
    until: dict[str, int] = {}
    for event in sorted(events, key=lambda e: e.start):
        seen = max(event.start, until.get(event.group, event.start))
        total += max(0, event.end - seen)
        until[event.group] = max(seen, event.end)
    return total


def _first(items: Sequence[Any], limit: int, what: str, order: str, notes: list[str]) -> Sequence[Any]:
    if len(items) > limit:
        notes.append(f"Listed are the {limit:,} {order} of {len(items):,} {what}.")
    return items[:limit]


def _event(event: Event, sensors: _Sensors, cap: float) -> dict[str, Any]:
    blamed = []
    for i, name in enumerate(event.sensors[:MAX_NAMED]):
        values = (event.shares[i : i + 1], event.expected[i : i + 1], event.actual[i : i + 1])
        onset = [to_ms(event.onsets[i] - event.start)] if i < len(event.onsets) else []
        blamed.append([sensors.position(name), *(number(v[0]) if v else None for v in values), *onset])
    rarity = event.return_days
    return {
        "id": event.event_id,
        "group": event.group,
        "start": to_ms(event.start),
        "end": to_ms(event.end),
        "peak": to_ms(event.peak),
        "kind": event.kind,
        "severity": number(event.severity),
        "is_beyond": event.severity == math.inf,
        "score": number(event.score),
        "return_days": number(min(rarity, cap)) if rarity is not None and rarity > 0 else None,
        "n_rows": int(event.n_rows),
        "sensors": blamed,
        "n_sensors": len(event.sensors),
        "reason": event.reason,
        "note": event.note if len(event.note) <= MAX_NOTE else event.note[: MAX_NOTE - 3] + "...",
    }


def _timeline(line: Timeline) -> dict[str, Any]:
    return {
        "group": line.group,
        "start": differences(line.start),
        "length": milliseconds(line.end - line.start),
        "low": numbers(line.low),
        "high": numbers(line.high),
        "rows": line.n_rows.tolist(),
        "unscored": line.n_unscored.tolist(),
        "width": to_ms(line.width),
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
                "low": numbers(trace.low[:, i]),
                "high": numbers(trace.high[:, i]),
                "mean": numbers(mean[:, i]),
                "missing": missing,
            }
        )
    return {
        "group": trace.group,
        "start": differences(trace.start),
        "length": milliseconds(trace.end - trace.start),
        "width": to_ms(trace.width),
        "lines": lines,
    }


def _missing(traces: Sequence[SensorTraces], sensors: _Sensors) -> list[list[float | None]]:
    """[sensor, share of its cells without a usable number] over all groups, for sensors that lack any."""
    rows = sum(int(t.n_rows.sum()) for t in traces)
    usable: dict[int, int] = {}
    for trace in traces:
        for name, n in zip(trace.schema.names, trace.n_usable.sum(axis=0).tolist(), strict=True):
            usable[sensors.position(name)] = usable.get(sensors.position(name), 0) + n
    return [[sensor, number(1 - n / rows)] for sensor, n in usable.items() if n < rows]


def _snippets(data: ReportData, ranked: Sequence[Event], sensors: _Sensors, notes: list[str]) -> dict[str, Any]:
    snippets: dict[str, Any] = {}
    left = MAX_SNIPPET_POINTS
    n_dropped = 0
    for event in ranked:
        lines = data.snippets.get(event.event_id)
        if not lines and event.event_id not in data.event_scores:
            continue
        if left < 0:
            n_dropped += 1
            continue
        snippet, size = _snippet(lines or {}, data.event_scores.get(event.event_id), sensors)
        left -= size
        if left < 0:
            n_dropped += 1
        else:
            snippets[event.event_id] = snippet
    if n_dropped:
        n_without = len(ranked) - len(snippets)
        notes.append(f"Less severe events and findings listed without a close view of their sensors: {n_without:,}.")
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
            times.append(differences(time))
            size += len(time)
        return known[key]

    drawn = []
    for name, (time, actual, expected) in lines.items():
        if len(time) == 0:
            continue
        size += len(time)
        row = [sensors.position(name), number_of(time), numbers(actual)]
        drawn.append([*row, None if expected is None else numbers(expected)])
    scored = None
    if score is not None and len(score[0]):
        size += len(score[0])
        scored = [number_of(score[0]), numbers(score[1])]
    return {"times": times, "lines": drawn, "score": scored}, size
