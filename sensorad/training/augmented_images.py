"""Any objective on images that are turned, shifted and mirrored on their way into the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.augment.image import ImageAugment
from sensorad.training.batches import Batch
from sensorad.training.objectives import Objective

__all__ = ["AugmentedImages"]


@dataclass(frozen=True, slots=True)
class AugmentedImages:
    """augment -> base; a network that is judged, not trained, sees the images as they are.

    Attributes
    ----------
    base
        What the network is asked for.
    augment
        Changes that leave an image in its class. Classes that must not be mirrored are known by the batch's labels.

    Examples
    --------
    >>> from sensorad.training.classification import Classification
    >>> objective = AugmentedImages(Classification(), ImageAugment(rotation=0.0, shift=0.0, flip=1.0))
    >>> batch = Batch(torch.tensor([[[[9.0, 0.0]]]]), labels=torch.tensor([0]))
    >>> network, generator = nn.Flatten(), torch.Generator()
    >>> [round(float(objective.loss(network.train(mode), batch, generator)), 3) for mode in (False, True)]
    [0.0, 9.0]
    """

    base: Objective
    augment: ImageAugment

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """As `Objective` has it."""
        if model.training:
            batch = replace(batch, inputs=self.augment(batch.inputs, generator, batch.labels))
        return self.base.loss(model, batch, generator)

    def to_json(self) -> dict[str, Any]:
        """The base's plain values, and the augmentation's under its name."""
        return self.base.to_json() | {"augment": self.augment.to_json()}
