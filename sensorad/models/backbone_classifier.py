"""A classifier on a backbone, with the statistics of the training images inside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.weights import bare, initialise

__all__ = ["BackboneClassifier"]

SMALLEST_SD = 1e-3
"""A channel that hardly varies is not blown up to noise."""


class BackboneClassifier(nn.Module):
    """Logits (N, K) of images (N, 3, H, W) in [0, 1]: each channel standardised, the backbone, one linear layer.

    Mean and standard deviation are part of the state, so that weights in a file are complete.

    Parameters
    ----------
    backbone
        A `sensorad.models.backbones.Backbone`.
    n_classes
        K.
    mean, sd : one per channel
        Of the images that the network is trained on, and of no others.
    generator
        Source of the last layer's first weights.

    Examples
    --------
    >>> from sensorad.models.backbones import build_backbone
    >>> network = BackboneClassifier(build_backbone("small", 0), 7, (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), 0).eval()
    >>> network(torch.ones(5, 3, 64, 64)).shape
    torch.Size([5, 7])
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        n_classes: int,
        mean: Sequence[float],
        sd: Sequence[float],
        generator: torch.Generator | int,
    ) -> None:
        super().__init__()
        n_features = getattr(backbone, "n_features", None)
        if not isinstance(n_features, int):
            raise UsageError("a backbone says how many features it gives", where="backbone")
        head = nn.Sequential(bare(nn.Linear, n_features, n_classes))
        initialise(head, generator)
        self.backbone, self.head = backbone, head[0]
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("sd", torch.tensor(sd, dtype=torch.float32).clamp(min=SMALLEST_SD).view(-1, 1, 1))

    def encode(self, x: Tensor) -> Tensor:
        """Features: (N, 3, H, W) -> (N, F)."""
        features: Tensor = self.backbone((x - self.mean) / self.sd)  # (N, F)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (N, 3, H, W) -> (N, K)."""
        logits: Tensor = self.head(self.encode(x))  # (N, K)
        return logits
