"""The training loop: against a bare loop bit by bit, when it stops, which weights it keeps, what it refuses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.errors import TooLittleDataError, TrainingError, UsageError
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig
from sensorad.models.weights import state_arrays
from sensorad.training import Batch, Denoising, Reconstruction, TensorSource, TrainConfig, Trainer

PLAIN = TrainConfig(epochs=3, batch_size=16, learning_rate=0.01, scheduler="none", gradient_clip=None, patience=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def items(n_items: int = 100, seed: int = 0) -> Tensor:
    return torch.randn(n_items, 1, generator=generator(seed)) * torch.ones(6) + 0.1


def network(seed: int = 0) -> DenseAutoencoder:
    return DenseAutoencoder(6, DenseConfig(widths=(4,), activation="tanh"), seed)


class Scalar(nn.Module):
    """One weight that can be read off; answers it whatever comes in."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.expand(x.shape)


class Watched(TensorSource):
    """Remembers which items were taken."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__(inputs)
        self.taken: list[list[int]] = []

    def take(self, indices: Tensor) -> Batch:
        self.taken.append(indices.tolist())
        return super().take(indices)


class Failing:
    """A plain objective that goes wrong from its ``n_good``-th call on."""

    def __init__(self, n_good: int, fail: Callable[[Tensor, nn.Module], Tensor]) -> None:
        self.n_good, self.n_calls, self.fail = n_good, 0, fail

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        self.n_calls += 1
        loss = Reconstruction().loss(model, batch, generator)
        return loss if self.n_calls <= self.n_good else self.fail(loss, model)

    def to_json(self) -> dict[str, Any]:
        return {"name": "failing"}


def test_same_bits_as_a_bare_loop() -> None:
    x, ours, theirs = items(), network(), network()
    record = Trainer(PLAIN).fit(ours, Reconstruction(), TensorSource(x), None, generator())

    source = generator()
    torch.randint(2**62, (), generator=source)  # the seed kept for validation
    optimiser = torch.optim.Adam(theirs.parameters(), lr=0.01, fused=True)
    losses = []
    for _ in range(3):
        total = 0.0
        order = torch.randperm(100, generator=source)
        for start in range(0, 100, 16):
            batch = x[order[start : start + 16]]
            optimiser.zero_grad()
            loss = (theirs(batch) - batch).square().mean()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        losses.append(total / 100)
    for name, array in state_arrays(theirs).items():
        np.testing.assert_array_equal(state_arrays(ours)[name], array, err_msg=name)
    assert record.train_losses == pytest.approx(losses, rel=1e-5)
    assert (record.n_items, record.n_steps, record.n_epochs, record.stopped_because) == (100, 21, 3, "epochs")
    assert record.n_parameters == 6 * 4 + 4 + 4 * 6 + 6
    assert record.best_epoch == 3
    assert not ours.training


def test_every_item_is_used_once_an_epoch_in_a_new_order_with_the_last_short_batch() -> None:
    source = Watched(items(10))
    Trainer(TrainConfig(epochs=3, batch_size=4)).fit(network(), Reconstruction(), source, None, generator())
    assert [len(taken) for taken in source.taken] == [4, 4, 2] * 3
    orders = [list(chain(*source.taken[start : start + 3])) for start in (0, 3, 6)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in [*orders, list(range(10))]}) == 4


def test_fewer_items_than_a_batch_still_train() -> None:
    model = network()
    before = state_arrays(model)
    Trainer(TrainConfig(epochs=1, batch_size=500)).fit(
        model, Reconstruction(), TensorSource(items(3)), None, generator()
    )
    assert any((before[name] != array).any() for name, array in state_arrays(model).items())


def test_best_weights_are_kept_not_the_last_ones() -> None:
    """Training pulls the weight to 10, validation likes it best on the way, at 3."""
    model, seen = Scalar(), []
    config = TrainConfig(epochs=30, batch_size=4, learning_rate=0.5, optimiser="adam", scheduler="none", patience=None)
    record = Trainer(config).fit(
        model,
        Reconstruction(),
        TensorSource(torch.full((4, 2), 10.0)),
        TensorSource(torch.full((4, 2), 3.0)),
        generator(),
        progress=lambda epoch, n_epochs, train, validation: seen.append(
            (epoch, n_epochs, train, validation, float(model.weight.detach()))
        ),
    )
    weights = [row[4] for row in seen]
    best = min(range(30), key=lambda epoch: abs(weights[epoch] - 3.0))
    assert [row[:2] for row in seen] == [(epoch, 30) for epoch in range(1, 31)]
    assert tuple(row[2] for row in seen) == record.train_losses
    assert tuple(row[3] for row in seen) == record.validation_losses
    assert 3 < best < 10
    assert weights[-1] > 8.0
    assert record.best_epoch == best + 1
    assert float(model.weight.detach()) == weights[best]
    assert record.validation_losses == pytest.approx([(weight - 3.0) ** 2 for weight in weights], rel=1e-5)
    assert len(record.seconds) == 30


def test_patience_counts_epochs_without_improvement() -> None:
    config = TrainConfig(epochs=30, batch_size=4, learning_rate=0.5, scheduler="none", patience=4)
    record = Trainer(config).fit(
        Scalar(),
        Reconstruction(),
        TensorSource(torch.full((4, 2), 10.0)),
        TensorSource(torch.full((4, 2), 3.0)),
        generator(),
    )
    assert record.stopped_because == "patience"
    assert record.n_epochs == record.best_epoch + 4


def test_min_delta_ignores_small_improvements_but_keeps_their_weights() -> None:
    config = TrainConfig(epochs=50, batch_size=4, learning_rate=1e-3, scheduler="none", patience=3, min_delta=1.0)
    x = TensorSource(torch.full((4, 2), 10.0))
    record = Trainer(config).fit(Scalar(), Reconstruction(), x, x, generator())
    assert record.stopped_because == "patience"
    assert record.n_epochs == record.best_epoch == 4


def test_validation_losses_of_two_epochs_can_be_compared() -> None:
    """With weights that stand still, the noise of a denoising objective is the same every epoch."""
    config = TrainConfig(epochs=4, batch_size=4, learning_rate=1e-30, patience=None)
    x = TensorSource(items(50))
    record = Trainer(config).fit(network(), Denoising(0.5), x, x, generator())
    assert len(set(record.validation_losses)) == 1
    assert len(set(record.train_losses)) == 4


def test_validation_runs_without_dropout() -> None:
    model = TransformerAutoencoder(2, 8, TransformerConfig(width=8, heads=2, layers=1, dropout=0.5, near_zero=False), 0)
    x = torch.randn(40, 8, 2, generator=generator())
    config = TrainConfig(epochs=2, batch_size=16, learning_rate=1e-30)
    record = Trainer(config).fit(model, Reconstruction(), TensorSource(x), TensorSource(x), generator())
    with torch.no_grad():
        expected = float((model(x) - x).square().mean())
    assert record.validation_losses == pytest.approx([expected, expected], rel=1e-5)
    assert record.train_losses[0] != pytest.approx(expected, rel=1e-3)


def test_same_seed_same_result_and_the_global_generator_is_left_alone() -> None:
    config = TransformerConfig(width=8, heads=2, layers=1, dropout=0.2)
    results = []
    before = torch.random.get_rng_state()
    for seed in (1, 1, 2):
        model = TransformerAutoencoder(2, 8, config, 0)
        x = torch.randn(40, 8, 2, generator=generator())
        Trainer(TrainConfig(epochs=2, batch_size=16)).fit(model, Denoising(), TensorSource(x), None, generator(seed))
        results.append(state_arrays(model)["narrow.weight"])
        assert all(getattr(module, "generator", None) is None for module in model.modules())
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.1)),
        nn.LSTM(6, 6, 2, dropout=0.1),
        nn.MultiheadAttention(6, 2, dropout=0.1),
    ],
)
def test_dropout_from_the_global_generator_is_refused(model: nn.Module) -> None:
    with pytest.raises(UsageError, match="global generator"):
        Trainer(PLAIN).fit(model, Reconstruction(), TensorSource(items()), None, generator())


def test_dropout_that_drops_nothing_is_fine() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.0))
    Trainer(PLAIN).fit(model, Reconstruction(), TensorSource(items()), None, generator())


@pytest.mark.parametrize("empty", ["training", "validation"])
def test_an_empty_source_is_refused(empty: str) -> None:
    sources = {name: TensorSource(items(0 if name == empty else 10)) for name in ("training", "validation")}
    with pytest.raises(TooLittleDataError, match=f"the {empty} source has no items"):
        Trainer(PLAIN).fit(network(), Reconstruction(), sources["training"], sources["validation"], generator())


def nan_loss(loss: Tensor, model: nn.Module) -> Tensor:
    return loss * math.nan


def infinite_gradient(loss: Tensor, model: nn.Module) -> Tensor:
    """A finite loss whose gradient is not: the next update makes every weight NaN."""
    return loss + (0.0 * next(iter(model.parameters())).sum()).sqrt()


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("fail", [nan_loss, infinite_gradient])
@pytest.mark.parametrize("n_good_in_epoch", [0, 3, 6])
@pytest.mark.parametrize("has_validation", [False, True])
def test_a_loss_or_gradient_that_is_not_finite_ends_with_the_last_good_weights(
    clip: float | None, fail: Callable[..., Tensor], n_good_in_epoch: int, has_validation: bool
) -> None:
    x = TensorSource(items())
    validation = TensorSource(items(16, seed=1)) if has_validation else None
    config = TrainConfig(epochs=5, batch_size=16, learning_rate=0.01, scheduler="none", gradient_clip=clip)
    good, model = network(), network()
    short = TrainConfig.from_json(config.to_json() | {"epochs": 2})
    expected = Trainer(short).fit(good, Reconstruction(), x, validation, generator())
    n_good = 2 * (7 + has_validation) + n_good_in_epoch
    record = Trainer(config).fit(model, Failing(n_good, fail), x, validation, generator())
    assert record.stopped_because == "non_finite"
    assert record.train_losses == expected.train_losses
    assert record.best_epoch == 2
    assert "NaN or infinite in epoch 3; epoch 2 was kept" in record.note
    for name, array in state_arrays(good).items():
        np.testing.assert_array_equal(state_arrays(model)[name], array)


def test_training_that_never_was_finite_is_an_error() -> None:
    with pytest.raises(TrainingError, match="before the first epoch had ended"):
        Trainer(PLAIN).fit(network(), Failing(3, nan_loss), TensorSource(items()), None, generator())


def test_a_nan_is_noticed_long_before_the_end_of_a_long_epoch() -> None:
    objective = Failing(10, nan_loss)
    config = TrainConfig(epochs=1, batch_size=1)
    with pytest.raises(TrainingError):
        Trainer(config).fit(network(), objective, TensorSource(items(5000)), None, generator())
    assert objective.n_calls < 100


class Slow(TensorSource):
    def take(self, indices: Tensor) -> Batch:
        time.sleep(0.02)
        return super().take(indices)


def test_time_limit_stops_within_an_epoch() -> None:
    model = network()
    before = state_arrays(model)
    config = TrainConfig(epochs=1000, batch_size=1, time_limit_seconds=0.3)
    started = time.monotonic()
    record = Trainer(config).fit(model, Reconstruction(), Slow(items(1000)), TensorSource(items(10)), generator())
    assert 0.3 <= time.monotonic() - started < 3.0
    assert record.stopped_because == "time_limit"
    assert 1 <= record.n_steps <= 15
    assert record.best_epoch == record.n_epochs == 1
    assert any((before[name] != array).any() for name, array in state_arrays(model).items())


def test_a_time_limit_that_is_not_reached_changes_no_bit() -> None:
    results = []
    for limit in (None, 1000.0):
        model = network()
        config = TrainConfig(epochs=3, batch_size=16, time_limit_seconds=limit)
        Trainer(config).fit(model, Denoising(), TensorSource(items()), None, generator())
        results.append(state_arrays(model))
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name])


def test_gradient_clipping_bounds_the_step() -> None:
    moved = []
    for clip in (None, 1e-3):
        model = Scalar()
        config = TrainConfig(
            epochs=1, batch_size=4, optimiser="sgd", learning_rate=0.1, scheduler="none", gradient_clip=clip
        )
        Trainer(config).fit(model, Reconstruction(), TensorSource(torch.full((4, 2), 10.0)), None, generator())
        moved.append(float(model.weight.detach()))
    assert moved[0] == pytest.approx(2.0)
    assert moved[1] == pytest.approx(1e-4)


def test_bfloat16_reaches_the_loss_of_float32() -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        config = TrainConfig(epochs=10, batch_size=32, learning_rate=0.01, precision=precision)  # type: ignore[arg-type]
        model = network()
        seen: list[torch.dtype] = []
        hook = model.encoder[0].register_forward_hook(lambda module, x, y, seen=seen: seen.append(y.dtype))
        record = Trainer(config).fit(model, Reconstruction(), TensorSource(items(300)), None, generator())
        hook.remove()
        assert set(seen) == {getattr(torch, precision)}
        assert all(weight.dtype == torch.float32 for weight in model.parameters())
        losses.append(record.train_losses[-1])
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=2e-3)


def test_record_tells_the_circumstances() -> None:
    objective = Denoising(0.2)
    record = Trainer(PLAIN).fit(
        network(), objective, TensorSource(items()), TensorSource(items(30)), generator(), fingerprint="sha256:abc"
    )
    assert record.config == PLAIN.to_json()
    assert record.objective == objective.to_json()
    assert (record.fingerprint, record.n_validation_items) == ("sha256:abc", 30)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_reaches_the_loss_of_the_cpu() -> None:
    records = [
        Trainer(PLAIN).fit(network(), Denoising(), TensorSource(items()), None, generator(), device=device)
        for device in ("cpu", "cuda")
    ]
    assert records[1].train_losses == pytest.approx(records[0].train_losses, rel=1e-3)
