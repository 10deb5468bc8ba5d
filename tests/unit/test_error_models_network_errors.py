"""Errors of networks against single windows and loops: every window, windows on a grid of time, a carried state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_lstm import slow_autoencoder
from test_error_models_numpy_lstm import weights_of

from sensorad.data import TimeGrid
from sensorad.error_models import LinearErrors, SensorErrors
from sensorad.error_models import carried_errors as carried
from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.errors import AskedRows
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.network_reading import Reading
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.errors import UsageError
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.lstm_config import LSTMConfig
from sensorad.models.residual import ResidualAutoencoder

LENGTH, C = 6, 3
PARTS = ("window", "newest", "expected", "step", "linear")


def _rows(n_rows: int, n_sensors: int = C, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(n_rows, n_sensors)), axis=0).astype(np.float32)


def _network() -> TorchWindows:
    return TorchWindows(DenseAutoencoder(LENGTH * C, DenseConfig(widths=(5,))).eval())


def _model(read_every: int = 1, gate: float = 0.7, step_seconds: float = 1.0) -> NetworkErrors:
    rows = _rows(200, seed=9)
    linear = WindowPCA.fit([rows], LENGTH, 0.5), RidgeAutoregression.fit([rows], 2, 1.0)
    found = Reading(LENGTH, step_seconds, read_every).errors(_network(), gate, *linear)
    assert isinstance(found, NetworkErrors)
    return found


def _times(n_rows: int, seed: int, step_ns: int = 10**9) -> np.ndarray:
    """Rising, irregular: bursts, and pauses longer than a slot."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0.05, 0.4, 1.0, 1.0, 1.0, 1.3, 5.5], size=n_rows) * step_ns
    return np.cumsum(np.maximum(steps.astype(np.int64), 1)) + rng.integers(0, 10**12)


def _take(errors: SensorErrors, row: int) -> dict[str, np.ndarray]:
    return {name: getattr(errors, name)[row] for name in PARTS}


@pytest.mark.parametrize("has_linear_part", [True, False])
def test_every_window_is_read_as_its_module_does(has_linear_part: bool) -> None:
    rows = _rows(60)
    pca = WindowPCA.fit([rows], LENGTH, 0.5) if has_linear_part else None
    autoregression = RidgeAutoregression.fit([rows], 2, 1.0) if has_linear_part else None
    components = None if pca is None else torch.from_numpy(pca.components)
    network = _network()
    module = ResidualAutoencoder(network.module, components).eval()
    module.get_buffer("gate").fill_(0.7)
    errors = NetworkErrors(network, 0.7, LENGTH, pca, autoregression).errors(
        rows, np.ones(rows.shape, bool), np.arange(len(rows))
    )
    for t in (LENGTH - 1, 30, 59):
        window = rows[t - LENGTH + 1 : t + 1]
        with torch.no_grad():
            rebuilt = module(torch.from_numpy(window.copy())[None])[0].numpy()
        np.testing.assert_allclose(errors.window[t], ((window - rebuilt) ** 2).mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(errors.newest[t], window[-1] - rebuilt[-1], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(errors.expected[t], rebuilt[-1], rtol=1e-4, atol=1e-4)
    assert np.isnan(errors.step[5:]).all() == (not has_linear_part)


def test_a_single_window_warns_of_nothing() -> None:
    """A view of one window is contiguous already, and torch does not take read-only memory."""
    rows = _rows(4, 2)
    rows.flags.writeable = False
    network = TorchWindows(torch.nn.Identity())
    model = NetworkErrors(network, 1.0, 4, None, None)
    assert (model.errors(rows, np.ones(rows.shape, bool), np.arange(len(rows))).newest[-1] == 0).all()
    assert network(rows[None]).shape == (1, 4, 2)


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(2, 7), st.integers(0, 999), st.booleans())
def test_on_a_grid_the_factor_of_the_newest_reading_holds(
    n_rows: int, read_every: int, seed: int, has_holes: bool
) -> None:
    rows, time, model = _rows(n_rows, seed=seed), _times(n_rows, seed), _model(read_every)
    usable = np.random.default_rng(seed).random(rows.shape) > (0.4 if has_holes else -1.0)
    errors = model.errors(rows, usable, time)
    linear = LinearErrors(model.pca, model.autoregression).errors(rows, usable, time)
    for name in ("newest", "expected", "step", "linear"):
        np.testing.assert_array_equal(getattr(errors, name), getattr(linear, name), err_msg=name)
    slot = time // (read_every * 10**9)
    for t in range(n_rows):
        reading = t
        while reading >= 0 and reading > 0 and slot[reading] == slot[reading - 1]:
            reading -= 1
        factor = np.ones(C)
        if t - reading <= 2 * read_every and reading >= LENGTH - 1:
            at = slice(reading - LENGTH + 1, reading + 1)
            left = rows[at] - model.pca.reconstruct(rows[None, at])[0]
            error = left - 0.7 * model.network(left[None].astype(np.float32))[0]
            for c in range(C):
                cells = np.flatnonzero(usable[at, c])
                if len(cells):
                    own, other = np.mean(error[cells, c] ** 2), np.mean(left[cells, c] ** 2)
                    factor[c] = (own + 1e-8) / (other + 1e-8)
        np.testing.assert_allclose(errors.window[t], linear.window[t] * factor, rtol=1e-4, atol=1e-12)


def test_rows_on_a_grid_depend_on_the_rows_that_they_state() -> None:
    rows, model = _rows(150), _model(read_every=4)
    usable = np.ones(rows.shape, bool)
    assert model.context_rows == LENGTH - 1 + 8
    for seed in range(5):
        time = _times(150, seed)
        whole = model.errors(rows, usable, time)
        for t in range(model.context_rows, 150):
            part = slice(t - model.context_rows, t + 1)
            found = _take(model.errors(rows[part], usable[part], time[part]), -1)
            for name, value in _take(whole, t).items():
                np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-9, err_msg=name)


