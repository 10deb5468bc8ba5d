"""The file itself: self-contained, small, escaped, complete or absent."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from test_report_calibration import sample_calibration, sample_stale
from test_report_example import MINUTE, SCHEMA, START, make_plant, sample_report

from sensorad.errors import StorageError, UsageError
from sensorad.report import (
    LabelInterval,
    ReportData,
    TimelineSampler,
    TraceSampler,
    render_report,
    write_report,
)
from sensorad.report import html as html_module
from sensorad.report import payload as payload_module
from sensorad.types import Event, RowBlock, ScoreBlock, Sensor, SensorSchema

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>&lt;\u2028\u2029\0",
    "{{data}}{{script}}",
    "=cmd()|'/c calc'!A1",
    "\u202egnp.exe\ud800",
    "__proto__",
    "x" * 100_000,
)


class Parts(HTMLParser):
    """Elements with their attributes, and the text inside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("/" + tag, {}))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.texts[-1] += data


def payload_of(page: str) -> dict:
    text = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.S)
    assert text is not None
    return json.loads(text.group(1), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def hostile_report() -> ReportData:
    schema = SensorSchema(tuple(Sensor(name, unit=name[:20]) for name in HOSTILE))
    n, width = 300, len(schema)
    rng = np.random.default_rng(0)
    rows = RowBlock(
        np.arange(n),
        START + np.arange(n) * MINUTE,
        rng.normal(size=(n, width)).astype(np.float32),
        np.zeros((n, width), np.uint8),
        (np.arange(n) % width).astype(np.int32),
        HOSTILE,
    )
    scores = ScoreBlock.empty_for(rows)
    scores.score[:] = rng.exponential(size=n)
    scores.status[:] = 0
    timeline, traces = TimelineSampler(), TraceSampler(schema)
    timeline.add(scores)
    traces.add(rows)
    events = [
        Event(name[:500] + str(i), name, START + i, START + 9 * MINUTE, START + i, "interval", 3.0, 6.0, 9, HOSTILE[:5])
        for i, name in enumerate(HOSTILE)
    ]
    line = (rows.time[:50], rng.normal(size=50), None)
    return ReportData(
        title=HOSTILE[0],
        subtitle=HOSTILE[1],
        card={"model": HOSTILE[0], HOSTILE[1]: {HOSTILE[6]: HOSTILE[0]}, "sensors": schema.to_json()},
        threshold={"threshold": 2.0, "statement": HOSTILE[0], "assumptions": [HOSTILE[1]], HOSTILE[0]: HOSTILE[2]},
        timeline=timeline.result(),
        events=events,
        sensor_traces=traces.result(),
        snippets={events[0].event_id: {HOSTILE[0]: line, "not in the schema": line}},
        status_counts=timeline.status_counts,
        labels=[LabelInterval(START, START + MINUTE, HOSTILE[0], HOSTILE[0])],
        runtime={HOSTILE[0]: HOSTILE[2]},
        notes=[HOSTILE[0]],
        warnings=[HOSTILE[1]],
    )


def test_nothing_is_loaded_from_outside() -> None:
    page = render_report(sample_report([make_plant(3000)]))
    for tag, attributes in Parts(page).tags:
        assert tag not in ("iframe", "object", "embed", "base", "form", "img", "meta http")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", "an inline style would be blocked by the policy"
            if name in ("src", "href"):
                assert (value or "").startswith(("#", "data:image/svg+xml")), (tag, value)
    addresses = set(re.findall(r"\b\w+://[^\s\"'<>)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_policy_allows_exactly_the_style_and_the_script() -> None:
    page = render_report(ReportData(title="t"))
    parts = Parts(page)
    (policy,) = [
        a["content"] for t, a in parts.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    style, _, script = parts.texts
    for rule, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    head = page.index("Content-Security-Policy")
    assert all(head < page.index(tag) for tag in ("<style", "<script", "<link", "<body"))


def test_scripts_never_parse_text_as_html() -> None:
    folder = files("sensorad.report").joinpath("assets")
    scripts = [item for item in folder.iterdir() if item.name.endswith(".js")]
    assert {item.name for item in scripts} == set(html_module._SCRIPTS)
    for item in scripts:
        text = item.read_text(encoding="ascii")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch("):
            assert word not in text, (item.name, word)
        for word in ("XMLHttpRequest", "WebSocket", "import(", "sendBeacon", "localStorage", "console."):
            assert word not in text, (item.name, word)


def test_hostile_names_stay_text() -> None:
    page = render_report(hostile_report())
    page.encode("ascii")
    assert "\0" not in page
    plain = Parts(render_report(ReportData(title="t")))
    hostile = Parts(page)
    assert [tag for tag, _ in hostile.tags if tag in ("script", "img", "style", "/script")] == [
        tag for tag, _ in plain.tags if tag in ("script", "img", "style", "/script")
    ]
    data = payload_of(page)
    assert data["title"] == HOSTILE[0]
    shown = [name.replace("\ud800", "\ufffd") for name in HOSTILE]
    assert [sensor["name"] for sensor in data["sensors"]] == [*shown, "not in the schema"]
    assert data["groups"] == shown
    assert data["card"][HOSTILE[1]] == {HOSTILE[6]: HOSTILE[0]}


def test_numbers_are_json() -> None:
    nan = float("nan")
    data = ReportData(
        title="t",
        threshold={"threshold": np.float64(nan), "interval": (np.float32(0.5), float("inf")), "is_promised": np.True_},
        events=[Event("e", "", 1, 2, 1, "interval", float("inf"), nan, 2, ("a",), (nan,), (), (1.23456789,))],
        calibration_scores=np.array([nan, 1.0, 2.0, np.inf]),
        runtime={"rows": np.int64(7), "path": Path("x"), "many": np.arange(3)},
    )
    page = payload_of(render_report(data))
    assert page["threshold"] == {"threshold": None, "interval": [0.5, None], "is_promised": True}
    assert page["runtime"] == {"rows": 7, "path": "x", "many": [0, 1, 2]}
    (event,) = page["events"]
    assert event["severity"] is None
    assert event["score"] is None
    assert event["sensors"] == [[0, None, None, 1.2346]]
    assert (event["is_beyond"], event["return_days"]) == (True, None)
    assert sum(page["histogram"]["shares"]) == 1


def test_times_and_values_survive_the_packing() -> None:
    data = sample_report([make_plant(2 * 1440)])
    page = payload_of(render_report(data))
    (line,), (packed,) = data.timeline, page["timeline"]
    np.testing.assert_allclose(np.cumsum(packed["start"]) * 1e6, line.start, rtol=0, atol=1e3)
    np.testing.assert_allclose(np.array(packed["high"], float), line.high, rtol=1e-4)
    assert [value is None for value in packed["high"]] == np.isnan(line.high).tolist()
    (trace,), (packed,) = data.sensor_traces, page["traces"]
    for i, values in enumerate(packed["lines"]):
        assert page["sensors"][values["sensor"]]["name"] == SCHEMA.names[i]
        np.testing.assert_allclose(np.array(values["mean"], float), trace.mean[:, i], rtol=1e-4, atol=1e-6)
    event = data.events[0]
    shown = next(row for row in page["events"] if row["id"] == event.event_id)
    onsets = [(event.start / 1e6 + row[4]) * 1e6 for row in shown["sensors"]]
    np.testing.assert_allclose(onsets, event.onsets, rtol=0, atol=1e3)
    assert shown["return_days"] == pytest.approx(event.return_days, rel=1e-4)
    band = next(row["band"] for row in page["sensors"] if row["name"] == event.sensors[0])
    assert band == pytest.approx(data.bands[event.sensors[0]], rel=1e-4)
    snippet = page["snippets"][event.event_id]
    sensor, times, actual, expected = snippet["lines"][0]
    time, values, _ = data.snippets[event.event_id][page["sensors"][sensor]["name"]]
    np.testing.assert_allclose(np.cumsum(snippet["times"][times]) * 1e6, time, rtol=0, atol=1e3)
    np.testing.assert_allclose(actual, values, rtol=1e-4)
    assert expected is not None
    assert len(snippet["times"]) == 1, "sensors read at the same times share them"


def test_time_in_alarm_counts_overlaps_once() -> None:
    def event(name: str, group: str, start: int, end: int, kind: str = "interval") -> Event:
        return Event(name, group, start * MINUTE, end * MINUTE, start * MINUTE, kind, 2, 2, 1)  # type: ignore[arg-type]

    events = [event("a", "x", 0, 10), event("b", "x", 5, 20), event("c", "y", 5, 20), event("d", "x", 0, 99, "quality")]
    page = payload_of(render_report(ReportData(title="t", events=events)))
    assert page["in_alarm"] == 35 * 60_000


def test_findings_about_the_data_are_no_events() -> None:
    nan = float("nan")
    findings = [
        Event(f"q{i}", "", i, i + 5, i, "quality", nan, nan, 6, ("a",), reason=reason)
        for i, reason in enumerate(("flat", "missing", "flat"))
    ]
    mild, severe = _event(event_id="mild", severity=1.1), _event(event_id="severe", severity=3.0)
    unknown = _event(event_id="unknown", severity=nan)
    page = payload_of(render_report(ReportData(title="t", events=[*findings, mild, unknown, severe])))
    assert page["n_events"] == 3
    assert page["kinds"] == {"interval": 3, "point": 0}
    assert [event["id"] for event in page["findings"]] == ["q0", "q1", "q2"]
    assert page["n_findings"] == {"flat": 2, "missing": 1}
    assert {event["severity"] for event in page["findings"]} == {None}
    assert not any(event["is_beyond"] for event in [*page["findings"], *page["events"]])


def test_the_least_severe_events_are_left_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = float("nan")
    monkeypatch.setattr(payload_module, "MAX_EVENTS", 3)
    monkeypatch.setattr(payload_module, "MAX_FINDINGS", 1)
    severities = {"a": 1.5, "b": nan, "c": float("inf"), "d": 9.0, "e": 1.2}
    events = [_event(event_id=name, severity=severity) for name, severity in severities.items()]
    findings = [_event(event_id=f"q{i}", kind="quality", severity=nan, end=2 + i) for i in range(3)]
    page = payload_of(render_report(ReportData(title="t", events=[*events, *findings])))
    assert [event["id"] for event in page["events"]] == ["a", "c", "d"]
    assert [event["id"] for event in page["findings"]] == ["q2"]
    assert page["n_findings"] == {"": 3}


def test_a_million_rows_stay_below_five_megabytes() -> None:
    n, width, chunk = 1_000_000, 40, 65_536
    rng = np.random.default_rng(0)
    schema = SensorSchema(tuple(Sensor(f"S{i}", unit="bar") for i in range(width)))
    timeline, traces = TimelineSampler(), TraceSampler(schema)
    values = rng.normal(size=(chunk, width)).astype(np.float32) * 1234.5678
    flaw = (rng.random((chunk, width)) < 0.01).astype(np.uint8)
    for first in range(0, n, chunk):
        size = min(chunk, n - first)
        time = START + (first + np.arange(size)) * 7_000_000_001
        group = rng.integers(0, 30, size).astype(np.int32)
        names = tuple(f"machine {i}" for i in range(30))
        rows = RowBlock(first + np.arange(size), time, values[:size], flaw[:size], group, names)
        scores = ScoreBlock.empty_for(rows)
        scores.score = rng.exponential(size=size)
        timeline.add(scores)
        traces.add(rows)
    lines = timeline.result()
    assert max(len(line) for line in lines) <= 2000
    snippet_time = START + np.arange(300) * 7_000_000_001
    top = (schema.names[:5], (0.23456,) * 5, (123.456,) * 5, (234.567,) * 5)
    nan = float("nan")
    starts = [START + i * MINUTE for i in range(5000)]
    events = [
        Event(
            *(f"{i:032x}", f"machine {i % 30}", t, t + 9 * MINUTE, t, "interval", 1 + rng.random(), 2.0, 9, *top),
            return_days=123.456 + i,
            onsets=tuple(t + k * 7_000_000_001 for k in range(5)),
        )
        for i, t in enumerate(starts)
    ]
    findings = [
        Event(
            *(f"q{i:031x}", f"machine {i % 30}", t, t + i * MINUTE, t, "quality", nan, nan, 9, schema.names),
            note="the value does not move " * 400,
            reason="flat",
        )
        for i, t in enumerate(starts)
    ]
    line = (snippet_time, rng.normal(size=300), rng.normal(size=300))
    page = render_report(
        ReportData(
            title="A long log",
            timeline=lines,
            events=[*events, *findings],
            sensor_traces=traces.result(),
            snippets={event.event_id: dict.fromkeys(schema.names[:5], line) for event in events},
            event_scores={event.event_id: line[:2] for event in events},
            status_counts=timeline.status_counts,
            labels=[LabelInterval(START + i, START + i + MINUTE, "known fault") for i in range(5000)],
            calibration_scores=rng.exponential(size=200_000),
            bands=dict.fromkeys(schema.names, 1.23456),
            normal_ranges=dict.fromkeys(schema.names, (-1234.56, 2345.67)),
            calibration=sample_calibration(n_lines=10_000),
            stale=sample_stale(START // 10**6, n_weeks=2_000),
        )
    )
    assert len(page) < 5_000_000
    data = payload_of(page)
    assert (data["n_rows"], data["n_events"]) == (n, 5000)
    assert sum(sum(row["rows"]) for row in data["timeline"]) == n
    kept = {event["id"] for event in data["events"]}
    assert kept == {e.event_id for e in sorted(events, key=lambda e: -e.severity)[:1000]}
    assert set(data["snippets"]) < kept
    told = " ".join(data["notes"])
    assert len(data["findings"]) == 500
    assert {(len(event["sensors"]), event["n_sensors"], len(event["note"])) for event in data["findings"]} == {
        (12, width, 500)
    }
    for words in (
        "1,000 most severe of 5,000 events",
        "500 longest of 5,000 data-quality findings",
        "without a close view",
        "2,000 first of 5,000 known faults",
    ):
        assert words in told


def test_counts_must_balance() -> None:
    data = sample_report([make_plant(500)])
    with pytest.raises(UsageError, match="must balance: 499 by status, 500 in the timeline"):
        ReportData(title="t", timeline=data.timeline, status_counts={"scored": 499})
    with pytest.raises(UsageError, match="unknown status 'fine'"):
        ReportData(title="t", status_counts={"fine": 1})
    with pytest.raises(UsageError, match="used twice"):
        ReportData(title="t", events=[_event(), _event()])


def test_summary_without_scripts() -> None:
    page = render_report(hostile_report())
    text = page[page.index("<noscript>") : page.index("</noscript>")]
    assert "8 alarm events in 300 rows, and 0 data-quality findings" in text
    assert "300 scored" in text
    assert text.count("<tr>") == 9
    assert "&lt;/script&gt;" in text
    assert "<img" not in text


def test_write_is_complete_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    first, second = ReportData(title="first"), ReportData(title="second")
    assert write_report(target, first) == target
    assert target.read_text(encoding="ascii") == render_report(first)
    with pytest.raises(StorageError, match="exists already"):
        write_report(target, second)

    def no_room(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(StorageError, match="No space left on device"):
            write_report(target, second, force=True)
    assert target.read_text(encoding="ascii") == render_report(first)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    write_report(target, second, force=True)
    assert "<title>second</title>" in target.read_text(encoding="ascii")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_write_refuses_impossible_targets(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="got a directory"):
        write_report(tmp_path, ReportData(title="t"), force=True)
    with pytest.raises(StorageError, match="directory does not exist"):
        write_report(tmp_path / "none" / "report.html", ReportData(title="t"))


def test_the_same_data_gives_the_same_file() -> None:
    assert render_report(sample_report([make_plant(600)])) == render_report(sample_report([make_plant(600)]))


def _event(**more: object) -> Event:
    usual: dict[str, object] = {"event_id": "e", "group": "", "start": 1, "end": 2, "peak": 1, "kind": "interval"}
    return Event(**(usual | {"severity": 2.0, "score": 2.0, "n_rows": 2} | more))  # type: ignore[arg-type]
