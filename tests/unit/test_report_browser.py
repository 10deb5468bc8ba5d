"""The page in a real browser: it draws, opens what is clicked, asks for nothing and stays silent on the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_report_calibration import sample_calibration, sample_stale
from test_report_driver import Browser, Page, needs_chromium
from test_report_example import DAY, MINUTE, START, make_plant, sample_report
from test_report_page import hostile_report

from sensorad.report import ReportData, write_report
from sensorad.types import Event

pytestmark = needs_chromium

Browse = Callable[..., AbstractContextManager[Page]]
SECTIONS = ("overview", "timeline", "events", "sensors", "quality", "threshold", "model")
PHONE, DESKTOP = 390, 1280


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def sample() -> ReportData:
    return sample_report([make_plant()])


@pytest.fixture
def browse(browser: Browser, tmp_path: Path) -> Browse:
    """Opens a report; afterwards nothing may be on the console, and nothing may have been asked for."""

    @contextmanager
    def open_page(data: ReportData, address: str = "", width: int = DESKTOP, scheme: str = "light") -> Iterator[Page]:
        file = write_report(tmp_path / "report.html", data, force=True)
        with browser.page(file.as_uri() + address, width=width, scheme=scheme) as page:
            yield page
            page.settle()
            assert page.messages == []
            assert [url for url in page.requests if not url.startswith(("data:", file.as_uri()))] == []
            shown = page.text("body")
            assert "NaN" not in shown
            assert "undefined" not in shown

    return open_page


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_section_is_drawn_at_every_width_and_scheme(
    browse: Browse, sample: ReportData, width: int, scheme: str
) -> None:
    with browse(sample, width=width, scheme=scheme) as page:
        for section in SECTIONS:
            assert page.count(f"section#{section}") == 1
        assert page.count("nav a") == len(SECTIONS)
        assert page.count("tr.event") == len(sample.events)
        assert page.count("article.sensor .trace") == 14
        assert page.count("#threshold svg") == 4
        assert page.run("document.querySelector('.timeline .band').getTotalLength()") > 1000
        assert page.run("document.documentElement.scrollWidth") <= width, "the page must not scroll sideways"
        paper = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(paper) > 600) == (scheme == "light")
        for text in ("h1", ".lead", "figcaption", ".reading", ".aside"):
            assert contrast(page, text) >= 4.5, text


def contrast(page: Page, selector: str) -> float:
    """WCAG 2 contrast of an element's text against the page."""

    def luminance(colour: list[int]) -> float:
        parts = np.array(colour[:3]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    numbers = ".match(/\\d+/g).map(Number)"
    text = page.run(f"getComputedStyle(document.querySelector('{selector}')).color{numbers}")
    paper = page.run(f"getComputedStyle(document.body).backgroundColor{numbers}")
    low, high = sorted((luminance(text), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


def test_an_address_opens_its_event(browse: Browse, sample: ReportData) -> None:
    event = sample.alarms[2]
    with browse(sample, "#event=" + event.event_id) as page:
        assert page.count("tr.event.open") == page.count(".detail") == 1
        assert event.event_id in page.text(".detail")
        assert page.count(".detail .closeup") >= 4
        assert page.count(".detail path.expected") >= 3
        for name, actual in zip(event.sensors[:3], event.actual, strict=False):
            assert name in page.text(".detail table")
            assert f"{actual:.3g}"[:3] in page.text(".detail table")


def test_a_click_on_the_timeline_shows_the_sensors_of_the_event(browse: Browse, sample: ReportData) -> None:
    event = max(sample.alarms, key=lambda e: e.end - e.start)
    first, last = sample.span or (0, 0)
    across = (event.start + (event.end - event.start) / 2 - first) / (last - first)
    with browse(sample) as page:
        page.click(".timeline svg .lane-back", across)
        page.wait_for("document.querySelector('.detail')")
        assert event.event_id in page.text(".detail")
        for name in event.sensors:
            assert name in page.text(".detail table")
        page.click(".event.open .disclose")
        assert page.count(".detail") == 0


def test_an_event_opens_with_the_keyboard(browse: Browse, sample: ReportData) -> None:
    with browse(sample, width=PHONE) as page:
        page.focus("#row-2 .disclose")
        page.press("Enter")
        page.wait_for("document.querySelector('.detail')")
        assert page.attribute("#row-2 .disclose", "aria-expanded") == "true"
        assert page.run("document.activeElement === document.querySelector('#row-2 .disclose')")
        assert sample.alarms[1].sensors[0] in page.text("#detail-2")


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.02, "once in 29 minutes"),
        (1 / 24, "once an hour"),
        (1.0, "once a day"),
        (1.25, "once in 30 hours"),
        (9.9, "once in 9.9 days"),
        (21.0, "once in 3 weeks"),
        (97.4, "once in 3.2 months"),
        (365.25, "once a year"),
        (30_000.0, "once in 82 years"),
        (36_525.0, "once in more than 100 years"),
        (float("inf"), "once in more than 100 years"),
    ],
)
def test_return_periods_are_told_in_words(browse: Browse, days: float, words: str) -> None:
    with browse(ReportData(title="t", events=[_event(return_days=days)])) as page:
        assert page.text("tr.event .rarity").replace("\n", " ") == words
        assert f"({words} on normal data)" in page.text(".verdict")