def test_a_reading_is_where_the_slot_begins_and_nowhere_else() -> None:
    """A network that doubles the error says so in the rows of its slot, and the window that is not read has no say."""
    model = _model(read_every=4, gate=1.0)
    rows, time = _rows(40), np.arange(40) * 10**9
    read: list[np.ndarray] = []

    def network(residual: np.ndarray) -> np.ndarray:
        read.extend(residual)
        return -residual

    model = NetworkErrors(network, 1.0, LENGTH, model.pca, model.autoregression, model.grid, 4)
    errors = model.errors(rows, np.ones(rows.shape, bool), time)
    assert len(read) == 8, "rows 8, 12, ..., 36"
    np.testing.assert_allclose(errors.window[8:], 4.0 * errors.linear[8:], rtol=1e-3)
    np.testing.assert_array_equal(errors.window[LENGTH - 1 : 8], errors.linear[LENGTH - 1 : 8])


def test_a_closed_gate_leaves_the_linear_errors_and_runs_no_network() -> None:
    def network(residual: np.ndarray) -> np.ndarray:
        raise AssertionError("not to be run")

    rows, usable, time = _rows(50), np.ones((50, C), bool), np.arange(50) * 10**9
    for read_every in (1, 3):
        model = _model(read_every)
        shut = NetworkErrors(network, 0.0, LENGTH, model.pca, model.autoregression, model.grid, read_every)
        linear = LinearErrors(model.pca, model.autoregression).errors(rows, usable, time)
        found = shut.errors(rows, usable, time)
        for name in PARTS:
            np.testing.assert_array_equal(getattr(found, name), getattr(linear, name), err_msg=name)


def test_factors_take_a_linear_part_that_is_known() -> None:
    model = _model(read_every=3)
    windows = np.lib.stride_tricks.sliding_window_view(_rows(20), LENGTH, axis=0).transpose(0, 2, 1)
    rebuilt = model.pca.reconstruct(windows)
    np.testing.assert_array_equal(model.factors(windows), model.factors(windows, None, rebuilt))
    usable = np.ones(windows.shape, bool)
    np.testing.assert_allclose(model.factors(windows, usable), model.factors(windows), rtol=1e-12)
    usable[2, :, 1] = False
    assert model.factors(windows, usable)[2, 1] == 1.0


def test_impossible_readings_are_refused() -> None:
    model, grid = _model(), TimeGrid(10**9)
    with pytest.raises(UsageError, match="grid"):
        NetworkErrors(_network(), 1.0, LENGTH, model.pca, model.autoregression, None, 3)
    with pytest.raises(UsageError, match="grid"):
        NetworkErrors(_network(), 1.0, LENGTH, model.pca, model.autoregression, grid, 1)
    with pytest.raises(UsageError, match="every row"):
        NetworkErrors(_network(), 1.0, LENGTH, None, None, grid, 3)
    with pytest.raises(UsageError, match="no factors"):
        NetworkErrors(_network(), 1.0, LENGTH, None, None).factors(np.zeros((1, LENGTH, C), np.float32))
    with pytest.raises(UsageError, match="carry"):
        Reading(LENGTH, 1.0, encoding="carried").errors(_network(), 1.0, None, None)


