"""Plan faults for a simulated log: how many, which, where, how bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

from .plant_faults import FAULT_FAMILIES, Fault, FaultFamily
from .plant_schedule import MODES, nominal_modes

if TYPE_CHECKING:
    from .plant import PlantConfig

__all__ = ["plan_faults"]

_LEAD_HOURS = 12.0  # no fault in the first hours: detectors need a run-in
_TRIES = 200


def plan_faults(
    config: PlantConfig,
    generator: np.random.Generator,
    n_faults: int,
    *,
    point_share: float = 0.25,
    gap_hours: float = 6.0,
) -> tuple[Fault, ...]:
    """Draw ``n_faults`` faults, at least ``gap_hours`` apart, every family about equally often.

    Severities are drawn so that an attentive engineer would call each fault clearly abnormal. Intervals are placed
    where they show: at most a third of the time in standby, where an idle plant hides many faults, and a stuck
    sensor across a change of mode, since a frozen reading is right for as long as the truth stands still.

    Parameters
    ----------
    config
        The log to be spoiled.
    generator
        Source of all draws.
    n_faults
        How many; with ten or more and the default share, at least two are points and eight are intervals.
    point_share
        Share of point faults (spikes).
    gap_hours
        Least time between the end of one fault and the start of the next.

    Raises
    ------
    UsageError
        Where the log is too short for that many; the message says how many days are needed.

    Examples
    --------
    >>> from sensorad_datasets import PlantConfig
    >>> faults = plan_faults(PlantConfig(days=28), np.random.default_rng(0), n_faults=20)
    >>> sum(fault.kind == "point" for fault in faults)
    5
    """
    if n_faults < 0 or not 0.0 <= point_share <= 1.0 or gap_hours < 0.0:
        raise UsageError(f"n_faults {n_faults}, point_share {point_share} or gap_hours {gap_hours} is out of range")
    families = _draw_families(generator, n_faults, point_share)
    lengths = [_draw_length(generator, family, config.step_seconds) for family in families]
    per_hour = 3600.0 / config.step_seconds
    gap, lead = round(gap_hours * per_hour), round(_LEAD_HOURS * per_hour)
    slack = config.n_rows - lead - sum(lengths) - gap * n_faults
    if n_faults and slack < 0:
        days = (config.n_rows - slack) / per_hour / 24.0
        raise UsageError(
            f"{n_faults} faults do not fit into {config.days:g} days",
            hint=f"about {np.ceil(days * 1.1):.0f} days are needed, or fewer faults",
        )
    modes = nominal_modes(config.start_time, config.n_rows, config.step_seconds)

    faults = []
    earliest = lead
    for number, (family, length) in enumerate(zip(families, lengths, strict=True)):
        # Twice the even share of the slack, on average: spreads the faults without a pattern.
        room = min(slack, round(2.0 * slack / (n_faults - number)))
        start = _draw_start(generator, family, modes, earliest, room, length)
        slack -= start - earliest
        faults.append(_draw_fault(generator, family, start, length))
        earliest = start + length + gap
    return tuple(faults)


def _draw_families(generator: np.random.Generator, n_faults: int, point_share: float) -> list[FaultFamily]:
    """Points and intervals in the wanted share, families in shuffled rounds so that all take part equally."""
    n_points = round(n_faults * point_share)
    chosen: list[FaultFamily] = []
    for kind, count in (("point", n_points), ("interval", n_faults - n_points)):
        pool = [family for family in FAULT_FAMILIES.values() if family.kind == kind]
        rounds = [pool[i] for _ in range(count // len(pool) + 1) for i in generator.permutation(len(pool))]
        chosen += rounds[:count]
    return [chosen[i] for i in generator.permutation(n_faults)]


def _draw_length(generator: np.random.Generator, family: FaultFamily, step_seconds: int) -> int:
    """Rows of a fault: 1 to 3 for a point, log-uniform within the family's hours for an interval."""
    if family.kind == "point":
        return int(generator.integers(1, 4))
    low, high = np.log(family.hours)
    return max(4, round(float(np.exp(generator.uniform(low, high))) * 3600.0 / step_seconds))


def _draw_start(
    generator: np.random.Generator, family: FaultFamily, modes: NDArray[np.int8], earliest: int, room: int, length: int
) -> int:
    """A first row in [earliest, earliest + room] at which the fault shows; the best of many draws if none does."""
    best, best_share = earliest, -1.0
    for _ in range(_TRIES):
        start = earliest + int(generator.integers(0, room + 1))
        share = _visible_share(family, modes[start : start + length])
        if share >= 1.0:
            return start
        if share > best_share:
            best, best_share = start, share
    return best


def _visible_share(family: FaultFamily, modes: NDArray[np.int8]) -> float:
    """How well a fault shows in these planned modes: 1 = well enough."""
    if family.kind == "point":
        return 1.0
    if family.name == "stuck":  # wrong only once the truth has moved on
        return float((modes != modes[0]).mean() * 2.0)
    return float((modes != MODES.index("standby")).mean() * 1.5)


def _draw_fault(generator: np.random.Generator, family: FaultFamily, start: int, length: int) -> Fault:
    sensor = None if family.process else str(generator.choice(family.sensors))
    severity = float(generator.uniform(family.low, family.high))
    if not family.process and family.name not in {"noise", "stuck"} and generator.random() < 0.5:
        severity = -severity
    return Fault(family.name, start, length, severity, sensor, int(generator.integers(2**31)))
