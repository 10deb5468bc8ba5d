"""Every score against its formula, written out."""

from __future__ import annotations

from math import ceil, exp, log, log10, sqrt

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from sensorad.error_models import LinearErrors, SensorErrors
from sensorad.error_models.smoothing import memory_rows
from sensorad.errors import UsageError
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.scoring import SCHEMES, scheme_class
from sensorad.scoring import fused as fused_module
from sensorad.scoring import window_evidence as window_module
from sensorad.scoring.evidence import as_shares
from sensorad.scoring.single import TOP_SHARE
from sensorad.scoring.tails import TailModel

N_SENSORS = 12
NOISE = np.full(N_SENSORS, 0.01)


def _rows(n_rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 7.0 + np.arange(N_SENSORS))
    return (wave + 0.3 * rng.normal(size=(n_rows, N_SENSORS))).astype(np.float32)


def _errors(n_rows: int, seed: int, share_missing: float = 0.0) -> SensorErrors:
    train = _rows(400, seed=100)
    model = LinearErrors(WindowPCA.fit([train], 8, 0.6), RidgeAutoregression.fit([train], 2, 1.0))
    usable = np.random.default_rng(seed).random((n_rows, N_SENSORS)) >= share_missing
    return model.errors(_rows(n_rows, seed), usable, np.arange(n_rows))


@pytest.fixture(scope="module")
def normal() -> list[SensorErrors]:
    return [_errors(300, 1), _errors(200, 2)]


@pytest.fixture(scope="module")
def new() -> SensorErrors:
    return _errors(60, 3, share_missing=0.1)


def test_mahalanobis_is_the_published_rule(normal: list[SensorErrors]) -> None:
    """a = (e - mu)^T Sigma^-1 (e - mu) with e = |x - x'| (Malhotra et al. 2016, section 2.2)."""
    scheme = scheme_class("mahalanobis").fit(normal, np.zeros(N_SENSORS))
    e = np.abs(np.concatenate([part.newest for part in normal]))
    e = e[~np.isnan(e).any(axis=1)]
    mu = np.mean(e, axis=0)
    inverse = np.linalg.inv(LedoitWolf().fit(e).covariance_)
    fresh = _errors(60, 3)
    found = scheme.evidence(fresh).score
    assert np.isnan(found[:7]).all()
    for t in range(7, 60):
        delta = np.abs(fresh.newest[t]) - mu
        assert found[t] == pytest.approx(delta @ inverse @ delta, rel=1e-8)


def test_the_plain_scores_are_what_they_say(normal: list[SensorErrors], new: SensorErrors) -> None:
    window = np.concatenate([part.window for part in normal])
    size = np.sqrt(np.nanmean(window, axis=0) + NOISE**2)
    n_top = max(1, ceil(TOP_SHARE * N_SENSORS))
    assert n_top > 1
    found = {name: scheme_class(name).fit(normal, NOISE).evidence(new) for name in ("sse", "topk", "max")}
    for t in range(len(new)):
        own = np.nan_to_num(new.window[t])
        if t < 7:
            assert all(np.isnan(evidence.score[t]) for evidence in found.values())
            continue
        relative = sorted(own / size**2)
        assert found["sse"].score[t] == pytest.approx(own.sum())
        assert found["topk"].score[t] == pytest.approx(np.mean(relative[-n_top:]))
        assert found["max"].score[t] == pytest.approx(relative[-1])
        np.testing.assert_allclose(found["sse"].blame[t], own / own.sum())
        np.testing.assert_allclose(found["max"].blame[t], (own / size**2) / (own / size**2).sum())


def _evidence(tail: TailModel, x: float) -> float:
    """-log10 of the tail probability, by counting along the stored quantiles."""
    if np.isnan(x):
        return np.nan
    if x > tail.level:
        reach = (x - tail.level) / tail.scale
        decay = log(1.0 + tail.shape * reach) / tail.shape if tail.shape > 0 else reach
        return -log10(tail.tail_share) + decay / log(10.0)
    n_steps = len(tail.quantiles) - 1
    at_least = 1.0
    for step in range(n_steps):
        low, high = tail.quantiles[step], tail.quantiles[step + 1]
        if x > high:
            at_least = 1.0 - (step + 1) / n_steps
        elif x > low:
            at_least = 1.0 - (step + (x - low) / (high - low)) / n_steps
    return -log10(max(at_least, tail.tail_share))


def _windows(part: window_module.WindowEvidence, window: np.ndarray) -> tuple[float, float]:
    """Evidence of one row's window errors: total, few."""
    if np.isnan(window).all():
        return np.nan, np.nan
    total, deviations = 0.0, []
    for c in range(N_SENSORS):
        known = part.size[c] ** 2 if np.isnan(window[c]) else window[c]
        total += (known + part.noise[c] ** 2) / part.size[c]
        deviations.append((log(sqrt(known + window_module.TINY**2)) - part.centre[c]) / part.spread[c])
    n_top = max(1, ceil(window_module.TOP_SHARE * N_SENSORS))
    few = sum(sorted(deviations)[-n_top:]) / n_top
    return _evidence(part.tails["total"], log(total)), _evidence(part.tails["few"], few)


def _smoothed(values: list[float], span: int) -> float:
    """The newest of exponentially smoothed values, by explicit sums."""
    decay = 1.0 - 2.0 / (span + 1.0)
    total = weights = 0.0
    for back in range(min(memory_rows(span), len(values))):
        if not np.isnan(values[-1 - back]):
            total += decay**back * values[-1 - back]
            weights += decay**back
    return total / weights