def test_the_fit_can_cap_the_return_periods(browse: Browse) -> None:
    tail = {"score": [1.0, 2.0], "return_days": [1.0, 500.0], "cap_days": 140.0}
    with browse(ReportData(title="t", events=[_event(return_days=200.0)], calibration={"tail": tail})) as page:
        assert page.text("tr.event .rarity") == "once in more than 4.6 months"


def test_the_peak_is_told_beside_the_line_that_it_crossed(browse: Browse) -> None:
    shared = _event(severity=2.0, score=8.4)
    own = _event(event_id="own", severity=1.25, score=10.0, start=START + DAY)
    data = ReportData(title="t", threshold={"threshold": 4.2}, events=[shared, own])
    with browse(data, "#event=e") as page:
        assert "8.4, threshold 4.2" in page.text(".detail")
    with browse(data, "#event=own") as page:
        assert "10, threshold of its mode 8" in page.text(".detail")


def test_onsets_are_told_from_the_first_one(browse: Browse) -> None:
    start = START + DAY
    event = _event(
        sensors=("a", "b", "c"),
        shares=(0.5, 0.3, 0.2),
        onsets=(start + 3 * MINUTE, start, start + 10 * MINUTE),
        start=start,
        end=start + 60 * MINUTE,
    )
    with browse(ReportData(title="t", events=[event]), "#event=e") as page:
        cells = page.run("[...document.querySelectorAll('.detail tbody td:nth-child(2)')].map((e) => e.innerText)")
        assert cells == ["+3\u00a0min", "first", "+10\u00a0min"]
        assert page.count(".rarity") == 0
    with browse(ReportData(title="t", events=[replace(event, onsets=())]), "#event=e") as page:
        assert "Onset" not in page.text(".detail")


def test_bands_lie_around_what_is_expected(browse: Browse, sample: ReportData) -> None:
    address = "#event=" + sample.alarms[5].event_id
    heights = "[...document.querySelectorAll('.detail .expected-band')].map((e) => e.getBBox().height)"
    with browse(sample, address) as page:
        n_lines = page.count(".detail path.expected")
        single = page.run(heights)
        assert len(single) == n_lines >= 3
        assert min(single) > 5
        assert page.count("article.sensor .normal-range") == 14
        assert page.count(".detail .onset") >= 3
    with browse(replace(sample, bands={}, normal_ranges={}), address) as page:
        assert page.count(".detail path.expected") == n_lines
        assert page.count(".expected-band") == page.count(".normal-range") == 0


def test_a_band_is_as_wide_as_it_says_and_breaks_with_its_line(browse: Browse) -> None:
    time = START + np.arange(101) * MINUTE
    expected = np.full(101, 10.0)
    expected[40:60] = np.nan
    actual = np.linspace(0.0, 20.0, 101)
    event = _event(start=int(time[30]), end=int(time[70]))
    data = ReportData(
        title="t", events=[event], snippets={"e": {"TI-101": (time, actual, expected)}}, bands={"TI-101": 2.0}
    )
    with browse(data, "#event=e") as page:
        line, band = (
            page.run(f"document.querySelector('.detail {path}').getBBox().height")
            for path in (".trace", ".expected-band")
        )
        assert band / line == pytest.approx(2 * 2.0 / 20.0, rel=0.02)
        for path in (".expected", ".expected-band"):
            d = page.attribute(".detail " + path, "d") or ""
            assert d.count("M") == 2, "one piece before the hole and one after it"


