"""Closed-form contributions against numerical minimisation, and the blame that follows from them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from sensorad.error_models import LinearErrors, SensorErrors
from sensorad.error_models.errors import PredictionErrors
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.scoring import contributions as module
from sensorad.scoring import fused as fused_module
from sensorad.scoring.contributions import Contributions
from sensorad.scoring.evidence import as_shares
from sensorad.scoring.fused import FusedScheme

LAGS = 3
N_SENSORS = 4
NOISE = np.full(N_SENSORS, 0.01)


def _rows(n_rows: int, seed: int, n_sensors: int = N_SENSORS, noise: float = 0.15) -> np.ndarray:
    """One slow cause behind all sensors, and noise."""
    rng = np.random.default_rng(seed)
    cause = np.sin(np.arange(n_rows) / 9.0) + np.cumsum(0.05 * rng.normal(size=n_rows))
    mix = np.random.default_rng(9).uniform(0.5, 1.5, n_sensors)
    return (cause[:, None] * mix + noise * rng.normal(size=(n_rows, n_sensors))).astype(np.float32)


def _model(n_sensors: int = N_SENSORS, lags: int = LAGS) -> LinearErrors:
    train = _rows(1500, 100, n_sensors)
    return LinearErrors(WindowPCA.fit([train], 8, 0.8), RidgeAutoregression.fit([train], lags, 1.0))


def _contributions(n_sensors: int = N_SENSORS, lags: int = LAGS) -> Contributions:
    size = np.random.default_rng(5).uniform(0.1, 0.6, n_sensors)
    return Contributions.of(_model(n_sensors, lags).autoregression, size)


def _effect(contributions: Contributions, sensor: int) -> np.ndarray:
    """H (R C, R + lags) of one sensor, entry by entry: errors that each value of its fault causes."""
    n_taps, n_sensors, _ = contributions.response.shape
    n_rows, lags = contributions.n_rows, n_taps - 1
    effect = np.zeros((n_rows, n_sensors, n_rows + lags))
    for value in range(n_rows + lags):  # the first ``lags`` values lie before the first row
        for row in range(n_rows):
            back = row + lags - value
            if 0 <= back <= lags:
                effect[row, :, value] = contributions.response[back, sensor]
    return effect.reshape(n_rows * n_sensors, -1)


def test_responses_are_the_errors_that_one_wrong_reading_causes() -> None:
    model = _model().autoregression
    rows = _rows(30, 1)
    before = rows[LAGS:] - model.predict(rows)
    for sensor in range(N_SENSORS):
        wrong = rows.copy()
        wrong[12, sensor] += 1.0
        after = wrong[LAGS:] - model.predict(wrong)
        change = (after - before)[12 - LAGS : 13]
        np.testing.assert_allclose(change, model.responses()[:, sensor], atol=1e-5)
        np.testing.assert_allclose((after - before)[13:], 0.0, atol=1e-5)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 4))
def test_the_drop_is_the_one_that_least_squares_finds(seed: int, n_sensors: int, lags: int) -> None:
    contributions = _contributions(n_sensors, lags)
    errors = np.random.default_rng(seed).normal(size=(3, contributions.n_rows, n_sensors)) * 3.0
    drops, parts = contributions.drops(errors)
    for window in range(3):
        flat = errors[window].reshape(-1)
        for sensor in range(n_sensors):
            effect = _effect(contributions, sensor)
            fault = np.linalg.lstsq(effect, flat, rcond=1e-6)[0]
            rest = flat - effect @ fault
            assert drops[window, sensor] == pytest.approx(flat @ flat - rest @ rest, rel=1e-4)
            left = contributions.without(
                errors[window : window + 1], np.array([sensor]), parts[sensor, window : window + 1]
            )
            np.testing.assert_allclose(left.reshape(-1), rest, atol=2e-3)


def test_the_drop_is_the_minimum_that_a_blind_search_finds() -> None:
    """The slow twin knows no algebra: it varies the readings of one sensor until the errors are least."""
    contributions = _contributions(3, 2)
    errors = np.random.default_rng(0).normal(size=(1, contributions.n_rows, 3)) * 2.0
    drops, _ = contributions.drops(errors)
    total = float(np.sum(errors**2))
    for sensor in range(3):

        def distance(fault: np.ndarray, sensor: int = sensor) -> float:
            rest = errors[0].copy()
            for value, amount in enumerate(fault):
                for row in range(contributions.n_rows):
                    back = row + 2 - value
                    if 0 <= back <= 2:
                        rest[row] -= amount * contributions.response[back, sensor]
            return float(np.sum(rest**2))

        found = minimize(distance, np.zeros(contributions.n_free), method="BFGS", options={"gtol": 1e-6}).fun
        assert drops[0, sensor] == pytest.approx(total - found, rel=1e-4)


def test_one_direction_gives_the_published_contribution() -> None:
    """With nothing but the newest row free it is (xi^T M x)^2 / (xi^T M xi) (Alcala and Qin, 2009, equation 15)."""
    contributions = _contributions(3, 1)
    last = contributions.n_free - 1
    z = np.random.default_rng(3).normal(size=contributions.n_rows * 3)
    for sensor in range(3):
        effect = _effect(contributions, sensor)
        information = effect.T @ effect  # M in the readings of this sensor
        gradient = effect.T @ z
        published = gradient[last] ** 2 / information[last, last]
        rest = z - effect[:, last] * gradient[last] / information[last, last]
        assert published == pytest.approx(z @ z - rest @ rest)
        assert contributions.drops(z.reshape(1, -1, 3))[0][0, sensor] >= published * (1 - 1e-6)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0.1, 1e4))
def test_a_noise_free_fault_of_one_sensor_is_always_told(seed: int, n_sensors: int, size: float) -> None:
    """The guarantee of the method: the faulty sensor explains everything, and no other explains more."""
    contributions = _contributions(n_sensors)
    rng = np.random.default_rng(seed)
    sensor = int(rng.integers(n_sensors))
    fault = rng.normal(size=contributions.n_free) if seed % 2 else np.ones(contributions.n_free)
    errors = (_effect(contributions, sensor) @ (size * fault)).reshape(1, -1, n_sensors)
    drops, _ = contributions.drops(errors)
    total = float(np.sum(errors**2))
    assert drops[0, sensor] == pytest.approx(total, rel=1e-6)
    assert drops[0, sensor] >= drops[0].max() - 1e-6 * total
    # Above what rows without a fault give, that sensor is blamed, whoever shows the larger errors.
    own = as_shares(np.square(errors[:, -1]) + 0.2 * np.square(errors).mean(axis=(1, 2))[:, None])
    if total > 10.0 * contributions.n_free and np.sort(drops[0])[-2] < 0.9 * total:
        share = contributions.blame(errors[0], np.array([contributions.n_rows - 1]), np.repeat(own, len(errors[0]), 0))
        assert share[-1].argmax() == sensor


def test_two_noise_free_faults_are_the_first_two() -> None:
    """Nearly always: a third sensor may explain two faults together better than either."""
    contributions = _contributions(6)
    effects = [_effect(contributions, sensor) for sensor in range(6)]
    own = np.full((contributions.n_rows, 6), 1.0 / 6.0)
    rng = np.random.default_rng(0)
    hits, alone = [], []
    for _ in range(200):
        pair = rng.choice(6, 2, replace=False)
        large, small = (effects[sensor] @ rng.normal(size=contributions.n_free) for sensor in pair)
        errors = (30.0 * large + 10.0 * small).reshape(-1, 6)
        share = contributions.blame(errors, np.array([contributions.n_rows - 1]), own)[-1]
        drops, _ = contributions.drops(errors[None])
        hits.append(set(np.argsort(-share)[:2]) == set(pair))
        alone.append(set(np.argsort(-drops[0])[:2]) == set(pair))
    assert np.mean(hits) >= 0.95
    assert np.mean(alone) < np.mean(hits)  # the second place goes by what is left, not by the drops themselves


def test_drops_of_normal_errors_are_the_number_of_free_values() -> None:
    contributions = _contributions(8, 4)
    errors = np.random.default_rng(0).normal(size=(4000, contributions.n_rows, 8))
    drops, _ = contributions.drops(errors)
    np.testing.assert_allclose(drops.mean(axis=0), contributions.n_free, rtol=0.03)


def _scheme(n_sensors: int = N_SENSORS, lags: int = LAGS) -> tuple[LinearErrors, FusedScheme]:
    model = _model(n_sensors, lags)
    normal = _rows(900, 7, n_sensors)
    errors = model.errors(normal, np.ones(normal.shape, bool), np.arange(len(normal)))
    return model, FusedScheme.fit([errors], np.full(n_sensors, 0.01))


def _faulty(sensor: int, size: float, n_sensors: int = N_SENSORS) -> np.ndarray:
    """A lasting bias from row 60 on."""
    rows = _rows(140, 8, n_sensors)
    rows[60:, sensor] += size
    return rows


def _plain(errors: SensorErrors) -> SensorErrors:
    """The same errors, without the model that they come from."""
    return SensorErrors(errors.window, errors.newest, errors.expected, errors.step, errors.linear)


@pytest.mark.parametrize("sensor", range(3))
def test_a_lasting_bias_is_blamed_on_its_sensor(sensor: int) -> None:
    """By their own errors the neighbours take the blame for the first: their forecasts go on being wrong."""
    lags, noise = 5, 0.1
    train = _rows(1500, 100, 3, noise)
    model = LinearErrors(WindowPCA.fit([train], 8, 0.8), RidgeAutoregression.fit([train], lags, 1.0))
    normal = _rows(900, 7, 3, noise)
    scheme = FusedScheme.fit([model.errors(normal, np.ones(normal.shape, bool), np.arange(len(normal)))], NOISE[:3])
    rows = _rows(160, 8, 3, noise)
    rows[60:, sensor] += 0.6
    errors = model.errors(rows, np.ones(rows.shape, bool), np.arange(len(rows)))
    found, plain = scheme.evidence(errors), scheme.evidence(_plain(errors))
    np.testing.assert_array_equal(found.score, plain.score)
    np.testing.assert_array_equal(found.surprise, plain.surprise)
    notable = (found.score >= fused_module.NOTABLE_SCORE) & (np.arange(160) >= 60)
    assert notable.sum() > 90
    assert (found.blame[notable].argmax(axis=1) == sensor).mean() > 0.95
    if sensor == 0:
        assert (plain.blame[notable].argmax(axis=1) == sensor).mean() < 0.5


def test_shares_sum_to_one_and_quiet_rows_keep_theirs() -> None:
    model, scheme = _scheme()
    rows = _faulty(1, 2.0)
    usable = np.random.default_rng(0).random(rows.shape) > 0.05
    errors = model.errors(rows, usable, np.arange(len(rows)))
    evidence = scheme.evidence(errors)
    np.testing.assert_allclose(evidence.blame.sum(axis=1), 1.0, rtol=1e-12)
    assert (evidence.blame >= 0).all()
    plain = scheme.evidence(_plain(errors))
    is_quiet = ~(evidence.score >= fused_module.NOTABLE_SCORE)
    np.testing.assert_array_equal(evidence.blame[is_quiet], plain.blame[is_quiet])
    assert (evidence.blame[~is_quiet] != plain.blame[~is_quiet]).any(axis=1).mean() > 0.3


def _explained(contributions: Contributions, errors: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Shares (C,) of one window of errors (R, C), as the documentation has them."""
    n_sensors, n_free = errors.shape[1], contributions.n_free
    total = np.sum(errors**2)
    if total == 0.0:
        return own
    suspects = [c for c in range(n_sensors) if own[c] * n_sensors >= module.NO_SUSPECT]
    drop, rest, left = {}, {}, {}
    for c in suspects:
        effect = _effect(contributions, c)
        remainder = errors.reshape(-1) - effect @ np.linalg.lstsq(effect, errors.reshape(-1), rcond=1e-6)[0]
        drop[c], left[c] = total - remainder @ remainder, remainder
        rest[c] = remainder @ remainder + n_free
        if n_sensors == 2:
            quiet = min(max(remainder @ remainder / contributions.n_rows, 1e-3), 1.0)
            rest[c] += contributions.n_rows * (quiet - 1.0 - np.log(quiet))
    first = min(suspects, key=lambda c: rest[c])
    trust = min(max((drop[first] / total - module.PARTLY) / (module.WHOLLY - module.PARTLY), 0), 1)
    if trust == 0 or drop[first] <= n_free:
        return own
    share = np.zeros(n_sensors)
    weights = {c: (rest[first] / rest[c]) ** module.SHARPNESS for c in suspects}
    for c in suspects:
        share[c] = np.sqrt(drop[first] / n_free - 1.0) * weights[c] / sum(weights.values())
    again = {}
    for c in suspects:
        effect = _effect(contributions, c)
        remainder = left[first] - effect @ np.linalg.lstsq(effect, left[first], rcond=1e-6)[0]
        again[c] = left[first] @ left[first] - remainder @ remainder if c != first else 0.0
    second = max(range(n_sensors), key=lambda c: again.get(c, 0.0))
    share[second] += np.sqrt(max(again.get(second, 0.0) / n_free - 1.0, 0.0))
    return trust * share / share.sum() + (1.0 - trust) * own


