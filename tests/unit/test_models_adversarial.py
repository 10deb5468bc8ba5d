"""The adversarial autoencoder: two players in one loss, runs that stay alive, and distances written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.errors import ArtefactError, UsageError
from sensorad.models.adversarial import AdversarialAutoencoder, AdversarialConfig
from sensorad.models.discriminator import LEAK, STEEPNESS, Discriminator, SpectralLinear
from sensorad.models.losses import weighted_square
from sensorad.models.residual import ResidualAutoencoder
from sensorad.models.two_players import SMALLEST_DISTANCE, SMALLEST_SQUARE
from sensorad.models.weights import initialise, load_state_arrays, state_arrays
from sensorad.scoring import FusedScheme
from sensorad.training import TensorSource, TrainConfig, Trainer, TrainingRecord, objective_from_name

L, C = 10, 3
SMALL = AdversarialConfig(width=6, code=2, patch=4, features=5, near_zero=False)


def network_of(config: AdversarialConfig = SMALL, seed: int = 0, n_sensors: int = C) -> AdversarialAutoencoder:
    return AdversarialAutoencoder(n_sensors, config, seed).eval()


def windows_of(n_windows: int, seed: int = 1) -> Tensor:
    return torch.randn(n_windows, L, C, generator=torch.Generator().manual_seed(seed))


def gradients(config: AdversarialConfig, weight: Tensor | None = None) -> dict[str, Tensor]:
    network = network_of(config).train()
    for _ in range(20):  # so that the norms are those of the weights
        network.discriminator.turn()
    x = windows_of(8)
    network.fit_loss(x, x, weight, 0.5, torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    return {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}


def test_each_player_learns_from_its_own_loss_alone() -> None:
    neither, both = (gradients(replace(SMALL, matching=weight, second_look=weight)) for weight in (0.0, 5.0))
    network, x = network_of(), windows_of(8)
    weighted_square(network(x), x, None).backward()  # type: ignore[no-untyped-call]
    for name, value in network.named_parameters():
        if name.startswith("discriminator"):
            torch.testing.assert_close(both[name], neither[name])
            assert float(neither[name].abs().max()) > 0.0, "it learns"
        else:
            assert value.grad is not None
            torch.testing.assert_close(neither[name], value.grad, msg=f"{name}: the verdicts reach the generator")
            assert not torch.allclose(both[name], neither[name])


def test_where_it_is_judged_the_loss_is_the_squared_error() -> None:
    network, x, targets = network_of(), windows_of(8), windows_of(8, seed=2)
    weight = (windows_of(8, seed=3) > 0.0).float()
    before = state_arrays(network)
    loss = network.fit_loss(x, targets, weight, 1.0, torch.Generator())
    torch.testing.assert_close(loss, weighted_square(network(x), targets, weight))
    assert all(np.array_equal(array, before[name]) for name, array in state_arrays(network).items())


def test_a_spectral_layer_lengthens_no_difference() -> None:
    layer = SpectralLinear(7, 5)
    initialise(layer, 3)
    layer.reset(torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.linear.weight.mul_(9.0)
        for _ in range(200):
            layer.turn()
        matrix = layer(torch.eye(7)) - layer(torch.zeros(7, 7))
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("length", [2, 4, 5, 8, 11])
def test_patches_cover_the_newest_rows_of_windows_of_any_length(length: int) -> None:
    judge = Discriminator(C, 4, 5)
    initialise(judge, 0)
    judge.reset(torch.Generator().manual_seed(0))
    x = torch.randn(1, length, C, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = judge.features(x)[0].numpy()
        filled = np.concatenate([np.zeros((8, C)), x[0].numpy()])
        slow = []
        for end in range(len(filled), len(filled) - length, -2):
            patch = torch.from_numpy(filled[end - 4 : end].T.reshape(-1).astype(np.float32))
            for layer in (judge.first, judge.second):
                patch = layer(patch)
                patch = torch.where(patch > 0, patch, LEAK * patch)
            slow.append(patch.numpy())
            if end - 4 <= 8:
                break
        np.testing.assert_allclose(features, slow[::-1], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(judge(x)[0], STEEPNESS * judge.verdict(judge.features(x)).mean())


@pytest.mark.parametrize("gate", [0.0, 0.4, 1.0])
def test_channels_are_distances_of_features_and_of_codes(gate: float) -> None:
    network, x = network_of(), windows_of(4)
    with torch.no_grad():
        network.usual_features.mean.copy_(torch.tensor([1.0, 2.0, 0.0, 0.5, 3.0]))
        network.usual_codes.mean.copy_(torch.tensor([0.1, 4.0]))
        output, squares, channels = network.read(x, gate)
        assert squares is None
        torch.testing.assert_close(output, network(x))
        for n in range(4):
            one, other = x[n : n + 1], gate * output[n : n + 1]
            features = (network.discriminator.features(one) - network.discriminator.features(other))[0].numpy()
            usual = [1.0, 2.0, SMALLEST_SQUARE, 0.5, 3.0]
            slow = np.mean([[v * v / u for v, u in zip(row, usual, strict=True)] for row in features])
            codes = (network.encode(one) - network.encode(other))[0].tolist()
            looks = np.mean([codes[0] ** 2 / 0.1, codes[1] ** 2 / 4.0])
            expected = [0.5 * math.log(value + SMALLEST_DISTANCE) for value in (slow, looks)]
            np.testing.assert_allclose(channels[n], expected, rtol=1e-4, atol=1e-5)


def test_windows_are_measured_alike_in_any_batch() -> None:
    network, x = network_of(), windows_of(300)
    with torch.inference_mode():
        whole = network.read(x, 0.0)[2]
        parts = torch.cat([network.read(x[at : at + 1], 0.0)[2] for at in range(0, 300, 37)])
    torch.testing.assert_close(parts, whole[::37], rtol=0.0, atol=1e-12)


def test_what_was_not_measured_tells_the_discriminator_nothing() -> None:
    network, x = network_of(), windows_of(6)
    usable = windows_of(6, seed=4) > 0.0
    shown = network.made_up(torch.full_like(x, 9.0), x, usable, torch.Generator().manual_seed(0))
    assert torch.equal(shown[~usable], x[~usable])
    assert float(shown[usable].min()) > 4.0, "the rest is what was rebuilt"
    everything = gradients(SMALL, torch.ones(8, L, C))
    for name, value in gradients(SMALL).items():
        torch.testing.assert_close(everything[name], value)


def plant(n_windows: int, seed: int = 7) -> Tensor:
    """Two machines' worth of waves: a load of any phase and speed, three sensors that follow it, and noise."""
    generator = torch.Generator().manual_seed(seed)
    phase, speed = 6.3 * torch.rand(n_windows, 1, generator=generator), torch.rand(n_windows, 1, generator=generator)
    load = torch.sin(phase + (0.3 + 0.4 * speed) * torch.arange(16))
    x = torch.stack([load, load.roll(2, 1), load.square() - 0.5], dim=2)
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def trained(
    x: Tensor, config: AdversarialConfig, seed: int = 0, epochs: int = 25, **options: Any
) -> tuple[AdversarialAutoencoder, TrainingRecord]:
    generator = torch.Generator().manual_seed(seed)
    network = AdversarialAutoencoder(x.shape[2], config, generator)
    objective = objective_from_name(options.pop("objective", "plain"))
    settings = TrainConfig(epochs=epochs, learning_rate=0.01, checkpoint_every_seconds=0.0)
    record = Trainer(settings).fit(network, objective, TensorSource(x), None, generator, **options)
    return network, record