def test_values_without_expectation_lie_on_their_normal_range(browse: Browse, sample: ReportData) -> None:
    coarse = replace(sample, snippets={}, event_scores={})
    with browse(coarse, "#event=" + sample.alarms[5].event_id) as page:
        assert page.count(".detail .closeup") >= 3
        assert page.count(".detail .normal-range") == page.count(".detail .closeup")


def test_what_if_is_read_off_with_the_pointer_and_with_keys(browse: Browse, sample: ReportData) -> None:
    curve = sample_calibration()["curve"]
    line, rate = curve["threshold"], curve["events_per_day"]
    with browse(sample) as page:
        assert page.text("#what-if .reading").startswith("At 4.2, the alarm line:")
        page.point("#what-if svg path.trace", 0.1)
        told = page.text("#what-if .reading")
        at = float(told.split()[1].rstrip(":"))
        i = int(np.argmin(np.abs(line - at)))
        assert at == pytest.approx(line[i], abs=0.006)
        assert 1.6 < at < 2.6
        found = round(curve["found"][i] * 11)
        rates = [float(f"{value:.2g}") for value in (rate[i], curve["low"][i], curve["high"][i])]
        assert (
            told
            == f"At {at:g}: {rates[0]:g} alarms a day ({rates[1]:g}\u2013{rates[2]:g}), {found} of 11 faults found."
        )
        page.focus("#what-if-line")
        page.press("End")
        told = page.text("#what-if .reading")
        assert told.startswith("At 9: no alarm seen (0\u2013")
        assert told.endswith("a week), 3 of 11 faults found.")
        valued = page.attribute("#what-if-line", "aria-valuetext") or ""
        assert "threshold 9: no alarm seen" in valued
        page.press("ArrowLeft")
        assert page.text("#what-if .reading").startswith(f"At {line[-2]:.3g}:")


def test_what_if_is_read_off_with_a_finger(browse: Browse, sample: ReportData) -> None:
    with browse(sample, width=PHONE) as page:
        before = page.text("#what-if .reading")
        page.tap("#what-if svg", 0.8)
        assert page.text("#what-if .reading") != before


def test_findings_have_a_lane_and_a_page_of_their_own(browse: Browse, sample: ReportData) -> None:
    flat = next(event for event in sample.findings if event.reason == "flat")
    first, last = sample.span or (0, 0)
    with browse(sample) as page:
        assert page.count(".timeline .finding-mark") == len(sample.findings) == 5
        assert page.count(".timeline .event-mark") == page.count("#events tr.event") == len(sample.alarms)
        assert page.count("#quality tr.event") == page.count("#quality tr.reason") == 5
        assert page.text(".tile").startswith(f"Alarm events\n{len(sample.alarms)}\n")
        assert "5 data-quality findings" in page.text(".verdict")
        for words in ("Flat line", "Out of range", "7 hours 30 minutes", flat.sensors[0], flat.note):
            assert words in page.text("#quality")
        lane = "[...document.querySelectorAll('.timeline .lane')].findIndex((e) => e.textContent === 'Data')"
        assert page.run(lane) == 1
        page.run("document.querySelectorAll('.timeline .lane-back')[1].id = 'lane'")
        page.click("#lane", (flat.start + (flat.end - flat.start) / 2 - first) / (last - first))
        page.wait_for("document.querySelector('#quality .detail')")
        assert "Finding Q1" in page.text("#quality .detail")
        assert "Severity\n" not in page.text("#quality .detail dl")
        assert page.count("#quality .detail .finding-shade") >= 2
        assert page.count("#events .detail") == 0


