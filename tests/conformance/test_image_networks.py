"""What every network on images promises, asked of all of them alike: shapes, randomness, weights, training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.models.convolutional import ConvolutionalAutoencoder, ConvolutionalConfig
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.dense_adversarial import DenseAdversarialAutoencoder, DenseAdversarialConfig
from sensorad.models.dense_variational import DenseVariationalAutoencoder, DenseVariationalConfig
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.models.tied import TiedAutoencoder
from sensorad.models.weights import load_state_arrays, state_arrays
from sensorad.training import (
    Denoising,
    Objective,
    PixelCrossEntropy,
    Reconstruction,
    TensorSource,
    TrainConfig,
    Trainer,
)
from sensorad.training.classification import Classification

SHAPE = (1, 8, 8)
N_FEATURES = 64

Source = torch.Generator | int | None


@dataclass(frozen=True)
class Case:
    """A network that rebuilds or classifies images, and what it is trained for."""

    build: Callable[[Source], nn.Module]
    shapes: Callable[[], dict[str, tuple[int, ...]]]
    objective: Objective = field(default_factory=Reconstruction)
    n_answers: int | None = None
    """Classes, None: it answers an image."""


def dense(
    config: DenseConfig,
    objective: Objective | None = None,
    kind: type[DenseAutoencoder] | type[TiedAutoencoder] = DenseAutoencoder,
) -> Case:
    return Case(
        lambda source: kind(N_FEATURES, config, source),
        lambda: kind.expected_shapes(N_FEATURES, config),
        objective or Reconstruction(),
    )


def variational(config: DenseVariationalConfig) -> Case:
    return Case(
        lambda source: DenseVariationalAutoencoder(N_FEATURES, config, source),
        lambda: DenseVariationalAutoencoder.expected_shapes(N_FEATURES, config),
    )


DEEP = DenseConfig(widths=(32, 8), output="sigmoid")
SELU = DenseConfig(widths=(32, 16, 8), activation="selu", output="sigmoid", first_weights="lecun_normal")
CONVOLUTIONAL = ConvolutionalConfig(channels=(4, 8), code=8)
ADVERSARIAL = DenseAdversarialConfig(widths=(32, 8), patch=4, features=8)
CLASSIFIER = ImageClassifierConfig(classes=2)

CASES: dict[str, Case] = {
    "dense": dense(DEEP, PixelCrossEntropy()),
    "linear": dense(DenseConfig(widths=(8,), activation="linear")),
    "stacked": dense(SELU, Denoising(0.1)),
    "tied": dense(SELU, PixelCrossEntropy(dropout=0.2), TiedAutoencoder),
    "convolutional": Case(
        lambda source: ConvolutionalAutoencoder(SHAPE, CONVOLUTIONAL, source),
        lambda: ConvolutionalAutoencoder.expected_shapes(SHAPE, CONVOLUTIONAL),
        PixelCrossEntropy(),
    ),
    "variational": variational(DenseVariationalConfig(widths=(32,), code=4)),
    "variational, bernoulli": variational(DenseVariationalConfig(widths=(32,), code=4, likelihood="bernoulli")),
    "adversarial": Case(
        lambda source: DenseAdversarialAutoencoder(SHAPE, ADVERSARIAL, source),
        lambda: DenseAdversarialAutoencoder.expected_shapes(SHAPE, ADVERSARIAL),
    ),
    "classifier": Case(
        lambda source: ImageClassifier(SHAPE, CLASSIFIER, source),
        lambda: ImageClassifier.expected_shapes(SHAPE, CLASSIFIER),
        Classification(),
        n_answers=2,
    ),
}

all_networks = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(n_images: int, seed: int = 1) -> Tensor:
    """Bright bars, upright or lying, on a dark ground: (N, 1, 8, 8) in [0, 1]."""
    source = generator(seed)
    place = torch.randint(1, 7, (n_images,), generator=source)
    shade = 0.6 + 0.4 * torch.rand(n_images, 1, generator=source)
    images = torch.zeros(n_images, 8, 8)
    images[torch.arange(n_images), place] = shade
    images[::2] = images[::2].transpose(1, 2).clone()
    return images[:, None]


def labels_of(images: Tensor) -> Tensor:
    return torch.arange(len(images)) % 2


def fit(case: Case, network: nn.Module, epochs: int, checkpoint: Path | None = None) -> tuple[float, ...]:
    config = TrainConfig(
        epochs=epochs, batch_size=32, learning_rate=3e-3, scheduler="none", patience=None, checkpoint_every_seconds=0.0
    )
    images = images_of(320)
    source = TensorSource(images, labels=labels_of(images))
    return Trainer(config).fit(network, case.objective, source, None, generator(5), checkpoint=checkpoint).train_losses


@all_networks
def test_shape_is_kept_for_any_number_of_images(case: Case) -> None:
    network = case.build(0).eval()
    for n_images in (1, 2, 7):
        images = images_of(n_images)
        expected = images.shape if case.n_answers is None else (n_images, case.n_answers)
        with torch.inference_mode():
            assert network(images).shape == expected
            code = network.encode(images)  # type: ignore[operator]
            assert len(code[0] if isinstance(code, tuple) else code) == n_images


@all_networks
def test_evaluation_repeats_and_does_not_depend_on_the_cut(case: Case) -> None:
    network = case.build(0)
    fit(case, network, epochs=1)
    images = images_of(37)
    with torch.inference_mode():
        whole = network(images)
        assert torch.equal(network(images), whole)
        for size in (1, 5, 36):
            parts = torch.cat([network(part) for part in torch.split(images, size)])
            torch.testing.assert_close(parts, whole, rtol=1e-5, atol=2e-6)


@all_networks
def test_weights_come_from_the_generator_alone(case: Case) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (state_arrays(case.build(generator(seed))) for seed in (3, 3, 4))
    by_number = state_arrays(case.build(3))
    network = case.build(3)
    fit(case, network, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name])
        np.testing.assert_array_equal(array, by_number[name])
    assert any(not np.array_equal(array, other[name]) for name, array in one.items())


@all_networks
def test_shapes_are_told_without_memory(case: Case) -> None:
    assert case.shapes() == {name: array.shape for name, array in state_arrays(case.build(0)).items()}
    assert all(weight.is_meta for weight in case.build(None).state_dict().values())


@all_networks
def test_arrays_bring_a_trained_network_back(case: Case) -> None:
    network, again = case.build(0), case.build(1)
    fit(case, network, epochs=1)
    load_state_arrays(again, state_arrays(network))
    images = images_of(9)
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), network(images))


@all_networks
def test_training_lowers_the_loss_and_the_error_on_new_images(case: Case) -> None:
    network = case.build(0)
    images = images_of(64, seed=9)

    def error() -> float:
        with torch.inference_mode():
            found = network.eval()(images)
            if case.n_answers is not None:
                return float((found.argmax(1) != labels_of(images)).float().mean())
            return float((found - images).square().mean())

    before = error()
    losses = fit(case, network, epochs=25)
    assert losses[-1] < losses[0]
    assert error() < 0.6 * before


@all_networks
def test_a_resumed_training_gives_equal_weights(case: Case, tmp_path: Path) -> None:
    """StoppedError after the first of three epochs by an error, then asked again for the same."""

    class StoppedError(Exception):
        pass

    def stop(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise StoppedError

    config = TrainConfig(epochs=3, batch_size=32, scheduler="cosine", patience=None, checkpoint_every_seconds=0.0)
    images = images_of(160)
    source = TensorSource(images, labels=labels_of(images))
    straight, resumed = case.build(0), case.build(0)
    Trainer(config).fit(straight, case.objective, source, None, generator(5))
    checkpoint = tmp_path / "run"
    with pytest.raises(StoppedError):
        Trainer(config).fit(resumed, case.objective, source, None, generator(5), checkpoint=checkpoint, progress=stop)
    again = case.build(0)
    Trainer(config).fit(again, case.objective, source, None, generator(5), checkpoint=checkpoint)
    for name, array in state_arrays(straight).items():
        np.testing.assert_array_equal(state_arrays(again)[name], array, err_msg=name)
