"""Weights as arrays, first weights from a generator alone, and the bottleneck that every network must have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sensorad.errors import ArtefactError, UsageError
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.dropout import Dropout
from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig
from sensorad.models.weights import load_state_arrays, state_arrays

L, C = 10, 3
Build = Callable[..., nn.Module]


def dense(generator: Any = 0, *, near_zero: bool = False) -> nn.Module:
    return DenseAutoencoder(L * C, DenseConfig(widths=(12, 2), activation="tanh", near_zero=near_zero), generator)


def lstm(generator: Any = 0, *, near_zero: bool = False) -> nn.Module:
    return LSTMAutoencoder(C, LSTMConfig(width=8, code=2, layers=2, near_zero=near_zero), generator)


def transformer(generator: Any = 0, *, near_zero: bool = False) -> nn.Module:
    config = TransformerConfig(
        width=8, heads=2, layers=1, feedforward=12, patch=4, code=2, sensor_width=4, near_zero=near_zero
    )
    return TransformerAutoencoder(C, L, config, generator)


every_network = pytest.mark.parametrize("build", [dense, lstm, transformer])


@every_network
def test_building_a_network_leaves_the_global_generator_alone(build: Build) -> None:
    before = torch.random.get_rng_state()
    build(3)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_network
def test_first_weights_come_from_the_seed_alone(build: Build) -> None:
    one = state_arrays(build(3))
    torch.manual_seed(99)
    again, other = state_arrays(build(torch.Generator().manual_seed(3))), state_arrays(build(4))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


@every_network
def test_every_weight_gets_a_finite_value_of_sensible_size(build: Build) -> None:
    for name, array in state_arrays(build()).items():
        assert np.isfinite(array).all(), name
        assert np.abs(array).max() < 3.0, name


@every_network
def test_output_starts_at_zero_where_a_linear_model_has_gone_before(build: Build) -> None:
    x = torch.randn(4, L, C, generator=torch.Generator().manual_seed(0))
    assert torch.equal(build(near_zero=True)(x), torch.zeros(4, L, C))
    assert float(build(near_zero=False)(x).detach().abs().max()) > 0.0


@every_network
def test_a_window_goes_through_a_code_of_two_numbers(build: Build) -> None:
    """However the weights are, the output moves in at most as many directions as the code has numbers."""
    network = build().eval()
    x = torch.randn(1, L, C, generator=torch.Generator().manual_seed(1))
    jacobian = torch.autograd.functional.jacobian(network, x).reshape(L * C, L * C)
    singular = torch.linalg.svdvals(jacobian.double())
    assert float(singular[1]) > 1e-6 * float(singular[0])
    assert float(singular[2]) < 1e-5 * float(singular[0])


@every_network
def test_weights_survive_the_way_through_arrays(build: Build) -> None:
    one, other = build(0).eval(), build(1).eval()
    x = torch.randn(2, L, C, generator=torch.Generator().manual_seed(0))
    arrays = state_arrays(one)
    load_state_arrays(other, arrays)
    assert torch.equal(one(x), other(x))
    arrays[next(iter(arrays))][...] = 7.0
    assert torch.equal(one(x), other(x)), "the arrays must be copies"


def test_expected_shapes_are_known_without_building_the_network() -> None:
    config = TransformerConfig(width=8, heads=2, layers=1, feedforward=12, patch=4, code=2, sensor_width=4)
    for expected, network in (
        (DenseAutoencoder.expected_shapes(L * C, DenseConfig(widths=(12, 2))), dense()),
        (LSTMAutoencoder.expected_shapes(C, LSTMConfig(width=8, code=2, layers=2)), lstm()),
        (TransformerAutoencoder.expected_shapes(C, L, config), transformer()),
    ):
        assert expected == {name: array.shape for name, array in state_arrays(network).items()}
    huge = LSTMAutoencoder.expected_shapes(1000, LSTMConfig(width=4096, layers=8))
    assert huge["encoder.weight_hh_l7"] == (4 * 4096, 4096)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda arrays: arrays.pop("output.bias"), "missing: output.bias"),
        (lambda arrays: arrays.update({"../x": np.zeros(1, np.float32)}), "unknown weights: '../x'"),
        (lambda arrays: arrays.update({"output.bias": np.zeros(4, np.float32)}), r"shape \(3,\) expected, got \(4,\)"),
        (lambda arrays: arrays.update({"output.bias": np.zeros(3)}), "float32 expected, got float64"),
        (lambda arrays: arrays["output.weight"].__setitem__((0, 0), np.nan), "NaN or infinity.*output.weight"),
        (lambda arrays: arrays["output.weight"].__setitem__((2, 7), -np.inf), "NaN or infinity.*output.weight"),
    ],
)
def test_damaged_arrays_are_refused_by_name_and_change_nothing(damage: Callable[..., Any], message: str) -> None:
    network = lstm()
    before = state_arrays(network)
    arrays = state_arrays(lstm(5))
    damage(arrays)
    with pytest.raises(ArtefactError, match=message):
        load_state_arrays(network, arrays)
    assert all(np.array_equal(before[name], array) for name, array in state_arrays(network).items())


def test_the_largest_float32_is_still_finite() -> None:
    arrays = state_arrays(lstm())
    arrays["output.bias"][...] = np.finfo(np.float32).max
    load_state_arrays(lstm(), arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTMConfig(width=0), "width must be a whole number from 1 to 4096, got 0"),
        (lambda: LSTMConfig(width=10**9), "width must be"),
        (lambda: LSTMConfig(code=0), "code must be"),
        (lambda: TransformerConfig(width=30, heads=4), "heads must divide width"),
        (lambda: TransformerConfig(dropout=1.0), r"dropout must be in \[0, 1\)"),
        (lambda: TransformerConfig(dropout=float("nan")), "dropout must be"),
        (lambda: TransformerConfig(patch=2.5), "patch must be a whole number"),
        (lambda: DenseConfig(widths=()), "at least one width"),
        (lambda: DenseConfig(activation="cube"), "activation 'cube' is not known"),
        (lambda: DenseConfig(output="cube"), "output 'cube' is not known"),
    ],
)
def test_configurations_are_checked_once(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    "config",
    [
        LSTMConfig(width=9, code=None),
        TransformerConfig(patch=4, dropout=0.1),
        DenseConfig(widths=(5, 2), output="tanh"),
    ],
)
def test_configurations_survive_json(config: Any) -> None:
    import json

    assert type(config).from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("config", [LSTMConfig, TransformerConfig, DenseConfig])
def test_unknown_options_are_refused_by_name(config: Any) -> None:
    with pytest.raises(UsageError, match="unknown options: 'depth'"):
        config.from_json({"depth": 3})
    assert config.from_json({}) == config()


def test_dropout_draws_from_its_own_generator_and_keeps_the_mean() -> None:
    dropout = Dropout(0.25)
    dropout.generator = torch.Generator().manual_seed(0)
    before = torch.random.get_rng_state()
    out = dropout(torch.ones(200, 200))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(out.mean()) == pytest.approx(1.0, abs=0.01)
    assert torch.equal(dropout.eval()(torch.ones(3)), torch.ones(3))


def test_dropout_without_generator_refuses_to_train() -> None:
    with pytest.raises(UsageError, match="needs a generator"):
        Dropout(0.5)(torch.ones(2))
