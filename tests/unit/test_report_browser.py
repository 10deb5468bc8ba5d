"""The page in a real browser: it draws, opens events by address and stays silent on the console."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_report_example import make_plant, sample_report
from test_report_page import hostile_report

from sensorad.report import ReportData, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH"
)

Browse = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """A function that opens a report and returns its elements after the script, and the console messages."""

    def open_page(data: ReportData, address: str = "", width: int = 1280) -> tuple[str, list[str]]:
        page = write_report(tmp_path / "report.html", data, force=True)
        command = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            "--virtual-time-budget=2000",
            "--enable-logging=stderr",
            "--v=0",
            "--dump-dom",
            page.as_uri() + address,
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return result.stdout, [line for line in result.stderr.splitlines() if ":CONSOLE" in line]

    return open_page


def test_every_section_is_drawn_and_an_address_opens_its_event(browse: Browse) -> None:
    data = sample_report([make_plant(10 * 1440)])
    event = data.events[2]
    page, messages = browse(data, "#event=" + event.event_id)
    assert messages == []
    assert 'data-ready="yes"' in page
    for section in ("overview", "timeline", "events", "sensors", "quality", "threshold", "model"):
        assert f'<section id="{section}"' in page
    assert len(re.findall(r'<tr class="event( open)?"', page)) == len(data.events)
    assert page.count('class="event open"') == page.count('class="detail"') == 1
    assert f"<code>{event.event_id}</code>" in page
    detail = page[page.index('class="detail"') : page.index("</figure></div></div></td>")]
    assert detail.count('class="closeup"') >= 4
    assert 'class="expected"' in detail
    assert len(re.findall(r'<article class="sensor">', page)) == 14
    assert page.count("<svg") >= 14 + 4 + 3
    assert "NaN" not in page.replace("report-data", "")
    assert "undefined" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_hostile_names_run_nothing(browse: Browse) -> None:
    page, messages = browse(hostile_report(), "#event=%GG")
    assert messages == []
    assert 'data-ready="yes"' in page
    assert "<img" not in page
    assert len(re.findall("<script", re.sub(r"<script.*?</script>", "<script", page, flags=re.S))) == 2


@pytest.mark.parametrize("what", ["nothing", "events only", "scores only", "several machines"])
def test_what_is_absent_is_left_out(browse: Browse, what: str) -> None:
    full = sample_report([make_plant(2000), make_plant(2000, seed=1, group="other")])
    data = {
        "nothing": ReportData(title="nothing"),
        "events only": ReportData(title="t", events=full.events),
        "scores only": ReportData(title="t", timeline=full.timeline, status_counts=full.status_counts),
        "several machines": full,
    }[what]
    page, messages = browse(data, width=520)
    assert messages == []
    assert 'data-ready="yes"' in page
    assert ('<section id="sensors"' in page) == (what == "several machines")
    assert ('<section id="timeline"' in page) == (what in ("scores only", "several machines"))
    assert ('class="machine chosen"' in page) == (what in ("scores only", "several machines"))
