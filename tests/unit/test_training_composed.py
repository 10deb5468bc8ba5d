"""Augmentation, mixup and exposure before an objective: order, seeds, masks, modes; nothing where nothing is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.augment import Jitter, MixupConfig, SensorStatistics, augment_from_names
from sensorad.augment.sensor import Augment
from sensorad.errors import ArtefactError, UsageError
from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
from sensorad.models.weights import state_arrays
from sensorad.training import (
    Batch,
    Composed,
    Denoising,
    MaskedReconstruction,
    Objective,
    Reconstruction,
    Repair,
    ScoreHinge,
    TrainConfig,
    Trainer,
    TrainingRecord,
    WindowSource,
    composed,
)
from sensorad.training.transforms import batch_draws, mixed

BASES = [Reconstruction(), Denoising(), MaskedReconstruction()]
L, C = 12, 3


class Spy(nn.Module):
    """Answers what it is shown and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return x


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n_rows: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 7.0 + np.arange(C)) + 0.1 * rng.normal(size=(n_rows, C))
    return wave.astype(np.float32)


def batch(n_windows: int = 16, *, has_mask: bool = False, labels: Tensor | None = None) -> Batch:
    values = rows()
    windows = torch.from_numpy(np.stack([values[at : at + L] for at in range(0, 20 * n_windows, 20)]))
    mask = None
    if has_mask:
        mask = torch.rand(windows.shape, generator=generator(9)) > 0.2
        windows = windows * mask
    return Batch(windows, mask=mask, labels=labels)


def everything(base: Objective, alpha: float = 0.3, exposure: str = "repair") -> Objective:
    statistics = SensorStatistics.fit(rows())
    kinds = {"repair": Repair(statistics), "hinge": ScoreHinge(statistics)}
    return composed(base, augment_from_names(["jitter", "time_warp"]), MixupConfig(alpha), kinds[exposure])


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
@pytest.mark.parametrize("exposure", ["repair", "hinge"])
@pytest.mark.parametrize("has_mask", [False, True])
def test_every_part_goes_with_every_base(base: Objective, exposure: str, has_mask: bool) -> None:
    labels = torch.arange(16) % 2
    network = LSTMAutoencoder(C, LSTMConfig(width=6, code=3, near_zero=False), 0)
    found = [
        everything(base, exposure=exposure).loss(network.train(), batch(has_mask=has_mask, labels=labels), generator(4))
        for _ in range(2)
    ]
    assert torch.equal(*found), "one seed, one loss"
    found[0].backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in network.parameters() if weight.grad is not None)


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
def test_a_network_that_is_judged_sees_real_windows_and_the_noise_of_the_base_alone(base: Objective) -> None:
    network = LSTMAutoencoder(C, LSTMConfig(width=6, code=3, near_zero=False), 0).eval()
    one, other = generator(3), generator(3)
    judged = everything(base).loss(network, batch(), one)
    assert torch.equal(judged, base.loss(network, batch(), other))
    assert torch.equal(one.get_state(), other.get_state()), "nothing else is drawn"
    assert not torch.equal(everything(base).loss(network.train(), batch(), generator(3)), judged)


def test_nothing_asked_for_is_the_base_itself() -> None:
    base = Denoising()
    assert composed(base) is base
    assert composed(base, mixup=MixupConfig(alpha=0.0)) is base


def test_parts_come_in_their_order() -> None:
    """Augmented windows are mixed, mixtures get faults, and what is asked for is the mixture without them."""
    augment, mix = Augment((Jitter(0.3),), probability=1.0), MixupConfig(alpha=0.4)
    repair = Repair(SensorStatistics.fit(rows()), kinds=("bias",), share=1.0)
    spy = Spy().train()
    clean = batch()
    loss = Composed(Reconstruction(), augment, mix, repair).loss(spy, clean, generator(1))
    draws = batch_draws(generator(1))
    jittered = augment(clean.inputs.numpy(), draws)
    mixture = mixed(Batch(torch.from_numpy(jittered)), mix, draws).inputs
    [shown] = spy.seen
    is_faulty = (shown - mixture).abs() > 0.0
    assert is_faulty.any(dim=(1, 2)).all(), "each window has its fault"
    assert is_faulty.any(dim=1).sum() <= 2 * 16, "of one sensor in most"
    weight = torch.where(is_faulty, 3.0, 1.0)
    assert float(loss) == pytest.approx(float((weight * (shown - mixture) ** 2).sum() / weight.sum()), rel=1e-5)


def test_excluded_sensors_come_through_an_augmentation_unchanged() -> None:
    spy = Spy().train()
    Composed(Reconstruction(), Augment((Jitter(0.3),), 1.0, excluded=(1,))).loss(spy, batch(), generator())
    changed = (spy.seen[0] != batch().inputs).flatten(0, 1).any(0)
    assert changed.tolist() == [True, False, True]