CONFIG = AdversarialConfig(width=12, code=4, patch=4, features=8)


@cache
def plant_network(seed: int, objective: str = "plain") -> tuple[AdversarialAutoencoder, TrainingRecord]:
    return trained(plant(384), CONFIG, seed, objective=objective)


@pytest.mark.parametrize("seed", range(5))
def test_no_run_diverges_or_collapses(seed: int) -> None:
    network, record = plant_network(seed)
    assert max(record.train_losses) < 5.0, "the verdicts add 1.4 where nothing is known, the squared error about 0.5"
    assert record.stopped_because == "epochs"
    x = plant(200, seed=8)
    with torch.inference_mode():
        rebuilt = network(x)
        error = float((rebuilt - x).square().mean() / x.square().mean())
    assert error < 0.2
    spread = rebuilt.var(0).mean() / x.var(0).mean()
    assert 0.7 < float(spread) < 1.1, "not one window for all"
    network.train()
    network.fit_loss(x, x, None, 1.0, torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    network.eval()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert 0.0 < float(value.grad.norm()) < 100.0, name
    network.zero_grad()


@pytest.mark.parametrize("objective", ["denoising", "masked"])
def test_other_objectives_teach_it_as_well(objective: str) -> None:
    network, _ = plant_network(0, objective)
    x = plant(200, seed=8)
    with torch.inference_mode():
        assert float((network(x) - x).square().mean() / x.square().mean()) < 0.6


def test_distances_are_about_0_for_normal_windows_and_larger_for_odd_ones() -> None:
    network, _ = plant_network(0)
    x = plant(300, seed=9)
    odd = x.clone()
    odd[..., 1] = odd[..., 1].roll(1, 0)  # a sensor of another window: every course is normal, their relation is not
    with torch.inference_mode():
        normal, found = network.read(x, 1.0)[2], network.read(odd, 1.0)[2]
    assert float(normal.median(0).values.abs().max()) < 0.7
    shift = (found.median(0).values - normal.median(0).values) / normal.std(0)
    assert float(shift[0]) > 3.0
    assert float(shift[1]) > 0.5


def test_it_says_which_player_has_won() -> None:
    network, _ = plant_network(0)
    x = plant(400, seed=10)
    accuracy = network.accuracy(x, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        made_up = network.made_up(network(x), x, None, torch.Generator().manual_seed(0))
        verdicts = [(network.discriminator(x) > 0).tolist(), (network.discriminator(made_up) < 0).tolist()]
    assert accuracy == pytest.approx(sum(sum(part) for part in verdicts) / 800, abs=1e-6)
    blind = network_of(CONFIG)
    with torch.no_grad():
        blind.discriminator.verdict.linear.weight.zero_()
        blind.discriminator.verdict.linear.bias.fill_(1.0)
    assert "the discriminator has lost (it tells 50 % of the windows right" in blind.note(x)
    # Noise of 1 around a generator that answers 0, and windows of one constant: no contest.
    easy, _ = trained(torch.ones(64, 16, 3) + 0.001 * plant(64), AdversarialConfig(width=4, code=1), epochs=12)
    with torch.no_grad():
        easy.usual.mean.fill_(1.0)
        easy.decoder.start_at_zero()
    assert "the discriminator has won" in easy.note(torch.ones(64, 16, 3))


class StopError(Exception):
    """The process was killed."""


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    def stop(epoch: int, *rest: object) -> None:
        if epoch == 3:
            raise StopError

    x, place = plant(100), tmp_path / "run.ckpt"
    whole, _ = trained(x, SMALL, epochs=5)
    with pytest.raises(StopError):
        trained(x, SMALL, epochs=5, checkpoint=place, progress=stop)
    again, _ = trained(x, SMALL, epochs=5, checkpoint=place)
    for name, array in state_arrays(whole).items():
        np.testing.assert_array_equal(state_arrays(again)[name], array, err_msg=name)


def test_weights_of_a_file_are_checked_by_name_and_shape() -> None:
    network, arrays = network_of(), state_arrays(network_of(seed=5))
    assert {name: array.shape for name, array in arrays.items()} == AdversarialAutoencoder.expected_shapes(C, SMALL)
    for name in ("discriminator.second.direction", "usual_codes.mean", "discriminator.verdict.linear.weight"):
        for damaged in (np.zeros((1, 1, 1), np.float32), np.full(arrays[name].shape, np.inf, np.float32)):
            with pytest.raises(ArtefactError, match=name):
                load_state_arrays(network, arrays | {name: damaged})
    load_state_arrays(network, arrays)
    x = windows_of(3)
    with torch.no_grad():
        assert torch.equal(network.read(x, 1.0)[2], network_of(seed=5).read(x, 1.0)[2])


def test_near_zero_it_begins_with_the_linear_model() -> None:
    network = AdversarialAutoencoder(C, AdversarialConfig(width=6, code=2), 0)
    components = torch.linalg.qr(torch.randn(L * C, 4, generator=torch.Generator().manual_seed(0)))[0]
    model, x = ResidualAutoencoder(network, components), windows_of(5)
    with torch.no_grad():
        assert torch.equal(model(x), model.linear(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 0}, "patch"),
        ({"features": 5000}, "features"),
        ({"matching": -1.0}, "matching must be from 0 to 1000"),
        ({"second_look": math.inf}, "second_look"),
        ({"depth": 2}, "unknown options: 'depth'"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AdversarialConfig.from_json(options)
    assert AdversarialConfig.from_json(SMALL.to_json()) == SMALL


def test_a_detector_has_two_channels_more_and_is_run_by_torch_alone(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(600)[:, None] / 6.0 + np.arange(3)) + 0.2 * rng.normal(size=(600, 3))
    log = pd.DataFrame(wave, columns=list("abc"))
    log.insert(0, "time", pd.date_range("2024-05-01", periods=600, freq="min", tz="UTC"))
    network = {"width": 8, "code": 2, "features": 4}
    detector = Detector(config=DetectorConfig(model="adversarial", window=8, epochs=2, network=network)).fit(log)
    engine = detector.engine()
    (block,) = detector.open_log(log).blocks()
    assert isinstance(engine.scheme, FusedScheme)
    assert len(engine.scheme.channels) == 2
    assert np.isfinite(engine.score(block).score[10:]).all()
    with pytest.raises(UsageError, match="adversarial is scored by a measure of its own"):
        detector.engine(network="numpy")
    pytest.importorskip("onnxruntime")
    from sensorad.export import export_onnx

    assert export_onnx(detector, tmp_path / "network.onnx", part="network").parity.n_windows > 0
    with pytest.raises(UsageError, match="measure of its own"):
        detector.engine(network=tmp_path / "network.onnx")
