"""The options of `fit` that ask for a detectability card, and what becomes of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sensorad.errors import DataError, UsageError, unknown_name
from sensorad_cli.files import STANDARD, claim_output, write_text
from sensorad_cli.params import names

if TYPE_CHECKING:
    from sensorad.detectability import DetectabilityCard
    from sensorad.detector import Detector
    from sensorad.logs import SortedLog
    from sensorad.types import SensorSchema
    from sensorad_cli.log_options import LogOptions
    from sensorad_cli.output import Progress

__all__ = ["CardOptions", "card_in_words", "card_of", "card_options"]

HELD_BACK = 0.2
"""Share of the log that is held back for the card where it has no log of its own."""


@dataclass(frozen=True, slots=True)
class CardOptions:
    """What the user said about a card; None or empty where nothing was said."""

    card: str | None = None
    card_figure: str | None = None
    card_log: tuple[str, ...] = ()
    card_sensors: tuple[str, ...] = ()
    card_kinds: tuple[str, ...] = ()

    @property
    def is_wanted(self) -> bool:
        return bool(self.outputs)

    @property
    def outputs(self) -> dict[str, str]:
        """Files that were asked for, by option."""
        said = {"card": self.card, "card_figure": self.card_figure}
        return {name: path for name, path in said.items() if path is not None}

    def check(self, inputs: Sequence[str], *, force: bool) -> None:
        """Refuse before the work what could not be done after it."""
        from sensorad.detectability import CardConfig

        if not self.is_wanted:
            for name in ("card_log", "card_sensors", "card_kinds"):
                if getattr(self, name):
                    option = f"--{name.replace('_', '-')}"
                    raise UsageError(f"{option} belongs to a detectability card", hint="say --card FILE.json too")
            return
        for option, path in (("--card", self.card), ("--card-figure", self.card_figure)):
            if path == STANDARD:
                raise UsageError(f"{option} writes a file", hint="name one")
            if path is not None:
                claim_output(path, force=force, inputs=[*inputs, *self.card_log], option=option)
        if self.card_kinds:
            CardConfig(kinds=self.card_kinds)

    def check_sensors(self, schema: SensorSchema) -> None:
        """Refuse sensors that the log has not."""
        for name in self.card_sensors:
            if name not in schema.names:
                raise unknown_name("sensor", name, schema.names)

    def make(
        self, detector: Detector, log: SortedLog, log_options: LogOptions, *, init: Detector | None, progress: Progress
    ) -> DetectabilityCard:
        """The card of a detector that was fitted on ``log``."""
        from sensorad.detectability import detectability_card

        chosen: dict[str, Any] = {
            "sensors": self.card_sensors or None,
            "kinds": self.card_kinds or None,
            "random_state": detector.config.random_state,
            "progress": progress,
        }
        if not self.card_log:
            return detectability_card(detector, log, held_back=HELD_BACK, init=init, **chosen)
        form = replace(log_options.log_format(detector.later_format()), sensors=None, label=log_options.label)
        return detectability_card(detector, list(self.card_log), format=form, **chosen)

    def write(self, card: DetectabilityCard, *, force: bool) -> list[str]:
        """Write the files that were asked for; their names."""
        if self.card is not None:
            write_text(Path(self.card), json.dumps(card.to_json(), indent=1, allow_nan=False) + "\n", force=force)
        if self.card_figure is not None:
            from sensorad.detectability import card_svg

            write_text(Path(self.card_figure), card_svg(card), force=force)
        return list(self.outputs.values())


def card_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``card_options=CardOptions(...)``."""
    options = (
        click.option(
            "--card", metavar="FILE.json", help="Write which faults the detector would find: by sensor and kind."
        ),
        click.option("--card-figure", metavar="FILE.svg", help="Draw the same as a heat map."),
        click.option(
            "--card-log",
            multiple=True,
            metavar="LOG",
            help="Normal log for the card, not one of LOG; repeatable.  [default: the newest 20% of LOG, and a second "
            "fit without them]",
        ),
        names("--card-sensors", help="Only these sensors.  [default: all]"),
        names("--card-kinds", help="Only these kinds of faults.  [default: all 14]"),
    )
    known = {entry.name for entry in fields(CardOptions)}

    @functools.wraps(function)
    def packed(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in known & kwargs.keys()}
        return function(*args, card_options=CardOptions(**said), **kwargs)

    for option in reversed(options):
        packed = option(packed)
    return packed


def card_in_words(card: DetectabilityCard) -> str:
    """How much was found, in one line."""
    tried = [cell for cell in card.cells if cell.state in ("found", "never")]
    n_found = sum(cell.state == "found" for cell in tried)
    base = card.baseline
    return (
        f"{n_found} of {len(tried)} pairs of sensor and kind of fault, within {base.rows} rows; without a fault "
        f"{base.share:.1%} of the places alarm"
    )


def card_of(path: str, detector: Detector | None) -> DetectabilityCard:
    """The card in a file, once it is found to be that of the detector, where one is given."""
    from sensorad.detectability import read_card

    card = read_card(path)
    if detector is not None and card.about.get("weights") != detector.weights_hash_:
        raise DataError(
            "the card is that of another detector", where=path, hint="fit with --card again, or name the other detector"
        )
    return card
