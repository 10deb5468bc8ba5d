"""The objective of the head of exposure: which sensors are faulty, and whether any is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import UsageError
from sensorad.models.exposed import FaultNetwork
from sensorad.models.exposed_config import PULL
from sensorad.training.batches import Batch

__all__ = ["FaultDetection"]


@dataclass(frozen=True, slots=True)
class FaultDetection:
    """Two cross-entropies, of each sensor (labels (N, C), 1 = faulty) and of the oddest one of the window, and a pull.

    The first tells whose fault it is, also where its neighbours look odd because of it; the second is what alarms.

    Attributes
    ----------
    pull
        Weight of `FaultNetwork.departure`.

    Examples
    --------
    >>> batch = Batch(torch.zeros(2, 3, 4), labels=torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> round(float(FaultDetection().loss(FaultNetwork(4), batch, torch.Generator()).detach()), 2)
    2.7
    """

    pull: float = PULL
    name: ClassVar[str] = "fault_detection"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pull) and self.pull >= 0.0):
            raise UsageError(f"pull must be 0 or more, got {self.pull!r}", where="objective")

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        if batch.labels is None:
            raise UsageError("which sensors are faulty must be known", where="objective")
        if not isinstance(model, FaultNetwork):
            raise UsageError(f"a FaultNetwork expected, got {type(model).__name__}", where="objective")
        logits = model(batch.inputs)  # (N, C)
        by_sensor = functional.binary_cross_entropy_with_logits(logits, batch.labels)
        by_window = functional.binary_cross_entropy_with_logits(logits.amax(1), batch.labels.amax(1))
        return by_sensor + by_window + self.pull * model.departure()

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name} | asdict(self)
