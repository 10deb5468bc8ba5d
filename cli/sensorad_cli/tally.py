"""Counts of a scoring run that must balance, and the words for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.alarm_line import AlarmLine
from sensorad.errors import SensoradError
from sensorad.types import REASONS, STATUSES, Event, ScoreBlock

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.monitoring import StaleVerdict

__all__ = ["Tally", "event_rows", "stale_rows"]


class Tally:
    """Rows by status and reason, and alarms, over all blocks of a run.

    Parameters
    ----------
    line
        The alarm line.
    """

    def __init__(self, line: AlarmLine) -> None:
        self.line = line
        self.n_rows = 0
        self.n_alarms = 0
        self._status = np.zeros(len(STATUSES), np.int64)
        self._reason = np.zeros(len(REASONS), np.int64)

    def add(self, block: ScoreBlock) -> None:
        """Count one block."""
        self.n_rows += len(block)
        level = self.line.comparable(block.score, block.mode, block.mode_names)
        self.n_alarms += int(np.count_nonzero(level > self.line.threshold))
        self._status += np.bincount(block.status, minlength=len(STATUSES))
        self._reason += np.bincount(block.reason, minlength=len(REASONS))

    @property
    def status(self) -> dict[str, int]:
        """Rows by status, all named."""
        return dict(zip(STATUSES, self._status.tolist(), strict=True))

    @property
    def n_scored(self) -> int:
        """Rows with a score."""
        return self.status["scored"] + self.status["degraded"]

    @property
    def reason(self) -> dict[str, int]:
        """Rows by reason, those met."""
        return {name: n for name, n in zip(REASONS, self._reason.tolist(), strict=True) if name and n}

    def check(self, n_read: int | None) -> None:
        """Refuse to end a run in which a row got lost or doubled."""
        if sum(self.status.values()) != self.n_rows or n_read not in (None, self.n_rows):
            raise SensoradError(f"rows do not balance: {n_read} read, {self.n_rows} scored, by status {self.status}")

    def rows(self) -> list[tuple[str, str]]:
        """The counts in words."""
        by_status = " + ".join(f"{n:,} {name}" for name, n in self.status.items() if n) or "none"
        lines = [("rows", f"{self.n_rows:,} = {by_status}")]
        if self.reason:
            lines.append(("reasons", ", ".join(f"{name} {n:,}" for name, n in self.reason.items())))
        by_mode = f" ({len(self.line.by_mode)} modes have their own)" if self.line.by_mode else ""
        return [*lines, ("alarm rows", f"{self.n_alarms:,} above the alarm line {self.line.threshold:.4g}{by_mode}")]

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.n_rows, "status": self.status, "reasons": self.reason, "alarm_rows": self.n_alarms}


def event_rows(events: Sequence[Event], detector: Detector | None = None) -> list[tuple[str, str]]:
    """How many events of which kind, and the most severe one, in words; those about the data in a line of their own.

    The ``detector`` knows from where on it can only say "rarer than that".
    """
    alarms = [event for event in events if event.kind != "quality"]
    findings = Counter(event.reason for event in events if event.kind == "quality")
    lines = [("events", "none")]
    if alarms:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(event.kind for event in alarms).items()))
        lines = [("events", f"{len(alarms):,} ({kinds})"), ("most severe", _worst_in_words(alarms, detector))]
    if findings:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(findings.items()))
        lines.append(("data quality", f"{findings.total():,} ({reasons}), apart from the events above"))
    return lines


def stale_rows(verdict: StaleVerdict | None) -> list[tuple[str, str]]:
    """Whether the calibration still describes what was scored, in words."""
    return [] if verdict is None else [("calibration", verdict.statement())]


def _worst_in_words(events: Iterable[Event], detector: Detector | None) -> str:
    worst = max(events, key=lambda event: event.severity)
    when = np.datetime_as_string(np.datetime64(worst.peak, "ns"), unit="s")
    machine = f" on {worst.group}" if worst.group else ""
    blamed = ", ".join(f"{name} {share:.0%}" for name, share in zip(worst.sensors[:3], worst.shares, strict=False))
    rarity = "" if worst.return_days is None else f", once in {_rarity(worst.return_days, detector)} on normal data"
    return f"{worst.severity:.2f} x the alarm line at {when}Z{machine}{rarity}: {blamed or 'no sensor'}"


def _rarity(days: float, detector: Detector | None) -> str:
    from sensorad.thresholds import describe_days

    returns = None if detector is None else detector.returns_
    return describe_days(days) if returns is None else describe_days(days, returns.longest_days)
