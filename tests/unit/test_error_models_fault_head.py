"""The head of exposure: its numbers against loops, its channel in any cut, and what missing values do to it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

import sensorad
from sensorad import Detector
from sensorad.augment.faults import Fault, SensorStatistics, inject
from sensorad.config import DetectorConfig
from sensorad.error_models.errors import AskedRows
from sensorad.error_models.exposed_errors import ExposedErrors
from sensorad.error_models.fault_features import FEATURES, FaultFeatures
from sensorad.error_models.fault_head import FaultWeights, UsualNumbers
from sensorad.error_models.trailing import trailing_max, trailing_sum
from sensorad.errors import ArtefactError, UsageError
from sensorad.model_parts import ModelParts
from sensorad.models import RidgeAutoregression
from sensorad.models.exposed import FaultNetwork
from sensorad.models.other_sensors import OtherSensorsRegression
from sensorad.types import RowBlock

C, L, LAGS = 4, 10, 3
SENSORS = list("abcd")


def values(n_rows: int = 300, seed: int = 0) -> np.ndarray:
    """Rows with rest, coarse steps and jumps among them."""
    rng = np.random.default_rng(seed)
    cause = np.sin(np.arange(n_rows) / 11.0) + 0.3 * np.sin(np.arange(n_rows) / 3.7)
    rows = cause[:, None] * np.array([1.0, -0.7, 0.4, 1.2]) + 0.1 * rng.normal(size=(n_rows, C))
    rows[:, 2] = np.round(rows[:, 2], 1)
    rows[40:60, 0] = rows[40, 0]
    rows[150, 1] += 4.0
    return rows.astype(np.float32)


@cache
def features() -> FaultFeatures:
    rows = values(seed=1)
    return FaultFeatures(L, RidgeAutoregression.fit([rows], LAGS, 1.0), OtherSensorsRegression.fit([rows]))


def slow_numbers(rows: np.ndarray, row: int, window: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers (C,) of one row with at least the context behind it, one sensor and one sum at a time."""
    known, model = rows.astype(np.float64), features()
    expected, step = known.copy(), np.zeros_like(known)
    for t in range(len(rows)):
        if t >= 8:
            past = np.concatenate([known[t - lag] for lag in model.others.LAGS] + [[1.0]])
            expected[t] = past @ model.others.weights
        if t >= LAGS:
            past = np.concatenate([known[t - back] for back in range(1, LAGS + 1)] + [[1.0]])
            step[t] = known[t] - past @ model.steps.weights
    found = {name: np.zeros(C) for name in FEATURES}

    def log(mean_square: float) -> float:
        return 0.5 * float(np.log(mean_square + 1e-6))

    last = range(row - L + 1, row + 1)
    for c in range(C):
        x, e, s = ([part[t, c] for t in last] for part in (known, expected, step))
        moves = [known[t, c] - known[t - 1, c] if t else 0.0 for t in last]
        bends = [known[t, c] - 2 * known[t - 1, c] + known[t - 2, c] if t > 1 else 0.0 for t in last]
        equal = [t > 0 and abs(known[t, c] - known[t - 1, c]) < 1e-6 for t in last]
        rest = next((n for n, same in enumerate(reversed(equal)) if not same), L)
        steps = [abs(move) for move in moves if abs(move) >= 1e-6]
        half = L // 2
        recent = range(row - half + 1, row + 1)
        now = log(np.mean([(known[t, c] - expected[t, c]) ** 2 for t in recent]))
        shifts = [max(1, round(shift * L / 30)) for shift in (2, 4, 8, 15)]
        found["window error"][c] = log(window[c])
        found["step error, short"][c] = log(np.mean([v**2 for v in s[-5:]]))
        found["step error"][c] = log(np.mean([v**2 for v in s]))
        found["mean step error"][c] = np.mean(s)
        found["largest step error"][c] = np.log(max(abs(v) for v in s) + 1e-3)
        found["equal neighbours"][c] = np.mean(equal)
        found["rows at rest"][c] = np.log1p(rest)
        found["smallest step"][c] = np.log(min(steps, default=0.0) + 1e-5)
        found["roughness"][c] = log(np.mean([v**2 for v in moves]))
        found["bend"][c] = log(np.mean([v**2 for v in bends]))
        found["range"][c] = np.log(max(x) - min(x) + 1e-3)
        found["level"][c] = np.mean(x)
        found["error of the others"][c] = log(np.mean([(a - b) ** 2 for a, b in zip(x, e, strict=True)]))
        found["mean error of the others"][c] = np.mean(x) - np.mean(e)
        found["gain"][c] = 0.5 * np.log((np.var(x) + 1e-3) / (np.var(e) + 1e-3))
        both = np.mean([a * b for a, b in zip(x, e, strict=True)]) - np.mean(x) * np.mean(e)
        found["correlation"][c] = both / np.sqrt((np.var(x) + 1e-3) * (np.var(e) + 1e-3))
        lag = [log(np.mean([(known[t, c] - expected[t - n, c]) ** 2 for t in recent])) for n in shifts]
        lead = [log(np.mean([(known[t - n, c] - expected[t, c]) ** 2 for t in recent])) for n in shifts]
        found["lag"][c], found["lead"][c] = min(lag) - now, min(lead) - now
    return found


