"""What every detector promises of its artefact: the same detector comes back, and a calibration touches no weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cases import CASES, Case, assert_same_bits, detector_of, rows_of, score_rows
from small_plant import messy_log, normal_log, with_fault

import sensorad
from sensorad.errors import StorageError


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_saved_detector_comes_back_the_same(case: Case, tmp_path: Path) -> None:
    detector = detector_of(case)
    detector.save(tmp_path / "plant.sensorad")
    loaded = sensorad.load(tmp_path / "plant.sensorad")
    log = with_fault(messy_log(100, seed=21), 70, 80, size=200.0)
    assert_same_bits(score_rows(detector, rows_of(detector, log)), score_rows(loaded, rows_of(loaded, log)))
    pd.testing.assert_frame_equal(detector.score(log), loaded.score(log), check_exact=True)
    assert len(detector.detect(log)) > 0
    pd.testing.assert_frame_equal(detector.detect(log), loaded.detect(log), check_exact=True)
    assert loaded.weights_hash_ == detector.weights_hash_
    assert loaded.threshold_result_ == detector.threshold_result_
    assert loaded.rule_ == detector.rule_
    assert loaded.schema_ == detector.schema_
    assert loaded.format_ == detector.format_
    assert loaded.config == detector.config
    assert loaded.notes_ == detector.notes_
    assert loaded.describe() == detector.describe()
    np.testing.assert_array_equal(loaded.normal_quantiles_, detector.normal_quantiles_)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_saving_again_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    detector_of(case).save(tmp_path / "one.sensorad")
    loaded = sensorad.load(tmp_path / "one.sensorad")
    loaded.save(tmp_path / "two.sensorad")
    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in ("one.sensorad", "two.sensorad")]
    assert sums[0] == sums[1]
    with pytest.raises(StorageError):
        loaded.save(tmp_path / "one.sensorad")
    loaded.save(tmp_path / "one.sensorad", force=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_calibration_moves_the_line_and_no_weight(case: Case, tmp_path: Path) -> None:
    detector_of(case).save(tmp_path / "plant.sensorad")
    detector = sensorad.load(tmp_path / "plant.sensorad")
    log = normal_log(200, seed=22)
    before = detector.score(log)
    weights = detector.weights_hash_
    result = detector.calibrate(log, method="quantile", q=0.9)
    assert detector.weights_hash_ == weights
    assert detector.threshold_ == result.threshold != detector_of(case).threshold_
    after = detector.score(log)
    pd.testing.assert_series_equal(after["score"], before["score"], check_exact=True)
    counted = after["alarm"].dropna().astype(bool)
    assert counted.mean() == pytest.approx(0.1, abs=0.01)
    detector.save(tmp_path / "calibrated.sensorad")
    loaded = sensorad.load(tmp_path / "calibrated.sensorad")
    assert loaded.threshold_result_ == result
    assert loaded.weights_hash_ == weights
