"""The masked-sensor network: what it may read, what it is asked for, and its twin in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sensorad.error_models.numpy_cross import REACH, NumpyCross, fit_linear
from sensorad.errors import ArtefactError, UsageError
from sensorad.models.cross_config import LAGS, LINEAR, CrossSensorConfig
from sensorad.models.cross_sensor import CrossSensorNetwork
from sensorad.models.weights import state_arrays, state_shapes
from sensorad.training.batches import Batch
from sensorad.training.cross_sensor import HiddenSensors, LaggedSource

C = 5
CONFIG = CrossSensorConfig(width=7)


def _rows(n_rows: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_rows, C)).astype(np.float32)


def _network(seed: int = 3) -> tuple[CrossSensorNetwork, NumpyCross]:
    module = CrossSensorNetwork(C, CONFIG, seed)
    arrays = state_arrays(module)
    arrays |= {name: 10.0 * arrays[name] for name in ("output.weight",)}
    with torch.no_grad():
        module.get_parameter("output.weight").mul_(10.0)
    linear = fit_linear([_rows(400)], penalty=10.0)
    return module, NumpyCross.from_arrays(arrays | {LINEAR: linear}, CONFIG, C)


def test_a_sensor_says_nothing_of_itself_nor_does_a_hidden_one() -> None:
    module, _ = _network()
    readings, hidden = torch.randn(4, len(LAGS) * C), torch.zeros(4, C)
    hidden[:, [1, 3]] = 1.0
    changed = readings.clone().view(4, len(LAGS), C)
    changed[:, :, [1, 3]] += 5.0
    torch.testing.assert_close(module(changed.flatten(1), hidden), module(readings, hidden))
    changed[:, :, 0] += 5.0
    assert (module(changed.flatten(1), hidden) - module(readings, hidden)).abs().min() > 1e-4


def test_numpy_says_of_each_sensor_what_torch_says_with_it_hidden() -> None:
    """Torch is asked row by row and sensor by sensor; NumPy works the first layer out once."""
    module, network = _network()
    rows = _rows()
    usable = np.random.default_rng(1).random(rows.shape) > 0.03
    assert not usable.all()
    at = np.arange(REACH, len(rows))
    linear, correction = network.parts(rows, usable, at, [0, 2, 4])
    weights = network.to_arrays()[LINEAR].astype(np.float64)
    for place, row in enumerate(at):
        readings = np.concatenate([rows[row - lag] for lag in LAGS])
        missing = [not all(usable[row - lag, sensor] for lag in LAGS) for sensor in range(C)]
        for column, sensor in enumerate((0, 2, 4)):
            hidden = torch.tensor([[float(m or s == sensor) for s, m in enumerate(missing)]])
            with torch.inference_mode():
                said = module(torch.from_numpy(readings)[None], hidden)[0, sensor]
            assert correction[place, column] == pytest.approx(float(said), abs=2e-6)
            assert linear[place, column] == pytest.approx(readings @ weights[:-1, sensor] + weights[-1, sensor])


def test_a_row_is_rounded_in_the_same_way_in_any_batch() -> None:
    _, network = _network()
    rows = _rows(700)
    usable = np.ones(rows.shape, bool)
    holed = usable.copy()
    holed[650:, 1] = False
    at = np.arange(REACH, len(rows))
    whole = np.stack(network.parts(rows, usable, at, [1, 3]))
    np.testing.assert_array_equal(whole[:, 100:101], np.stack(network.parts(rows, usable, at[100:101], [1, 3])))
    np.testing.assert_array_equal(whole[:, 77:380], np.stack(network.parts(rows, usable, at[77:380], [1, 3])))
    np.testing.assert_array_equal(whole[:, :600], np.stack(network.parts(rows, holed, at, [1, 3]))[:, :600])


def test_the_linear_prediction_is_the_ridge_regression_on_the_others() -> None:
    rows = np.random.default_rng(2).normal(size=(300, 2)).astype(np.float32) @ np.ones((2, C), np.float32)
    rows += 0.3 * _rows(300, seed=5)
    weights = fit_linear([rows[:100], rows[100:]], penalty=10.0)
    for sensor in range(C):
        design, target = [], []
        for segment in (rows[:100], rows[100:]):
            for row in range(REACH, len(segment)):
                others = [segment[row - lag, other] for lag in LAGS for other in range(C) if other != sensor]
                design.append([*others, 1.0])
                target.append(segment[row, sensor])
        x, y = np.array(design, np.float64), np.array(target, np.float64)
        direct = np.linalg.solve(x.T @ x + 10.0 * np.eye(x.shape[1]), x.T @ y)
        kept = [place for place in range(len(LAGS) * C) if place % C != sensor]
        np.testing.assert_allclose(weights[[*kept, -1], sensor], direct, atol=2e-6)
        assert (weights[sensor:-1:C, sensor] == 0.0).all()


def test_items_hold_the_rows_at_all_lags_and_hide_missing_sensors() -> None:
    rows, usable = _rows(20), np.ones((20, C), bool)
    usable[6, 2] = usable[12, 3] = False
    source = LaggedSource(rows, usable, 2.0 * rows, np.arange(8, 20))
    batch = source.take(torch.arange(12))
    for item, row in enumerate(range(8, 20)):
        missing = np.array([any(not usable[row - lag, sensor] for lag in LAGS) for sensor in range(C)])
        expected = np.concatenate([*(np.where(missing, 0.0, rows[row - lag]) for lag in LAGS), missing])
        np.testing.assert_array_equal(batch.inputs[item], expected.astype(np.float32))
        np.testing.assert_array_equal(batch.targets[item], 2.0 * rows[row])
        np.testing.assert_array_equal(batch.mask[item], usable[row])


def test_only_hidden_sensors_that_were_measured_are_learned() -> None:
    class Recorder(torch.nn.Module):
        def forward(self, readings: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
            self.hidden = hidden
            return torch.zeros_like(hidden)

    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(1.0, 1.0 + C).repeat(64, 1)
    mask = torch.ones(64, C, dtype=torch.bool)
    mask[:, 0] = False
    inputs = torch.cat([torch.zeros(64, len(LAGS) * C), (~mask).float()], dim=1)
    recorder = Recorder()
    loss = HiddenSensors().loss(recorder, Batch(inputs, targets, mask), generator)
    hidden = recorder.hidden.bool()
    assert hidden[:, 0].all()  # a missing sensor is hidden as well
    assert hidden[:, 1:].any(dim=1).sum() > 40
    drawn = HiddenSensors().hide(64, C, torch.Generator().manual_seed(0)).bool()
    counted = drawn & mask
    assert float(loss) == pytest.approx(float((targets**2)[counted].mean()))
    share = HiddenSensors(0.4).hide(20_000, C, generator).mean()
    assert float(share) == pytest.approx(0.2 + (1 - 0.2) / C, abs=0.01)


def test_the_weights_have_the_shapes_that_the_settings_say() -> None:
    shapes = CONFIG.shapes(C)
    assert {name: shape for name, shape in shapes.items() if name != LINEAR} == state_shapes(
        CrossSensorNetwork(C, CONFIG, None)
    )
    _, network = _network()
    arrays = network.to_arrays()
    with pytest.raises(ArtefactError, match="shape"):
        NumpyCross.from_arrays(arrays, CONFIG, C + 1)


@pytest.mark.parametrize("settings", [{"width": 0}, {"most_hidden": 1.0}, {"penalty": 0.0}, {"least_gain": 1.0}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        CrossSensorConfig(**settings)


def test_settings_come_back_from_json() -> None:
    config = CrossSensorConfig(width=16, least_gain=0.2)
    assert CrossSensorConfig.from_json(config.to_json()) == config
    with pytest.raises(UsageError, match="unknown"):
        CrossSensorConfig.from_json({"depth": 2})
