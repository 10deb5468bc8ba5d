"""Any objective on images that are changed anew each time they are shown, so that no epoch sees the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.augment.image import ImageAugment
from sensorad.errors import UsageError
from sensorad.training.batches import Batch
from sensorad.training.objectives import Objective

__all__ = ["Augmented"]


@dataclass(frozen=True, slots=True)
class Augmented:
    """``base`` on augmented images; a network that is judged, not trained, sees them as they are.

    An autoencoder, whose batches have no targets of their own, has to rebuild the changed image.

    Attributes
    ----------
    base
        What the network is asked for.
    augment
        Changes of images that leave their class as it was.

    Examples
    --------
    >>> from sensorad.training.classification import Classification
    >>> objective = Augmented(Classification(), ImageAugment(shift=0.5))
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> batch, generator = Batch(torch.rand(8, 1, 4, 4), labels=torch.ones(8).long()), torch.Generator().manual_seed(0)
    >>> judged, again, trained = (
    ...     objective.loss(network.train(mode), batch, generator).item() for mode in (False, False, True)
    ... )
    >>> judged == again, judged == trained
    (True, False)
    """

    base: Objective
    augment: ImageAugment

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """As `Objective` has it."""
        if not model.training:
            return self.base.loss(model, batch, generator)
        if batch.mask is not None or batch.weight is not None:
            raise UsageError("masks and weights of pixels do not move with augmented images", where="objective")
        labels = batch.labels if self.augment.needs_labels else None
        return self.base.loss(model, replace(batch, inputs=self.augment(batch.inputs, generator, labels)), generator)

    def to_json(self) -> dict[str, Any]:
        """The base's plain values, and those of the augmentation under its name."""
        return self.base.to_json() | {"image_augment": self.augment.to_json()}
