"""What classifiers are trained for: smoothing, mixtures of labels, exposure, consistency, labels made by transforms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.augment.faults import SensorStatistics
from sensorad.augment.mixup import MixupConfig, mixup
from sensorad.errors import UsageError
from sensorad.models.window_classifier import WindowClassifier, WindowClassifierConfig, transformed
from sensorad.training import Batch, TensorSource, TrainConfig, Trainer
from sensorad.training.classification import (
    Classification,
    FaultExposure,
    LabelledSource,
    interpolation_consistency,
)

N, L, C, K = 6, 8, 2, 3
WINDOWS = torch.from_numpy(np.random.default_rng(0).normal(size=(N, L, C)).astype(np.float32))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
STATISTICS = SensorStatistics.fit(np.random.default_rng(1).normal(size=(500, C)))


class Linear(nn.Module):
    """Logits without anything that depends on training."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(L * C, K, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


def _batch(labels: Tensor | None = LABELS) -> Batch:
    return Batch(WINDOWS, labels=labels)


def _draws(seed: int) -> tuple[torch.Generator, np.random.Generator]:
    """A generator, and the NumPy generator that an objective makes of it."""
    seen = torch.Generator().manual_seed(seed)
    return torch.Generator().manual_seed(seed), np.random.default_rng(int(torch.randint(2**62, (), generator=seen)))


def _loss(objective: Classification, batch: Batch, generator: torch.Generator | None = None) -> float:
    return float(objective.loss(Linear(), batch, generator or torch.Generator()).detach())


def _log_probabilities(x: Tensor) -> np.ndarray:
    return Linear()(x).log_softmax(1).detach().numpy().astype(np.float64)


def test_cross_entropy_with_smoothing() -> None:
    found = _loss(Classification(label_smoothing=0.3), _batch())
    total = 0.0
    said = _log_probabilities(WINDOWS)
    for n in range(N):
        for k in range(K):
            total -= (0.7 * (int(LABELS[n]) == k) + 0.3 / K) * said[n, k] / N
    assert found == pytest.approx(total, rel=1e-5)


def test_mixup_mixes_windows_and_labels_by_the_same_weight() -> None:
    generator, draws = _draws(5)
    found = _loss(Classification(mixup=1.0), _batch(), generator)
    mixed = mixup(WINDOWS.numpy(), draws, MixupConfig(1.0, same_mode=False))
    said = _log_probabilities(torch.from_numpy(mixed.windows))
    total = 0.0
    for n in range(N):
        own, other = int(LABELS[n]), int(LABELS[mixed.partner[n]])
        total -= (mixed.weight[n] * said[n, own] + (1 - mixed.weight[n]) * said[n, other]) / N
    assert found == pytest.approx(total, rel=1e-5)


def test_nothing_is_mixed_where_a_network_is_judged() -> None:
    generator, _ = _draws(5)
    judged = Classification(mixup=1.0, consistency=2.0).loss(Linear().eval(), _batch(), generator).detach()
    assert float(judged) == pytest.approx(_loss(Classification(), _batch()))


def test_without_mixup_no_random_number_is_drawn() -> None:
    generator, _ = _draws(5)
    before = generator.get_state().clone()
    Classification(label_smoothing=0.1).loss(Linear(), _batch(), generator)
    assert torch.equal(generator.get_state(), before)


def test_consistency_is_added_to_the_mixed_loss() -> None:
    generator, draws = _draws(7)
    with_it = _loss(Classification(mixup=1.0, consistency=3.0), _batch(), generator)
    generator, _ = _draws(7)
    without = _loss(Classification(mixup=1.0), _batch(), generator)
    mixed = mixup(WINDOWS.numpy(), draws, MixupConfig(1.0, same_mode=False))
    own, there = (np.exp(_log_probabilities(x)) for x in (WINDOWS, torch.from_numpy(mixed.windows)))
    total = 0.0
    for n in range(N):
        for k in range(K):
            meant = mixed.weight[n] * own[n, k] + (1 - mixed.weight[n]) * own[mixed.partner[n], k]
            total += (there[n, k] - meant) ** 2 / (N * K)
    assert with_it - without == pytest.approx(3.0 * total, rel=1e-4)
    agreed = interpolation_consistency(
        torch.from_numpy(there), torch.from_numpy(own), torch.from_numpy(own[mixed.partner]),
        torch.from_numpy(mixed.weight),
    )  # fmt: skip
    assert float(agreed) == pytest.approx(total, rel=1e-6)


