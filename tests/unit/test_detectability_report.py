"""The card's part of the report: what is packed, what the page shows, what it says without scripts."""

from __future__ import annotations

import json
from pathlib import Path

from test_detectability_card import NASTY, made_card
from test_report_driver import Browser, needs_chromium

from sensorad.report import ReportData, render_report, write_report
from sensorad.report.detectability import MAX_SENSORS, pack_detectability
from sensorad.types import Sensor, SensorSchema


def test_what_the_page_gets() -> None:
    packed = pack_detectability(made_card(), [])
    assert packed is not None
    json.dumps(packed, allow_nan=False)
    power, nasty, flag = packed["sensors"]
    found = power["cells"][0]
    assert (found["severity"], found["amount"], found["delay_seconds"], found["most"]) == (1, 10, 240, 2)
    assert (found["bound"], power["cells"][1]["bound"]) == (None, "least")
    assert [cell["state"] for cell in nasty["cells"]] == ["never", "no fault"]
    assert flag["cells"][0] == {"state": "not looked at"}
    assert "weights" not in packed["about"]
    assert pack_detectability(None, []) is None


def test_many_sensors_are_cut_and_counted() -> None:
    from dataclasses import replace

    card = made_card()
    names = [f"s{i}" for i in range(MAX_SENSORS + 10)]
    cells = [replace(cell, sensor=name) for name in names for cell in card.cells[:2]]
    notes: list[str] = []
    wide = replace(card, cells=tuple(cells), schema=SensorSchema(tuple(Sensor(name) for name in names)))
    packed = pack_detectability(wide, notes)
    assert packed is not None
    assert len(packed["sensors"]) == MAX_SENSORS
    assert notes == [f"The detectability card lists the first {MAX_SENSORS} of {MAX_SENSORS + 10} sensors."]


def test_words_without_scripts_and_nothing_without_a_card() -> None:
    page = render_report(ReportData("Pump", detectability=made_card()))
    fallback = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "bias: 1 sigma at power; never at 1 of 2 sensors" in fallback
    assert "<script>" not in fallback
    assert '"detectability":null' in render_report(ReportData("Pump"))


@needs_chromium
def test_the_table_in_a_browser(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", ReportData("Pump", detectability=made_card())).as_uri()
    browser = Browser(tmp_path / "profile")
    try:
        with browser.page(path) as page:
            texts = page.run("[...document.querySelectorAll('#detectability td')].map((cell) => cell.textContent)")
            assert texts == ["14 rows", "\u2265\u00a00.954 rows", "never", "\u2013", "unused", "unused"]
            classes = page.run("[...document.querySelectorAll('#detectability td')].map((cell) => cell.className)")
            assert classes == ["heat-5", "heat-5", "never", "none", "none", "none"]
            title = page.run("document.querySelector('#detectability td').title")
            assert title == (
                "bias, 1 sigma (10\u00a0kW): found at 55\u00a0% of 20 places, usually after 4 rows (4 minutes); "
                "at 90 % of them from 2 on"
            )
            names = page.run(
                "[...document.querySelectorAll('#detectability tbody th')].map((cell) => cell.textContent)"
            )
            assert names == ["power", NASTY, "flag"]
    finally:
        browser.close()
