"""A stream as its description reads: each row a block for the batch engine, everybody asked after each row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sensorad import Detector
from sensorad.events import ChangeWatch, EventChange, QualityMonitor
from sensorad.streaming import StreamRow
from sensorad.types import FLAWS, REASONS, STATUSES, RowBlock, ScoreBlock

DAY = 86_400 * 10**9


@dataclass
class SlowRow:
    """What is said of one row, and the news that it brings."""

    status: str
    reason: str
    score: float
    severity: float
    sensors: list[str]
    shares: list[float]
    changes: list[EventChange]


class SlowStream:
    """Scores rows one by one; only the rule of what is too far ahead is its own."""

    def __init__(self, detector: Detector, horizon_ns: int = DAY) -> None:
        self.detector = detector
        self.engine = detector.engine()
        self.builder = detector.event_builder()
        self.quality = QualityMonitor(detector.schema_, detector.quality_limits_, detector.rule_)
        self.watch = ChangeWatch()
        self.horizon_ns = horizon_ns
        self.gap_ns = self.engine.timing.gap_seconds * 1e9
        self.names: list[str] = []
        self.newest: dict[str, int] = {}
        self.held: dict[str, list[RowBlock]] = {}

    def update(self, row: RowBlock) -> SlowRow:
        """One row, as a block of one."""
        time, name = int(row.time[0]), row.group_names[row.group[0]]
        if name not in self.names:
            self.names.append(name)
        # Machines are numbered as they come.
        row = replace(row, group=np.array([self.names.index(name)], np.int32), group_names=list(self.names))
        rows = [row]
        if time > self.newest.get(name, time) + self.horizon_ns:
            held = self.held.get(name, [])
            if time in [int(other.time[0]) for other in held]:
                return _far()
            follows = bool(held) and 0 < time - int(held[-1].time[0]) <= self.gap_ns
            self.held[name] = rows = [*held, row] if follows else [row]
            if len(rows) < 3:
                return _far()
        if time >= self.newest.get(name, time):
            self.newest[name] = time
        self.held.pop(name, None)
        changes: list[EventChange] = []
        for one in rows:
            scores = self.engine.score(one)
            changes += self._follow(one, scores)
        return self._said(scores, changes)

    def finish(self) -> list[EventChange]:
        """What closes with the end of the log."""
        return self.watch.changes([*self.builder.finish(), *self.quality.finish()], [])

    def _follow(self, row: RowBlock, scores: ScoreBlock) -> list[EventChange]:
        closed = [*self.builder.update(scores), *self.quality.update(row, scores)]
        return self.watch.changes(closed, [*self.builder.ongoing(), *self.quality.ongoing()])

    def _said(self, scores: ScoreBlock, changes: list[EventChange]) -> SlowRow:
        line = self.detector.line_
        level = line.comparable(scores.score, scores.mode, scores.mode_names)
        named = scores.top_sensors[0] >= 0
        return SlowRow(
            STATUSES[scores.status[0]],
            REASONS[scores.reason[0]],
            float(scores.score[0]),
            float(level[0] / line.threshold),
            [self.detector.schema_.names[sensor] for sensor in scores.top_sensors[0][named]],
            scores.top_shares[0][named].tolist(),
            changes,
        )


def _far() -> SlowRow:
    return SlowRow("unscorable", "far_future", np.nan, np.nan, [], [], [])


def one_by_one(block: RowBlock) -> list[RowBlock]:
    """Each row as a block of one."""
    return [block.take(slice(at, at + 1)) for at in range(len(block))]


def cells_of(block: RowBlock, at: int) -> list[float | None]:
    """The cells of a row as a plant program has them: infinite ones are infinite, missing ones None."""
    odd = {FLAWS.index("missing"): None, FLAWS.index("infinite"): -np.inf, FLAWS.index("overflow"): 1e300}
    return [odd.get(int(flaw), float(value)) for value, flaw in zip(block.values[at], block.flaw[at], strict=True)]


def assert_alike(rows: Iterable[StreamRow], others: Iterable[StreamRow]) -> None:
    """Rows say the same, up to the last digits."""
    for row, other in zip(rows, others, strict=True):
        found, expected = row.to_json(), other.to_json()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if name == "top_sensors" and len(set(expected["top_shares"])) < len(value):
                continue  # of equal shares either may come first
            assert is_close(found[name], value), (name, found, expected)


def is_close(found: object, expected: object) -> bool:
    """Equal, numbers up to their last digits."""
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(is_close, found, expected))
    if isinstance(expected, float):
        return isinstance(found, float) and abs(found - expected) <= 1e-6 * max(1.0, abs(expected))
    return found == expected