def test_partners_are_of_the_same_mode() -> None:
    windows = torch.cat([torch.zeros(8, L, C), torch.full((8, L, C), 10.0)])
    labels = torch.tensor([0] * 8 + [1] * 8)
    config = MixupConfig(alpha=1.0)
    kept = mixed(Batch(windows, labels=labels), config, np.random.default_rng(0))
    assert torch.equal(kept.inputs, windows)
    crossed = mixed(Batch(windows), config, np.random.default_rng(0))
    assert not torch.equal(crossed.inputs, windows)


def test_targets_are_mixed_as_their_windows_are() -> None:
    clean = batch(8)
    found = mixed(Batch(clean.inputs, targets=2.0 * clean.inputs), MixupConfig(1.0), np.random.default_rng(0))
    assert found.targets is not None
    assert torch.allclose(found.targets, 2.0 * found.inputs, atol=1e-6)


def test_windows_know_the_modes_of_their_source() -> None:
    labels = np.array([5, 7, 9])
    source = WindowSource(rows(), None, np.array([0, 10, 20]), L, labels)
    assert source.take(torch.tensor([2, 0])).labels.tolist() == [9, 5]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="labels"):
        WindowSource(rows(), None, np.array([0, 10, 20]), L, labels[:2])


def test_a_weight_counts_beside_the_mask() -> None:
    clean = batch(4, has_mask=True)
    assert clean.mask is not None
    weight = torch.rand(clean.inputs.shape, generator=generator())
    weighted = Batch(clean.inputs, targets=torch.zeros_like(clean.inputs), mask=clean.mask, weight=weight)
    both = weight * clean.mask
    expected = float((both * clean.inputs**2).sum() / both.sum())
    assert float(Reconstruction().loss(Spy(), weighted, generator())) == pytest.approx(expected, rel=1e-5)
    assert float(Denoising(sigma=0.0).loss(Spy(), weighted, generator())) == pytest.approx(expected, rel=1e-5)
    moved = weighted.to(torch.device("cpu"))
    assert moved.weight is weight
    for objective in (MaskedReconstruction(), MaskedReconstruction(visible_weight=0.0)):
        nothing = Batch(clean.inputs, mask=clean.mask, weight=torch.zeros_like(weight))
        assert float(objective.loss(Spy(), nothing, generator())) == 0.0


class StopError(Exception):
    """Stands for whatever ends a process between two epochs."""


def trained(
    objective: Objective, checkpoint: Path | None = None, stop_after: int | None = None
) -> tuple[dict[str, np.ndarray], TrainingRecord]:
    def progress(epoch: int, *rest: Any) -> None:
        if epoch == stop_after:
            raise StopError

    network = LSTMAutoencoder(C, LSTMConfig(width=4, code=2), 0)
    labels = np.arange(100) % 2
    train, validation = (
        WindowSource(rows(), None, starts, L, modes)
        for starts, modes in ((np.arange(0, 300, 3), labels), (np.arange(320, 380, 5), None))
    )
    config = TrainConfig(epochs=4, batch_size=32, checkpoint_every_seconds=0.0)
    record = Trainer(config).fit(
        network, objective, train, validation, generator(2), checkpoint=checkpoint, progress=progress
    )
    return state_arrays(network), record


def test_a_killed_run_resumes_with_the_same_bits(tmp_path: Path) -> None:
    objective = everything(MaskedReconstruction())
    whole, record = trained(objective)
    for stop_after in (2, 3):
        with pytest.raises(StopError):
            trained(objective, tmp_path / "run", stop_after)
    resumed, again = trained(objective, tmp_path / "run")
    assert again.validation_losses == record.validation_losses
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (everything(MaskedReconstruction(), alpha=0.4), "objective.mixup.alpha was 0.3, is 0.4"),
        (everything(MaskedReconstruction(), exposure="hinge"), "objective.exposure.name was 'repair', is 'hinge'"),
        (everything(MaskedReconstruction(share=0.2)), "objective.share was 0.3, is 0.2"),
        (MaskedReconstruction(), "objective.augment"),
    ],
    ids=["mixup", "exposure", "base", "nothing"],
)
def test_a_run_with_other_settings_is_refused(tmp_path: Path, other: Objective, words: str) -> None:
    with pytest.raises(StopError):
        trained(everything(MaskedReconstruction()), tmp_path / "run", 2)
    with pytest.raises(ArtefactError, match=words.replace(".", r"\.")):
        trained(other, tmp_path / "run")


def test_alpha_0_trains_to_the_same_bits_as_no_mixup() -> None:
    plain, _ = trained(Reconstruction())
    off, _ = trained(composed(Reconstruction(), mixup=MixupConfig(alpha=0.0)))
    on, _ = trained(composed(Reconstruction(), mixup=MixupConfig(alpha=0.3)))
    assert all(np.array_equal(off[name], array) for name, array in plain.items())
    assert any(not np.array_equal(on[name], array) for name, array in plain.items())
