"""One self-contained HTML file that shows what was found, how sure one can be, and why.

Collect while scoring (`TimelineSampler`, `TraceSampler`), look closer at the events in a second pass over the
log (`SnippetSampler`), put everything into `ReportData` and call `write_report`.
"""

from sensorad.report.data import LabelInterval, ReportData
from sensorad.report.html import render_report
from sensorad.report.timeline import Timeline, TimelineSampler
from sensorad.report.traces import SensorTraces, SnippetSampler, TraceSampler
from sensorad.report.writer import write_report

__all__ = [
    "LabelInterval",
    "ReportData",
    "SensorTraces",
    "SnippetSampler",
    "Timeline",
    "TimelineSampler",
    "TraceSampler",
    "render_report",
    "write_report",
]
