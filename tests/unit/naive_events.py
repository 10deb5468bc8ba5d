"""Slow, obvious twin of the event builder, and blocks of scores made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from sensorad.alarm_line import AlarmLine
from sensorad.events import EventRule, event_id
from sensorad.types import REASONS, STATUSES, TOP_SENSORS, Event, RowBlock, ScoreBlock

SECOND = 10**9


def make_block(
    score: Sequence[float],
    *,
    seconds: Sequence[float] | None = None,
    group: Sequence[int] | None = None,
    group_names: Sequence[str] = ("",),
    surprise: Sequence[float] | None = None,
    status: Sequence[int] | None = None,
    start: int = 0,
    mode: Sequence[int] | None = None,
    mode_names: Sequence[str] = (),
) -> ScoreBlock:
    """Scores one second apart unless told otherwise, nobody blamed."""
    n_rows = len(score)
    rows = RowBlock(
        index=np.arange(start, start + n_rows),
        time=np.asarray([round((start + i) * SECOND) for i in range(n_rows)])
        if seconds is None
        else np.asarray([round(s * SECOND) for s in seconds], np.int64),
        values=np.zeros((n_rows, 1), np.float32),
        flaw=np.zeros((n_rows, 1), np.uint8),
        group=np.zeros(n_rows, np.int32) if group is None else np.asarray(group, np.int32),
        group_names=group_names,
        mode=None if mode is None else np.asarray(mode, np.int32),
        mode_names=mode_names,
    )
    block = ScoreBlock.empty_for(rows)
    block.score[:] = score
    block.status[:] = 0 if status is None else status
    block.row_surprise[:] = 0 if surprise is None else surprise
    return block


def cut(block: ScoreBlock, cuts: Sequence[int]) -> list[ScoreBlock]:
    """The same rows in several blocks."""
    bounds = [0, *sorted(set(cuts)), len(block)]
    return [block.take(slice(low, high)) for low, high in pairwise(bounds)]


def naive_events(
    block: ScoreBlock,
    names: Sequence[str],
    line: float | AlarmLine,
    rule: EventRule,
    return_days: Callable[[float], float | None] | None = None,
) -> list[Event]:
    """Every event of the rows, one row after another, by start time and machine."""
    line = line if isinstance(line, AlarmLine) else AlarmLine(line)
    events: list[Event] = []
    for machine, name in enumerate(block.group_names):
        rows = [
            i
            for i in range(len(block))
            if block.group[i] == machine
            and STATUSES[block.status[i]] not in ("duplicate", "late")
            and REASONS[block.reason[i]] != "out_of_order"
        ]
        events += [
            _event(block, rows, members, name, names, line, rule, return_days)
            for members in _members(block, rows, line, rule)
            if sum(block.score[rows[n]] > line_of(block, rows[n], line) for n, _ in members) >= rule.min_rows
        ]
    return sorted(events, key=lambda event: (event.start, event.group))


def line_of(block: ScoreBlock, row: int, line: AlarmLine) -> float:
    """The alarm line of one row."""
    if block.mode is None:
        return line.threshold
    return line.by_mode.get(block.mode_names[block.mode[row]], line.threshold)


def _members(block: ScoreBlock, rows: list[int], line: AlarmLine, rule: EventRule) -> list[list[tuple[int, int]]]:
    """(number among the machine's rows, position) of the rows of each event."""
    found: list[list[tuple[int, int]]] = []
    is_open = is_running = False
    position = last = n_above = 0
    barred = -1  # last position on which no event opens
    for number, row in enumerate(rows):
        if number:
            moved = 1
            if rule.step_seconds is not None:
                elapsed = int(block.time[row]) - int(block.time[rows[number - 1]])
                moved = max(1, round(elapsed / (rule.step_seconds * 1e9)))
            position += moved
        if is_open and position - last - 1 > rule.merge_gap_rows:
            is_open = is_running = False
            if n_above >= rule.min_rows:
                barred = last + rule.refractory_rows
        score, threshold = float(block.score[row]), line_of(block, row, line)
        if math.isnan(score):
            continue
        if score > threshold and (is_open or position > barred):
            if not is_open:
                found.append([])
                n_above = 0
            is_open = is_running = True
            n_above += 1
        elif score < rule.release * threshold:
            is_running = False
        if is_running:
            found[-1].append((number, position))
            last = position
    return found


def naive_kind(at: list[int], surprising: list[int], rule: EventRule) -> str:
    """The stated rule, from the positions of an event's rows and of those that are abnormal in themselves."""
    if not surprising:
        return "interval"
    if surprising[-1] - surprising[0] >= rule.point_rows + rule.echo_rows:
        return "interval"
    if surprising[0] - at[0] > rule.point_rows:
        return "interval"
    if at[-1] - at[0] >= rule.point_rows + rule.window_rows:
        return "interval"
    return "point"


def naive_onset(block: ScoreBlock, where: list[int], sensor: int) -> int:
    """Time of the first row that gives the sensor a fifth of the blame, or lists it at all if none does."""
    for least in (0.2, 0.0):
        for row in where:
            for k in range(TOP_SENSORS):
                if block.top_sensors[row, k] == sensor and float(block.top_shares[row, k]) >= least:
                    return int(block.time[row])
    raise AssertionError(f"sensor {sensor} is in no row")


def _event(
    block: ScoreBlock,
    rows: list[int],
    members: list[tuple[int, int]],
    group: str,
    names: Sequence[str],
    line: AlarmLine,
    rule: EventRule,
    return_days: Callable[[float], float | None] | None,
) -> Event:
    numbers = [number for number, _ in members]
    at = [position for _, position in members]
    where = [rows[number] for number in numbers]
    level = {row: float(block.score[row]) * (line.threshold / line_of(block, row, line)) for row in where}
    peak = where[0]
    for row in where:
        if level[row] > level[peak]:
            peak = row
    surprising = [p for row, p in zip(where, at, strict=True) if block.row_surprise[row] >= rule.surprise_level]
    blame: dict[int, float] = {}
    best: dict[int, tuple[float, float, float]] = {}
    weight = 0.0
    for row in where:
        listed = [k for k in range(TOP_SENSORS) if block.top_sensors[row, k] >= 0]
        for k in listed:
            sensor = int(block.top_sensors[row, k])
            blame[sensor] = blame.get(sensor, 0.0) + float(block.top_shares[row, k]) * level[row]
            if sensor not in best or level[row] > best[sensor][0]:
                best[sensor] = level[row], float(block.top_expected[row, k]), float(block.top_actual[row, k])
        if listed:
            weight += level[row]
    top = sorted((sensor for sensor in blame if blame[sensor] > 0), key=lambda sensor: (-blame[sensor], sensor))
    top = top[:TOP_SENSORS]
    total = max(weight, float(np.sum([blame[sensor] for sensor in top])))
    start = int(block.time[where[0]])
    return Event(
        event_id=event_id(group, start, names),
        group=group,
        start=start,
        end=int(block.time[where[-1]]),
        peak=int(block.time[peak]),
        kind=naive_kind(at, surprising, rule),
        severity=level[peak] / line.threshold,
        score=float(block.score[peak]),
        n_rows=numbers[-1] - numbers[0] + 1,
        sensors=tuple(names[sensor] for sensor in top),
        shares=tuple(blame[sensor] / total for sensor in top),
        expected=tuple(best[sensor][1] for sensor in top),
        actual=tuple(best[sensor][2] for sensor in top),
        return_days=None if return_days is None else return_days(level[peak]),
        onsets=tuple(naive_onset(block, where, sensor) for sensor in top),
    )
