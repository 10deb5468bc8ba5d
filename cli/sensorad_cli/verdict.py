"""Events held against known faults: which were found, whether the right sensor was blamed, what was false."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sensorad.types import Event

__all__ = ["FaultVerdict", "KnownFault", "Verdict", "judge"]

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class KnownFault:
    """A fault whose time and sensors are known; times in nanoseconds UTC, both ends included."""

    start: int
    end: int
    kind: str
    family: str
    sensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaultVerdict:
    """What became of one fault: the events that met it, and the seconds until the first."""

    fault: KnownFault
    events: tuple[Event, ...]
    delay_seconds: float | None

    @property
    def is_found(self) -> bool:
        return bool(self.events)

    @property
    def is_blamed(self) -> bool:
        """Whether a sensor to blame is among the first three of some event that found the fault."""
        return any(set(event.sensors[:3]) & set(self.fault.sensors) for event in self.events)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All faults and the false alarms of a log.

    Examples
    --------
    >>> fault = KnownFault(0, 60_000_000_000, "interval", "bias", ("TI-101",))
    >>> hit = Event("a", "", 0, 9, 5, "interval", 2.0, 4.0, 3, sensors=("TI-101",))
    >>> miss = Event("b", "", 10**15, 10**15, 10**15, "point", 2.0, 4.0, 1)
    >>> verdict = judge([hit, miss], [fault], days=2.0)
    >>> verdict.n_found, verdict.n_blamed, len(verdict.false_alarms), verdict.false_per_day
    (1, 1, 1, 0.5)
    """

    faults: tuple[FaultVerdict, ...]
    false_alarms: tuple[Event, ...]
    days: float

    @property
    def n_found(self) -> int:
        return sum(fault.is_found for fault in self.faults)

    @property
    def n_blamed(self) -> int:
        return sum(fault.is_blamed for fault in self.faults)

    @property
    def false_per_day(self) -> float:
        return len(self.false_alarms) / self.days

    @property
    def missed(self) -> tuple[KnownFault, ...]:
        return tuple(verdict.fault for verdict in self.faults if not verdict.is_found)


def judge(
    events: Sequence[Event],
    faults: Sequence[KnownFault],
    *,
    days: float,
    echo_seconds: float = 0.0,
    settling_seconds: float = 3_600.0,
) -> Verdict:
    """Match events with faults by overlap in time.

    Parameters
    ----------
    days
        Length of the log outside the faults: what false alarms are counted against.
    echo_seconds
        A fault counts as found up to this long after its end: the window that still holds it.
    settling_seconds
        An event this soon after a fault is not false: the plant is still returning to normal.
    """
    verdicts = []
    for fault in faults:
        met = tuple(_overlapping(events, fault, echo_seconds))
        first = min((event.start for event in met), default=None)
        delay = None if first is None else max(0.0, (first - fault.start) / 1e9)
        verdicts.append(FaultVerdict(fault, met, delay))
    explained = {event.event_id for fault in faults for event in _overlapping(events, fault, settling_seconds)}
    false_alarms = tuple(event for event in events if event.event_id not in explained)
    return Verdict(tuple(verdicts), false_alarms, days)


def _overlapping(events: Sequence[Event], fault: KnownFault, after_seconds: float) -> Iterator[Event]:
    last = fault.end + round(after_seconds * 1e9)
    return (event for event in events if event.start <= last and event.end >= fault.start)