@pytest.mark.parametrize("has_second_opinion", [False, True])
@pytest.mark.parametrize("has_steps", [False, True])
def test_the_fused_score_row_by_row(
    normal: list[SensorErrors], new: SensorErrors, has_second_opinion: bool, has_steps: bool
) -> None:
    def altered(part: SensorErrors) -> SensorErrors:
        window = part.window * (1.3 if has_second_opinion else 1.0) ** np.arange(N_SENSORS)
        step = part.step if has_steps else np.full_like(part.step, np.nan)
        return SensorErrors(window, part.newest, part.expected, step, part.linear)

    scheme = scheme_class("fused").fit([altered(part) for part in normal], NOISE)
    assert isinstance(scheme, fused_module.FusedScheme)
    errors = altered(new)
    found = scheme.evidence(errors)
    opinions = [(scheme.window, errors.window), *([(scheme.linear, errors.linear)] if has_second_opinion else [])]
    assert (scheme.linear is None) == (not has_second_opinion)
    totals: list[float] = []
    for t in range(len(errors)):
        readings = [_windows(part, window[t]) for part, window in opinions]
        parts = {"total": max(total for total, _ in readings), "few": max(few for _, few in readings)}
        slow = -np.inf
        if has_steps:
            amount = [(errors.step[t, c] ** 2 + NOISE[c] ** 2) / scheme.step_size[c] for c in range(N_SENSORS)]
            totals.append(sum(amount))
            if not np.isnan(totals[-1]):
                tail = scheme.tails["step"]
                parts["step"] = _evidence(tail, log(_smoothed(totals, fused_module.FAST_SPAN)))
                slow = _evidence(tail, log(_smoothed(totals, fused_module.SLOW_SPAN)))
        weights = {name: fused_module.WEIGHTS[name] for name in parts}
        expected = sum(weights[name] * parts[name] for name in parts) / sum(weights.values())
        if not np.isnan(expected):
            expected = max(expected, fused_module.SLOW_WEIGHT * slow)
        assert found.score[t] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
    assert np.isfinite(found.score[8:]).all()


@pytest.mark.parametrize("name", SCHEMES)
def test_larger_errors_never_score_less(name: str, normal: list[SensorErrors]) -> None:
    scheme = scheme_class(name).fit(normal, NOISE)
    fresh = _errors(60, 4)
    scores = []
    for factor in (1.0, 3.0, 30.0, 300.0):
        window, linear = (amount * factor**2 for amount in (fresh.window, fresh.linear))
        wider = SensorErrors(window, fresh.newest * factor, fresh.expected, fresh.step * factor, linear)
        scores.append(scheme.evidence(wider).score[10:])
    assert (scores[3] > scores[2]).all()
    assert (scores[2] > scores[1]).all()
    assert (scores[1] >= scores[0]).mean() > 0.9


@pytest.mark.parametrize("name", SCHEMES)
def test_the_sensor_with_the_only_error_is_blamed(name: str, normal: list[SensorErrors]) -> None:
    scheme = scheme_class(name).fit(normal, NOISE)
    fresh = _errors(60, 5)
    for c in (0, 7):
        newest, window, step = fresh.newest.copy(), fresh.window.copy(), fresh.step.copy()
        newest[30:, c], window[30:, c], step[30:, c] = 40.0, 1600.0, 40.0
        evidence = scheme.evidence(SensorErrors(window, newest, fresh.expected, step, window))
        assert (evidence.blame[30:].argmax(axis=1) == c).all()
        assert (evidence.blame[30:, c] > 0.5).all()
        assert (evidence.surprise[30:] > 3.0).all()


@pytest.mark.parametrize("name", SCHEMES)
def test_a_score_depends_on_the_rows_that_it_states(name: str, normal: list[SensorErrors], new: SensorErrors) -> None:
    scheme = scheme_class(name).fit(normal, NOISE)
    names = ("window", "newest", "expected", "step", "linear")
    long = SensorErrors(*(np.concatenate([getattr(normal[0], part), getattr(new, part)]) for part in names))
    whole = scheme.evidence(long)
    part = scheme.evidence(long.take(slice(200 - scheme.memory_rows + 1, 201)))
    assert part.score[-1] == pytest.approx(whole.score[200], rel=1e-9)
    np.testing.assert_allclose(part.blame[-1], whole.blame[200], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SCHEMES)
def test_arrays_bring_it_back(name: str, normal: list[SensorErrors], new: SensorErrors) -> None:
    scheme = scheme_class(name).fit(normal, NOISE)
    arrays = scheme.to_arrays()
    assert all(array.dtype == np.float64 for array in arrays.values())
    again = scheme_class(name).from_arrays({**arrays, "other": np.zeros(3)})
    one, other = scheme.evidence(new), again.evidence(new)
    for field in ("score", "surprise", "blame"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert again.memory_rows == scheme.memory_rows


def test_shares_sum_to_one_and_are_equal_where_nothing_is_known() -> None:
    amounts = np.array([[1.0, 3.0], [0.0, 0.0], [np.nan, np.nan], [-1.0, 2.0], [np.nan, 5.0]])
    expected = [[0.25, 0.75], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]
    np.testing.assert_allclose(as_shares(amounts), expected)


def test_an_unknown_score_names_the_closest_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'mahalanobis'"):
        scheme_class("mahalanobi")
    with pytest.raises(UsageError, match="choose one of fused"):
        scheme_class("xyz")
    assert all(scheme_class(name).name == name for name in SCHEMES)


def test_surprise_is_a_probability_of_normal_rows(normal: list[SensorErrors]) -> None:
    for name in SCHEMES:
        scheme = scheme_class(name).fit(normal, NOISE)
        surprise = np.concatenate([scheme.evidence(part).surprise[10:] for part in normal])
        assert (surprise > 1.0).mean() == pytest.approx(exp(-log(10.0)), abs=0.03)
