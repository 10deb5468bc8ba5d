"""The variational autoencoder against formulas written out cell by cell, and what it says of its own code."""

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
from sensorad.models.residual import ResidualAutoencoder
from sensorad.models.variational import (
    ACTIVE_VARIANCE,
    SMALLEST_SIGMA,
    CodeUse,
    VariationalAutoencoder,
    VariationalConfig,
)
from sensorad.models.weights import load_state_arrays, state_arrays
from sensorad.training import TensorSource, TrainConfig, Trainer, objective_from_name

L, C = 6, 3
SMALL = VariationalConfig(width=6, code=2, layers=2, draws=4, free_nats=0.0, near_zero=False)


def network_of(config: VariationalConfig = SMALL, seed: int = 0) -> VariationalAutoencoder:
    """With decoder and code far from their first, small values, and usual errors that differ."""
    network = VariationalAutoencoder(C, config, seed)
    with torch.no_grad():
        for weight in (*network.decoder.parameters(), *network.encoder.narrow.parameters()):
            weight.mul_(3.0)
        network.usual.mean.copy_(torch.tensor([0.5, 1e-9, 2.0]))
    return network.eval()


def windows_of(n_windows: int, seed: int = 1) -> Tensor:
    return torch.randn(n_windows, L, C, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gate", [0.0, 0.4, 1.0])
def test_errors_are_the_loss_of_probability_averaged_over_the_draws(gate: float) -> None:
    network, x = network_of(), windows_of(3)
    with torch.no_grad():
        output, squares, channels = network.read(x, gate)
        mean, log_variance = network.encode(x)
        torch.testing.assert_close(output, network(x))
        assert channels is None
        for n in range(3):
            slow = np.zeros((L, C))
            for draw in network.draws:
                code = mean[n] + torch.exp(0.5 * log_variance[n]) * draw
                means, relative = (part[0].numpy() for part in network.decode(code[None], L))
                for row in range(L):
                    for sensor in range(C):
                        usual = max([0.5, 1e-9, 2.0][sensor], SMALLEST_SIGMA**2)
                        variance = usual * math.exp(relative[row, sensor]) ** gate
                        smallest = usual * SMALL.sigma_range ** (-2.0 * gate)
                        error = float(x[n, row, sensor]) - gate * means[row, sensor]
                        slow[row, sensor] += usual * (error**2 / variance + math.log(variance / smallest))
            np.testing.assert_allclose(squares[n], slow / len(network.draws), rtol=2e-5, atol=1e-6)


def test_with_the_gate_shut_errors_are_squared_inputs_and_never_negative_otherwise() -> None:
    network, x = network_of(), windows_of(20)
    with torch.no_grad():
        torch.testing.assert_close(network.read(x, 0.0)[1], x.square())
        assert float(network.read(0.01 * x, 1.0)[1].min()) >= 0.0


def test_a_sensor_without_errors_does_not_outshout_the_others() -> None:
    """Its usual error is 3e-5 of a deviation; a deviation of one counts about one, not 1e9."""
    x = torch.zeros(1, L, C)
    x[..., 1] = 1.0
    with torch.no_grad():
        assert 0.1 < float(network_of().read(x, 1.0)[1][..., 1].mean()) < 20.0


@pytest.mark.parametrize("progress", [0.1, 1.0])
@pytest.mark.parametrize("has_weight", [False, True])
def test_the_loss_is_the_negative_evidence_lower_bound_of_a_cell(progress: float, has_weight: bool) -> None:
    network, x, targets = network_of(), windows_of(4), windows_of(4, seed=2)
    weight = torch.rand(4, L, C, generator=torch.Generator().manual_seed(3)) if has_weight else None
    with torch.no_grad():
        loss = float(network.fit_loss(x, targets, weight, progress, torch.Generator().manual_seed(5)))
        noise = torch.randn(4, 2, generator=torch.Generator().manual_seed(5))
        mean, log_variance = network.encode(x)
        total = 0.0
        for n in range(4):
            code = mean[n] + torch.exp(0.5 * log_variance[n]) * noise[n]
            means, relative = network.decode(code[None], L)
            variance = network.usual() * torch.exp(relative[0])
            cells = 0.5 * ((targets[n] - means[0]) ** 2 / variance + torch.log(variance))
            total += float((cells if weight is None else cells * weight[n]).sum())
            for m, v in zip(mean[n].tolist(), log_variance[n].exp().tolist(), strict=True):
                total += min(1.0, progress / SMALL.warm_up) * 0.5 * (m * m + v - 1.0 - math.log(v))
    assert loss == pytest.approx(total / (4 * L * C if weight is None else float(weight.sum())), rel=1e-5)


def test_the_divergence_counts_in_full_when_the_warm_up_has_ended() -> None:
    network = VariationalAutoencoder(C, VariationalConfig(width=4, code=2, warm_up=0.4), 0)
    assert [network.warmth(share) for share in (0.0, 0.2, 0.4, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert VariationalAutoencoder(C, VariationalConfig(width=4, code=2, warm_up=0.0), 0).warmth(0.0) == 1.0


def test_free_nats_cost_nothing_up_to_the_limit() -> None:
    x = windows_of(4)
    losses = []
    for free in (0.0, 50.0, 60.0):
        network = network_of(VariationalConfig(width=6, code=2, free_nats=free, near_zero=False))
        with torch.no_grad():
            losses.append(float(network.fit_loss(x, x, None, 1.0, torch.Generator().manual_seed(0))))
    assert losses[2] - losses[1] == pytest.approx(2 * 10.0 * 4 / x.numel(), rel=1e-4)
    assert losses[0] < losses[1]


def test_usual_errors_follow_the_training_and_stay_when_the_loss_is_judged() -> None:
    network, x = VariationalAutoencoder(C, SMALL, 0), windows_of(64)
    weight = torch.ones(64, L, C)
    weight[..., 2] = 0.0
    network.train()
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        network.fit_loss(0.1 * x, 0.1 * x, weight, 0.5, generator)
    mean = network.usual.mean.clone()
    assert float(mean[:2].max()) < 0.5
    assert float(mean[2]) == 1.0, "nothing was known of it"
    network.eval()
    network.fit_loss(x, x, None, 1.0, generator)
    assert torch.equal(network.usual.mean, mean)


def test_draws_are_in_pairs_and_belong_to_the_weights() -> None:
    network = network_of()
    assert torch.equal(network.draws[:2], -network.draws[2:])
    arrays = state_arrays(network)
    assert {name: array.shape for name, array in arrays.items()} == VariationalAutoencoder.expected_shapes(C, SMALL)
    other = network_of(seed=9)
    x = windows_of(5)
    with torch.no_grad():
        assert not torch.equal(other.read(x, 1.0)[1], network.read(x, 1.0)[1])
        load_state_arrays(other, arrays)
        assert torch.equal(other.read(x, 1.0)[1], network.read(x, 1.0)[1])
    for name in ("draws", "usual.mean"):
        for damaged in (np.zeros((1, 1), np.float32), np.full(arrays[name].shape, np.nan, np.float32)):
            with pytest.raises(ArtefactError, match=name):
                load_state_arrays(other, arrays | {name: damaged})


def test_windows_are_read_alike_in_any_batch() -> None:
    network, x = network_of(), windows_of(300)
    with torch.inference_mode():
        whole = network.read(x, 0.7)[1]
        parts = torch.cat([network.read(x[at : at + 1], 0.7)[1] for at in range(0, 300, 37)])
    torch.testing.assert_close(parts, whole[::37], rtol=2e-6, atol=1e-7)


def trained(x: Tensor, config: VariationalConfig, epochs: int = 30, **options: Any) -> VariationalAutoencoder:
    generator = torch.Generator().manual_seed(0)
    network = VariationalAutoencoder(x.shape[2], config, generator)
    objective = objective_from_name(options.pop("objective", "plain"))
    Trainer(TrainConfig(epochs=epochs, learning_rate=0.01)).fit(
        network, objective, TensorSource(x), None, generator, **options
    )
    return network


def waves(n_windows: int, noise: float = 0.1) -> Tensor:
    """Sines of any phase on two sensors."""
    generator = torch.Generator().manual_seed(7)
    phase = 2 * math.pi * torch.rand(n_windows, 1, 1, generator=generator)
    x = torch.sin(torch.arange(12)[:, None] / 2.0 + torch.arange(2) + phase)
    return x + noise * torch.randn(x.shape, generator=generator)


@cache
def wave_network(objective: str = "plain") -> VariationalAutoencoder:
    return trained(waves(512), VariationalConfig(width=12, code=4), objective=objective)


def test_units_that_are_used_are_told_from_units_that_are_not() -> None:
    network, x = wave_network(), waves(200)
    use = network.code_use(x)
    with torch.no_grad():
        mean, log_variance = (part.numpy() for part in network.encode(x))
    for unit in range(4):
        slow = [
            0.5 * (m * m + math.exp(v) - 1.0 - v) for m, v in zip(mean[:, unit], log_variance[:, unit], strict=True)
        ]
        assert use.divergence[unit] == pytest.approx(float(np.mean(slow)), rel=1e-4)
        assert use.variance[unit] == pytest.approx(float(np.var(mean[:, unit])), rel=1e-4)
    assert use.n_active == sum(variance > ACTIVE_VARIANCE for variance in use.variance) >= 2, (
        "a phase needs two numbers"
    )
    assert f"{use.n_active} of 4 units are active" in network.note(x)


def test_a_collapsed_code_is_reported_in_plain_words() -> None:
    """White noise: whatever a code says of it does not help, and the bound makes the network give it up."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512, 12, 2, generator=generator)
    said = trained(x, VariationalConfig(width=12, code=4), epochs=12).note(x)
    assert "the code says nothing of the window (posterior collapse" in said
    use = CodeUse(divergence=(0.3, 0.2), variance=(0.009, 0.008))
    assert use.has_collapsed, "units that differ from their prior, but not from window to window"
    assert not CodeUse(divergence=(0.3, 0.0), variance=(0.011, 0.0)).has_collapsed
    assert CodeUse(divergence=(0.3, 0.0), variance=(0.011, 0.0), free_nats=0.25).has_collapsed


def test_the_same_error_counts_more_where_the_plant_is_calm() -> None:
    """The second sensor's noise is 0.1 or 1 as the first one says; its expected value is 0 in both states."""
    generator = torch.Generator().manual_seed(3)
    state = torch.randint(0, 2, (512, 1), generator=generator).float()
    x = torch.stack([2.0 * state - 1.0 + torch.zeros(512, 8), torch.zeros(512, 8)], dim=2)
    x[..., 1] = torch.randn(512, 8, generator=generator) * (0.1 + 0.9 * state)
    network = trained(x, VariationalConfig(width=12, code=2, sigma_range=10.0))
    with torch.inference_mode():
        found = []
        for level in (-1.0, 1.0):
            quiet, odd = torch.zeros(1, 8, 2), torch.zeros(1, 8, 2)
            quiet[..., 0] = odd[..., 0] = level
            odd[0, 5, 1] = 1.0
            found.append(float((network.read(odd, 1.0)[1] - network.read(quiet, 1.0)[1])[0, 5, 1]))
    assert found[0] > 5.0 * found[1] > 0.0


@pytest.mark.parametrize("objective", ["plain", "denoising", "masked"])
def test_every_objective_teaches_it_to_rebuild(objective: str) -> None:
    network, x = wave_network(objective), waves(100)
    with torch.inference_mode():
        error = float((network(x) - x).square().mean())
    assert error < 0.25 * float(x.square().mean())


class StopError(Exception):
    """The process was killed."""


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    def stop(epoch: int, *rest: object) -> None:
        if epoch == 3:
            raise StopError

    x, config = waves(100), VariationalConfig(width=6, code=2)
    whole = trained(x, config, epochs=5)
    place = tmp_path / "run.ckpt"
    settings = TrainConfig(epochs=5, learning_rate=0.01, checkpoint_every_seconds=0.0)
    for progress in (stop, None):
        generator = torch.Generator().manual_seed(0)
        network = VariationalAutoencoder(2, config, generator)
        run = (network, objective_from_name("plain"), TensorSource(x), None, generator)
        if progress is None:
            Trainer(settings).fit(*run, checkpoint=place)
        else:
            with pytest.raises(StopError):
                Trainer(settings).fit(*run, checkpoint=place, progress=progress)
    for name, array in state_arrays(whole).items():
        np.testing.assert_array_equal(state_arrays(network)[name], array, err_msg=name)


def test_near_zero_it_begins_with_the_linear_model() -> None:
    network = VariationalAutoencoder(C, VariationalConfig(width=6, code=2), 0)
    components = torch.linalg.qr(torch.randn(L * C, 4, generator=torch.Generator().manual_seed(0)))[0]
    model, x = ResidualAutoencoder(network, components), windows_of(5)
    with torch.no_grad():
        assert torch.equal(model(x), model.linear(x))
        assert float(network.read(x, 1.0)[1].std()) > 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 3}, "draws must be even"),
        ({"draws": 0}, "draws"),
        ({"sigma_range": 0.5}, "sigma_range must be from 1 to 100"),
        ({"warm_up": math.nan}, "warm_up"),
        ({"free_nats": "much"}, "free_nats"),
        ({"code": 0}, "code"),
        ({"depth": 2}, "unknown options: 'depth'"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VariationalConfig.from_json(options)
    assert VariationalConfig.from_json(SMALL.to_json()) == SMALL


def test_a_fitted_detector_tells_what_the_code_says(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(600)[:, None] / 6.0 + np.arange(3)) + 0.2 * rng.normal(size=(600, 3))
    log = pd.DataFrame(wave, columns=list("abc"))
    log.insert(0, "time", pd.date_range("2024-05-01", periods=600, freq="min", tz="UTC"))
    config = DetectorConfig(model="variational", window=8, network={"width": 8, "code": 2}, epochs=2)
    detector = Detector(config=config).fit(log)
    assert sum("the code says" in note for note in detector.notes_) == 1, "once, of the network that is used"
    assert "the code says" in detector.training_["records"][-1]["note"]
    untrained = Detector(config=replace(config, epochs=0)).fit(log)
    assert not any("the code says" in note for note in untrained.notes_)
    with pytest.raises(UsageError, match="variational is scored by a measure of its own"):
        detector.engine(network="numpy")
    pytest.importorskip("onnxruntime")
    from sensorad.export import export_onnx

    assert export_onnx(detector, tmp_path / "detector.onnx", part="detector").parity.n_windows > 0