def test_a_union_has_the_labels_of_both_parts() -> None:
    generator, draws = _draws(9)
    labels = torch.eye(K)[LABELS]
    objective = Classification(mixup=1.0, is_multi_label=True, mixed_labels="union")
    found = _loss(objective, _batch(labels), generator)
    mixed = mixup(WINDOWS.numpy(), draws, MixupConfig(1.0, same_mode=False))
    logits = Linear()(torch.from_numpy(mixed.windows)).detach().numpy().astype(np.float64)
    total = 0.0
    for n in range(N):
        for k in range(K):
            is_there = bool(labels[n, k]) and mixed.weight[n] > 0.1
            is_there |= bool(labels[mixed.partner[n], k]) and mixed.weight[n] < 0.9
            total += np.log1p(np.exp(-logits[n, k] if is_there else logits[n, k])) / (N * K)
    assert found == pytest.approx(total, rel=1e-5)


def test_transforms_make_the_labels() -> None:
    names = ("identity", "reversal", "negation")
    found = _loss(Classification(transforms=names), _batch(None))
    said = _log_probabilities(transformed(WINDOWS, names))
    total = -sum(said[n * K + k, k] for n in range(N) for k in range(K)) / (N * K)
    assert found == pytest.approx(total, rel=1e-5)


def test_exposed_windows_should_look_like_every_class() -> None:
    exposure = FaultExposure(STATISTICS, ("bias", "noise"))
    generator, draws = _draws(11)
    found = _loss(Classification(exposure=exposure), _batch(), generator)
    plain = _loss(Classification(), _batch(), generator)
    exposed = exposure.exposed(WINDOWS.numpy(), draws)
    assert (exposed != WINDOWS.numpy()).any(axis=(1, 2)).all()
    said = _log_probabilities(torch.from_numpy(exposed))
    assert found - plain == pytest.approx(-0.5 * said.mean(), rel=1e-4)


def test_missing_cells_of_exposed_windows_are_read_as_the_centre() -> None:
    exposed = FaultExposure(STATISTICS, ("dropout",)).exposed(WINDOWS.numpy(), np.random.default_rng(0))
    assert np.isfinite(exposed).all()


def test_an_exposed_classifier_is_less_sure_of_faults() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 600)
    windows = (np.where(label, 1.0, -1.0)[:, None, None] + 0.3 * rng.normal(size=(600, L, C))).astype(np.float32)
    statistics = SensorStatistics.fit(windows)
    faulty = torch.from_numpy(FaultExposure(statistics, ("oscillation",)).exposed(windows[:200], rng))
    sure = []
    for exposure in (None, FaultExposure(statistics, ("noise", "oscillation"))):
        network = WindowClassifier(C, WindowClassifierConfig(width=16, dropout=0.0), 0)
        source = TensorSource(torch.from_numpy(windows), labels=torch.from_numpy(label))
        objective = Classification(exposure=exposure)
        Trainer(TrainConfig(epochs=4)).fit(network, objective, source, None, torch.Generator().manual_seed(0))
        with torch.no_grad():
            sure.append(float(network(faulty).softmax(1).amax(1).mean()))
            assert (network(torch.from_numpy(windows)).argmax(1).numpy() == label).mean() > 0.95
    assert sure[1] < sure[0] - 0.1


def test_labels_go_with_their_items() -> None:
    items = TensorSource(torch.arange(5.0)[:, None])
    batch = LabelledSource(items, torch.arange(5) * 10).take(torch.tensor([3, 1]))
    assert batch.inputs.ravel().tolist() == [3.0, 1.0]
    assert batch.labels is not None
    assert batch.labels.tolist() == [30, 10]
    with pytest.raises(UsageError, match="5 labels"):
        LabelledSource(items, torch.arange(4))


def test_an_objective_is_plain_json() -> None:
    objective = Classification(
        0.1, mixup=0.2, transforms=("identity", "reversal"), exposure=FaultExposure(STATISTICS, ("bias",))
    )
    row = json.loads(json.dumps(objective.to_json()))
    assert row["exposure"] == {"kinds": ["bias"]}
    assert row["transforms"] == ["identity", "reversal"]
    assert Classification().to_json() != row


@pytest.mark.parametrize(
    "settings",
    [
        {"label_smoothing": 1.0},
        {"mixup": -0.1},
        {"mixup": float("inf")},
        {"consistency": 1.0},
        {"mixed_labels": "union"},
        {"mixed_labels": "both", "is_multi_label": True},
        {"is_multi_label": True, "label_smoothing": 0.1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Classification(**settings)  # type: ignore[arg-type]


def test_unlabelled_windows_are_refused() -> None:
    with pytest.raises(UsageError, match="labels"):
        Classification().loss(Linear(), _batch(None), torch.Generator())
    with pytest.raises(UsageError, match="did you mean 'bias'"):
        FaultExposure(STATISTICS, ("bais",))
