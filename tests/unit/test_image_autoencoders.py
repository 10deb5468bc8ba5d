"""Networks and objectives of images against formulas written out, and what makes each of them what it is called."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.convolutional import ConvolutionalAutoencoder, ConvolutionalConfig
from sensorad.models.dense import DenseAutoencoder, DenseConfig, FirstWeights
from sensorad.models.dense_adversarial import DenseAdversarialAutoencoder, DenseAdversarialConfig
from sensorad.models.dense_classifier import DenseClassifier
from sensorad.models.dense_variational import SMALLEST_SIGMA, DenseVariationalAutoencoder, DenseVariationalConfig
from sensorad.models.losses import weighted_cross_entropy
from sensorad.models.tied import TiedAutoencoder
from sensorad.models.weights import state_arrays
from sensorad.training import Batch, PixelCrossEntropy, TensorSource, TrainConfig, Trainer, objective_from_json
from sensorad.training.classification import Classification

DEEP = DenseConfig(widths=(6, 3), activation="tanh", output="sigmoid")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(n_images: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(n_images, *(shape or (1, 4, 3)), generator=generator(seed))


def test_a_tied_network_uses_its_weights_both_ways() -> None:
    network, x = TiedAutoencoder(12, DEEP, 0), images_of(5)
    weights = state_arrays(network)
    assert set(weights) == {f"{name}.{kind}" for name in ("layers.0", "layers.1") for kind in ("weight", "bias")} | {
        "biases.0",
        "biases.1",
    }
    first, second = weights["layers.0.weight"], weights["layers.1.weight"]
    code = np.tanh(
        np.tanh(x.reshape(5, 12).numpy() @ first.T + weights["layers.0.bias"]) @ second.T + weights["layers.1.bias"]
    )
    logits = np.tanh(code @ second + weights["biases.0"]) @ first + weights["biases.1"]
    np.testing.assert_allclose(network(x).detach().numpy(), 1 / (1 + np.exp(-logits)).reshape(x.shape), atol=1e-6)
    np.testing.assert_allclose(network.encode(x).detach().numpy(), code, atol=1e-6)


def test_tied_weights_learn_from_both_of_their_uses() -> None:
    network, x = TiedAutoencoder(12, DenseConfig(widths=(3,), activation="linear"), 0), images_of(5)
    (network(x) - x).square().sum().backward()
    learned = network.get_parameter("layers.0.weight")
    flat, weight = x.flatten(1), learned.detach()
    code = flat @ weight.T + network.get_parameter("layers.0.bias").detach()
    residual = 2.0 * (code @ weight + network.biases[0].detach() - flat)  # (N, F)
    expected = (residual @ weight.T).T @ flat + code.T @ residual
    torch.testing.assert_close(learned.grad, expected)


def test_lecun_weights_keep_the_spread_of_selu_and_uniform_ones_lose_it() -> None:
    x = torch.randn(2_000, 200, generator=generator())
    spread = {}
    firsts: tuple[FirstWeights, ...] = ("uniform", "lecun_normal")
    for first in firsts:
        config = DenseConfig(widths=(200,) * 8, activation="selu", first_weights=first)
        with torch.inference_mode():
            spread[first] = float(DenseAutoencoder(200, config, 0).encode(x).std())
    assert spread["lecun_normal"] == pytest.approx(1.0, abs=0.15)
    assert spread["uniform"] < 0.4


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 27, 28), (1, 5, 9), (2, 8, 7)])
def test_convolutions_come_back_to_every_size(shape: tuple[int, int, int]) -> None:
    for kernel in (1, 3, 5):
        config = ConvolutionalConfig(channels=(4, 5), kernel=kernel, code=0)
        network, x = ConvolutionalAutoencoder(shape, config, 0), images_of(2, *shape)
        found = network(x).detach()
        assert found.shape == x.shape
        height, width = (math.ceil(math.ceil(size / 2) / 2) for size in shape[1:])
        assert network.encode(x).shape == (2, 5 * height * width)
        assert float(found.min()) >= 0.0
        assert float(found.max()) <= 1.0


def test_the_first_convolution_is_a_sum_over_its_kernel() -> None:
    network, x = (
        ConvolutionalAutoencoder((2, 6, 5), ConvolutionalConfig(channels=(3,), code=0), 0),
        images_of(1, 2, 6, 5),
    )
    weights = state_arrays(network)
    padded = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    slow = np.zeros((3, 3, 3))
    for channel in range(3):
        for row in range(3):
            for column in range(3):
                patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
                slow[channel, row, column] = (patch * weights["encoder.0.weight"][channel]).sum()
    slow = np.maximum(slow + weights["encoder.0.bias"][:, None, None], 0.0)
    np.testing.assert_allclose(network.encode(x).detach().numpy()[0], slow.ravel(), atol=1e-6)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_variational_scores_are_those_of_the_formulas(likelihood: Any) -> None:
    config = DenseVariationalConfig(widths=(6,), code=2, likelihood=likelihood, draws=4)
    network, x = DenseVariationalAutoencoder(12, config, 0).eval(), images_of(3)
    network.usual.mean.fill_(0.04)
    with torch.inference_mode():
        mean, log_variance = network.encode(x)
        surprise, bound = network.surprise(x), network.negative_bound(x)
        torch.testing.assert_close(network(x), network.decode(mean).view(x.shape))
        for n in range(3):
            slow = 0.0
            for draw in network.draws:
                found = network.decode(mean[n] + torch.exp(0.5 * log_variance[n]) * draw)
                for truth, made in zip(x[n].flatten().tolist(), found.tolist(), strict=True):
                    if likelihood == "gaussian":
                        slow += (0.5 * (truth - made) ** 2 / 0.04 + 0.5 * math.log(0.04)) / 4
                    else:
                        slow -= (truth * math.log(made) + (1 - truth) * math.log(1 - made)) / 4
            assert float(surprise[n]) == pytest.approx(slow, rel=1e-4, abs=1e-4)
            code = zip(mean[n].tolist(), log_variance[n].tolist(), strict=True)
            divergence = sum(0.5 * (m**2 + math.exp(v) - 1 - v) for m, v in code)
            assert float(bound[n]) == pytest.approx(slow + divergence, rel=1e-4, abs=1e-4)


def test_the_divergence_of_the_code_warms_up() -> None:
    network, x = DenseVariationalAutoencoder(12, DenseVariationalConfig(widths=(6,), code=2), 0).eval(), images_of(8)
    with torch.no_grad():
        network.get_parameter("encoder.2.bias").fill_(2.0)
        cold, half, warm = (float(network.fit_loss(x, x, None, at, generator())) for at in (0.0, 0.15, 1.0))
        mean, log_variance = network.encode(x)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert warm - cold == pytest.approx(float(divergence) / 12, rel=1e-4)
    assert half - cold == pytest.approx(0.5 * (warm - cold), rel=1e-4)


def test_the_usual_error_of_pixels_is_learned_and_weights_count() -> None:
    network, x = DenseVariationalAutoencoder(12, DenseVariationalConfig(widths=(6,), code=2), 0).train(), images_of(64)
    weight = (images_of(64, seed=4) > 0.5).float()
    network.fit_loss(x, x, weight, 1.0, generator(3))
    with torch.no_grad():
        mean, log_variance = network.encode(x)
        noise = torch.randn(mean.shape, generator=generator(3))
        error = (network.decode(mean + torch.exp(0.5 * log_variance) * noise).view(x.shape) - x).square() * weight
    assert float(network.usual()) == pytest.approx(float(error.sum() / weight.sum()), rel=1e-4)
    network.usual.mean.fill_(0.0)
    assert float(network.usual()) == pytest.approx(SMALLEST_SIGMA**2)


def test_both_players_of_images_learn_from_their_own_loss_alone() -> None:
    x = images_of(8, 2, 6, 5)
    grads = {}
    for weight in (0.0, 5.0):
        config = DenseAdversarialConfig(widths=(6, 3), patch=3, features=4, matching=weight, second_look=weight)
        network = DenseAdversarialAutoencoder((2, 6, 5), config, 0).train()
        for _ in range(20):
            network.players.discriminator.turn()
        network.fit_loss(x, x, None, 0.5, generator()).backward()  # type: ignore[no-untyped-call]
        grads[weight] = {name: value.grad for name, value in network.named_parameters()}
    for name, neither in grads[0.0].items():
        both = grads[5.0][name]
        assert neither is not None
        assert both is not None
        assert ("discriminator" in name) == torch.allclose(both, neither, atol=1e-7), name


def test_an_image_of_several_channels_is_read_row_by_row() -> None:
    network = DenseAdversarialAutoencoder((2, 6, 5), DenseAdversarialConfig(widths=(6, 3), patch=3, features=4), 0)
    x = images_of(3, 2, 6, 5)
    rows = network._rows(x)
    assert torch.equal(rows[1, 4], torch.cat([x[1, 0, 4], x[1, 1, 4]]))
    assert torch.equal(network._images(rows), x)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(x), network._images(network.players(rows)))
        assert 0.0 <= network.accuracy(x, generator()) <= 1.0


def test_a_classifier_takes_a_copy_of_the_encoder() -> None:
    autoencoder, network = DenseAutoencoder(12, DEEP, 1), DenseClassifier(12, DEEP, 3, 2)
    x = images_of(90)
    assert not torch.allclose(network.encode(x), autoencoder.encode(x))
    network.take_encoder(autoencoder)
    assert torch.equal(network.encode(x), autoencoder.encode(x))
    before, config = state_arrays(autoencoder), TrainConfig(epochs=1, batch_size=30)
    source = TensorSource(x, labels=torch.arange(90) % 3)
    network.learn_encoder(False)
    Trainer(config).fit(network, Classification(), source, None, generator())
    assert torch.equal(network.encode(x), autoencoder.encode(x)), "only the last layer has learned"
    network.learn_encoder(True)
    Trainer(config).fit(network, Classification(), source, None, generator())
    assert not torch.allclose(network.encode(x), autoencoder.encode(x))
    assert all(np.array_equal(array, before[name]) for name, array in state_arrays(autoencoder).items())


@pytest.mark.parametrize(
    "other", [DenseAutoencoder(11, DEEP), DenseAutoencoder(12, DenseConfig(widths=(6, 3), activation="relu"))]
)
def test_another_encoder_is_refused(other: DenseAutoencoder) -> None:
    with pytest.raises(UsageError, match="an encoder of 12 inputs"):
        DenseClassifier(12, DEEP, 3).take_encoder(other)


class Echo(nn.Module):
    """Answers one value and remembers what it was shown."""

    def __init__(self, answer: float) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.tensor(answer))
        self.seen = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.clone()
        return self.answer.expand(x.shape)


@pytest.mark.parametrize("has_mask", [False, True])
def test_the_cross_entropy_of_pixels_is_a_mean_over_usable_cells(has_mask: bool) -> None:
    x = images_of(3)
    batch = Batch(x, mask=x > 0.4 if has_mask else None)
    cells = [value for value in x.flatten().tolist() if value > 0.4 or not has_mask]
    expected = np.mean([-value * math.log(0.3) - (1 - value) * math.log(0.7) for value in cells])
    loss = PixelCrossEntropy().loss(Echo(0.3), batch, generator()).detach()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_damaged_images_are_shown_and_clean_ones_asked_for() -> None:
    network, x = Echo(0.3), images_of(400)
    loss = PixelCrossEntropy(sigma=0.5, dropout=0.25).loss(network, Batch(x), generator()).detach()
    assert float((network.seen == 0.0).float().mean()) == pytest.approx(0.25, abs=0.02)
    kept = network.seen != 0.0
    assert float((network.seen - x)[kept].std()) == pytest.approx(0.5, rel=0.05)
    assert float(loss) == pytest.approx(float(weighted_cross_entropy(torch.full_like(x, 0.3), x, None)), rel=1e-6)


@pytest.mark.parametrize("answer", [0.0, 1.0, 1e-30])
def test_outputs_that_have_rounded_off_cost_a_finite_amount(answer: float) -> None:
    network = Echo(answer)
    loss = PixelCrossEntropy().loss(network, Batch(torch.tensor([[0.0, 1.0]])), generator())
    loss.backward()  # type: ignore[no-untyped-call]
    assert 0.0 < float(loss.detach()) <= 50.0
    assert network.answer.grad is not None
    assert bool(network.answer.grad.isfinite())


@pytest.mark.parametrize(("answer", "x", "named"), [(1.5, 0.5, "outputs"), (0.5, -0.1, "targets")])
def test_what_is_no_probability_is_refused(answer: float, x: float, named: str) -> None:
    with pytest.raises(UsageError, match=rf"{named} in \[0, 1\] expected"):
        PixelCrossEntropy().loss(Echo(answer), Batch(torch.full((2, 3), x)), generator())


def test_cross_entropy_stays_float32_under_autocast_and_zero_where_nothing_counts() -> None:
    x = images_of(2)
    with torch.autocast("cpu", torch.bfloat16):
        assert weighted_cross_entropy(x.bfloat16(), x, None).dtype == torch.float32
    assert float(weighted_cross_entropy(x, x, torch.zeros_like(x))) == 0.0


def test_the_objective_is_known_by_name() -> None:
    objective = PixelCrossEntropy(sigma=0.2, dropout=0.1)
    assert objective_from_json(json.loads(json.dumps(objective.to_json()))) == objective


@pytest.mark.parametrize(
    "config",
    [
        DenseConfig(widths=(5, 2), first_weights="lecun_normal"),
        ConvolutionalConfig(channels=(3,), code=0, output="linear"),
        DenseVariationalConfig(widths=(7, 5), likelihood="bernoulli"),
        DenseAdversarialConfig(widths=(7, 5), patch=3),
    ],
)
def test_configurations_come_back_from_json(config: Any) -> None:
    assert type(config).from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(UsageError, match="unknown options"):
        type(config).from_json({"colour": 1})
    sizes = "channels" if isinstance(config, ConvolutionalConfig) else "widths"
    with pytest.raises(UsageError, match=f"{sizes} must be a list, got 3"):
        type(config).from_json({sizes: 3})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TiedAutoencoder(12, DenseConfig(near_zero=True)), "tied weights cannot start near zero"),
        (lambda: DenseConfig(first_weights="ones"), "first_weights 'ones' is not known"),  # type: ignore[arg-type]
        (
            lambda: ConvolutionalAutoencoder((1, 4, 4), ConvolutionalConfig(channels=(2,) * 3)),
            "4 x 4 pixels are too few",
        ),
        (lambda: ConvolutionalConfig(kernel=4), "kernel must be odd, got 4"),
        (lambda: ConvolutionalConfig(channels=()), "at least one convolution"),
        (lambda: ConvolutionalConfig(activation="cube"), "activation 'cube' is not known"),  # type: ignore[arg-type]
        (lambda: DenseVariationalConfig(widths=()), "at least one width"),
        (lambda: DenseVariationalConfig(draws=3), "draws must be even, got 3"),
        (lambda: DenseVariationalConfig(warm_up=2.0), "warm_up must be from 0 to 1"),
        (lambda: DenseVariationalConfig(likelihood="cauchy"), "likelihood 'cauchy'"),  # type: ignore[arg-type]
        (lambda: DenseAdversarialConfig(widths=()), "at least one width"),
        (lambda: DenseAdversarialConfig(matching=-1.0), "matching must be from 0 to 1000"),
        (lambda: PixelCrossEntropy(sigma=-1.0), "sigma must be between 0 and inf"),
        (lambda: PixelCrossEntropy(dropout=2.0), "dropout must be between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(build: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build()
