"""How a network is trained, as plain values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from sensorad.errors import UsageError

__all__ = ["OptimiserName", "PrecisionName", "SchedulerName", "TrainConfig"]

OptimiserName = Literal["adam", "adamw", "sgd", "adadelta", "radam"]
SchedulerName = Literal["none", "cosine", "one_cycle", "plateau"]
PrecisionName = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a training run except data, network, objective and seed.

    Attributes
    ----------
    epochs
        Passes over the training items at most.
    batch_size
        Items per step; the last, shorter batch of an epoch is used like any other.
    optimiser, learning_rate, weight_decay
        ``learning_rate`` is the highest one of the schedule.
    scheduler
        "none"; "cosine": falls to 0 over all epochs; "one_cycle": rises over the first 30 % of all steps from
        1/25 of the rate, then falls to 0; "plateau": halved when the judged loss has not improved for
        ``plateau_patience`` epochs.
    patience
        Epochs without improvement of the validation loss before training stops; None: never. Without a
        validation source nothing can be judged, and training runs to its end.
    min_delta
        A loss must fall by more than this to count as an improvement.
    gradient_clip
        Largest norm of all gradients together; None: no limit.
    precision
        "bfloat16" runs matrix products in bfloat16, weights and losses stay float32. Twice as fast for an LSTM on
        CPUs that have it, slower for a small Transformer.
    time_limit_seconds
        Training stops after the step in which this much time has passed, counted over all resumed parts.
    checkpoint_every_seconds
        A checkpoint is written at the first end of an epoch after this much time; 0: at every end.

    Raises
    ------
    UsageError
        If a value is out of range or a name unknown.

    Examples
    --------
    >>> config = TrainConfig(epochs=5, scheduler="cosine")
    >>> TrainConfig.from_json(config.to_json()) == config
    True
    """

    epochs: int = 12
    batch_size: int = 64
    optimiser: OptimiserName = "adam"
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    scheduler: SchedulerName = "one_cycle"
    plateau_patience: int = 3
    patience: int | None = 5
    min_delta: float = 0.0
    gradient_clip: float | None = 1.0
    precision: PrecisionName = "float32"
    time_limit_seconds: float | None = None
    checkpoint_every_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimiser", OptimiserName),
            ("scheduler", SchedulerName),
            ("precision", PrecisionName),
        ):
            if getattr(self, name) not in get_args(allowed):
                self._refuse(name, f"one of {', '.join(get_args(allowed))}")
        for name in ("epochs", "batch_size", "plateau_patience", "patience"):
            value = getattr(self, name)
            if value is None and name == "patience":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                self._refuse(name, "a whole number above 0")
        for name in ("learning_rate", "gradient_clip", "time_limit_seconds"):
            value = getattr(self, name)
            if value is None and name != "learning_rate":
                continue
            if not (math.isfinite(value) and value > 0.0):
                self._refuse(name, "a finite number above 0")
        for name in ("weight_decay", "min_delta", "checkpoint_every_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                self._refuse(name, "a finite number, 0 or more")

    def _refuse(self, name: str, expected: str) -> None:
        raise UsageError(f"{name} must be {expected}, got {getattr(self, name)!r}", where="training configuration")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> TrainConfig:
        if unknown := row.keys() - {field.name for field in fields(cls)}:
            raise UsageError(f"unknown options: {', '.join(sorted(unknown))}", where="training configuration")
        return cls(**row)
