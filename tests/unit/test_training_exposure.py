"""Repair and hinge against their formulas written out; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.augment.faults import FAULTS, SensorStatistics, inject_windows
from sensorad.errors import UsageError
from sensorad.models.exposed import FaultNetwork
from sensorad.training import Batch, Reconstruction, TensorSource, TrainConfig, Trainer
from sensorad.training.exposure import TINY, Repair, ScoreHinge, exposure_from_name
from sensorad.training.fault_detection import FaultDetection

N, L, C = 24, 16, 4


class Half(nn.Module):
    """Rebuilds half of what it is shown, and remembers that."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return 0.5 * x


def windows() -> np.ndarray:
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(N * L).reshape(N, L, 1) / 9.0 + np.arange(C)) + 0.1 * rng.normal(size=(N, L, C))
    return wave.astype(np.float32)


def statistics() -> SensorStatistics:
    return SensorStatistics.fit(windows())


@pytest.mark.parametrize("has_mask", [False, True])
def test_repair_asks_for_the_window_without_its_fault(has_mask: bool) -> None:
    clean = torch.from_numpy(windows())
    mask = torch.rand(clean.shape, generator=torch.Generator().manual_seed(1)) > 0.3 if has_mask else None
    batch = Batch(clean if mask is None else clean * mask, mask=mask)
    network = Half()
    repair = Repair(statistics(), kinds=("bias", "noise"), share=0.5, faulty_weight=4.0)
    loss = repair.loss(network, Reconstruction(), batch, np.random.default_rng(3), torch.Generator())
    found = inject_windows(batch.inputs.numpy(), statistics(), np.random.default_rng(3), ("bias", "noise"), 0.5)
    total = weights = 0.0
    for at in np.ndindex(clean.shape):
        if mask is not None and not mask[at]:
            assert network.seen[0][at] == 0.0, "a missing cell stays missing"
            continue
        weight = 4.0 if found.mask[at] else 1.0
        total += weight * (0.5 * found.windows[at] - float(batch.inputs[at])) ** 2
        weights += weight
    assert float(loss) == pytest.approx(total / weights, rel=1e-4)
    assert (found.mask.any(axis=(1, 2))).sum() == N // 2


def test_the_hinge_is_the_formula() -> None:
    clean = torch.from_numpy(windows())
    mask = torch.rand(clean.shape, generator=torch.Generator().manual_seed(1)) > 0.3
    batch = Batch(clean * mask, mask=mask)
    hinge = ScoreHinge(statistics(), kinds=("spike", "bias"), weight=0.7, margin=0.4)
    loss = hinge.loss(Half(), Reconstruction(), batch, np.random.default_rng(3), torch.Generator())
    found = inject_windows(batch.inputs.numpy(), statistics(), np.random.default_rng(3), ("spike", "bias"), 1.0)
    faulty = np.where(mask.numpy() & found.mask, found.windows, batch.inputs.numpy())

    def size(values: np.ndarray, n: int) -> float:
        usable = mask[n].numpy()
        return 0.5 * float(np.log(np.mean((0.5 * values[n][usable]) ** 2) + TINY**2))

    exposed = [n for n in range(N) if (faulty[n] != batch.inputs[n].numpy()).any()]
    assert 0 < len(exposed) < N, "a spike that nobody measures is no fault"
    excess = [max(0.0, 0.4 + size(batch.inputs.numpy(), n) - size(faulty, n)) for n in exposed]
    plain = float(Reconstruction().loss(Half(), batch, torch.Generator()))
    assert float(loss) == pytest.approx(plain + 0.7 * np.mean(excess), rel=1e-4)


