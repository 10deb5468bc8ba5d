"""Random faults for a log: where, what and how severe, so that no two of them touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults.fault import Fault
from sensorad.augment.faults.injection import Injected, apply_fault, checked_rows, finished
from sensorad.augment.faults.kinds import FAULTS, FaultKind, draw_severity, fault_kind
from sensorad.augment.faults.statistics import SensorStatistics
from sensorad.errors import TooLittleDataError, UsageError

__all__ = ["inject_random", "random_faults"]

ATTEMPTS = 60
"""Draws for one stretch of rows in which the fault would change nothing; from a third of them on of any kind."""


def random_faults(
    n: int,
    n_rows: int,
    n_sensors: int,
    statistics: SensorStatistics,
    generator: np.random.Generator,
    kinds: Sequence[str] = tuple(FAULTS),
    gap_rows: int = 30,
    *,
    lengths: tuple[int, int] = (10, 240),
    severities: tuple[float, float] | None = None,
    sensors: Sequence[int] | None = None,
) -> list[Fault]:
    """Faults in order of time, at one sensor each (a swap: two), at least ``gap_rows`` rows apart and from the ends.

    Kinds come equally often. Severities, and lengths within ``lengths``, are drawn evenly in their logarithm; a spike
    lasts 1 to 3 rows, and a stuck sensor is so for all of its rows. Whether a fault changes the rows that it meets
    is not known here: `inject_random` draws again where it does not.

    Parameters
    ----------
    n_rows, n_sensors
        Shape of the log.
    severities
        Lowest and highest severity instead of those of the kinds.
    sensors
        Positions of the sensors that may have a fault; None takes all that ever move.

    Raises
    ------
    TooLittleDataError
        If so many faults do not fit into so many rows.

    Examples
    --------
    >>> statistics = SensorStatistics.fit(np.random.default_rng(0).normal(size=(2000, 4)))
    >>> faults = random_faults(3, 2000, 4, statistics, np.random.default_rng(1), kinds=("bias", "drift"))
    >>> [fault.kind for fault in faults].count("bias") in (1, 2)
    True
    >>> all(one.start + one.length + 30 <= two.start for one, two in zip(faults, faults[1:]))
    True
    """
    if n_sensors != len(statistics):
        raise UsageError(f"there are {n_sensors} sensors, the statistics have {len(statistics)}")
    draw = _Draw(_kinds(kinds), lengths, severities, _sensors(sensors, statistics), generator)
    chosen = draw.balanced(n)
    sizes = np.array([draw.length(kind) for kind in chosen], np.int64)
    starts = _places(sizes, n_rows, gap_rows, generator)
    return [draw.fault(kind, int(start), int(size)) for kind, start, size in zip(chosen, starts, sizes, strict=True)]


def inject_random(
    rows: NDArray[np.floating],
    n: int,
    statistics: SensorStatistics,
    generator: np.random.Generator,
    kinds: Sequence[str] = tuple(FAULTS),
    gap_rows: int = 30,
    *,
    lengths: tuple[int, int] = (10, 240),
    severities: tuple[float, float] | None = None,
    sensors: Sequence[int] | None = None,
    resolution: NDArray[np.float64] | None = None,
    names: Sequence[str] | None = None,
) -> tuple[list[Fault], Injected]:
    """`random_faults` put into ``rows`` (T, C); a fault that would change nothing is drawn again in its place.

    Parameters as in `random_faults` and `inject`.

    Raises
    ------
    TooLittleDataError
        If so many faults do not fit into so many rows.
    UsageError
        If no fault of these kinds changes anything in some place.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(50.0, 2.0, size=(2000, 4))
    >>> faults, injected = inject_random(rows, 5, SensorStatistics.fit(rows), np.random.default_rng(1))
    >>> len(faults), bool((injected.mask == (injected.rows != rows)).all())
    (5, True)
    """
    rows = checked_rows(rows, statistics)
    plan = random_faults(
        n,
        len(rows),
        rows.shape[1],
        statistics,
        generator,
        kinds,
        gap_rows,
        lengths=lengths,
        severities=severities,
        sensors=sensors,
    )
    draw = _Draw(_kinds(kinds), lengths, severities, _sensors(sensors, statistics), generator)
    out = rows.copy()
    done = []
    for planned in plan:
        fault, kind = planned, fault_kind(planned.kind)
        for attempt in range(ATTEMPTS):
            if _changes(out, fault, statistics, generator, resolution):
                done.append(fault)
                break
            if attempt >= ATTEMPTS // 3:
                kind = draw.kinds[int(generator.integers(len(draw.kinds)))]
            fault = draw.fault(kind, planned.start, min(draw.length(kind), planned.length))
        else:
            raise UsageError(
                f"no fault of {', '.join(kinds)} changes anything",
                where=f"rows {planned.start} to {planned.start + planned.length - 1}",
                hint="allow other kinds or sensors: these have no values there, or do not move",
            )
    return done, finished(rows, out)


def _changes(
    out: NDArray[np.floating],
    fault: Fault,
    statistics: SensorStatistics,
    generator: np.random.Generator,
    resolution: NDArray[np.float64] | None,
) -> bool:
    try:
        return not apply_fault(out, fault, statistics, generator, resolution, None)
    except UsageError:  # it needs rows that there are not: a lag at the very start, a donor in a short log
        return False


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """What single faults are drawn from."""

    kinds: tuple[FaultKind, ...]
    lengths: tuple[int, int]
    severities: tuple[float, float] | None
    sensors: tuple[int, ...]
    generator: np.random.Generator

    def __post_init__(self) -> None:
        low, high = self.lengths
        if not 1 <= low <= high:
            raise UsageError(f"lengths must be two numbers of rows in ascending order, got {low} and {high}")
        if self.severities is not None and not 0 < self.severities[0] <= self.severities[1] < np.inf:
            raise UsageError(f"severities must be two positive numbers in ascending order, got {self.severities}")

    def balanced(self, n: int) -> list[FaultKind]:
        """Each kind as often as the others, in random order."""
        if n < 0:
            raise UsageError(f"the number of faults must not be negative, got {n}")
        order = self.generator.permutation(len(self.kinds))
        chosen = [self.kinds[order[place % len(order)]] for place in range(n)]
        return [chosen[place] for place in self.generator.permutation(n)]

    def length(self, kind: FaultKind) -> int:
        if kind.name == "stuck":
            low, high = self._range(kind)
            high = max(low, min(high, self.lengths[1]))
            return max(2, round(float(draw_severity(low, high, self.generator.random()))))
        if kind.most_rows:
            return int(self.generator.integers(kind.least_rows, kind.most_rows + 1))
        low, high = (max(kind.least_rows, rows) for rows in self.lengths)
        return round(float(draw_severity(low, high, self.generator.random())))

    def fault(self, kind: FaultKind, start: int, length: int) -> Fault:
        """A fault of that kind in these rows, or a few more if the kind needs them; everything else is drawn."""
        g = self.generator
        length = max(length, kind.least_rows)
        low, high = self._range(kind)
        severity = float(draw_severity(low, high, g.random()))
        if kind.name == "stuck":
            severity = float(length)
        elif kind.name == "lag":
            severity = float(max(1, min(round(severity), start)))
        elif kind.unit_of_severity == "share":
            severity = min(severity, 1.0)
        forms = kind.forms if len(self.sensors) > 1 else tuple(form for form in kind.forms if form != "swap")
        form = forms[int(g.integers(len(forms)))] if forms else ""
        n_sensors = 2 if form == "swap" else 1
        sensors = sorted(g.choice(np.array(self.sensors), n_sensors, replace=False).tolist())
        sign = -1 if kind.is_signed and g.random() < 0.5 else 1
        return Fault(kind.name, tuple(sensors), start, length, severity, sign, form)

    def _range(self, kind: FaultKind) -> tuple[float, float]:
        return self.severities or (kind.low, kind.high)


def _kinds(names: Sequence[str]) -> tuple[FaultKind, ...]:
    if not names or isinstance(names, str):
        raise UsageError(f"kinds must be one or several names, got {names!r}")
    return tuple(fault_kind(name) for name in names)


def _sensors(chosen: Sequence[int] | None, statistics: SensorStatistics) -> tuple[int, ...]:
    if chosen is None:
        chosen = np.flatnonzero(statistics.sigma > 0).tolist()
    if not chosen:
        raise UsageError(
            "there is no sensor to have a fault", hint="none of them ever moves in the rows of the statistics"
        )
    if min(chosen) < 0 or max(chosen) >= len(statistics):
        raise UsageError(f"sensors must be positions below {len(statistics)}, got {list(chosen)}")
    return tuple(chosen)


def _places(sizes: NDArray[np.int64], n_rows: int, gap_rows: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """First rows of stretches of these sizes, what is left over spread at random between them."""
    if gap_rows < 0:
        raise UsageError(f"the gap between faults must not be negative, got {gap_rows}")
    needed = int(sizes.sum()) + (len(sizes) + 1) * gap_rows
    if needed > n_rows:
        raise TooLittleDataError(
            f"{len(sizes)} faults of {int(sizes.sum()):,} rows, {gap_rows} rows apart, need {needed:,} rows, "
            f"there are {n_rows:,}",
            hint="ask for fewer or shorter ones",
        )
    cuts = np.sort(generator.integers(0, n_rows - needed + 1, size=len(sizes)))
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else np.zeros(0, np.int64)
    return np.asarray(cuts + before + (np.arange(len(sizes)) + 1) * gap_rows)
