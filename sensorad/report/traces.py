"""Sensor values over time, small enough to draw: the whole log coarsely, the surroundings of each event finely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import UsageError
from sensorad.report.buckets import TimeBuckets, merge_runs
from sensorad.report.ranking import ranked_events
from sensorad.report.timeline import drawn_score
from sensorad.types import TOP_SENSORS, Event, RowBlock, ScoreBlock, SensorSchema

__all__ = ["Line", "SensorTraces", "SnippetSampler", "Snippets", "TraceSampler"]

Line = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64] | None]
"""Times in nanoseconds (P,), actual values (P,), expected values (P,) or None; NaN where unknown."""

Snippets = Mapping[str, Mapping[str, Line]]
"""Event id -> sensor name -> the sensor's line around the event."""

_REDUCERS: dict[str, np.ufunc] = {
    "start": np.minimum,
    "end": np.maximum,
    "n_rows": np.add,
    "low": np.fmin,
    "high": np.fmax,
    "sum": np.add,
    "n_usable": np.add,
}

_MAX_CELLS = 2_000_000
"""Buckets x sensors held at once: at about 32 bytes each, 64 MB whatever the length of the log."""


@dataclass(frozen=True, slots=True)
class SensorTraces:
    """Values of all ``C`` sensors of one group in ``B`` time buckets, in time order.

    Attributes
    ----------
    group : str
        Machine id; "" in a log without groups.
    schema : SensorSchema
        The sensors, in the order of the columns.
    start, end, n_rows : (B,) int64
        Times of the first and last row in the bucket (nanoseconds, UTC) and the number of its rows.
    low, high : (B, C) float32
        Lowest and highest usable value, in the sensor's unit; NaN where there is none.
    sum : (B, C) float64
        Sum of the usable values.
    n_usable : (B, C) int64
        Number of usable values.
    width : int
        Width of a bucket in nanoseconds.
    """

    group: str
    schema: SensorSchema
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    sum: NDArray[np.float64]
    n_usable: NDArray[np.int64]
    width: int

    def __len__(self) -> int:
        return len(self.start)

    @property
    def mean(self) -> NDArray[np.float64]:
        """(B, C) mean of the usable values, NaN where there is none."""
        mean = np.full(self.sum.shape, np.nan)
        np.divide(self.sum, self.n_usable, out=mean, where=self.n_usable > 0)
        return mean

    @property
    def missing_share(self) -> NDArray[np.float64]:
        """(C,) share of cells without a usable number, over the whole log."""
        share: NDArray[np.float64] = 1.0 - self.n_usable.sum(axis=0) / max(1, int(self.n_rows.sum()))
        return share

    def coarsened(self) -> SensorTraces:
        """The same traces in buckets of twice the width."""
        columns = {name: getattr(self, name) for name in _REDUCERS}
        key = self.start // (2 * self.width)
        _, _, merged = merge_runs(np.zeros(len(self), np.int64), key, columns, _REDUCERS)
        return SensorTraces(group=self.group, schema=self.schema, width=2 * self.width, **merged)


