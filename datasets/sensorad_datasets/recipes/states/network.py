"""The network that classifies states, as the configuration has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sensorad.models.backbone_classifier import BackboneClassifier
from sensorad.models.backbones import build_backbone
from sensorad.models.efficientnet_lite import EfficientNetLite0
from sensorad_datasets.recipes.states.config import StateConfig

__all__ = ["state_network"]


def state_network(
    options: StateConfig,
    n_classes: int,
    mean: Sequence[float],
    sd: Sequence[float],
    generator: torch.Generator | int,
    *,
    is_bare: bool = False,
) -> BackboneClassifier:
    """A network for these classes before its training.

    Parameters
    ----------
    mean, sd
        Of each channel of the training images.
    is_bare
        Leave published weights and weight files alone, because others follow.
    """
    backbone = build_backbone(
        options.backbone,
        generator,
        drop_path=options.drop_path,
        is_pretrained=options.is_pretrained,
        weights=options.weight_file,
        is_bare=is_bare,
    )
    if isinstance(backbone, EfficientNetLite0):
        backbone.freeze(options.n_frozen)
    return BackboneClassifier(backbone, n_classes, mean, sd, generator)
