"""I11 and I13: autoencoders of images, the plain one and the stacked, tied, denoising and convolutional ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.models.convolutional import ConvolutionalAutoencoder, ConvolutionalConfig
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.losses import weighted_cross_entropy
from sensorad.models.tied import TiedAutoencoder
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Objective, PixelCrossEntropy

from . import pictures
from .base import Difference, Picture, Plan, Recipe, SeedOutcome
from .training import IMAGE_CONFIG, answers, seeded, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RECIPES"]

PLAIN = DenseConfig(widths=(32,), output="sigmoid")
BATCHES = (128, 256)

STACKED = DenseConfig(widths=(100, 30), activation="selu", output="sigmoid", first_weights="lecun_normal")
CONVOLUTIONAL = ConvolutionalConfig(channels=(8, 16), code=30)
NOISE, DROPPED = 0.3, 0.5
"""Standard deviation of the noise, in grey levels from 0 to 1, and share of the pixels that are set to 0."""

N_SHOWN = 10
LARGE = "convolutional"


def _plain(plan: Plan, seed: int) -> SeedOutcome:
    images, outcome = plan.images(), SeedOutcome()
    shown, test = torch.from_numpy(images.train), torch.from_numpy(images.test)
    lines: dict[str, tuple[float, ...]] = {}
    for size in BATCHES:
        variant, config = f"batch {size}", _config_for(plan, 10, size)
        network = DenseAutoencoder(shown[0].numel(), PLAIN, seeded(seed, size))
        record = train(network, PixelCrossEntropy(), shown, seeded(seed, size, 1), config)
        outcome.put(
            variant,
            first_epoch=record.train_losses[0],
            last_epoch=record.train_losses[-1],
            test=_cross_entropy(network, test),
            units_in_use=_units_in_use(network, test),
        )
        lines[variant] = record.train_losses
        if size == BATCHES[0]:
            rows = {"input": test[:N_SHOWN], "rebuilt": answers(network, test[:N_SHOWN])}
            outcome.pictures.append(pictures.image_grid("reconstructions", rows))
    outcome.pictures.insert(0, pictures.curves("training", lines, "mean cross-entropy of a pixel in nats"))
    return outcome


def _kinds(plan: Plan, seed: int) -> SeedOutcome:
    images, outcome = plan.images(), SeedOutcome()
    shown, test = torch.from_numpy(images.train), torch.from_numpy(images.test)
    noisy = test + NOISE * torch.randn(test.shape, generator=seeded(seed, 0))
    holed = test * (torch.rand(test.shape, generator=seeded(seed, 1)) >= DROPPED)
    config = _config_for(plan, 5, 128)
    rows: dict[str, Tensor] = {"input": test[:N_SHOWN]}
    lines: dict[str, tuple[float, ...]] = {}
    for at, (variant, (network, objective)) in enumerate(_networks(images.shape, seed).items()):
        record = train(network, objective, shown, seeded(seed, 3, at), config)
        lines[variant] = record.train_losses
        outcome.put(
            variant,
            squared_error=1000.0 * _squared_error(network, test, test),
            of_noisy_images=1000.0 * _squared_error(network, noisy, test),
            of_images_with_holes=1000.0 * _squared_error(network, holed, test),
            cross_entropy=_cross_entropy(network, test),
        )
        rows[variant] = answers(network, test[:N_SHOWN])
        if isinstance(network, DenseAutoencoder) and variant in ("Gaussian noise", "dropped pixels"):
            damaged = (noisy if variant == "Gaussian noise" else holed)[:N_SHOWN]
            strips = {"clean": test[:N_SHOWN], "shown": damaged, "rebuilt": answers(network, damaged)}
            outcome.pictures.append(pictures.image_grid(f"cleaned-{variant.replace(' ', '-')}", strips))
        if variant in ("stacked", LARGE) and not plan.is_quick:
            outcome.pictures.append(_codes(network, test, images.test_labels, images.class_names, variant, seed))
    outcome.pictures.insert(0, pictures.image_grid("reconstructions", rows))
    outcome.pictures.insert(1, pictures.curves("training", lines, "mean cross-entropy of a pixel in nats"))
    outcome.notes.append(
        "Squared errors are those of a pixel, times 1,000, against the clean test image. The network of dropped pixels "
        "takes whole images for ones that are twice as bright: it has seen none."
    )
    return outcome


def _networks(shape: tuple[int, int, int], seed: int) -> dict[str, tuple[nn.Module, Objective]]:
    """Each variant with weights of its own; dense ones of the same sizes start alike."""
    n_features = shape[0] * shape[1] * shape[2]
    plain = PixelCrossEntropy()
    return {
        "stacked": (DenseAutoencoder(n_features, STACKED, seeded(seed, 2)), plain),
        "tied": (TiedAutoencoder(n_features, STACKED, seeded(seed, 2)), plain),
        "Gaussian noise": (DenseAutoencoder(n_features, STACKED, seeded(seed, 2)), PixelCrossEntropy(sigma=NOISE)),
        "dropped pixels": (DenseAutoencoder(n_features, STACKED, seeded(seed, 2)), PixelCrossEntropy(dropout=DROPPED)),
        LARGE: (ConvolutionalAutoencoder(shape, CONVOLUTIONAL, seeded(seed, 2)), plain),
    }


def _codes(
    network: nn.Module, test: Tensor, labels: NDArray[np.int64], class_names: tuple[str, ...], variant: str, seed: int
) -> Picture:
    """Laid flat only where the picture is wanted: that takes longer than the training of a small network."""
    chosen = pictures.subsample(labels, seed)
    with torch.inference_mode():
        codes = network.encode(test[torch.from_numpy(chosen)]).numpy()  # type: ignore[operator]
    name = f"codes-{variant}"

    def draw(figure: Figure) -> None:
        pictures.scatter(name, pictures.tsne(codes, seed), labels[chosen], class_names).draw(figure)

    return Picture(name, draw, width=6.4, height=4.8)


def _config_for(plan: Plan, epochs: int, batch: int) -> TrainConfig:
    """The published epochs; on the small set as many steps as the network needs, in batches of a quarter."""
    if plan.is_small:
        return replace(IMAGE_CONFIG, epochs=2 if plan.is_quick else 8 * epochs, batch_size=batch // 4)
    return replace(IMAGE_CONFIG, epochs=1 if plan.is_quick else epochs, batch_size=batch)


def _units_in_use(network: DenseAutoencoder, images: Tensor) -> int:
    """Units of the code that do not answer the same to every image."""
    with torch.inference_mode():
        return int((network.encode(images).std(0) > 0.0).sum())


def _squared_error(network: nn.Module, shown: Tensor, clean: Tensor) -> float:
    return float((answers(network, shown) - clean).double().square().mean())


def _cross_entropy(network: nn.Module, images: Tensor) -> float:
    return float(weighted_cross_entropy(answers(network, images), images, None))


RECIPES = (
    Recipe(
        "I11",
        "Plain autoencoder",
        _plain,
        sets=("mnist", "digits"),
        published={("batch 128", "first epoch"): "0.232", ("batch 128", "last epoch"): "0.112"},
        about="784 -> 32 -> 784 with a rectifier and a sigmoid, binary cross-entropy of each pixel, Adam at 1e-3, ten "
        "epochs: mean loss of the first and of the last epoch, and on the test part. A perfect reconstruction of "
        "grey pixels would not cost 0, but their own entropy. About a quarter of the 32 rectifiers of the code never "
        "answer: how many there are decides where a run ends.",
    ),
    Recipe(
        "I13",
        "Stacked, tied, denoising and convolutional autoencoders",
        _kinds,
        sets=("fashion_mnist", "mnist", "digits"),
        differences=(
            Difference("tied", "stacked", "squared error"),
            Difference("Gaussian noise", "stacked", "of noisy images"),
            Difference("dropped pixels", "stacked", "of images with holes"),
            Difference("convolutional", "stacked", "squared error"),
        ),
        about="784 -> 100 -> 30 -> 100 -> 784 with SELU (Klambauer et al. 2017); the same with tied weights, and with "
        "Gaussian noise or dropped pixels that it learns to clean away (Vincent et al. 2010); and two strided "
        "convolutions with a code of 30. Cross-entropy of pixels, five epochs, batches of 128, Adam at 1e-3.",
    ),
)
