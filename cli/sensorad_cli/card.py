"""A detector in words: what it was learned from, what it knows, what its alarm line promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensorad.detector import Detector

__all__ = ["card_json", "card_rows", "sensor_rows"]

N_NAMED = 8  # sensors named in one line before the rest is counted

LEFT_OUT = {
    "anomalous": "labelled anomalous",
    "equal_times": "with a time already seen",
    "blind": "with most sensors missing",
    "short": "in stretches shorter than a window",
}


def card_rows(detector: Detector) -> list[tuple[str, str]]:
    """Labels and values for the end of `fit` and for `inspect`."""
    card = detector.describe()
    fit = card["fit"]
    left_out = [f"{fit[name]:,} {words}" for name, words in LEFT_OUT.items() if fit[name]]
    rows = [
        ("model", f"{card['model']}, score {card['score']}, windows of {card['window_rows']} rows"),
        ("sensors", f"{len(card['sensors'])}: {_listed([row['name'] for row in card['sensors']])}"),
        ("rows", f"{fit['read']:,} read, {fit['usable_rows']:,} used{''.join(f', {text}' for text in left_out)}"),
        ("time", f"{card['step_seconds']:g} s a row, {fit['stretches']:,} stretches, {fit['gaps']:,} gaps"),
        ("missing", f"{fit['missing_cells']:,} cells" if fit["missing_cells"] else "none"),
    ]
    if card["constant_sensors"]:
        rows.append(("constant", f"{_listed(card['constant_sensors'])}: any change of these will alarm"))
    if card["unused_sensors"]:
        rows.append(("not used", f"{_listed(card['unused_sensors'])}: too few different values among many such flags"))
    rows += list(card["roles"].items())
    if training := card.get("training"):
        rows.append(("training", _training_in_words(training)))
    return [*rows, ("alarm line", detector.threshold_result_.statement())]


def card_json(detector: Detector) -> dict[str, Any]:
    """The same for machines, with everything that the words leave out."""
    result = detector.threshold_result_
    return {
        "card": detector.describe(),
        "log_format": detector.format_.to_json(),
        "threshold": result.to_json() | {"statement": result.statement()},
        "rule": detector.rule_.to_json(),
        "notes": detector.notes_,
    }


def sensor_rows(detector: Detector) -> list[tuple[str, str]]:
    """Each sensor with unit, range and kind, as far as declared."""
    rows = []
    for sensor in detector.schema_.sensors:
        low, high = ("" if bound is None else f"{bound:g}" for bound in (sensor.low, sensor.high))
        span = f"{low} to {high}" if low or high else ""
        rows.append((sensor.name, ", ".join(part for part in (sensor.unit, span, sensor.kind) if part) or "-"))
    return rows


def _training_in_words(training: dict[str, Any]) -> str:
    losses = training["validation_losses"] or training["train_losses"]
    what = "validation" if training["validation_losses"] else "training"
    kept = losses[training["best_epoch"] - 1]
    return (
        f"{training['n_parameters']:,} parameters, {training['epochs']} epochs in {sum(training['seconds']):.0f} s, "
        f"{what} loss {losses[0]:.4g} to {kept:.4g}, stopped because: {training['stopped_because']}"
    )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - N_NAMED
    return ", ".join(names[:N_NAMED]) + (f" and {rest} more" if rest > 0 else "")
