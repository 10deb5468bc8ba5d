"""Any objective on windows that were augmented, mixed and exposed to faults before, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.augment.mixup import MixupConfig
from sensorad.augment.sensor import Augment
from sensorad.training.batches import Batch
from sensorad.training.exposure import Exposure
from sensorad.training.objectives import Objective
from sensorad.training.transforms import augmented, batch_draws, mixed

__all__ = ["Composed", "composed"]


@dataclass(frozen=True, slots=True)
class Composed:
    """augment -> mixup -> exposure -> base, each optional; a network that is judged, not trained, sees the base alone.

    So validation losses are those of real windows, whatever is done to the others, and can be compared.

    Attributes
    ----------
    base
        What the network is asked for in the end.
    augment
        Changes of windows that leave them normal.
    mixup
        Mixtures of windows with others of the same operating mode, where the batch has these as labels.
    exposure
        What is done with faulty windows.

    Examples
    --------
    >>> from sensorad.augment import augment_from_names
    >>> from sensorad.training.objectives import Reconstruction
    >>> objective = Composed(Reconstruction(), augment=augment_from_names(["jitter"]), mixup=MixupConfig(alpha=0.2))
    >>> batch, generator = Batch(torch.ones(8, 10, 2)), torch.Generator().manual_seed(0)
    >>> network = nn.Threshold(5.0, 0.0)
    >>> judged, trained = (float(objective.loss(network.train(mode), batch, generator)) for mode in (False, True))
    >>> judged, trained == judged
    (1.0, False)
    """

    base: Objective
    augment: Augment | None = None
    mixup: MixupConfig | None = None
    exposure: Exposure | None = None

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """As `Objective` has it; one number is drawn from ``generator`` for all that is done to a batch."""
        if not model.training:
            return self.base.loss(model, batch, generator)
        draws = batch_draws(generator)
        if self.augment is not None:
            batch = augmented(batch, self.augment, draws)
        if self.mixup is not None:
            batch = mixed(batch, self.mixup, draws)
        if self.exposure is not None:
            return self.exposure.loss(model, self.base, batch, draws, generator)
        return self.base.loss(model, batch, generator)

    def to_json(self) -> dict[str, Any]:
        """The base's plain values, and those of what is done before under its name."""
        parts = {"augment": self.augment, "mixup": self.mixup, "exposure": self.exposure}
        return self.base.to_json() | {name: part.to_json() for name, part in parts.items() if part is not None}


def composed(
    base: Objective,
    augment: Augment | None = None,
    mixup: MixupConfig | None = None,
    exposure: Exposure | None = None,
) -> Objective:
    """``base`` itself where nothing is to be done before, mixup with alpha 0 included: the very same training.

    Examples
    --------
    >>> from sensorad.training.objectives import Reconstruction
    >>> composed(Reconstruction(), mixup=MixupConfig(alpha=0.0))
    Reconstruction()
    """
    mixup = None if mixup is None or mixup.alpha == 0.0 else mixup
    if augment is None and mixup is None and exposure is None:
        return base
    return Composed(base, augment, mixup, exposure)
