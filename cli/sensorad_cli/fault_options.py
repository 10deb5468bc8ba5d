"""The options of `inject` that say which faults: one that is described, or some at random."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import click

from sensorad.augment.faults import FAULTS, FaultKind, fault_kind
from sensorad.errors import UsageError
from sensorad_cli.params import DURATION, names

__all__ = ["FaultOptions", "fault_options"]

DESCRIBED = ("severity", "amount", "start", "direction", "form", "period")
AT_RANDOM = ("kinds", "severity_range")
WHOLE = ("dropout", "correlation")
"""Kinds whose severity is a share, all of it where nothing is said."""


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """What the user said about faults; None or empty where nothing was said."""

    fault: str | None = None
    sensor: tuple[str, ...] = ()
    severity: float | None = None
    amount: float | None = None
    start: str | None = None
    duration: float | None = None
    direction: str | None = None
    form: str | None = None
    period: float | None = None
    random: int | None = None
    kinds: tuple[str, ...] = ()
    severity_range: str | None = None
    machine: str | None = None

    def checked(self) -> FaultOptions:
        """The same, its words understood; raises `UsageError` where they do not say which faults."""
        if (self.fault is None) == (self.random is None):
            raise UsageError("which faults?", hint="describe one with --fault, or ask for some with --random N")
        unfit = self._said(DESCRIBED) if self.random is not None else self._said(AT_RANDOM)
        if unfit:
            other = "--fault" if self.random is not None else "--random"
            raise UsageError(f"{unfit[0]} goes with {other}", hint="leave one of them out")
        if self.random is not None:
            for name in self.kinds:
                fault_kind(name)
            self.severities()
            return self
        return self._described()

    @property
    def kind(self) -> FaultKind:
        return fault_kind(self.fault or "")

    @property
    def sign(self) -> int:
        return -1 if self.direction == "down" else 1

    def severities(self) -> tuple[float, float] | None:
        """The ends of ``--severity-range``."""
        if self.severity_range is None:
            return None
        kinds = [fault_kind(name) for name in self.kinds or FAULTS]
        units = dict.fromkeys(kind.unit_of_severity for kind in kinds)
        if len(units) > 1:
            raise UsageError(
                f"--severity-range is for kinds of one unit, these count in {', '.join(units)}",
                hint="choose with --kinds, for example --kinds bias,drift",
            )
        low, sign, high = self.severity_range.partition(":")
        try:
            ends = float(low), float(high if sign else low)
        except ValueError:
            ends = (0.0, 0.0)
        if not 0 < ends[0] <= ends[1] < float("inf"):
            raise UsageError(f"--severity-range is LOW:HIGH, both positive, got {self.severity_range!r}", hint="as 1:3")
        return ends

    def _said(self, options: tuple[str, ...]) -> list[str]:
        return [f"--{name.replace('_', '-')}" for name in options if getattr(self, name) not in (None, ())]

    def _described(self) -> FaultOptions:
        """A single fault: everything there that it needs, and its direction apart from its size."""
        kind = self.kind
        if not self.sensor:
            raise UsageError(f"which sensor is to have the {kind.name}?", hint="name it with --sensor")
        if self.start is None:
            raise UsageError(f"when does the {kind.name} begin?", hint="say --start 2024-05-01T12:00Z")
        if self.duration is None and not kind.most_rows:
            raise UsageError(f"how long does the {kind.name} last?", hint="say --duration 2h")
        if self.severity is not None and self.amount is not None:
            raise UsageError("--severity and --amount say the same in two units", hint="leave one of them out")
        if self.amount is not None and not kind.in_engineering_units:
            hint = f"give --severity in its unit: {kind.unit_of_severity}"
            raise UsageError(f"{kind.name} has no amount in the sensor's unit", hint=hint)
        if self.direction is not None and not kind.is_signed:
            raise UsageError(f"{kind.name} has no direction", hint="leave out --direction")
        size = self.severity if self.amount is None else self.amount
        if size is None:
            if kind.name not in (*WHOLE, "stuck"):
                unit = "--severity, in " + kind.unit_of_severity
                raise UsageError(
                    f"how severe is the {kind.name}?",
                    hint=f"say {unit}{', or --amount in the unit of the sensor' if kind.in_engineering_units else ''}; "
                    f"usual are {kind.low:g} to {kind.high:g}",
                )
            return self if kind.name == "stuck" else replace(self, severity=1.0)
        if kind.unit_of_severity == "factor" and 0 < size < 1:  # half as fast is slower by a factor of 2
            return replace(self, severity=1.0 / size, direction="up" if self.direction == "down" else "down")
        if size < 0 and kind.name in ("bias", "drift", "spike"):
            if self.direction is not None:
                raise UsageError(f"a negative size and --direction {self.direction}", hint="say the direction once")
            if self.amount is None:
                return replace(self, direction="down", severity=-size)
            return replace(self, direction="down", amount=-size)
        return self


def fault_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``fault_options=FaultOptions(...)``.

    ``--exclude`` is left for `log_options`, which must stand below.
    """
    options = (
        click.option("--fault", metavar="KIND", help=f"One fault: {', '.join(FAULTS)}."),
        names("--sensor", help="Sensors that have it; with --random, those that may have one."),
        click.option("--severity", type=float, help="How severe, in the unit of the kind; negative is downwards."),
        click.option("--amount", type=float, help="How severe, in the unit of the sensor."),
        click.option("--start", metavar="TIME", help="First moment of the fault, as 2024-05-01T12:00Z."),
        click.option(
            "--duration", type=DURATION, metavar="DURATION", help="How long, as 2h; with --random, the longest."
        ),
        click.option("--direction", type=click.Choice(["up", "down"]), help="Where it has one.  [default: up]"),
        click.option(
            "--form",
            metavar="NAME",
            help="dropout: minimum, zero, missing; intermittent: bias, dropout; correlation: donor, swap.",
        ),
        click.option(
            "--period", type=DURATION, metavar="DURATION", help="oscillation: of one swing.  [default: random]"
        ),
        click.option("--random", type=click.IntRange(min=1), metavar="N", help="Instead: N faults at random."),
        names("--kinds", help="With --random: only these kinds."),
        click.option("--severity-range", metavar="LOW:HIGH", help="With --random: severities, kinds of one unit only."),
        names("--exclude", help="Numeric columns that are no sensors."),
        click.option("--machine", metavar="NAME", help="The machine that has the faults, where a log holds several."),
    )
    known = {entry.name for entry in fields(FaultOptions)}

    @functools.wraps(function)
    def packed(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in known & kwargs.keys()}
        return function(*args, fault_options=FaultOptions(**said), **kwargs)

    for option in reversed(options):
        packed = option(packed)
    return packed
