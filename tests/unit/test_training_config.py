"""Training configuration, record, optimisers, learning rates, the loss-curve figure: the parts around the loop."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest
import torch
from torch import nn

import sensorad.training
from sensorad.errors import UsageError
from sensorad.training import TrainConfig, TrainingRecord, loss_curve_svg
from sensorad.training.optimisers import LearningRate, build_optimiser, clip_gradients


def record(train: tuple[float, ...], validation: tuple[float, ...] = (), best: int = 1) -> TrainingRecord:
    return TrainingRecord(train, validation, (0.5,) * len(train), best, "patience", 100, 20, 10 * len(train), 474)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number above 0, got 0"),
        ({"epochs": 1.5}, "epochs must be"),
        ({"batch_size": -1}, "batch_size must be"),
        ({"patience": 0}, "patience must be"),
        ({"optimiser": "lion"}, "optimiser must be one of adam, adamw"),
        ({"scheduler": "step"}, "scheduler must be one of"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"gradient_clip": 0.0}, "gradient_clip must be"),
        ({"time_limit_seconds": -1.0}, "time_limit_seconds must be"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number, 0 or more"),
        ({"min_delta": float("inf")}, "min_delta must be"),
    ],
)
def test_impossible_values_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**change)


def test_config_survives_json_and_refuses_unknown_options() -> None:
    config = TrainConfig(patience=None, gradient_clip=None, time_limit_seconds=3.5, optimiser="radam")
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(UsageError, match="unknown options: momentum"):
        TrainConfig.from_json({"momentum": 0.9})


def test_record_survives_strict_json() -> None:
    one = record((0.5, 0.25), (0.75, 0.125), best=2)
    assert TrainingRecord.from_json(json.loads(json.dumps(one.to_json(), allow_nan=False))) == one
    assert one.n_epochs == 2


def test_public_names_are_true_and_sorted() -> None:
    assert sensorad.training.__all__ == sorted(sensorad.training.__all__)
    homes = [name for names in sensorad.training._HOMES.values() for name in names]
    assert sorted(homes) == sensorad.training.__all__
    for name in sensorad.training.__all__:
        assert getattr(sensorad.training, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        sensorad.training.Nothing  # noqa: B018


def test_record_and_figure_need_no_torch() -> None:
    code = (
        "import sys; from sensorad.training import TrainConfig, TrainingRecord, loss_curve_svg;"
        "loss_curve_svg(TrainingRecord((1.0, 0.5), (), (0.1, 0.1), 2, 'epochs', 1, 0, 2, 3));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cosine_equals_the_one_of_torch() -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=40)
    rate = LearningRate(TrainConfig(learning_rate=0.1, scheduler="cosine"), 40)
    for step in range(40):
        assert rate.at(step) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6)
        optimiser.step()
        oracle.step()


def test_one_cycle_rises_then_falls() -> None:
    rate = LearningRate(TrainConfig(learning_rate=1.0, scheduler="one_cycle"), 100)
    rates = [rate.at(step) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[30] == pytest.approx(1.0)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)


def test_plateau_halves_after_its_patience_and_survives_json() -> None:
    rate = LearningRate(TrainConfig(learning_rate=1.0, scheduler="plateau", plateau_patience=2), 100)
    seen = []
    for loss in (1.0, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4):
        rate.judge(loss)
        seen.append(rate.at(0))
        other = LearningRate(TrainConfig(learning_rate=1.0, scheduler="plateau", plateau_patience=2), 100)
        other.restore(json.loads(json.dumps(rate.to_json())))
        rate = other
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("adadelta", torch.optim.Adadelta),
        ("radam", torch.optim.RAdam),
    ],
)
def test_each_optimiser_steps_as_the_plain_one_of_torch(name: Any, kind: type[torch.optim.Optimizer]) -> None:
    config = TrainConfig(optimiser=name, learning_rate=0.05, weight_decay=0.01)
    ours, theirs = (nn.Parameter(torch.arange(4.0)) for _ in range(2))
    options: dict[str, Any] = {"momentum": 0.9} if name == "sgd" else {}
    plain = kind([theirs], lr=0.05, weight_decay=0.01, foreach=False, **options)  # type: ignore[call-arg]
    fast = build_optimiser(config, [ours])
    for _ in range(8):
        for weight, optimiser in ((ours, fast), (theirs, plain)):
            weight.grad = (weight.detach() - 1.0).sin()
            optimiser.step()
    torch.testing.assert_close(ours, theirs)
    assert float((ours.detach() - torch.arange(4.0)).abs().max()) > 1e-4


@pytest.mark.parametrize("size", [0.1, 3.0])
def test_clipping_equals_the_one_of_torch(size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(5))] for _ in range(2))
    for one, other in zip(ours, theirs, strict=True):
        one.grad = size * torch.randn(one.shape, generator=generator)
        other.grad = one.grad.clone()
    clip_gradients([*ours, nn.Parameter(torch.zeros(1))], 1.0)
    nn.utils.clip_grad_norm_(theirs, 1.0)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize(
    ("train", "validation", "best"),
    [
        ((0.9, 0.5, 0.4), (1.0, 0.7, 0.8), 2),
        ((5.0, 0.05, 0.004), (), 3),
        ((0.5,), (), 1),
        ((0.5, 0.5), (0.5, 0.5), 1),
        ((0.0, 0.0), (), 2),
        (tuple(1.0 / epoch for epoch in range(1, 61)), tuple(1.2 / epoch for epoch in range(1, 61)), 60),
    ],
)
def test_figure_is_well_formed_and_stays_inside(
    train: tuple[float, ...], validation: tuple[float, ...], best: int
) -> None:
    text = loss_curve_svg(record(train, validation, best))
    root = ET.fromstring(text)  # noqa: S314 - our own text
    space = "{http://www.w3.org/2000/svg}"
    assert f"epoch {best}" in text
    assert "prefers-color-scheme" in text
    lines = root.findall(f"{space}polyline")
    assert len(lines) == (0 if len(train) == 1 else 1 + bool(validation))
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert len(points) == len(train)
        assert all(64 <= x <= 624 and 40 <= y <= 256 for x, y in points)
    ticks = [label for label in root.findall(f"{space}text") if label.attrib.get("class") == "end"]
    assert 3 <= len(ticks) <= 12
    for word in ("http://", "https://", "href", "<script"):
        assert word not in text.replace("http://www.w3.org/2000/svg", "")


def test_figure_falls_where_the_loss_falls() -> None:
    root = ET.fromstring(loss_curve_svg(record((4.0, 2.0, 1.0), best=3)))  # noqa: S314
    points = root.find("{http://www.w3.org/2000/svg}polyline").attrib["points"].split()  # type: ignore[union-attr]
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1]
    assert (heights[1] - heights[0]) == pytest.approx(2 * (heights[2] - heights[1]), rel=0.01)