def numbers_of(rows: np.ndarray, at: np.ndarray, usable: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    window = np.abs(rows[at].astype(np.float64))
    return features().of(asked(rows, at, usable=usable), window)


def asked(
    rows: np.ndarray, at: np.ndarray, age: np.ndarray | None = None, usable: np.ndarray | None = None
) -> AskedRows:
    """The rows ``at`` of one segment, or of several where ``age`` says so."""
    usable = np.ones(rows.shape, bool) if usable is None else usable
    return AskedRows(rows, usable, np.arange(len(rows)), at, at if age is None else age)


def test_numbers_are_those_of_the_loops() -> None:
    rows = values()
    at = np.array([20, 45, 58, 75, 152, 299])
    found, is_known = numbers_of(rows, at)
    assert is_known.all()
    for place, row in enumerate(at):
        slow = slow_numbers(rows, row, np.abs(rows[row].astype(np.float64)))
        for position, name in enumerate(FEATURES):
            np.testing.assert_allclose(
                found[place, :, position], slow[name], rtol=1e-6, atol=1e-7, err_msg=f"{name} in row {row}"
            )


def test_numbers_depend_on_the_context_alone_and_to_the_same_bits() -> None:
    rows = values()
    context = features().context_rows
    assert context == L - 1 + 8
    for row in (context, 120, 299):
        whole, _ = numbers_of(rows, np.array([row]))
        part = rows[row - context : row + 1]
        alone, _ = features().of(asked(part, np.array([context])), np.abs(part[-1:].astype("f8")))
        np.testing.assert_allclose(alone, whole, rtol=1e-9, atol=1e-12)


def test_several_segments_do_not_see_each_other() -> None:
    rows = values()
    first, second = rows[:60], rows[100:180]
    joined = np.concatenate([first, second])
    age = np.concatenate([np.arange(60), np.arange(80)])
    at = np.array([30, 59, 60 + 12, 60 + 79])
    window = np.ones((4, C))
    both, _ = features().of(asked(joined, at, age[at]), window)
    for part, places, chosen in ((first, [30, 59], [0, 1]), (second, [12, 79], [2, 3])):
        alone, _ = features().of(asked(part, np.array(places)), window[chosen])
        np.testing.assert_allclose(both[chosen], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_rows", [1, 2, 5, 7, 16, 30])
def test_trailing_sums_and_maxima_are_those_of_loops(n_rows: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 2))
    age = np.concatenate([np.arange(13), np.arange(27)])
    sums, largest = trailing_sum(rows, n_rows, age), trailing_max(rows, n_rows, age)
    for row in range(40):
        last = rows[row - min(n_rows - 1, age[row]) : row + 1]
        np.testing.assert_allclose(sums[row], last.sum(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(largest[row], last.max(axis=0))


def test_other_sensors_are_those_of_a_regression_without_the_own_columns() -> None:
    rows = values(2000)
    found = OtherSensorsRegression.fit([rows])
    parts = [rows[8 - lag : len(rows) - lag] for lag in found.LAGS]
    columns = np.concatenate([*parts, np.ones((len(rows) - 8, 1))], axis=1).astype(np.float64)
    for c in range(C):
        others = [at for at in range(columns.shape[1]) if at == 4 * C or at % C != c]
        penalty = np.append(np.full(len(others) - 1, 1e-3 * len(columns)), 0.0) + 1e-6
        gram = columns[:, others].T @ columns[:, others] + np.diag(penalty)
        weights = np.linalg.solve(gram, columns[:, others].T @ rows[8:, c].astype(np.float64))
        np.testing.assert_allclose(found.weights[others, c], weights, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(found.weights[np.setdiff1d(range(4 * C + 1), others), c], 0.0)


def test_numpy_weighs_as_torch_does() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50, C, len(FEATURES))).astype(np.float32)
    network = FaultNetwork(len(FEATURES))
    with torch.no_grad():
        network.log_weights.normal_(generator=torch.Generator().manual_seed(0))
        expected = network(torch.from_numpy(numbers)).numpy()
        weights = FaultWeights(network.log_weights.exp().double().numpy(), np.array([2.0, -4.0]))
    np.testing.assert_allclose(weights.logits(numbers), expected, rtol=1e-5, atol=1e-5)


def test_spreads_have_two_sides_and_a_floor() -> None:
    rng = np.random.default_rng(0)
    numbers = np.zeros((4000, 1, len(FEATURES)))
    numbers[:, 0, 0] = rng.exponential(size=4000)
    usual = UsualNumbers.fit(numbers)
    assert usual.above[0, 0] > 3.0 * usual.below[0, 0]
    names = list(FEATURES)
    assert usual.above[0, names.index("equal neighbours")] == pytest.approx(1 / 60)
    one = np.zeros((1, 1, len(FEATURES)))
    one[0, 0, names.index("equal neighbours")] = 3 / 30
    assert usual.standardised(one)[0, 0, names.index("equal neighbours")] == pytest.approx(np.log1p(6.0), rel=1e-6)


def test_what_no_normal_window_had_says_nothing_later() -> None:
    numbers = np.random.default_rng(0).normal(size=(500, 2, len(FEATURES)))
    numbers[:, 1] = np.nan
    numbers[:400, 0, 3] = np.nan
    usual = UsualNumbers.fit(numbers)
    for part in (usual.centre, usual.above, usual.below):
        assert np.isfinite(part).all()
    later = usual.standardised(np.full((1, 2, len(FEATURES)), 50.0))
    assert (np.abs(later[0, 0]) > 1.0).all()
    assert (np.abs(later[0, 1]) < 1e-6).all()


def test_a_sensor_that_never_has_enough_values_does_not_stop_a_fit() -> None:
    log = log_of(900)
    log.loc[::3, "b"] = np.nan
    detector = Detector(config=fitted().config).fit(log)
    assert np.isfinite(detector.score(log_of(200, seed=3))["score"].to_numpy(float)[L - 1 :]).all()


def log_of(n_rows: int, seed: int = 0) -> pd.DataFrame:
    log = pd.DataFrame(values(n_rows, seed), columns=SENSORS)
    rng = np.random.default_rng([seed, 1])
    log["a"] += 0.05 * rng.normal(size=n_rows)  # it rests nowhere
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


@cache
def fitted(model: str = "linear", kinds: tuple[str, ...] = (), seed: int = 0) -> Detector:
    small = {"lstm": {"width": 6, "code": 3}}
    config = DetectorConfig(
        model=model,
        exposure="head",
        exposure_kinds=kinds,
        window=L,
        lags=LAGS,
        epochs=None if model == "linear" else 1,
        network=small.get(model, {}),
        random_state=seed,
    )
    return Detector(config=config).fit(log_of(900))


def block_of(detector: Detector, log: pd.DataFrame) -> RowBlock:
    (block,) = detector.open_log(log).blocks()
    return block


@pytest.mark.parametrize("model", ["linear", "lstm", "shape", "ensemble"])
def test_a_head_goes_with_any_model_in_any_cut(model: str) -> None:
    detector = fitted(model)
    assert isinstance(detector.engine().model, ExposedErrors)
    block = block_of(detector, log_of(200, seed=3))
    whole = detector.engine().score(block).score
    assert np.isfinite(whole[L - 1 :]).all(), "no longer warm-up than without"
    assert np.isnan(whole[: L - 1]).all()
    for size in (1, 37):
        engine = detector.engine()
        parts = [engine.score(block.take(slice(at, at + size))).score for at in range(0, len(block), size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6, atol=1e-6)


def test_a_saved_head_scores_as_before(tmp_path: object) -> None:
    detector = fitted()
    detector.save(f"{tmp_path}/d")
    again = sensorad.load(f"{tmp_path}/d")
    assert again.config_ == detector.config_
    block = block_of(detector, log_of(200, seed=3))
    np.testing.assert_array_equal(again.engine().score(block).score, detector.engine().score(block).score)


def test_the_same_seed_gives_the_same_head_and_another_another() -> None:
    def line(seed: int) -> np.ndarray:
        arrays = Detector(
            config=fitted(seed=0).config.__class__.from_json({**fitted().config.to_json(), "random_state": seed})
        )
        return arrays.fit(log_of(900))._parts.arrays["head.sides"]

    np.testing.assert_array_equal(line(0), line(0))
    assert not np.array_equal(line(0), line(1))


def noisy_log(n_rows: int, seed: int) -> pd.DataFrame:
    """Sensors with more noise than course: one that stands still errs less than usual."""
    rng = np.random.default_rng(seed)
    rows = np.sin(np.arange(n_rows) / 60.0)[:, None] * np.ones(C) + rng.normal(size=(n_rows, C))
    log = pd.DataFrame(rows, columns=SENSORS)
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


def test_a_sensor_that_stands_still_is_found_with_a_head_alone() -> None:
    faulty = noisy_log(400, seed=5)
    values = faulty[SENSORS].to_numpy()
    fault = Fault("stuck", (1,), start=200, length=30, severity=30.0)
    faulty[SENSORS] = inject(values, [fault], SensorStatistics.fit(values), np.random.default_rng(0)).rows
    kinds = ("bias", "drift", "quantisation", "saturation", "noise", "dropout")
    severity = {}
    for name, exposure in (("plain", None), ("head", "head")):
        config = DetectorConfig(
            window=L, lags=LAGS, exposure=exposure, exposure_kinds=kinds if exposure else (), random_state=0
        )
        scored = Detector(config=config).fit(noisy_log(1500, seed=0)).score(faulty)
        severity[name] = scored["severity"].iloc[210:230].median()
    assert severity["plain"] < 0.8
    assert severity["head"] > 1.5, "found, although no stuck sensor was shown"


def test_a_missing_sensor_has_no_say_and_silences_what_asks_the_others() -> None:
    rows = values()
    usable = np.ones(rows.shape, bool)
    usable[100:, 3] = False
    at = np.array([105, 299])
    found, is_known = numbers_of(rows, at, usable)
    assert is_known.tolist() == [[True, True, True, False]] * 2
    names = list(FEATURES)
    together = [names.index(name) for name in ("error of the others", "gain", "lag")]
    assert np.isnan(found[:, :, together]).all()
    assert np.isfinite(found[:, :3, names.index("roughness")]).all()
    detector = fitted()
    log = log_of(200, seed=3)
    log.loc[80:, ["b", "c"]] = np.nan
    score = detector.score(log, allow_missing=0)["score"].to_numpy()
    assert np.isfinite(score[L - 1 :].astype(float)).all()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("head.above", np.negative),
        ("head.line", lambda x: x[:1]),
        ("head.sides", lambda x: x[:, :3]),
        ("head.others", None),
    ],
)
def test_a_damaged_head_is_refused(name: str, change: object) -> None:
    detector = fitted()
    arrays = dict(detector._parts.arrays)
    if callable(change):
        arrays[name] = np.ascontiguousarray(change(arrays[name]))
    else:
        del arrays[name]
    with pytest.raises(ArtefactError, match="head"):
        ModelParts(detector.config_, C, arrays, 60.0).built()


def test_a_head_is_heard_by_the_fused_score_only() -> None:
    with pytest.raises(UsageError, match="'sse' does not listen to a head"):
        DetectorConfig(exposure="head", score="sse")
