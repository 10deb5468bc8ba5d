"""A plain summary for readers whose viewer runs no scripts, such as mail previews and some phones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from sensorad.detectability import summary_lines
from sensorad.report.data import ReportData

__all__ = ["render_fallback"]

MAX_ROWS = 50


def render_fallback(data: ReportData, payload: Mapping[str, Any]) -> str:
    """HTML with the headline, the row counts and the first events as a table; all text escaped."""
    counts = ", ".join(f"{n:,} {name}" for name, n in payload["status"].items() if n) or "not counted"
    n_findings = sum(payload["n_findings"].values())
    parts = [
        f"<h1>{escape(data.title)}</h1>",
        "<p>Charts need a browser that runs scripts. This is the summary without them.</p>",
    ]
    if payload["stale"] and payload["stale"]["is_stale"]:
        parts.append(f"<p><strong>The calibration is stale.</strong> {escape(payload['stale']['statement'])}</p>")
    if payload["n_rows"] or payload["n_events"] or n_findings:
        parts += [
            f"<p>{payload['n_events']:,} alarm events in {payload['n_rows']:,} rows, and {n_findings:,} data-quality "
            f"findings. Rows by status: {escape(counts)}.</p>",
        ]
    if payload["span"]:
        parts.append(f"<p>From {_utc(payload['span'][0])} to {_utc(payload['span'][1])} (UTC).</p>")
    if payload["threshold"].get("statement"):
        parts.append(f"<p>{escape(str(payload['threshold']['statement']))}</p>")
    parts += [f"<p>{escape(note)}</p>" for note in (*payload["warnings"], *payload["notes"])]
    if data.detectability is not None:
        rows = "".join(f"<li>{escape(a)}: {escape(b)}</li>" for a, b in summary_lines(data.detectability))
        parts.append(f"<p>The smallest faults that it would find:</p><ul>{rows}</ul>")
    if payload["events"]:
        head = "".join(f"<th>{name}</th>" for name in ("Start (UTC)", "End (UTC)", "Kind", "Severity", "Sensors"))
        body = "".join(_row(event, payload["sensors"]) for event in payload["events"][:MAX_ROWS])
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    return "\n".join(parts)


def _row(event: Mapping[str, Any], sensors: list[dict[str, Any]]) -> str:
    blamed = ", ".join(sensors[item[0]]["name"] for item in event["sensors"][:3])
    severity = "" if event["severity"] is None else f"{event['severity']:.3g}"
    cells = (_utc(event["start"]), _utc(event["end"]), event["kind"], severity, blamed)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _utc(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