def test_many_findings_of_a_reason_are_shown_on_demand(browse: Browse) -> None:
    nan = float("nan")
    findings = [
        replace(_event(kind="quality", severity=nan, score=nan), event_id=f"q{i}", reason="flat", start=START + i * DAY)
        for i in range(25)
    ]
    with browse(ReportData(title="t", events=findings)) as page:
        assert page.count("#quality tr.event") == 10
        assert "No alarm events" in page.text(".verdict")
        page.click("#quality tbody > tr:last-child button")
        assert page.count("#quality tr.event") == 25
    with browse(ReportData(title="t", events=findings), "#event=q20") as page:
        assert page.count("#quality tr.event") == 11
        assert page.count("#quality .detail") == 1


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_a_stale_calibration_is_told_on_top_of_the_page(browse: Browse, sample: ReportData, width: int) -> None:
    stale = sample_stale((START - 42 * DAY) // 10**6)
    with browse(replace(sample, stale=stale), width=width) as page:
        assert page.run("document.querySelector('#stale-banner').getBoundingClientRect().top") == 0
        told = page.text("#stale-banner")
        assert "no longer describes normal operation" in told
        assert "Since 5 Mar 2024, 06:30 UTC." in told
        assert stale["statement"] in told
        assert "In doubt" in page.text(".promise .badge")
        assert page.count("#stale .week .column") == 9
        assert page.count("#stale .week .column.alarm") == 3
        assert page.count("#stale .week .column.part") == 1
    with browse(sample, width=width) as page:
        assert page.count("#stale-banner") == 0
        assert page.text("#stale .badge") == "Holds"
        assert page.count("#stale .week .column.alarm") == 0
        assert page.text(".promise .badge") == "Backed by calibration data"


def test_a_model_alone_counts_no_events(browse: Browse, sample: ReportData) -> None:
    names = ("title", "card", "threshold", "calibration", "calibration_scores")
    with browse(ReportData(**{name: getattr(sample, name) for name in names})) as page:
        shown = page.run("[...document.querySelectorAll('section')].map((e) => e.id)")
        assert shown == ["overview", "threshold", "model"]
        tiles = page.run("[...document.querySelectorAll('.tile dt')].map((e) => e.innerText)")
        assert tiles == ["Alarm line", "Expected alarm events", "Calibrated on", "Sensors"]
        assert page.text(".tile") == "Alarm line\n4.2\nscore above which an alarm is raised"
        assert "Share of the normal rows" in page.text("#threshold")
        assert [row.split("\t")[::4] for row in page.text("#modes tbody").split("\n")] == [
            ["production", "its own"],
            ["start-up", "its own"],
            ["cleaning", "shared"],
        ]


def test_hostile_names_run_nothing(browse: Browse) -> None:
    with browse(hostile_report(), "#event=%GG") as page:
        assert page.count("img") == 0
        assert page.run("document.scripts.length") == 2


@pytest.mark.parametrize("what", ["nothing", "events only", "scores only", "calibration only", "several machines"])
def test_what_is_absent_is_left_out(browse: Browse, what: str) -> None:
    full = sample_report([make_plant(2000), make_plant(2000, seed=1, group="other")])
    data = {
        "nothing": ReportData(title="nothing"),
        "events only": ReportData(title="t", events=full.events),
        "scores only": ReportData(title="t", timeline=full.timeline, status_counts=full.status_counts),
        "calibration only": ReportData(
            title="t",
            calibration={
                "curve": {"threshold": [1.0], "events_per_day": [0.0]},
                "tail": {"score": [1.0], "return_days": [2.0]},
            },
            stale={"is_stale": True},
        ),
        "several machines": full,
    }[what]
    is_scored = what in ("scores only", "several machines")
    with browse(data, width=520) as page:
        assert page.count("section#sensors") == (what == "several machines")
        assert page.count("section#timeline") == is_scored
        assert page.count("section#threshold") == (what in ("calibration only", "several machines"))
        assert page.count("section#events") == (what not in ("nothing", "calibration only"))
        assert page.count(".machine.chosen") == is_scored


def _event(**more: object) -> Event:
    usual: dict[str, object] = {
        "event_id": "e",
        "group": "",
        "start": START,
        "end": START + 9 * MINUTE,
        "peak": START + MINUTE,
        "kind": "interval",
        "severity": 2.0,
        "score": 8.0,
        "n_rows": 10,
        "sensors": ("TI-101",),
        "shares": (1.0,),
    }
    return Event(**(usual | more))  # type: ignore[arg-type]
