"""What every detector promises of its scores: one for every row, higher is worse, and repeatable to the last bit."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from cases import ALONE, CASES, DEFAULTS, LENGTH, SCORED, UNTRAINED, Case, detector_of, fit
from small_plant import SENSORS, messy_log, normal_log, with_fault

from sensorad.types import REASONS, STATUSES, TOP_SENSORS


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_row_gets_one_row_that_keeps_its_order_and_key(case: Case, seed: int) -> None:
    log = messy_log(120, seed)
    table = detector_of(case).score(log)
    assert len(table) == len(log)
    pd.testing.assert_series_equal(table["time"].dt.as_unit("us"), log["time"].dt.as_unit("us"))
    assert table["machine"].tolist() == log["machine"].tolist()
    counts = table["status"].value_counts()
    assert counts.sum() == len(log)
    assert set(counts.index) <= set(STATUSES)
    assert {"scored", "warmup", "degraded", "unscorable", "duplicate"} <= set(counts.index)
    assert set(table["reason"]) <= set(REASONS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_unsorted_rows_come_back_in_their_own_order(case: Case) -> None:
    log = normal_log(60, seed=3)
    order = np.random.default_rng(0).permutation(len(log))
    straight = detector_of(case).score(log)
    shuffled = detector_of(case).score(log.iloc[order])
    pd.testing.assert_frame_equal(shuffled, straight.iloc[order].reset_index(drop=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_row_without_score_is_null_and_never_nan(case: Case) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    detector = detector_of(case)
    table = detector.score(pa.Table.from_pandas(messy_log(120, seed=2), preserve_index=False))
    has_score = pc.is_in(table["status"], pa.array(["scored", "degraded"]))
    for name in ("score", "severity", "row_surprise"):
        assert table[name].is_valid() == has_score, name
        values = table[name].drop_null().to_numpy()
        assert np.isfinite(values).all(), name
    assert table["alarm"].is_valid() == has_score
    score, severity = (table[name].drop_null().to_numpy() for name in ("score", "severity"))
    np.testing.assert_allclose(severity, score / detector.threshold_, rtol=1e-12)
    assert table["alarm"].drop_null().to_pylist() == (score > detector.threshold_).tolist()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_blame_is_shared_out_among_sensors_of_the_log(case: Case) -> None:
    table = detector_of(case).score(messy_log(120, seed=2))
    for row in table.itertuples():
        n_named = len(row.top_sensors)
        assert n_named == (min(TOP_SENSORS, len(SENSORS)) if row.status in ("scored", "degraded") else 0)
        assert len(row.top_shares) == len(row.top_expected) == len(row.top_actual) == n_named
        assert set(row.top_sensors) <= set(SENSORS)
        assert len(set(row.top_sensors)) == n_named
        if n_named:
            assert (np.diff(row.top_shares) <= 0).all()
            assert row.top_shares.min() >= 0
            assert row.top_shares.sum() <= 1 + 1e-5
            assert np.isfinite(row.top_expected).all()


@pytest.mark.parametrize("case", SCORED, ids=str)
def test_an_obvious_fault_scores_higher_than_normal_rows(case: Case) -> None:
    detector = detector_of(case)
    log = normal_log(300, seed=5)
    faulted = with_fault(log, 200, 260, "power", 150.0)
    is_fault = (faulted["power"] != log["power"]).to_numpy()
    normal = detector.score(log)["score"].dropna().to_numpy()
    found = detector.score(faulted)["score"].to_numpy()[is_fault]
    assert np.isfinite(found).all()
    share = (found > np.quantile(normal, 0.99)).mean()
    assert share == 1.0 if case.score == "fused" else share > 0.9
    events = detector.detect(faulted)
    east = events[events["machine"] == "east"]
    onset = faulted["time"][is_fault].iloc[0]
    assert (east["start"].between(onset, onset + pd.Timedelta(minutes=3)) & (east["severity"] > 2)).any()


@pytest.mark.parametrize("case", [*DEFAULTS, *ALONE], ids=str)
def test_the_same_seed_gives_the_same_bits(case: Case) -> None:
    log = messy_log(100, seed=4)
    first, again = detector_of(case), fit(case)
    assert first is not again
    assert first.weights_hash_ == again.weights_hash_
    assert first.threshold_ == again.threshold_
    pd.testing.assert_frame_equal(first.score(log), again.score(log), check_exact=True)


@pytest.mark.parametrize("case", [*ALONE, *UNTRAINED], ids=str)
def test_another_seed_gives_another_network(case: Case) -> None:
    log = normal_log(40, seed=4)
    first, other = detector_of(case), fit(case, seed=1)
    assert first.weights_hash_ != other.weights_hash_
    scores = first.score(log)["score"].dropna(), other.score(log)["score"].dropna()
    assert len(scores[0]) == len(log) - 2 * (LENGTH - 1)
    least = 0.1 if case.model == "cross" and case.has_linear_part else 0.5  # heard where it is the stronger opinion
    assert (scores[0] != scores[1]).mean() > least


def test_the_linear_model_needs_no_seed() -> None:
    """Why it takes no part in the test above."""
    linear = [case for case in DEFAULTS if case.model == "linear"]
    assert linear
    for case in linear:
        assert detector_of(case).weights_hash_ == fit(case, seed=1).weights_hash_


@pytest.mark.parametrize("case", [*DEFAULTS, *ALONE], ids=str)
def test_global_random_numbers_are_left_alone(case: Case) -> None:
    import torch

    def states() -> tuple[object, ...]:
        kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
        return kind, keys.tobytes(), rest, torch.get_rng_state().numpy().tobytes(), random.getstate()

    before = states()
    detector = fit(case)
    detector.detect(normal_log(60, seed=6))
    assert states() == before


@pytest.mark.parametrize("case", UNTRAINED, ids=str)
def test_an_untrained_network_works_as_a_control(case: Case) -> None:
    detector = detector_of(case)
    assert detector.training_["records"] == []
    assert detector.score(normal_log(60, seed=7))["score"].notna().sum() == 120 - 2 * (LENGTH - 1)


@pytest.mark.parametrize("case", ALONE, ids=str)
def test_a_network_alone_has_no_linear_part(case: Case) -> None:
    from sensorad import Detector

    names = set(detector_of(case)._parts.arrays)
    assert not any(name.startswith(("pca.", "autoregression.")) for name in names)
    assert Detector(model=case.model, linear_part=None).config.has_linear_part is False
