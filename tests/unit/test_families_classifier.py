"""Classifiers as detectors: where labels come from, who reads what, and errors against one window at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

import sensorad
from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.data import TimeGrid
from sensorad.error_models.class_errors import ByTime, ClassErrors, Doubt, TimeSides
from sensorad.error_models.confidence import log_probability_score, max_probability_score
from sensorad.error_models.crossfit import Stretch
from sensorad.error_models.network_classes import LabelledStretch, _on_side, cross_trained_classes
from sensorad.error_models.torch_classes import TorchClasses
from sensorad.errors import UsageError
from sensorad.families.classifier import class_plan, label_source, labelled
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.models.window_classifier import WindowClassifier, WindowClassifierConfig, transformed
from sensorad.normal_rows import NormalRows, read_normal_rows

LENGTH, C = 8, 3
SECOND = 10**9
NAMES = ["a", "b", "c"]


@cache
def _log(n_rows: int = 800, seed: int = 0, n_machines: int = 2) -> pd.DataFrame:
    """Machines that turn at different speeds, with two modes that change the level of a sensor; seconds apart."""
    rng = np.random.default_rng(seed)
    parts = []
    for machine in range(n_machines):
        t = np.arange(n_rows)
        mode = (t // 100) % 2
        course = np.sin(t / (3.0 + 3.0 * machine))[:, None] * [1.0, 0.5, -1.0]
        values = course + 0.1 * rng.normal(size=(n_rows, C))
        values[:, 1] += 3.0 * mode
        part = pd.DataFrame(values, columns=NAMES)
        part["time"] = pd.date_range("2024-05-01", periods=n_rows, freq="s", tz="UTC")
        part["machine"] = f"m{machine}"
        part["mode"] = np.where(mode, "high", "low")
        parts.append(part)
    return pd.concat(parts).sort_values(["time", "machine"], kind="stable", ignore_index=True)


@cache
def _rows(n_machines: int = 2, mode: str | None = None) -> NormalRows:
    log = SortedLog(SensorLog(_log(n_machines=n_machines), LogFormat("time", tuple(NAMES), group="machine", mode=mode)))
    return read_normal_rows(log.blocks(), log.schema, LENGTH)


def _config(**settings: object) -> DetectorConfig:
    small = {"width": 8, "reach": 3}
    given = {"model": "classifier", "window": LENGTH, "lags": 2, "epochs": 2, "network": small} | settings
    return DetectorConfig(**given)  # type: ignore[arg-type]


def _module(n_classes: int = 3, seed: int = 0) -> WindowClassifier:
    return WindowClassifier(C, WindowClassifierConfig(width=6, classes=n_classes), seed).eval()


class Loudest:
    """Doubt is the largest value of the window plus a number; parts are absolute values."""

    def __init__(self, more: float = 0.0) -> None:
        self.more, self.ends = more, list[int]()

    def doubt(self, windows: np.ndarray, ends: np.ndarray, *, has_parts: bool = False) -> Doubt:
        self.ends += ends.tolist()
        score = windows.max(axis=(1, 2)).astype(np.float64) + self.more
        return Doubt(score, np.abs(windows).astype(np.float64) if has_parts else None)


def test_labels_come_from_modes_then_machines_then_transforms() -> None:
    assert label_source(_rows(mode="mode"), _config()) == "mode"
    assert label_source(_rows(), _config()) == "machine"
    assert label_source(_rows(n_machines=1), _config()) == "transform"
    assert label_source(_rows(mode="mode"), _config(labels="machine")) == "machine"
    assert label_source(_rows(mode="mode"), _config(class_score="circular")) == "transform"


def test_labels_that_a_log_does_not_have_are_refused() -> None:
    with pytest.raises(UsageError, match="two machines"):
        label_source(_rows(n_machines=1), _config(labels="machine"))
    with pytest.raises(UsageError, match="two operating modes"):
        label_source(_rows(), _config(labels="mode"))
    with pytest.raises(UsageError, match="one machine and no modes"):
        label_source(_rows(n_machines=1), _config(class_score="energy"))


def test_rare_modes_and_rows_without_one_have_no_class() -> None:
    rows = _rows(mode="mode")
    assert rows.modes is not None
    modes = [mode.copy() for mode in rows.modes]
    modes[0][:20] = 2  # a mode of 20 rows
    modes[0][20:30] = 3  # no mode
    odd = replace(rows, modes=modes, mode_names=(*rows.mode_names, "rare", ""))
    stretches, names = labelled(odd, "mode", LENGTH)
    assert names == list(rows.mode_names)
    first = stretches[0].label
    assert first is not None
    assert (first[:30] == -1).all()
    np.testing.assert_array_equal(first[30:], modes[0][30:])
    machines, names = labelled(rows, "machine", LENGTH)
    assert names == ["machine 1", "machine 2"]
    assert [set(part.label.tolist()) for part in machines if part.label is not None] == [{0}, {1}]
    with pytest.raises(UsageError, match="fewer than two"):
        labelled(replace(rows, modes=[np.zeros(len(m), np.int32) for m in modes]), "mode", LENGTH)


def test_no_window_of_a_side_reaches_rows_that_the_other_was_trained_on() -> None:
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.integers(1, 4, 300)) * SECOND
    sides = TimeSides.of([time[:200], time[100:]], n_blocks=6)
    values = np.zeros((300, 1), np.float32)
    stretch = LabelledStretch(Stretch(values, values == 0, time), np.arange(300))
    for side in (0, 1):
        kept = np.concatenate([part.label for part in _on_side(stretch, sides, side, LENGTH) if part.label is not None])
        expected = [
            row
            for row in range(300)
            if all(sides.side(time[[near]])[0] == side for near in range(max(0, row - 8), min(300, row + 9)))
        ]
        assert kept.tolist() == expected
        read = [
            row
            for end in range(LENGTH - 1, 300)
            if sides.side(time[[end]])[0] != side
            for row in range(end - LENGTH + 1, end + 1)
        ]
        assert not set(read) & set(kept.tolist())


def test_each_side_is_read_by_the_other_classifier() -> None:
    sides = TimeSides(np.array([10, 20, 30]))
    reader = ByTime(sides, (Loudest(100.0), Loudest(200.0)))
    windows = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 2, 1), np.float32)
    found = reader.doubt(windows, np.array([25, 3, 12, 10, 31]), has_parts=True)
    assert found.score.tolist() == [200.0, 101.0, 202.0, 203.0, 104.0]
    assert found.parts is not None
    np.testing.assert_array_equal(found.parts, windows)


def _linear() -> tuple[WindowPCA, RidgeAutoregression]:
    rows = np.random.default_rng(9).normal(size=(200, C)).astype(np.float32)
    return WindowPCA.fit([rows], LENGTH, 0.5), RidgeAutoregression.fit([rows], 2, 1.0)


def test_on_a_grid_the_last_reading_holds_and_early_rows_are_read_themselves() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(120, C)).astype(np.float32)
    time = np.cumsum(rng.choice([0.4, 1.0, 1.0, 1.6, 9.0], size=120) * SECOND).astype(np.int64)
    model = ClassErrors(Loudest(), LENGTH, *_linear(), TimeGrid.of_rows(4, 1.0), read_every=4)
    found = model.errors(rows, np.ones(rows.shape, bool), time)
    assert found.channels is not None
    slot = time // (4 * SECOND)
    for row in range(120):
        if row < LENGTH - 1:
            assert np.isnan(found.channels[row]).all()
            continue
        begins = [at for at in range(row + 1) if at == 0 or slot[at] != slot[at - 1]]
        last = begins[-1]
        is_held = row - last <= 8 and last >= LENGTH - 1
        end = last if is_held else row
        assert found.channels[row, 0] == rows[end - LENGTH + 1 : end + 1].max()
    np.testing.assert_array_equal(found.window, found.linear)
    context = model.context_rows
    for row in (context, 60, 119):
        some = slice(row - context, row + 1)
        alone = model.errors(rows[some], np.ones((context + 1, C), bool), time[some])
        assert alone.channels is not None
        assert alone.channels[-1] == found.channels[row]


def test_alone_the_doubt_is_shared_out_among_sensors() -> None:
    rows = np.random.default_rng(2).normal(size=(30, C)).astype(np.float32)
    rows[20:23, 1] = 9.0
    usable = np.ones(rows.shape, bool)
    usable[10:20, 2] = False
    found = ClassErrors(Loudest(), LENGTH, None, None).errors(rows, usable, np.arange(30) * SECOND)
    for row in (LENGTH - 1, 15, 19, 22, 29):
        window = rows[row - LENGTH + 1 : row + 1].astype(np.float64)
        parts = np.abs(window).sum(axis=0)
        for c in range(C):
            amount = np.log1p(np.exp(window.max())) * parts[c] / parts.sum()
            amount += sum(max(abs(v) - 5.0, 0.0) ** 2 for v in window[:, c]) / LENGTH
            if not usable[row - LENGTH + 1 : row + 1, c].any():
                assert np.isnan(found.window[row, c])
                continue
            assert found.window[row, c] == pytest.approx(amount)
            if usable[row, c]:
                assert found.newest[row, c] == pytest.approx(np.copysign(np.sqrt(amount), rows[row, c]))
            else:
                assert np.isnan(found.newest[row, c])
        assert found.channels is not None
        assert found.channels[row, 0] == pytest.approx(window.max())
        assert (found.expected[row] == 0.0).all()
    assert np.isnan(found.window[: LENGTH - 1]).all()
    assert np.isnan(found.step).all()


def test_a_reader_needs_a_grid_to_skip_rows_and_a_linear_part_to_speak_meanwhile() -> None:
    with pytest.raises(UsageError, match="grid"):
        ClassErrors(Loudest(), LENGTH, *_linear(), None, read_every=4)
    with pytest.raises(UsageError, match="linear part"):
        ClassErrors(Loudest(), LENGTH, None, None, TimeGrid.of_rows(4, 1.0), read_every=4)


@pytest.mark.parametrize("transforms", [(), ("identity", "reversal", "negation")])
def test_doubt_and_its_parts_are_those_of_single_windows(transforms: tuple[str, ...]) -> None:
    windows = np.random.default_rng(3).normal(size=(5, LENGTH, C)).astype(np.float32)
    name = "log_probability" if transforms else "msp"
    reader = TorchClasses(_module(), name, transforms, temperature=1.7, usual=0.3)
    found = reader.doubt(windows, np.zeros(5, np.int64), has_parts=True)
    assert found.parts is not None
    exact = _module().double()

    def score(x: torch.Tensor) -> torch.Tensor:
        if transforms:
            return log_probability_score(exact(transformed(x, transforms)).view(1, 3, 3) / 1.7)
        return max_probability_score(exact(x) / 1.7)

    for n in range(5):
        x = torch.from_numpy(windows[n : n + 1].astype(np.float64))
        assert found.score[n] == pytest.approx(float(score(x).detach()) - 0.3, rel=1e-12)
        for row, sensor in ((0, 0), (5, 2)):
            up, down = x.clone(), x.clone()
            up[0, row, sensor] += 1e-6
            down[0, row, sensor] -= 1e-6
            slope = float((score(up) - score(down)).detach()) / 2e-6
            assert found.parts[n, row, sensor] == pytest.approx(abs(slope * windows[n, row, sensor]), abs=1e-6)
    again = reader.doubt(windows[2:3], np.zeros(1, np.int64))
    assert again.parts is None
    assert again.score[0] == pytest.approx(found.score[2], rel=1e-12)


def test_temperatures_and_usual_scores_come_from_blocks_that_were_not_seen() -> None:
    rows = _rows()
    stretches, names = labelled(rows, "machine", LENGTH)
    found = cross_trained_classes(class_plan(_config(epochs=None, network={}), rows, "machine", len(names)), stretches)
    halves = [reader for reader in found.unseen.readers if isinstance(reader, TorchClasses)]
    assert len(halves) == 2
    assert found.accuracy > 0.9, "the machines turn at different speeds"
    mean = float(np.sqrt(halves[0].temperature * halves[1].temperature))
    assert found.final.temperature == pytest.approx(mean, rel=1e-6)
    assert found.final.usual == pytest.approx((halves[0].usual + halves[1].usual) / 2, rel=1e-6)
    # The classifier of side 0 was trained on side 1: its usual score is the median over windows of side 0.
    reader, scores = halves[0], []
    for stretch in stretches:
        for part in _on_side(stretch, found.unseen.sides, 0, LENGTH):
            starts = range(0, len(part.rows) - LENGTH + 1)
            windows = np.stack([part.rows.rows[start : start + LENGTH] for start in starts])
            scores.append(reader.doubt(windows, np.zeros(len(windows), np.int64)).score)
    assert np.median(np.concatenate(scores)) == pytest.approx(0.0, abs=1e-5)
    assert found.records[0].config["epochs"] == 20, "the fewer windows, the more passes"
    assert [record.validation_losses != () for record in found.records] == [True, True, False]


def _fitted(**settings: object) -> Detector:
    return Detector(config=_config(**settings)).fit(_log(), time="time", sensors=NAMES, group="machine", mode="mode")


def test_a_window_of_a_strange_mixture_of_modes_is_doubted() -> None:
    """High level with the course of no machine: linear errors aside, the classifier must say so."""
    detector = _fitted(labels="mode", epochs=4, exposure="uniform")
    assert any("operating modes of the log (2)" in note for note in detector.notes_)
    [block] = detector.open_log(_log(200, seed=5)).blocks()
    engine = detector.engine()
    model = engine.model
    assert isinstance(model, ClassErrors)
    normal = engine.scaler.transform(block.values[block.group == 0])
    between = normal.copy()
    between[:, 1] = 0.0  # halfway between both levels
    time = np.arange(len(normal)) * SECOND
    usable = np.ones(normal.shape, bool)
    usual, strange = (model.errors(rows, usable, time).channels for rows in (normal, between))
    assert usual is not None
    assert strange is not None
    assert np.nanmedian(strange) > np.nanquantile(usual, 0.95)


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": "machine", "class_score": "entropy", "label_smoothing": 0.1},
        {"labels": "transform", "class_score": "circular"},
        {"labels": "transform", "has_linear_part": False},
        {"class_score": "energy", "mixup": 0.2, "objective": "consistency", "has_linear_part": False},
    ],
    ids=str,
)
def test_every_kind_of_classifier_comes_back_from_its_artefact(settings: dict[str, object], tmp_path: object) -> None:
    detector = _fitted(**settings)
    path = f"{tmp_path}/plant.sensorad"
    detector.save(path)
    loaded = sensorad.load(path)
    log = _log(120, seed=7).drop(columns="mode").assign(mode="low")
    pd.testing.assert_frame_equal(loaded.score(log), detector.score(log), check_exact=True)
    assert detector.score(log)["score"].notna().sum() == 2 * (120 - LENGTH + 1)


def test_a_classifier_runs_in_torch_only() -> None:
    detector = _fitted(epochs=0)
    with pytest.raises(UsageError, match="runs in torch"):
        detector.engine(network="numpy")


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": "machines"},
        {"class_score": "margin"},
        {"labels": "machine", "class_score": "circular"},
        {"labels": "transform", "class_score": "msp"},
        {"label_smoothing": 1.0},
        {"exposure": "repair"},
        {"augment": ("jitter",)},
        {"objective": "masked"},
        {"objective": "consistency"},
        {"model": "lstm", "labels": "machine", "network": {}},
        {"model": "lstm", "label_smoothing": 0.1, "network": {}},
        {"model": "lstm", "exposure": "uniform", "network": {}},
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        _config(**settings)
