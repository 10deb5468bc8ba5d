"""The page: template, styles, script and data put into one file that asks for nothing from outside.

The content security policy allows exactly the style and the script that were put in (by their SHA-256), so
nothing that hides in a name can run or load anything even if the escaping had a hole.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

from sensorad.report.data import ReportData
from sensorad.report.fallback import render_fallback
from sensorad.report.payload import build_payload

__all__ = ["render_report", "to_embedded_json"]

_SCRIPTS = (
    "format.js",
    "dom.js",
    "scale.js",
    "plot.js",
    "store.js",
    "overview.js",
    "fleet.js",
    "timeline-chart.js",
    "timeline.js",
    "snippet.js",
    "event-detail.js",
    "events.js",
    "sensors.js",
    "quality.js",
    "stale.js",
    "what-if.js",
    "tail.js",
    "calibration.js",
    "detectability.js",
    "model.js",
    "main.js",
)
"""In this order they make one script; each is documented in its first lines."""

_STYLES = ("base.css", "parts.css", "calibration.css", "detectability.css")


def render_report(data: ReportData) -> str:
    """The report as one HTML document, ASCII only.

    Examples
    --------
    >>> page = render_report(ReportData(title="Pump <7>"))
    >>> "<title>Pump &lt;7&gt;</title>" in page, "http-equiv" in page
    (True, True)
    """
    payload = build_payload(data)
    style = "\n".join(_asset(name) for name in _STYLES)
    script = '(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in _SCRIPTS) + "\n})();\n"
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": _ascii(html.escape(data.title)),
        "style": style,
        "fallback": _ascii(render_fallback(data, payload)),
        "data": to_embedded_json(payload),
        "script": script,
    }
    # One pass over the template, so that nothing inside a part is ever taken for a placeholder.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], _asset("page.html"))


def to_embedded_json(value: Any) -> str:
    """JSON that stays inert inside a ``<script>`` element: no ``<``, ``>`` or ``&``, ASCII only, well-formed text.

    Examples
    --------
    >>> to_embedded_json({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    if "\\ud" in text:
        text = json.dumps(_well_formed(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return files("sensorad.report").joinpath("assets", name).read_text(encoding="ascii")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _ascii(text: str) -> str:
    """Character references for everything beyond ASCII; NUL and lone surrogates have none in HTML."""
    safe: str = _well_formed(text.replace("\0", "\ufffd"))
    return safe.encode("ascii", "xmlcharrefreplace").decode()


def _well_formed(value: Any) -> Any:
    """The same value with every lone surrogate replaced: browsers refuse to put them into an address."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_well_formed(item) for item in value]
    return value
