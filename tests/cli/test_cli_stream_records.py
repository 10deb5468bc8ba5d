"""Lines, times and cells of a stream mean what they mean in a log that is scored as a whole."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.errors import SchemaError, TimeError
from sensorad.logs import LogFormat
from sensorad.logs.casting import cells_of
from sensorad.logs.failures import Place
from sensorad.logs.times import times_of
from sensorad.streaming.values import CellReader
from sensorad_cli.stream_clock import ClockReader
from sensorad_cli.stream_lines import LONGEST_LINE, LineCutter
from sensorad_cli.stream_records import Broken, CsvLines, JsonLines, Record, Skipped, number

NAMES = ("TI-101", "PI-7")
NOON = 1_714_564_800_000_000_000  # 2024-05-01T12:00:00Z
WORDS = ["1", "-2.5", ".5", "5.", "1e3", "1E-3", "+7", "inf", "-Infinity", "nan", "NaN", "null", "", " 4 ", "true"]
WORDS += [
    "FALSE",
    "1e400",
    "-1e400",
    "1e39",
    "3.4028235e38",
    "1e-46",
    "-0.0",
    "12,5",
    "1_000",
    "0x1F",
    "ERR",
    "٣",
    "1 2",
]


def warned(texts: list[str]):
    return texts.append


def wide_value(word: object) -> tuple[float, int]:
    """A cell as the stream sees it: value and flaw."""
    values, flaw = CellReader(("x",)).row([number(word, "x")])
    return float(values[0]), 0 if flaw is None else int(flaw[0])


@pytest.mark.parametrize("word", WORDS)
def test_a_cell_of_text_means_what_it_means_in_a_column(word: str) -> None:
    try:
        values, flaw = cells_of(pa.array([word]), "x", Place())
    except SchemaError:
        with pytest.raises(SchemaError, match="expected a number for 'x'"):
            number(word, "x")
        return
    assert wide_value(word) == (float(values[0]), int(flaw[0]))


def test_cells_of_json_are_numbers_or_nothing() -> None:
    flaws = {"": 0, "missing": 1, "infinite": 2, "overflow": 3}
    assert wide_value(True) == (1.0, 0)
    assert wide_value(None) == (0.0, flaws["missing"])
    assert wide_value(10**400) == wide_value(-(10**400)) == (0.0, flaws["overflow"])
    for text, flaw in {"1e999": "overflow", "Infinity": "infinite", "-Infinity": "infinite", "NaN": "missing"}.items():
        record = JsonLines(NAMES, LogFormat(), warned([]))(
            f'{{"time": "2024-05-01T12:00Z", "TI-101": {text}, "PI-7": 1}}'
        )
        assert isinstance(record, Record)
        _, found = CellReader(NAMES).row(record.values)
        assert found is not None
        assert found.tolist() == [flaws[flaw], 0]
    for bad in ([], {}, "x", [1.0]):
        with pytest.raises(SchemaError):
            number(bad, "x")


TIMES = [
    "2024-05-01T12:00:00Z",
    "2024-05-01 12:00:00.123456789+02:00",
    "2024-05-01T12:00+0530",
    "2024-05-01T12-03",
    " 2024-02-29T23:59:59.5Z ",
    "2000-01-01T00:00Z",
    "2100-12-31T23:59:59.999999999Z",
]
LOCAL_TIMES = [
    "2024-05-01",
    "2024-05-01T12",
    "2024-05-01 12:30",
    "2024-03-31 03:00",
    "2024-10-27 01:59:59.75",
    "2038-07-01 00:00:00",
]


@pytest.mark.parametrize("word", TIMES)
def test_times_with_a_zone_mean_what_they_mean_in_a_column(word: str) -> None:
    assert ClockReader(LogFormat())(word) == times_of(pa.array([word]), LogFormat(), "t", Place())[0]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "-03:30"])
@pytest.mark.parametrize("word", LOCAL_TIMES)
def test_local_times_mean_what_they_mean_in_a_column(word: str, zone: str) -> None:
    form = LogFormat(time_zone=zone)
    assert ClockReader(form)(word) == times_of(pa.array([word]), form, "t", Place())[0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "min", "h"])
@pytest.mark.parametrize("share", [0, 0.25, 1 / 3])
def test_times_that_are_numbers_mean_what_they_mean_in_a_column(unit: str, share: float) -> None:
    ticks = NOON // {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "min": 60 * 10**9, "h": 3600 * 10**9}[unit]
    form = LogFormat(time_unit=unit)  # type: ignore[arg-type]
    value = ticks + share if share else ticks
    expected = times_of(pa.array([value]), form, "t", Place())[0]
    assert ClockReader(form)(value) == ClockReader(form)(repr(value)) == expected


def test_numbers_count_from_the_origin() -> None:
    form = LogFormat(time_unit="h", time_origin="2024-05-01T00:00", time_zone="Europe/Berlin")
    assert ClockReader(form)(1.5) == times_of(pa.array([1.5]), form, "t", Place())[0]
    with pytest.raises(TimeError, match="time origin"):
        ClockReader(form)("2024-05-01T00:00Z")


@pytest.mark.parametrize(
    ("word", "zone", "words"),
    [
        ("2024-05-01T12:00:00", None, "no time zone"),
        ("1714564800", None, "unit is not declared"),
        (1714564800, None, "unit is not declared"),
        ("1999-12-31T23:59:59Z", None, "outside 2000-2100"),
        ("2101-01-01T00:00:00Z", None, "outside 2000-2100"),
        ("2024-02-30T00:00:00Z", None, "ISO 8601"),
        ("2024-05-01T24:00:00Z", None, "ISO 8601"),
        ("01.05.2024 12:00", None, "ISO 8601"),
        ("2024-05-01T12:00:00+25:00", None, "ISO 8601"),
        ("yesterday", None, "ISO 8601"),
        ("", None, "missing"),
        (None, None, "missing"),
        (True, None, "expected a time"),
        ([1], None, "expected a time"),
        ("2024-10-27 02:30", "Europe/Berlin", "twice or never"),
        ("2024-03-31 02:30", "Europe/Berlin", "twice or never"),
    ],
)
def test_times_that_are_none_are_refused(word: object, zone: str | None, words: str) -> None:
    with pytest.raises(TimeError, match=words):
        ClockReader(LogFormat(time_zone=zone))(word)


def test_json_comes_nested_or_flat_with_the_names_of_the_log() -> None:
    form = LogFormat(time="stamp", group="pump", mode="phase", rename=(("T1", "TI-101"),))
    said: list[str] = []
    read = JsonLines(NAMES, form, warned(said))
    expected = Record(NOON, "P1", "run", [1.5, 2.0])
    stamp = "2024-05-01T12:00:00Z"
    same = [
        {"time": stamp, "group": "P1", "mode": "run", "values": {"T1": 1.5, "PI-7": 2.0}},
        {"stamp": stamp, "pump": "P1", "phase": "run", "values": {"PI-7": 2.0, "T1": 1.5}},
        {"stamp": stamp, "pump": "P1", "phase": "run", "T1": 1.5, "PI-7": 2},
        {"T1": "1.5", "time": stamp, "group": "P1", "mode": "run", "PI-7": " 2 "},
    ]
    for line in same:
        assert read(json.dumps(line)) == expected
    assert said == []
    assert read("  \t") == read("") == Skipped()
    extra = read(json.dumps(same[0] | {"values": {"T1": 1.5, "PI-7": 2.0, "XX": 1}}))
    assert extra == expected
    read(json.dumps(same[0] | {"values": {"T1": 1.5, "PI-7": 2.0, "YY": 1}}))
    assert len(said) == 1
    assert "XX" in said[0]
    inside = JsonLines(NAMES, form, warned(said))(
        json.dumps(same[0] | {"values": {"T1": 1.5, "PI-7": 2.0, "mode": "run"}})
    )
    assert isinstance(inside, Record)
    assert "mode" in said[1]


def test_a_line_that_is_no_row_says_why() -> None:
    read = JsonLines(NAMES, LogFormat(group="pump"), warned([]))
    row = {"time": "2024-05-01T12:00:00Z", "pump": 7, "TI-101": 1.0}
    assert isinstance(read(json.dumps(row)), Record)
    broken = {
        '{"time": "2024-05-01T12:00:00Z", ': "no JSON",
        "[1, 2]": "object",
        "[" * 100_000: "no JSON",
        json.dumps(row | {"time": "soon"}): "ISO 8601",
        json.dumps({"TI-101": 1.0}): "time is missing",
        json.dumps(row | {"pump": None}): "machine is missing",
        json.dumps(row | {"pump": True}): "name of a machine",
        json.dumps(row | {"pump": "\ud800"}): "no text",
        json.dumps(row | {"TI-101": "12,5"}): "expected a number for 'TI-101', got '12,5'",
        json.dumps({"time": row["time"], "pump": 7, "TI_101": 1.0}): "none of the sensors",
    }
    for line, why in broken.items():
        found = read(line)
        assert isinstance(found, Broken), line[:60]
        assert why in found.why


def test_a_misspelt_sensor_in_the_first_row_is_named() -> None:
    said: list[str] = []
    read = JsonLines(NAMES, LogFormat(), warned(said))
    for _ in range(3):
        read('{"time": "2024-05-01T12:00:00Z", "TI101": 1.0, "PI-7": 2.0}')
    assert len(said) == 2
    assert "did you mean 'TI101' for 'TI-101'?" in said[0]


def test_csv_is_read_by_its_header() -> None:
    said: list[str] = []
    header = 'PI-7;stamp;note;"TI-101"'
    read = CsvLines(header, NAMES, LogFormat(time="stamp"), warned(said))
    assert read("2;2024-05-01T12:00:00Z;x;1.5") == Record(NOON, "", None, [1.5, 2.0])
    assert read('"2";"2024-05-01T12:00:00Z";"a;b";"1.5"') == Record(NOON, "", None, [1.5, 2.0])
    assert read(header) == read("") == Skipped()
    gap = read("2;2024-05-01T12:00:00Z;;")
    assert isinstance(gap, Record)
    assert math.isnan(gap.values[0])
    assert len(said) == 1
    assert "note" in said[0]
    for line, why in {
        "2;2024-05-01T12:00:00Z;x": "expected 4 cells, found 3",
        "2,5;2024-05-01T12:00:00Z;x;1": "'2,5'",
        '2;2024-05-01T12:00:00Z;"x;1': "no CSV",
        "2;;x;1": "time is missing",
    }.items():
        found = read(line)
        assert isinstance(found, Broken)
        assert why in found.why


def test_a_header_that_does_not_fit_is_refused() -> None:
    def header(text: str, n_missing: int = 0, **form: str) -> CsvLines:
        return CsvLines(text, NAMES, LogFormat(**form), warned([]), allow_missing=n_missing)

    with pytest.raises(SchemaError, match=r"'PI-7' is missing.*did you mean 'PI_7'"):
        header("time,TI-101,PI_7")
    assert header("time,TI-101,PI_7", 1)("2024-05-01T12:00:00Z,1,2") is not None
    with pytest.raises(SchemaError, match=r"'stamp' is missing.*--time"):
        header("Stamp,TI-101,PI-7", time="stamp")
    with pytest.raises(SchemaError, match="'pump' is missing"):
        header("time,TI-101,PI-7", group="pump")
    with pytest.raises(SchemaError, match="twice: PI-7"):
        header("time,PI-7,TI-101,PI-7")


LINES = st.lists(st.sampled_from([b"", b"a", b"12,5", "ä€".encode(), b"x\r", b"\xff", b"q" * 300]), max_size=12)


@given(LINES, st.booleans(), st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_lines_do_not_depend_on_how_the_bytes_come(lines: list[bytes], has_end: bool, steps: list[int]) -> None:
    content = b"\n".join(lines) + (b"\n" if has_end and lines else b"")
    cutter, found, at, turn = LineCutter(), [], 0, 0
    while at < len(content):
        step = steps[turn % len(steps)]
        found += cutter.feed(content[at : at + step])
        at, turn = at + step, turn + 1
    found += cutter.rest()
    pieces = content.split(b"\n")
    if not pieces[-1]:
        pieces.pop()
    assert [line.number for line in found] == list(range(1, len(pieces) + 1))
    for line, piece in zip(found, pieces, strict=True):
        if b"\xff" in piece:
            assert "UTF-8" in line.why
        else:
            assert line.text == piece.decode().removesuffix("\r")
        assert content[: line.end].rstrip(b"\n").endswith(piece)
    assert not found or found[-1].end == len(content)


def test_endless_lines_are_dropped_in_bounded_memory() -> None:
    cutter = LineCutter()
    found = cutter.feed(b"first\n")
    for _ in range(50):
        found += cutter.feed(b"x" * (LONGEST_LINE // 4))
        assert len(cutter._carry) <= LONGEST_LINE * 1.3
    found += cutter.feed(b"end\nlast\n")
    assert [line.text for line in found] == ["first", "", "last"]
    assert "longer than" in found[1].why
    assert found[1].end == 6 + 50 * (LONGEST_LINE // 4) + 4
    assert found[2].number == 3


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    [line] = LineCutter().feed(b"\xef\xbb\xbftime,x\r\n")
    assert line.text == "time,x"
    assert line.end == 11