@pytest.mark.parametrize("n_sensors", [2, 3, 5])
def test_blame_row_by_row(n_sensors: int) -> None:
    contributions = _contributions(n_sensors)
    rng = np.random.default_rng(n_sensors)
    step = rng.normal(size=(60, n_sensors))
    step[20:40, 0] += 4.0
    step[35:55, 1] *= 6.0
    step[:2] = np.nan
    own = as_shares(rng.random((60, n_sensors)) ** 3)
    rows = np.arange(0, 60, 1)
    found = contributions.blame(step, rows, own)
    known = np.concatenate([np.zeros((contributions.n_rows - 1, n_sensors)), np.nan_to_num(step)])
    for t in rows:
        expected = _explained(contributions, known[t : t + contributions.n_rows], own[t])
        np.testing.assert_allclose(found[t], expected, rtol=1e-3, atol=1e-3)
    assert (found != own).any(axis=1).mean() > 0.2


def test_a_stuck_sensor_of_two_is_told_by_its_silence() -> None:
    """Freeing the moving sensor would leave errors that are smaller than usual, which is a fault as well."""
    contributions = _contributions(2)
    errors = np.random.default_rng(0).normal(size=(200, contributions.n_rows, 2))
    effect = _effect(contributions, 0)
    stuck = [
        window.reshape(-1) - effect @ np.linalg.lstsq(effect, window.reshape(-1), rcond=1e-9)[0]
        for window in errors
    ]  # fmt: skip
    # What is left shows no error that sensor 0 could cause: as if that sensor had followed its forecasts to the digit.
    quiet = np.sum(np.square(stuck), axis=1)
    assert np.median(quiet) < contributions.n_rows
    rest = contributions._unexplained(quiet, np.zeros((200, 2)), 2) - contributions.n_free
    assert (rest >= quiet[:, None] * (1 - 1e-12)).all()
    many = contributions._unexplained(quiet, np.zeros((200, 3)), 3) - contributions.n_free
    np.testing.assert_allclose(many, np.repeat(quiet[:, None], 3, axis=1))