class TraceSampler:
    """Collects `SensorTraces` for each group from blocks of rows, in memory independent of their number.

    Parameters
    ----------
    schema
        The sensors of the blocks.
    n_buckets
        Most buckets for one group.

    Examples
    --------
    >>> from sensorad.types import Sensor
    >>> sampler = TraceSampler(SensorSchema((Sensor("TI-101", unit="degC"),)), n_buckets=2)
    >>> values = np.array([[70.0], [74.0], [0.0], [71.0]], np.float32)
    >>> flaw = np.array([[0], [0], [1], [0]], np.uint8)
    >>> sampler.add(RowBlock(np.arange(4), np.arange(4), values, flaw, np.zeros(4, np.int32)))
    >>> (traces,) = sampler.result()
    >>> traces.mean[:, 0].tolist(), traces.missing_share.tolist()
    ([72.0, 71.0], [0.25])
    """

    def __init__(self, schema: SensorSchema, n_buckets: int = 800) -> None:
        if n_buckets < 1:
            raise UsageError(f"a trace needs at least one bucket, got n_buckets={n_buckets}")
        self._schema = schema
        total = int(np.clip(_MAX_CELLS // max(1, len(schema)), n_buckets, 8 * n_buckets))
        self._buckets = TimeBuckets(_REDUCERS, per_group=n_buckets, total=total)
        self._group_names: Sequence[str] = ("",)

    def add(self, block: RowBlock) -> None:
        """Take one block in; blocks may overlap in time and come in any order."""
        _check_width(block, self._schema)
        self._group_names = max(self._group_names, block.group_names, key=len)
        self._buckets.add(block.time, block.group, _row_columns(block.time, block.values, block.flaw == 0))

    def result(self) -> tuple[SensorTraces, ...]:
        """The traces of each group that has rows, in the order in which the groups were met."""
        traces = []
        for group in np.unique(self._buckets.group).tolist():
            of_group = self._buckets.group == group
            columns = {name: column[of_group] for name, column in self._buckets.columns.items()}
            traces.append(
                SensorTraces(group=self._group_names[group], schema=self._schema, width=self._buckets.width, **columns)
            )
        return tuple(traces)


class SnippetSampler:
    """Collects the blamed sensors' values around each event in a second pass over the log.

    Parameters
    ----------
    schema
        The sensors of the blocks.
    events
        Events to illustrate; those without sensors of the schema get no snippet, and of each event the first
        `TOP_SENSORS` are drawn.
    row_seconds
        Usual time between two rows; the surroundings reach `context_rows` rows or the length of the event to
        each side, whichever is longer.
    n_points
        Most points of one line. Longer stretches show the lowest and highest value of each time bucket.
    n_events
        Most events to illustrate: the most severe alarms, then the longest findings about the data. Memory is
        bounded by it, and a page has room for fewer.
    line
        The alarm line, as for `TimelineSampler`.

    Examples
    --------
    >>> from sensorad.types import Sensor
    >>> schema = SensorSchema((Sensor("TI-101", unit="degC"),))
    >>> event = Event("e1", "", 5_000, 6_000, 5_000, "interval", 2.0, 4.0, 2, sensors=("TI-101",))
    >>> sampler = SnippetSampler(schema, [event], row_seconds=1e-6, context_rows=2)
    >>> values = np.arange(10, dtype=np.float32)[:, None]
    >>> flaw = np.zeros((10, 1), np.uint8)
    >>> sampler.add(RowBlock(np.arange(10), np.arange(10) * 1_000, values, flaw, np.zeros(10, np.int32)))
    >>> times, actual, expected = sampler.result()["e1"]["TI-101"]
    >>> times.tolist(), actual.tolist(), expected
    ([3000, 4000, 5000, 6000, 7000, 8000], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0], None)
    """

    def __init__(
        self,
        schema: SensorSchema,
        events: Sequence[Event],
        *,
        row_seconds: float,
        context_rows: int = 90,
        n_points: int = 300,
        n_events: int = 500,
        line: AlarmLine | None = None,
    ) -> None:
        if not row_seconds > 0:
            raise UsageError(f"row_seconds must be positive, got {row_seconds}")
        if n_points < 2:
            raise UsageError(f"a snippet needs at least two points, got n_points={n_points}")
        position = {name: i for i, name in enumerate(schema.names)}
        events = ranked_events(events)[:n_events]
        self._schema = schema
        self._line = line
        self._parts = [
            _EventPart(
                event, [position[name] for name in event.sensors if name in position][:TOP_SENSORS], n_points // 2
            )
            for event in events
        ]
        context = round(context_rows * row_seconds * 1e9)
        margin = [max(context, event.end - event.start) for event in events]
        self._from = np.array([e.start - m for e, m in zip(events, margin, strict=True)], np.int64)
        self._to = np.array([e.end + m for e, m in zip(events, margin, strict=True)], np.int64)

    def add(self, rows: RowBlock, scores: ScoreBlock | None = None) -> None:
        """Take one block in, with the scores of the same rows where expected values and scores are wanted."""
        _check_width(rows, self._schema)
        if scores is not None and len(scores) != len(rows):
            raise UsageError(f"scores of the same {len(rows)} rows were expected, got {len(scores)}")
        if len(rows) == 0:
            return
        drawn = None if scores is None else drawn_score(scores, self._line)
        touched = np.flatnonzero((self._from <= rows.time.max()) & (self._to >= rows.time.min()))
        for i in touched.tolist():
            part = self._parts[i]
            if part.event.group not in rows.group_names:
                continue
            group = list(rows.group_names).index(part.event.group)
            inside = (rows.time >= self._from[i]) & (rows.time <= self._to[i]) & (rows.group == group)
            part.add(rows, scores, drawn, np.flatnonzero(inside))

    def result(self) -> dict[str, dict[str, Line]]:
        """Event id -> sensor -> line, for every event with values."""
        return {
            part.event.event_id: part.lines(self._schema) for part in self._parts if part.sensors and len(part.buckets)
        }

    def scores(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Event id -> times (P,) and scores (P,) around the event, where scores were given."""
        return {part.event.event_id: part.score_line() for part in self._parts if part.has_scores and len(part.buckets)}


class _EventPart:
    """Rows around one event, in buckets of their own."""

    def __init__(self, event: Event, sensors: list[int], n_buckets: int) -> None:
        self.event = event
        self.sensors = sensors
        self.has_scores = False
        reducers = _REDUCERS | {
            "expected": np.add,
            "n_expected": np.add,
            "score_low": np.fmin,
            "score_high": np.fmax,
        }
        self.buckets = TimeBuckets(reducers, per_group=n_buckets, total=n_buckets)

    def add(
        self, rows: RowBlock, scores: ScoreBlock | None, drawn: NDArray[np.float64] | None, inside: NDArray[np.intp]
    ) -> None:
        values, flaw = rows.values[inside][:, self.sensors], rows.flaw[inside][:, self.sensors]
        columns = _row_columns(rows.time[inside], values, flaw == 0)
        expected = np.full((len(inside), len(self.sensors)), np.nan)
        score = np.full(len(inside), np.nan)
        if scores is not None and drawn is not None:
            self.has_scores = True
            score = drawn[inside]
            for column, sensor in enumerate(self.sensors):
                row, slot = np.nonzero(scores.top_sensors[inside] == sensor)
                expected[row, column] = scores.top_expected[inside][row, slot]
        columns |= {
            "expected": np.nan_to_num(expected),
            "n_expected": ~np.isnan(expected),
            "score_low": score,
            "score_high": score,
        }
        self.buckets.add(rows.time[inside], np.zeros(len(inside), np.int64), columns)

    def lines(self, schema: SensorSchema) -> dict[str, Line]:
        columns = self.buckets.columns
        expected = np.full(columns["expected"].shape, np.nan)
        np.divide(columns["expected"], columns["n_expected"], out=expected, where=columns["n_expected"] > 0)
        lines: dict[str, Line] = {}
        for column, sensor in enumerate(self.sensors):
            time, actual = self._both_ends(columns["low"][:, column], columns["high"][:, column])
            _, twice = self._both_ends(expected[:, column], expected[:, column])
            lines[schema.names[sensor]] = (time, actual, None if np.isnan(twice).all() else twice)
        return lines

    def score_line(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return self._both_ends(self.buckets.columns["score_low"], self.buckets.columns["score_high"])

    def _both_ends(
        self, low: NDArray[np.floating], high: NDArray[np.floating]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """A point for each bucket of one row; lowest and highest value of the others, so that no peak is lost.

        Of the two, the one nearer to the point before comes first: a ramp stays a ramp, noise does not become a saw.
        """
        is_single = self.buckets.columns["n_rows"] == 1
        time = np.stack([self.buckets.columns["start"], self.buckets.columns["end"]], axis=1)
        value = np.stack([low, high], axis=1).astype(np.float64)
        for before, pair in zip(value[:-1, 1], value[1:], strict=True):
            if abs(before - pair[1]) < abs(before - pair[0]):
                pair[:] = pair[::-1]
        keep = np.stack([np.ones(len(is_single), np.bool_), ~is_single], axis=1)
        return time[keep], value[keep]


def _row_columns(
    time: NDArray[np.int64], values: NDArray[np.float32], is_usable: NDArray[np.bool_]
) -> dict[str, NDArray[np.generic]]:
    shown = np.where(is_usable, values, np.float32(np.nan))  # (T, C)
    return {
        "start": time,
        "end": time,
        "n_rows": np.ones(len(time), np.int64),
        "low": shown,
        "high": shown,
        "sum": np.where(is_usable, values, np.float32(0)),
        "n_usable": is_usable,
    }


def _check_width(block: RowBlock, schema: SensorSchema) -> None:
    if block.values.shape[1] != len(schema):
        raise UsageError(f"a block of {len(schema)} sensors was expected, got {block.values.shape[1]}")