def test_a_hinge_that_is_kept_costs_nothing() -> None:
    """Every faulty window is rebuilt far worse already."""

    class Picky(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where((x.abs() > 5.0).any(1, keepdim=True), 100.0, x + 0.01)

    clean = torch.from_numpy(windows())
    hinge = ScoreHinge(SensorStatistics.fit(10.0 * windows()), kinds=("bias",), margin=1.0)
    big = inject_windows(clean.numpy(), SensorStatistics.fit(10.0 * windows()), np.random.default_rng(0), ("bias",))
    found = hinge.loss(Picky(), Reconstruction(), Batch(clean), np.random.default_rng(0), torch.Generator())
    plain = Reconstruction().loss(Picky(), Batch(clean), torch.Generator())
    is_seen = (np.abs(big.windows) > 5.0).any(axis=(1, 2))
    assert is_seen.mean() > 0.9
    assert float(found - plain) == pytest.approx(0.5 * (~is_seen).mean(), rel=0.05, abs=1e-6)


def test_only_the_kinds_that_were_named_are_drawn() -> None:
    clean = torch.from_numpy(windows())
    network = Half()
    exposure_from_name("repair", statistics(), ["stuck"]).loss(
        network, Reconstruction(), Batch(clean), np.random.default_rng(0), torch.Generator()
    )
    changed = (network.seen[0] != clean).numpy()
    for n, c in zip(*np.nonzero(changed.any(axis=1)), strict=True):
        values = network.seen[0][n, :, c].numpy()[changed[n, :, c]]
        assert len(np.unique(values)) == 1, "a stuck sensor has one value"


@pytest.mark.parametrize("exposure", [Repair, ScoreHinge])
def test_what_cannot_be_is_refused(exposure: type[Repair] | type[ScoreHinge]) -> None:
    with pytest.raises(UsageError, match="no kind of fault 'biass': did you mean 'bias'"):
        exposure(statistics(), kinds=("biass",))
    with pytest.raises(UsageError, match="at least one kind"):
        exposure(statistics(), kinds=())
    with pytest.raises(UsageError, match="no such exposure: 'head'"):
        exposure_from_name("head", statistics())
    assert exposure(statistics()).to_json()["kinds"] == list(FAULTS)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"faulty_weight": 0.0}, {"faulty_weight": np.inf}])
def test_repair_refuses_numbers_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Repair(statistics(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"weight": -1.0}, {"margin": np.nan}])
def test_the_hinge_refuses_numbers_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ScoreHinge(statistics(), **wrong)


def _numbers(n: int = 600, n_features: int = 6) -> tuple[Tensor, Tensor]:
    """Sensors that are faulty lie far out in the first number; the last one is wild in all of them."""
    draws = torch.Generator().manual_seed(0)
    numbers = 0.5 * torch.randn(n, C, n_features, generator=draws)
    numbers[..., -1] *= 6.0
    labels = torch.zeros(n, C)
    labels[: n // 2, 1] = 1.0
    numbers[: n // 2, 1, 0] += 3.0
    return numbers, labels


def test_the_head_learns_which_numbers_tell() -> None:
    numbers, labels = _numbers()
    found = {}
    for pull in (0.0, 3.0, 1000.0):
        network = FaultNetwork(numbers.shape[-1])
        config = TrainConfig(epochs=15, batch_size=32, learning_rate=1e-2, patience=None)
        source = TensorSource(numbers, labels=labels)
        Trainer(config).fit(network, FaultDetection(pull), source, None, torch.Generator().manual_seed(0))
        found[pull] = network.log_weights.detach().exp()
    assert found[0.0][0, 0] > 2.0 * found[0.0][0, -1], "the telling number outweighs the wild one"
    assert found[3.0][0, 0] > found[3.0][0, -1], "as far as it is allowed to"
    spread = {pull: float(weights.log().abs().max()) for pull, weights in found.items()}
    assert spread[0.0] > spread[3.0] > spread[1000.0]
    assert spread[1000.0] < 0.05


def test_the_head_is_monotone() -> None:
    network = FaultNetwork(5)
    with torch.no_grad():
        network.log_weights.normal_(generator=torch.Generator().manual_seed(0))
    numbers = torch.randn(50, C, 5, generator=torch.Generator().manual_seed(1))
    further = numbers * (1.0 + torch.rand(numbers.shape, generator=torch.Generator().manual_seed(2)))
    assert (network(further) >= network(numbers)).all()


def test_the_head_needs_labels_and_its_own_network() -> None:
    numbers, labels = _numbers(8)
    with pytest.raises(UsageError, match="must be known"):
        FaultDetection().loss(FaultNetwork(6), Batch(numbers), torch.Generator())
    with pytest.raises(UsageError, match="a FaultNetwork expected"):
        FaultDetection().loss(nn.Identity(), Batch(numbers, labels=labels), torch.Generator())
    with pytest.raises(UsageError, match="pull"):
        FaultDetection(pull=-1.0)