def test_a_row_owes_nothing_to_the_other_rows_asked_for() -> None:
    model, scheme = _scheme()
    rows = _faulty(2, 1.5)
    step = model.errors(rows, np.ones(rows.shape, bool), np.arange(len(rows))).step / scheme.step_size
    contributions = Contributions.of(model.autoregression, scheme.step_size)
    own = np.full(step.shape, 1.0 / N_SENSORS)
    every = contributions.blame(step, np.arange(60, 140), own)
    until = contributions.blame(step, np.arange(60, 100), own)
    np.testing.assert_array_equal(until[60:100], every[60:100])  # rows to come change no bit
    for t in (60, 77, 139):
        alone = contributions.blame(step, np.array([t]), own)
        np.testing.assert_allclose(alone[t], every[t], rtol=1e-9)
        start = t - contributions.n_rows + 1
        short = contributions.blame(step[start : t + 1], np.array([contributions.n_rows - 1]), own[start : t + 1])
        np.testing.assert_allclose(short[-1], every[t], rtol=1e-9)
    np.testing.assert_array_equal(contributions.blame(step, np.array([], np.intp), own), own)


def test_nothing_that_is_not_finite_comes_out() -> None:
    contributions = _contributions()
    own = np.full((30, N_SENSORS), 0.25)
    for level in (0.0, 1e-160, 1e100, np.nan):
        step = np.full((30, N_SENSORS), level)
        found = contributions.blame(step, np.arange(30), own)
        np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_a_sensor_that_never_moved_is_no_suspect() -> None:
    """Whatever weight it has in the forecasts of others: it showed no error of its own."""
    contributions = _contributions()
    effect = _effect(contributions, 3)
    errors = (effect @ np.full(contributions.n_free, 20.0)).reshape(-1, N_SENSORS)
    own = np.tile([0.4, 0.4, 0.19, 0.01], (len(errors), 1))
    assert contributions.blame(errors, np.array([len(errors) - 1]), own)[-1, 3] <= 0.01
    own = np.tile([0.4, 0.4, 0.1, 0.1], (len(errors), 1))
    assert contributions.blame(errors, np.array([len(errors) - 1]), own)[-1].argmax() == 3


