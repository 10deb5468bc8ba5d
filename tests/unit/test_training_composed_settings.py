"""From the settings of a detector to the objective of its network: sensors by name, modes of windows, members."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from sensorad import Detector
from sensorad.augment import Jitter, Permutation
from sensorad.config import DetectorConfig
from sensorad.error_models.crossfit import Stretch
from sensorad.error_models.network import train_network
from sensorad.errors import UsageError
from sensorad.families.network import network_plan
from sensorad.families.objectives import augment_of, training_objective
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.normal_rows import NormalRows, read_normal_rows
from sensorad.training import Batch, Composed, Reconstruction, Repair, ScoreHinge
from sensorad.training.settings import check_augment, plain_steps

L = 8


def log_of(n_rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    log = pd.DataFrame({name: rng.normal(size=n_rows) for name in ("flow", "temp 1", "temp 2", "speed")})
    log.insert(1, "unused", np.nan)
    log["lamp"] = 1.0
    log["switch"] = (np.arange(n_rows) // 50) % 2
    log["mode"] = np.where(np.arange(n_rows) < 200, "run", "idle")
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


def rows_of(log: pd.DataFrame) -> NormalRows:
    source = SortedLog(SensorLog(log, LogFormat(time="time", mode="mode")))
    return read_normal_rows(source.blocks(), source.schema, L)


def test_sensors_are_excluded_by_name_and_switches_in_any_case() -> None:
    rows = rows_of(log_of())
    assert rows.sensors == ("flow", "temp 1", "temp 2", "speed", "lamp", "switch"), "those that are used"
    config = DetectorConfig(model="lstm", window=L, augment=("jitter",), augment_exclude=("temp 2", "unused"))
    augment = augment_of(config, rows)
    assert augment is not None
    assert [rows.sensors[position] for position in augment.excluded] == ["temp 2", "lamp", "switch"]
    assert augment_of(DetectorConfig(model="lstm", window=L), rows) is None


def test_groups_of_a_permutation_are_told_by_name_or_position() -> None:
    rows = rows_of(log_of())
    for groups in ([["temp 1", "temp 2"]], [[1, 2]]):
        config = DetectorConfig(model="lstm", window=L, augment=({"name": "permutation", "groups": groups},))
        augment = augment_of(config, rows)
        assert augment is not None
        assert augment.steps == (Permutation(groups=((1, 2),)),)
        assert DetectorConfig.from_json(config.to_json()) == config


def test_ready_objects_become_plain_settings() -> None:
    detector = Detector("lstm", augment=["scaling", Jitter(sigma=0.2)], mixup=0.3, exposure="hinge")
    assert detector.config.augment == ("scaling", {"name": "jitter", "sigma": 0.2})
    augment = augment_of(detector.config, rows_of(log_of()))
    assert augment is not None
    assert augment.steps[1] == Jitter(sigma=0.2)


@pytest.mark.parametrize(("name", "kind"), [("repair", Repair), ("hinge", ScoreHinge)])
def test_the_objective_holds_all_that_was_asked_for(name: str, kind: type) -> None:
    rows = rows_of(log_of())
    config = DetectorConfig(
        model="lstm",
        window=L,
        objective="plain",
        augment=("jitter",),
        mixup=0.3,
        exposure=name,
        exposure_kinds=("lag",),
    )
    objective = training_objective(config, rows)
    assert isinstance(objective, Composed)
    assert objective.base == Reconstruction()
    assert objective.mixup is not None
    assert objective.mixup.alpha == 0.3
    assert isinstance(objective.exposure, kind)
    assert objective.to_json()["exposure"]["kinds"] == ["lag"]
    assert np.allclose(objective.exposure.statistics.sigma[:4], 1.0, atol=0.05), "rows are scaled"


@pytest.mark.parametrize("exposure", [None, "head"])
def test_without_any_of_it_the_objective_is_the_plain_one(exposure: str | None) -> None:
    config = DetectorConfig(model="lstm", window=L, objective="plain", exposure=exposure)
    assert training_objective(config, rows_of(log_of())) == Reconstruction()


class Watching:
    """Notes the modes of the windows of a batch with the windows."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        assert batch.labels is not None
        self.seen.append((batch.inputs.clone(), batch.labels.clone()))
        return Reconstruction().loss(model, batch, generator)

    def to_json(self) -> dict[str, Any]:
        return {"name": "watching"}


