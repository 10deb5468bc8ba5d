"""Objectives: losses against loops over cells, shares of what is hidden, randomness only from the generator."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.training import (
    Batch,
    Denoising,
    MaskedReconstruction,
    Objective,
    Reconstruction,
    objective_from_json,
    objective_from_name,
)


class Spy(nn.Module):
    """Answers a constant and remembers what it was shown."""

    def __init__(self, answer: float = 0.0) -> None:
        super().__init__()
        self.answer = answer
        self.seen = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.clone()
        return torch.full_like(x, self.answer)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(n_windows: int = 64, length: int = 30, n_sensors: int = 4) -> Tensor:
    return torch.randn(n_windows, length, n_sensors, generator=generator(5)) + 3.0


def cells(batch: Batch) -> list[tuple[int, ...]]:
    usable = torch.ones_like(batch.inputs, dtype=torch.bool) if batch.mask is None else batch.mask
    return [tuple(at) for at in usable.nonzero().tolist()]


@pytest.mark.parametrize("has_mask", [False, True])
@pytest.mark.parametrize("has_targets", [False, True])
def test_plain_loss_is_the_mean_square_over_usable_cells(has_mask: bool, has_targets: bool) -> None:
    x = windows(3, 5, 2)
    batch = Batch(x, targets=x * 2 if has_targets else None, mask=x > 3.0 if has_mask else None)
    expected = np.mean([(1.5 - float((x * 2 if has_targets else x)[at])) ** 2 for at in cells(batch)])
    assert float(Reconstruction().loss(Spy(1.5), batch, generator())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["plain", "denoising", "masked"])
def test_a_batch_without_a_usable_cell_costs_nothing(name: str) -> None:
    batch = Batch(torch.zeros(2, 5, 3), mask=torch.zeros(2, 5, 3, dtype=torch.bool))
    assert float(objective_from_name(name).loss(Spy(1.0), batch, generator())) == 0.0


def test_denoising_shows_noise_and_asks_for_the_clean_batch() -> None:
    spy, x = Spy(2.0), windows()
    loss = Denoising(sigma=0.5).loss(spy, Batch(x), generator())
    noise = spy.seen - x
    assert float(noise.std()) == pytest.approx(0.5, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(loss) == pytest.approx(float((2.0 - x).square().mean()), rel=1e-5)


def test_denoising_drops_cells_and_keeps_missing_ones_at_zero() -> None:
    spy, x = Spy(), windows()
    mask = x > 2.0
    Denoising(sigma=0.5, dropout=0.25).loss(spy, Batch(x, mask=mask), generator())
    assert bool((spy.seen[~mask] == 0.0).all())
    assert float((spy.seen[mask] == 0.0).float().mean()) == pytest.approx(0.25, abs=0.02)


def test_the_original_batch_is_never_changed() -> None:
    x = windows()
    before = x.clone()
    for objective in (Denoising(0.5, 0.5), MaskedReconstruction()):
        objective.loss(Spy(), Batch(x), generator())
        assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("share", "span", "length"), [(0.3, (4, 16), 30), (0.5, (4, 8), 64), (0.3, (1, 1), 30), (0.6, (3, 90), 30)]
)
def test_spans_hide_the_share_asked_for_evenly_over_the_window(
    share: float, span: tuple[int, int], length: int
) -> None:
    hidden = MaskedReconstruction(share, span, sensor_share=0.0).hide(torch.zeros(6000, length, 2), generator())
    assert torch.equal(hidden[..., 0], hidden[..., 1])
    rows = hidden[..., 0].float()
    assert float(rows.mean()) == pytest.approx(share, abs=0.01)
    by_row = rows.mean(0)
    assert float(by_row.max() - by_row.min()) < 0.06


def test_spans_are_as_long_as_asked_for() -> None:
    """Among windows with one run of hidden rows that touches no edge, rare spans are single ones."""
    hidden = MaskedReconstruction(0.02, (4, 7), sensor_share=0.0).hide(torch.zeros(20000, 60, 1), generator())[..., 0]
    edges = torch.diff(hidden.int(), dim=1)
    inner = (edges.abs().sum(1) == 2) & ~hidden[:, 0] & ~hidden[:, -1]
    lengths = hidden[inner].sum(1)
    counts = torch.bincount(lengths, minlength=8)
    assert int(lengths.min()) == 4
    assert int(counts[4:8].min()) > 0.15 * len(lengths)
    assert int(counts[8:].sum()) < 0.1 * len(lengths)


def test_whole_sensors_are_hidden_at_their_share() -> None:
    hidden = MaskedReconstruction(0.0, sensor_share=0.2).hide(torch.zeros(4000, 10, 3), generator())
    assert torch.equal(hidden.all(1), hidden.any(1))
    assert float(hidden.float().mean()) == pytest.approx(0.2, abs=0.02)


def test_masked_loss_weighs_hidden_and_visible_cells() -> None:
    spy, x = Spy(1.0), windows(6, 20, 3)
    mask = x > 2.5
    objective = MaskedReconstruction(hidden_weight=2.0, visible_weight=0.5)
    batch = Batch(x, mask=mask)
    hidden = objective.hide(x, generator(3))
    loss = objective.loss(spy, batch, generator(3))
    assert bool((spy.seen[hidden | ~mask] == 0.0).all())
    assert torch.equal(spy.seen[mask & ~hidden], x[mask & ~hidden])
    weights = [2.0 if hidden[at] else 0.5 for at in cells(batch)]
    squares = [(1.0 - float(x[at])) ** 2 for at in cells(batch)]
    assert float(loss) == pytest.approx(np.average(squares, weights=weights), rel=1e-5)


@pytest.mark.parametrize("objective", [Denoising(0.3, 0.2), MaskedReconstruction()])
def test_randomness_comes_from_the_generator_alone(objective: Objective) -> None:
    before = torch.random.get_rng_state()
    one, again, other = Spy(), Spy(), Spy()
    objective.loss(one, Batch(windows()), generator(1))
    objective.loss(again, Batch(windows()), generator(1))
    objective.loss(other, Batch(windows()), generator(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.seen, again.seen)
    assert not torch.equal(one.seen, other.seen)


@pytest.mark.parametrize(
    "objective", [Reconstruction(), Denoising(0.2, 0.1), MaskedReconstruction(0.4, (2, 5), 0.3, 2.0, 0.1)]
)
def test_objectives_survive_json(objective: Any) -> None:
    assert objective_from_json(json.loads(json.dumps(objective.to_json()))) == objective


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"name": "copy"},
            "objective 'copy' is not known: one of plain, denoising, pixel_cross_entropy, masked, dropout",
        ),
        ({"name": "plain", "sigma": 1.0}, "unknown options: sigma"),
        ({"name": "denoising", "sigma": -1.0}, "sigma must be between 0 and inf"),
        ({"name": "denoising", "dropout": math.nan}, "dropout must be"),
        ({"name": "masked", "span": [5, 4]}, "span must be"),
        ({"name": "masked", "share": 0.0, "sensor_share": 0.0}, "nothing would be hidden"),
        ({"name": "masked", "hidden_weight": 0.0, "visible_weight": 0.0}, "nothing would be learned"),
    ],
)
def test_unknown_names_and_impossible_values_are_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        objective_from_json(row)