def test_a_disturbed_process_is_blamed_by_each_sensors_own_errors() -> None:
    """Many sensors with errors that no single one explains."""
    contributions = _contributions(12)
    step = np.random.default_rng(0).normal(size=(40, 12)) * 5.0
    own = as_shares(np.random.default_rng(1).random((40, 12)))
    np.testing.assert_array_equal(contributions.blame(step, np.arange(10, 40), own), own)


def test_without_steps_or_their_model_every_sensor_is_blamed_for_its_own_errors() -> None:
    model, _ = _scheme()
    rows = _faulty(0, 2.0)
    errors = model.errors(rows, np.ones(rows.shape, bool), np.arange(len(rows)))
    assert isinstance(errors, PredictionErrors)
    assert errors.take(slice(3, 9)).autoregression is model.autoregression
    assert len(errors.take(slice(3, 9))) == 6
    no_steps = replace(errors, step=np.full_like(errors.step, np.nan))
    alone = FusedScheme.fit([no_steps], NOISE)
    assert not alone.has_steps
    np.testing.assert_allclose(alone.evidence(no_steps).blame.sum(axis=1), 1.0)


def test_the_window_of_errors_fits_into_the_memory_of_the_score() -> None:
    """Otherwise a score would depend on more rows than it states."""
    train = _rows(1500, 100, 2)
    regression = RidgeAutoregression.fit([train], 60, 1.0)
    assert Contributions.of(regression, np.ones(2)).n_rows == 120
    assert Contributions.of(regression, np.ones(2), 90).n_rows == 90