def test_windows_carry_the_mode_in_which_they_begin_and_end() -> None:
    rows = np.arange(120, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    mode = (np.arange(120) // 30 % 2).astype(np.int32)  # 0, 1, 0, 1
    stretch = Stretch(rows, np.ones(rows.shape, bool), np.arange(120) * 60 * 10**9, mode)
    watching = Watching()
    config = DetectorConfig(model="lstm", window=L, stride=1, epochs=1, network={"width": 4, "code": 2})
    log_rows = rows_of(log_of())
    plan = network_plan(config, log_rows)
    train_network(replace(plan, objective=watching), [stretch], None, epochs=1)
    kinds: dict[int, set[tuple[int, int]]] = {}
    for windows, labels in watching.seen:
        for window, label in zip(windows, labels.tolist(), strict=True):
            first, last = int(window[0, 0]), int(window[-1, 0])
            kinds.setdefault(label, set()).add((int(mode[first]), int(mode[last])))
    assert sorted(kind for found in kinds.values() for kind in found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(len(found) == 1 for found in kinds.values()), "one number for each way through the modes"


def test_a_part_of_a_stretch_keeps_its_modes() -> None:
    rows = np.zeros((10, 1), np.float32)
    stretch = Stretch(rows, rows == 0, np.arange(10), np.arange(10, dtype=np.int32))
    part = stretch.part(3, 6)
    assert part.mode is not None
    assert part.mode.tolist() == [3, 4, 5]
    assert Stretch(rows, rows == 0, np.arange(10)).part(3, 6).mode is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment": ("jitter",), "augment_exclude": ("flo",)}, "no sensor 'flo': did you mean 'flow'"),
        ({"augment": ({"name": "permutation", "groups": [["temp 1", "temp 3"]]},)}, "no sensor 'temp 3'"),
    ],
)
def test_a_sensor_that_is_not_there_is_refused_before_the_log_is_read(settings: dict[str, Any], words: str) -> None:
    detector = Detector(config=DetectorConfig(model="lstm", window=L, **settings))
    with pytest.raises(UsageError, match=words):
        detector.fit(log_of(), time="time", mode="mode")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("jitter", "must be a list"),
        ([{"name": "jitter", "sigma": -1.0}], "sigma"),
        ([{"name": "jitter", "wild": 1}], "unknown settings"),
        ([{"name": "permutation", "groups": [["a"]]}], "two or more"),
        ([{"name": "permutation", "groups": "ab"}], "lists of two or more"),
    ],
)
def test_steps_that_cannot_be_are_refused(steps: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_augment(plain_steps(steps))


def test_members_of_an_ensemble_share_the_training_but_not_the_head() -> None:
    members = [{"model": "linear"}, {"model": "lstm"}, {"model": "lstm", "window": 4}]
    for exposure, expected in (("repair", [None, "repair", None]), ("head", [None, None, None])):
        config = DetectorConfig(
            model="ensemble", window=L, members=tuple(members), exposure=exposure, augment=("jitter",), mixup=0.1
        )
        assert [member.exposure for member in config.each_member] == expected
        assert [member.mixup for member in config.each_member] == [0.0, 0.1, 0.1]
    with pytest.raises(UsageError, match="that of the whole ensemble"):
        DetectorConfig(model="ensemble", members=({"model": "lstm", "exposure": "head"},))
    with pytest.raises(UsageError, match="windows of 8 rows"):
        DetectorConfig(model="ensemble", members=({"model": "lstm", "window": 4, "exposure": "repair"},))
