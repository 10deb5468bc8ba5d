"""Networks that learned one kind of image, and the scores that each gives: the rows of I15."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.models.convolutional import ConvolutionalAutoencoder, ConvolutionalConfig
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.dense_adversarial import DenseAdversarialAutoencoder, DenseAdversarialConfig
from sensorad.models.dense_variational import DenseVariationalAutoencoder, DenseVariationalConfig, Likelihood
from sensorad.scoring.image_scores import CodeDistance, TailMedian, pixel_cross_entropy, squared_error
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Denoising, Objective, PixelCrossEntropy, Reconstruction

from .training import answers, seeded, train

__all__ = ["KINDS", "MEMBERS", "Kind", "Scores", "linear_scores", "network_scores", "with_ensemble"]

WITH_CODE = ("autoencoder", "wide denoising")
"""Networks whose codes are scored as well: a narrow one, and one with more units than it needs."""

Scores = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Name of a row -> scores of the normal training images, and of the images that are judged."""

Pair = tuple[Tensor, Tensor]

RANK = 16
KEPT_VARIANCE = 0.9
"""Of the training images, by the components of the row whose rank follows the data."""

MEMBERS = (
    "autoencoder: squared error",
    "denoising: squared error",
    "wide denoising: error + code",
    "convolutional: squared error",
    "variational: -ELBO",
    "adversarial: squared error",
)
"""Of the ensemble: one score of each network that is trained for squares."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A network and what it is trained for; ``share`` of the steps that others get."""

    build: Callable[[tuple[int, int, int], torch.Generator], nn.Module]
    objective: Objective
    share: float = 1.0


def _dense(widths: tuple[int, ...]) -> Callable[[tuple[int, int, int], torch.Generator], nn.Module]:
    config = DenseConfig(widths=widths, output="sigmoid")
    return lambda shape, generator: DenseAutoencoder(int(np.prod(shape)), config, generator)


def _variational(likelihood: Likelihood) -> Callable[[tuple[int, int, int], torch.Generator], nn.Module]:
    config = DenseVariationalConfig(widths=(256,), code=16, likelihood=likelihood)
    return lambda shape, generator: DenseVariationalAutoencoder(int(np.prod(shape)), config, generator)


KINDS: dict[str, Kind] = {
    "autoencoder": Kind(_dense((128, 32)), Reconstruction()),
    "autoencoder of cross-entropy": Kind(_dense((128, 32)), PixelCrossEntropy()),
    "denoising": Kind(_dense((128, 32)), Denoising(0.3)),
    # More units than directions in which images of one kind vary, and noise, or it would learn to copy.
    "wide denoising": Kind(_dense((256,)), Denoising(0.3), share=0.3),
    "convolutional": Kind(
        lambda shape, generator: ConvolutionalAutoencoder(
            shape, ConvolutionalConfig(channels=(8, 16), code=32), generator
        ),
        Reconstruction(),
        share=0.5,
    ),
    "variational": Kind(_variational("gaussian"), Reconstruction()),
    "variational of cross-entropy": Kind(_variational("bernoulli"), Reconstruction(), share=0.5),
    "adversarial": Kind(
        lambda shape, generator: DenseAdversarialAutoencoder(
            shape, DenseAdversarialConfig(widths=(128, 32), patch=shape[1] // 2), generator
        ),
        Reconstruction(),
        share=0.5,
    ),
}


def linear_scores(train_images: Tensor, judged: Tensor) -> Scores:
    """Squared distances from the mean image, and from subspaces of principal components."""
    flat, asked = (images.flatten(1).double().numpy() for images in (train_images, judged))
    mean = flat.mean(0)
    flat, asked = flat - mean, asked - mean
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    values, vectors = values[::-1].clip(min=0.0), vectors[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(values) / values.sum(), KEPT_VARIANCE)) + 1
    found: Scores = {}
    for name, rank in (("mean image", 0), (f"PCA, {RANK}", RANK), (f"PCA, {KEPT_VARIANCE:.0%} of the variance", kept)):
        basis = vectors[:, :rank]
        one, other = (squared_error(rows, (rows @ basis) @ basis.T) for rows in (flat, asked))
        found[name] = one, other
    return found


def network_scores(
    name: str, train_images: Tensor, judged: Tensor, seed: int, config: TrainConfig
) -> tuple[nn.Module, Scores]:
    """Train the network of that name on normal images, and score these and the judged ones in every way it knows."""
    kind = KINDS[name]
    shape = (int(train_images.shape[1]), int(train_images.shape[2]), int(train_images.shape[3]))
    at = list(KINDS).index(name)
    network = kind.build(shape, seeded(seed, at))
    epochs = max(1, round(kind.share * config.epochs))
    train(network, kind.objective, train_images, seeded(seed, at, 1), replace(config, epochs=epochs))
    both = train_images, judged
    rebuilt = [answers(network, images).numpy() for images in both]
    errors = [squared_error(images.numpy(), found) for images, found in zip(both, rebuilt, strict=True)]
    found: Scores = {f"{name}: squared error": (errors[0], errors[1])}
    if name == "autoencoder of cross-entropy":
        one, other = (pixel_cross_entropy(images.numpy(), again) for images, again in zip(both, rebuilt, strict=True))
        found[f"{name}: cross-entropy"] = one, other
    elif isinstance(network, DenseVariationalAutoencoder):
        found[f"{name}: reconstruction probability"] = _read(network.surprise, both)
        found[f"{name}: -ELBO"] = _read(network.negative_bound, both)
    elif isinstance(network, DenseAdversarialAutoencoder):
        distances = [_read_one(_distances(network), images) for images in both]  # 2 x (N, 2)
        for column, what in enumerate(("features", "codes")):
            found[f"{name}: distance of {what}"] = distances[0][:, column], distances[1][:, column]
    elif isinstance(network, DenseAutoencoder) and name in WITH_CODE:
        codes = [_read_one(network.encode, images) for images in both]
        usual = CodeDistance.fit(codes[0], errors[0])
        found[f"{name}: code"] = usual.distance(codes[0]), usual.distance(codes[1])
        found[f"{name}: error + code"] = (
            usual.with_error(codes[0], errors[0]),
            usual.with_error(codes[1], errors[1]),
        )
    return network, found


def with_ensemble(found: Scores) -> Scores:
    """The scores, and the median of how surprising those of `MEMBERS` are among the training images."""
    ensemble = TailMedian.fit([found[name][0] for name in MEMBERS])
    one, other = (ensemble.score([found[name][at] for name in MEMBERS]) for at in (0, 1))
    return found | {f"ensemble of {len(MEMBERS)}: median": (one, other)}


def _distances(network: DenseAdversarialAutoencoder) -> Callable[[Tensor], Tensor]:
    return lambda images: network.read(images)[2]


def _read(score: Callable[[Tensor], Tensor], both: Pair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _read_one(score, both[0]), _read_one(score, both[1])


def _read_one(score: Callable[[Tensor], Tensor], images: Tensor, batch: int = 1_000) -> NDArray[np.float64]:
    with torch.inference_mode():
        parts = [score(part) for part in torch.split(images, batch)]
    return torch.cat(parts).double().numpy()
