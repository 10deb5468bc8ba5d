"""What happened in a training run, kept with the detector."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["StopReason", "TrainingRecord"]

StopReason = Literal["epochs", "patience", "time_limit", "non_finite"]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Losses, times and circumstances of one training run.

    Attributes
    ----------
    train_losses : one per epoch
        Mean of the objective over the items of the epoch, taken while the weights change.
    validation_losses : one per epoch
        Mean of the objective over the validation items after the epoch; empty without a validation source.
    seconds : one per epoch
        Wall time, validation included.
    best_epoch
        Epoch whose weights were kept, counted from 1: lowest validation loss, or the last one without validation.
    stopped_because
        "epochs": all were run; "patience": validation stopped improving; "time_limit"; "non_finite": a loss or
        weight became NaN or infinite, and the weights are those of ``best_epoch``.
    n_items, n_validation_items, n_steps, n_parameters
        Counts; steps are those of the epochs listed.
    config, objective
        As JSON objects.
    fingerprint
        Fingerprint of the data, from the caller.
    note
        A sentence for people, where there is something to say.

    Examples
    --------
    >>> record = TrainingRecord((0.9, 0.5), (1.0, 0.7), (0.1, 0.1), 2, "epochs", 640, 128, 10, 474)
    >>> TrainingRecord.from_json(record.to_json()) == record
    True
    """

    train_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    seconds: tuple[float, ...]
    best_epoch: int
    stopped_because: StopReason
    n_items: int
    n_validation_items: int
    n_steps: int
    n_parameters: int
    config: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    note: str = ""

    @property
    def n_epochs(self) -> int:
        """Epochs run."""
        return len(self.train_losses)

    def to_json(self) -> dict[str, Any]:
        row = asdict(self)
        for name in ("train_losses", "validation_losses", "seconds"):
            row[name] = list(row[name])
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> TrainingRecord:
        curves = {name: tuple(row[name]) for name in ("train_losses", "validation_losses", "seconds")}
        return cls(**row | curves)
