"""Times of every type to UTC nanoseconds, or an error that names the row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import TimeError
from sensorad.logs import LogFormat
from sensorad.logs.failures import Place
from sensorad.logs.times import evenly_spaced, times_of

HERE = Place("log.parquet", first_row=10)
NOON = 1_717_243_200_000_000_000  # 2024-06-01 12:00 UTC
UTC_FORM = LogFormat(time_zone="UTC")
BERLIN = LogFormat(time_zone="Europe/Berlin")
PLAIN = LogFormat()


def ns_of(stamp: datetime) -> int:
    return (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


def read(array: pa.Array, form: LogFormat = PLAIN) -> list[int]:
    times = times_of(array, form, "t", HERE)
    assert times.dtype == np.int64
    return [int(time) for time in times]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_all_resolutions_of_pandas_and_arrow(unit: Literal["s", "ms", "us", "ns"]) -> None:
    aware = pd.Series(pd.to_datetime(["2024-06-01 12:00"], utc=True)).dt.as_unit(unit)
    naive = pd.Series(pd.to_datetime(["2024-06-01 12:00"])).dt.as_unit(unit)
    assert read(pa.Array.from_pandas(aware)) == [NOON]
    assert read(pa.Array.from_pandas(naive), UTC_FORM) == [NOON]
    local = pa.Array.from_pandas(aware.dt.tz_convert("America/New_York"))
    assert read(local) == [NOON]


@pytest.mark.parametrize(
    "word",
    [
        "2024-06-01T12:00:00Z",
        "2024-06-01 12:00Z",
        "2024-06-01T14:00:00+02:00",
        "2024-06-01 14:00:00+0200",
        " 2024-06-01T14:00:00.000000000+02 ",
        "2024-06-01T06:30-05:30",
    ],
)
def test_iso_text_with_offset(word: str) -> None:
    assert read(pa.array([word])) == [NOON]
    assert read(pa.array([word]).dictionary_encode()) == [NOON]
    assert read(pa.array([word], pa.string_view())) == [NOON]


@pytest.mark.parametrize("word", ["2024-06-01T12:00", "2024-06-01 12:00:00", "2024-06-01 12:00:00.000"])
def test_iso_text_without_offset_takes_the_declared_zone(word: str) -> None:
    assert read(pa.array([word]), UTC_FORM) == [NOON]
    assert read(pa.array([word]), BERLIN) == [NOON - 2 * 3600 * 10**9]
    assert read(pa.array([word]), LogFormat(time_zone="-05:30")) == [NOON + 19_800 * 10**9]


def test_dates_are_midnights() -> None:
    assert read(pa.array([date(2024, 6, 1)]), UTC_FORM) == [NOON - 12 * 3600 * 10**9]
    assert read(pa.array(["2024-06-01"]), UTC_FORM) == [NOON - 12 * 3600 * 10**9]


@pytest.mark.parametrize("array", [pa.array([1], pa.timestamp("us")), pa.array(["2024-06-01 12:00"])])
def test_naive_without_zone_is_refused(array: pa.Array) -> None:
    with pytest.raises(TimeError, match="--time-zone UTC"):
        read(array)


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2100, 12, 30)),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
@settings(deadline=None)
def test_local_times_agree_with_zoneinfo_or_are_refused(local: datetime, zone: str) -> None:
    first, second = (ns_of(local.replace(tzinfo=ZoneInfo(zone), fold=fold)) for fold in (0, 1))
    array = pa.array([local], pa.timestamp("us"))
    if first == second:
        assert read(array, LogFormat(time_zone=zone)) == [first]
    else:
        with pytest.raises(TimeError):
            read(array, LogFormat(time_zone=zone))


@pytest.mark.parametrize(("word", "fault"), [("2024-10-27 02:30", "ambiguous"), ("2024-03-31 02:30", "does not exist")])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_changes_of_clocks_name_the_row(word: str, fault: str, unit: str) -> None:
    array = pa.array(["2024-06-01 12:00", word]).cast(pa.timestamp(unit))
    with pytest.raises(TimeError, match=fault) as caught:
        read(array, BERLIN)
    assert "row 11" in str(caught.value)
    assert "Europe/Berlin" in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "ticks"),
    [("s", NOON // 10**9), ("ms", NOON // 10**6), ("us", NOON // 10**3), ("ns", NOON), ("min", NOON // 60 // 10**9)],
)
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.float64(), pa.string()])
def test_numbers_with_a_unit(unit: Any, ticks: int, kind: pa.DataType) -> None:
    array = pa.array([ticks]).cast(kind, safe=False)
    [got] = read(array, LogFormat(time_unit=unit))
    assert abs(got - NOON) <= (1_000 if kind == pa.float64() and unit == "ns" else 0)


def test_numbers_count_from_the_origin() -> None:
    form = LogFormat(time_unit="min", time_origin="2024-06-01T14:00", time_zone="Europe/Berlin")
    assert read(pa.array([0, 3], pa.int32()), form) == [NOON, NOON + 180 * 10**9]
    assert read(pa.array([-1], pa.int8()), form) == [NOON - 60 * 10**9]


def test_float_seconds_are_rounded_to_the_microsecond() -> None:
    form = LogFormat(time_unit="s")
    assert read(pa.array([1_717_243_200.1, 1_717_243_200.000001]), form) == [NOON + 10**8, NOON + 1_000]


@pytest.mark.parametrize("array", [pa.array([1_717_243_200]), pa.array([1.5e9]), pa.array(["1717243200"])])
def test_numbers_without_a_unit_are_refused(array: pa.Array) -> None:
    with pytest.raises(TimeError, match="--time-unit"):
        read(array)


@pytest.mark.parametrize(
    ("array", "form"),
    [
        (pa.array([NOON // 1_000, 946_684_799_999_999], pa.timestamp("us", "UTC")), UTC_FORM),
        (pa.array([NOON, 0], pa.timestamp("ns")), BERLIN),
        (pa.array([NOON // 10**9, 2**62], pa.timestamp("s", "UTC")), UTC_FORM),
        (pa.array([NOON // 10**9, 4_133_980_800]), LogFormat(time_unit="s")),
        (pa.array([476_000, 2**63], pa.uint64()), LogFormat(time_unit="h")),
        (pa.array([NOON / 1e9, float("nan")]), LogFormat(time_unit="s")),
        (pa.array([NOON / 1e9, float("inf")]), LogFormat(time_unit="s")),
        (pa.array(["2024-06-01", "1999-12-31"]), UTC_FORM),
        (pa.array(["2024-06-01", "2999-12-31"]), UTC_FORM),
        (pa.array(["2024-06-01", "0001-01-01"]), UTC_FORM),
    ],
)
def test_years_outside_2000_2100_are_refused_with_the_row(array: pa.Array, form: LogFormat) -> None:
    with pytest.raises(TimeError, match="outside 2000-2100") as caught:
        read(array, form)
    assert "log.parquet, column 't', row 11" in str(caught.value)


def test_the_bounds_themselves() -> None:
    edges = ["2000-01-01T00:00:00Z", "2100-12-31T23:59:59Z"]
    assert read(pa.array(edges)) == [ns_of(datetime.fromisoformat(edge)) for edge in edges]
    for edge in ("1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z"):
        with pytest.raises(TimeError, match="outside"):
            read(pa.array([edge]))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([NOON, None], pa.timestamp("ns", "UTC")),
        pa.array([NOON, None]),
        pa.array(["2024-06-01T12:00Z", None]),
        pa.array(["2024-06-01T12:00Z", ""]),
        pa.array(["2024-06-01T12:00Z", "NaN"]),
        pa.array(["2024-06-01T12:00Z", " "]),
    ],
)
def test_missing_times_are_refused_with_the_row(array: pa.Array) -> None:
    with pytest.raises(TimeError, match=r"time is missing.*row 11"):
        read(array, LogFormat(time_unit="ns") if pa.types.is_integer(array.type) else UTC_FORM)


def test_column_of_nulls_is_refused() -> None:
    with pytest.raises(TimeError, match="time is missing"):
        read(pa.nulls(2))


@pytest.mark.parametrize("word", ["31.12.2024 10:00", "12/31/2024", "noon", "2024-13-01", "2024-06-01T25:00Z"])
def test_unreadable_text_is_an_error_with_sample_and_row(word: str) -> None:
    good = "2024-06-01T12:00Z" if word.endswith("Z") else "2024-06-01T12:00"
    with pytest.raises(TimeError) as caught:
        read(pa.array([good, word]), UTC_FORM)
    assert repr(word) in str(caught.value)
    assert "row 11" in str(caught.value)


def test_mixed_offsets_are_refused() -> None:
    with pytest.raises(TimeError, match="some times carry an offset"):
        read(pa.array(["2024-06-01T12:00Z", "2024-06-01T12:00"]), UTC_FORM)


@pytest.mark.parametrize("array", [pa.array([True]), pa.array([1], pa.duration("s")), pa.array([1], pa.time32("s"))])
def test_types_that_are_no_times_are_refused(array: pa.Array) -> None:
    with pytest.raises(TimeError, match="expected times"):
        read(array, UTC_FORM)


def test_origin_with_time_stamps_is_refused() -> None:
    with pytest.raises(TimeError, match="--time-origin"):
        read(pa.array([NOON], pa.timestamp("ns", "UTC")), LogFormat(time_origin="2024-01-01T00:00Z"))


def test_empty_columns_give_no_times() -> None:
    for array in (pa.nulls(0), pa.array([], pa.string()), pa.array([], pa.timestamp("s", "UTC"))):
        assert read(array) == []


def test_even_steps_do_not_drift() -> None:
    form = LogFormat(time_step_seconds=1 / 48_000, time_origin="2024-06-01T12:00Z")
    rows = np.array([0, 1, 48_000, 48_000 * 3600])
    times = evenly_spaced(rows, form)
    assert times[0] == NOON
    assert np.abs(times - NOON - rows * (10**9 / 48_000)).max() < 2


def test_even_steps_start_in_2000_and_end_before_2101() -> None:
    form = LogFormat(time_step_seconds=3600.0)
    assert evenly_spaced(np.array([0]), form).tolist() == [ns_of(datetime(2000, 1, 1, tzinfo=UTC))]
    with pytest.raises(TimeError, match="--time-step"):
        evenly_spaced(np.array([24 * 366 * 101]), form)