def _stacked(model: NetworkErrors | CarriedErrors, seed: int) -> None:
    """Several segments at once, only their last rows asked for, give what each gives alone."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, size=6)
    n_asked = [int(rng.integers(1, size + 1)) for size in sizes]
    rows, usable = _rows(sizes.sum(), seed=seed), rng.random((sizes.sum(), C)) > 0.1
    time = np.concatenate([_times(size, seed + number) for number, size in enumerate(sizes)])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    asked = [np.arange(size - n, size) for size, n in zip(sizes, n_asked, strict=True)]
    at = np.concatenate([start + age for start, age in zip(starts, asked, strict=True)])
    found = model.errors_at(AskedRows(rows, usable, time, at, np.concatenate(asked)))
    alone = []
    for start, size, n in zip(starts, sizes, n_asked, strict=True):
        part = slice(start, start + size)
        alone.append(model.errors(rows[part], usable[part], time[part]).take(slice(size - n, None)))
    for name in PARTS:
        expected = np.concatenate([getattr(part, name) for part in alone])
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["grid", "every", "alone", "carried"])
def test_segments_of_many_machines_are_read_side_by_side(monkeypatch: pytest.MonkeyPatch, kind: str, seed: int) -> None:
    model: NetworkErrors | CarriedErrors = _model(read_every=3 if kind == "grid" else 1)
    if kind == "alone":
        model = NetworkErrors(_network(), 1.0, LENGTH, None, None)
    elif kind == "carried":
        model = _carried(monkeypatch)
    _stacked(model, seed)


CARRIED = LSTMConfig(width=4, code=2)


def _carried(monkeypatch: pytest.MonkeyPatch, slot_rows: int = 7, side_by_side: int = 3) -> CarriedErrors:
    monkeypatch.setattr(carried, "SLOT_ROWS", slot_rows)
    monkeypatch.setattr(carried, "SIDE_BY_SIDE", side_by_side)
    network = NumpyLSTM.from_arrays(weights_of(CARRIED, C), CARRIED)
    return CarriedErrors(network, LENGTH, TimeGrid(slot_rows * 10**9))


@pytest.mark.parametrize("seed", range(6))
def test_a_carried_state_begins_anew_in_each_slot(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    model = _carried(monkeypatch)
    weights = model.network.to_arrays()
    n_rows = 55
    rows, time = _rows(n_rows, seed=seed), _times(n_rows, seed)
    if seed == 5:
        time = time[0] + np.arange(n_rows) * 10**8  # ten times too fast: the state is given up
    usable = np.random.default_rng(seed).random(rows.shape) > 0.2
    errors = model.errors(rows, usable, time)
    slot = time // (7 * 10**9)
    for t in range(n_rows):
        first = t
        while first > 0 and slot[first] == slot[first - 1]:
            first -= 1
        if t < LENGTH - 1 or t - first > 14:
            assert np.isnan(errors.expected[t]).all()
            assert np.isnan(errors.window[t]).all()
            continue
        expected = slow_autoencoder(weights, CARRIED, rows[max(0, first - LENGTH) : t + 1])[-1]
        np.testing.assert_allclose(errors.expected[t], expected, atol=1e-4)
        error = np.where(usable[t], rows[t] - expected, np.nan)
        np.testing.assert_allclose(errors.newest[t], error, atol=1e-4)
        np.testing.assert_allclose(errors.window[t], error**2, rtol=1e-3, atol=1e-3)
    assert np.isnan(errors.step).all()
    assert errors.linear is errors.window
    if seed == 5:
        assert np.isnan(errors.expected[30:35]).any()


def test_a_carried_state_depends_on_the_rows_that_it_states(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _carried(monkeypatch)
    assert model.context_rows == 2 * 7 + LENGTH
    rows = _rows(90)
    usable = np.ones(rows.shape, bool)
    for seed in range(4):
        time = _times(90, seed)
        whole = model.errors(rows, usable, time)
        for t in range(model.context_rows, 90):
            part = slice(t - model.context_rows, t + 1)
            found = model.errors(rows[part], usable[part], time[part])
            np.testing.assert_allclose(found.expected[-1], whole.expected[t], rtol=1e-5, atol=1e-5)


def test_bfloat16_is_near_float32_and_leaves_torch_as_it_was() -> None:
    from sensorad.models.lstm import LSTMAutoencoder

    module = LSTMAutoencoder(C, LSTMConfig(width=16, code=4, near_zero=False), 0).eval()
    x = np.random.default_rng(0).normal(size=(300, 20, C)).astype(np.float32)
    exact, rough = TorchWindows(module)(x), TorchWindows(module, precision="bfloat16")(x)
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).max() < 0.02
    assert not torch.is_autocast_enabled("cpu")
    assert next(module.parameters()).dtype == torch.float32
