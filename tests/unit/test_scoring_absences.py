"""Sensors that stay away: what their guesses add to errors of the others, and the same in any cut and in streams."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.data import GaussianImputer
from sensorad.error_models import LinearErrors
from sensorad.models import RidgeAutoregression
from sensorad.scoring import FusedScheme
from sensorad.scoring.absences import DEVIATIONS, Absences
from sensorad.streaming.scorer import RowScorer
from sensorad.types import RowBlock

C, LAGS, LENGTH = 5, 3, 8
NOISE = 0.03
SENSORS = list("abcde")


def course(n_rows: int, seed: int = 0) -> np.ndarray:
    """Five sensors of two causes that move; the last three follow a row later."""
    rng = np.random.default_rng(seed)
    causes = np.zeros((n_rows, 2))
    for t in range(1, n_rows):
        causes[t] = 0.95 * causes[t - 1] + 0.3 * rng.normal(size=2)
    mix = np.array([[1.0, 0.0, 1.0, 0.5, -0.7], [0.0, 1.0, 0.2, 0.8, 0.4]])
    rows = causes @ mix + NOISE * rng.normal(size=(n_rows, C))
    rows[1:, 2:] = rows[:-1, 2:]
    return np.asarray(rows / rows.std(axis=0), np.float32)


@cache
def absences() -> Absences:
    rows = course(6000)
    autoregression = RidgeAutoregression.fit([rows], LAGS, 1.0)
    step = rows[LAGS:] - autoregression.predict(rows)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    return Absences(imputer, autoregression, np.sqrt((step**2).mean(axis=0)), LAGS + 1)


def away(*lost: int) -> np.ndarray:
    found = np.zeros(C, bool)
    found[list(lost)] = True
    return found


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1)])
def test_factors_follow_what_guesses_do_to_forecasts(lost: tuple[int, ...]) -> None:
    """Measured on other rows, filled for real: within a factor of two where it matters."""
    rows, model = course(6000, seed=1), absences()
    usable = np.ones(rows.shape, bool)
    usable[:, list(lost)] = False
    filled = model.imputer.fill(rows, usable)
    whole, guessed = (part[LAGS:] - model.autoregression.predict(part) for part in (rows, filled))
    added = (guessed**2).mean(axis=0) - (whole**2).mean(axis=0)
    factors = model.factors(away(*lost))
    np.testing.assert_array_equal(factors[list(lost)], 1.0)
    expected = 1.0 / np.sqrt(1.0 + DEVIATIONS**2 * np.maximum(added, 0.0) / model.step_size**2)
    there = np.setdiff1d(np.arange(C), lost)
    assert expected[there].min() < 0.8, "otherwise the test says nothing"
    ratio = factors[there] / expected[there]
    assert ratio.min() > 0.5
    assert ratio.max() < 2.0
    assert np.corrcoef(np.log(factors[there]), np.log(expected[there]))[0, 1] > 0.8


def test_nothing_is_quietened_where_no_sensor_tells_of_another() -> None:
    rows = np.random.default_rng(0).normal(size=(4000, C)).astype(np.float32)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    model = Absences(imputer, RidgeAutoregression.fit([rows], LAGS, 1.0), np.ones(C), LAGS + 1)
    np.testing.assert_allclose(model.factors(away(0, 3)), 1.0, atol=0.02)
    np.testing.assert_array_equal(model.factors(np.ones(C, bool)), 1.0)


def test_guesses_that_drift_away_count_like_none() -> None:
    """An imputer that amplifies its own guesses must not make errors vanish or overflow."""
    rows = course(500)
    covariance = np.eye(2 * C)
    covariance[:C, C:] = covariance[C:, :C] = 1.3 * np.eye(C)
    model = Absences(GaussianImputer(covariance), RidgeAutoregression.fit([rows], LAGS, 1.0), np.ones(C), LAGS + 1)
    factors = model.factors(away(1))
    assert np.isfinite(factors).all()
    assert factors.min() > 0.1


def log_of(n_rows: int, seed: int) -> pd.DataFrame:
    log = pd.DataFrame(course(n_rows, seed), columns=SENSORS)
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


@cache
def fitted(exposure: str | None = None) -> Detector:
    config = DetectorConfig(window=LENGTH, lags=LAGS, exposure=exposure)
    return Detector(config=config).fit(log_of(1500, seed=0))


def with_absences() -> pd.DataFrame:
    """Single cells, short holes, and sensors that are away for long, alone and together."""
    log = log_of(400, seed=3)
    log.loc[30, "a"] = np.nan
    log.loc[60:62, "b"] = np.nan
    log.loc[100:180, "a"] = np.nan
    log.loc[150:260, "e"] = np.nan
    log.loc[300:, "c"] = np.nan
    return log


def block_of(detector: Detector, log: pd.DataFrame) -> RowBlock:
    (block,) = detector.open_log(log).blocks()
    return block


@pytest.mark.parametrize("exposure", [None, "head"])
def test_streams_and_any_cut_say_the_same_of_absent_sensors(exposure: str | None) -> None:
    detector = fitted(exposure)
    block = block_of(detector, with_absences())
    whole = detector.engine().score(block).score
    assert np.isfinite(whole[LENGTH:]).all()
    for size in (1, 7, 64):
        engine = detector.engine()
        parts = [engine.score(block.take(slice(at, at + size))).score for at in range(0, len(block), size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6, atol=1e-6)
    scorer = RowScorer(detector.engine())
    machine = scorer.slot("m")
    cells = np.where(block.flaw == 0, block.values, np.float32(np.nan))
    rows = [scorer.one(machine, int(time), values) for time, values in zip(block.time, cells, strict=True)]
    np.testing.assert_allclose([row.score for row in rows], whole, rtol=1e-6, atol=1e-6)


def test_only_steps_of_rows_without_a_sensor_for_a_while_change() -> None:
    detector = fitted()
    engine = detector.engine()
    assert isinstance(engine.model, LinearErrors)
    rows = engine.scaler.transform(course(60, seed=5))
    usable = np.ones(rows.shape, bool)
    usable[20:40, 0] = False
    usable[10, 1] = False
    age = np.arange(60)
    errors = engine.model.errors(rows, usable, age)
    scheme = engine.scheme
    assert isinstance(scheme, FusedScheme)
    model = Absences.of(engine.imputer, engine.model, scheme, LENGTH)
    assert model is not None
    quiet = model.quietened(errors, usable, age, age)
    changed = np.flatnonzero((np.nan_to_num(quiet.step) != np.nan_to_num(errors.step)).any(axis=1))
    assert changed.tolist() == list(range(20 + LAGS, 40)), "away for four rows"
    np.testing.assert_allclose(quiet.step[30, 1:], (errors.step[30] * model.factors(away(0)))[1:])
    assert quiet.window is errors.window
    present = usable[30 - LENGTH + 1 : 31].astype(float)
    np.testing.assert_array_equal(model.newest_factors(present, 31), model.factors(away(0)))
    assert model.newest_factors(present, LAGS) is None, "a segment that short cannot tell"


def test_a_sensor_away_does_not_multiply_alarms() -> None:
    """Rows above the 99.5 % quantile of whole rows; without the factors they are many times as many."""
    detector = fitted()
    log = log_of(6000, seed=7)
    line = np.nanquantile(detector.score(log)["score"].to_numpy(float), 0.995)
    log["a"] = np.nan
    engine = detector.engine()
    quiet = engine.score(block_of(detector, log)).score
    engine = detector.engine()
    engine._absences = None
    loud = engine.score(block_of(detector, log)).score
    shares = [float((score[np.isfinite(score)] > line).mean()) for score in (quiet, loud)]
    assert shares[0] < 1.5 * 0.005
    assert shares[1] > 3.0 * shares[0]


def test_scores_of_whole_rows_are_untouched() -> None:
    detector = fitted()
    block = block_of(detector, log_of(200, seed=4))
    engine = detector.engine()
    whole = engine.score(block).score
    engine = detector.engine()
    engine._absences = None
    np.testing.assert_array_equal(engine.score(block).score, whole)