def test_another_model_gets_contributions_of_its_own() -> None:
    model, scheme = _scheme()
    other = _model(lags=2)
    first = scheme._contributions_of(model.autoregression)
    assert scheme._contributions_of(model.autoregression) is first
    assert scheme._contributions_of(other.autoregression).response.shape == (3, N_SENSORS, N_SENSORS)
    np.testing.assert_array_equal(scheme._contributions_of(model.autoregression).root, first.root)


def test_any_cut_into_blocks_blames_the_same_sensors() -> None:
    import pandas as pd

    from sensorad import Detector
    from sensorad.config import DetectorConfig

    def log(rows: np.ndarray) -> pd.DataFrame:
        time = pd.date_range("2024-05-01", periods=len(rows), freq="min", tz="UTC")
        return pd.DataFrame({"time": time, **{f"s{c}": rows[:, c] for c in range(rows.shape[1])}})

    detector = Detector(config=DetectorConfig(window=8, lags=LAGS)).fit(log(_rows(900, 100)))
    [block] = detector.open_log(log(_faulty(1, 1.5))).blocks()
    whole = detector.engine().score(block)
    assert (whole.score >= fused_module.NOTABLE_SCORE).sum() > 40
    for bounds in (range(0, 141), [0, 60, 61, 95, 140], [0, 77, 140]):
        engine = detector.engine()
        parts = [engine.score(block.take(slice(a, b))) for a, b in pairwise(bounds)]
        np.testing.assert_array_equal(np.concatenate([part.top_sensors for part in parts]), whole.top_sensors)
        shares = np.concatenate([part.top_shares for part in parts])
        np.testing.assert_allclose(shares, whole.top_shares, rtol=1e-5, atol=1e-7)
    shorter = detector.engine().score(block.take(slice(0, 100)))
    np.testing.assert_array_equal(shorter.top_sensors, whole.top_sensors[:100])


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sets(st.integers(1, 119), min_size=1, max_size=4), st.integers(1, 4))
def test_stretches_side_by_side_are_stretches_one_by_one(seed: int, places: set[int], every: int) -> None:
    contributions = _contributions()
    rng = np.random.default_rng(seed)
    step = rng.normal(size=(120, N_SENSORS)) * 2.0
    step[40:80, 1] += 5.0
    own = as_shares(rng.random(step.shape))
    rows = np.arange(0, 120, every)
    bounds = [0, *sorted(places), 120]
    age = np.concatenate([np.arange(b - a) for a, b in pairwise(bounds)])
    together = contributions.shares(step, rows, own[rows], age)
    for a, b in pairwise(bounds):
        chosen = (rows >= a) & (rows < b)
        alone = contributions.shares(step[a:b], rows[chosen] - a, own[rows[chosen]])
        np.testing.assert_allclose(together[chosen], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_sensors", [2, 5])
def test_without_a_table_of_overlaps_it_is_the_same(n_sensors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many sensors: the second fault is then found by working out the errors that the first leaves."""
    rng = np.random.default_rng(0)
    step = rng.normal(size=(200, n_sensors))
    step[20:90, 0] += 4.0
    step[60:150, 1] *= 6.0
    own = as_shares(rng.random(step.shape))
    rows = np.arange(200)
    found = _contributions(n_sensors).shares(step, rows, own)
    monkeypatch.setattr(module, "MOST_PAIRS", 0)
    np.testing.assert_allclose(_contributions(n_sensors).shares(step, rows, own), found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("most_rows", [2, 3, 4, 6])
def test_traces_are_sums_over_the_rows_that_a_fault_shows_in(most_rows: int) -> None:
    """Windows shorter than the lags as well, where a fault may show before and after the window."""
    contributions = Contributions.of(_model().autoregression, np.full(N_SENSORS, 0.3), most_rows)
    assert contributions.n_rows == most_rows
    step = np.random.default_rng(1).normal(size=(50, N_SENSORS))
    ends = np.array([0, 1, 5, 6, 7, 30, 49])
    windows = module._Windows.of(step, ends, ends, most_rows)
    found = windows.traces(contributions.response)
    padded = np.concatenate([np.zeros((most_rows, N_SENSORS)), step])
    for number, end in enumerate(ends):
        errors = padded[end + 1 : end + 1 + most_rows].reshape(-1)
        for sensor in range(N_SENSORS):
            expected = _effect(contributions, sensor).T @ errors
            np.testing.assert_allclose(found[sensor, :, number], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(windows.squares()[number], errors @ errors)
        np.testing.assert_array_equal(windows.errors()[number].reshape(-1), errors)
