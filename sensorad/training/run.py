"""One training run: the epoch loop, and the state between two epochs that a checkpoint must hold."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.errors import ArtefactError, TrainingError
from sensorad.training.batches import BatchSource
from sensorad.training.checkpoint import digest, load_checkpoint, refuse_other_run, save_checkpoint
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Objective
from sensorad.training.optimisers import LearningRate, build_optimiser, clip_gradients
from sensorad.training.record import StopReason, TrainingRecord

__all__ = ["TrainingRun"]

STEPS_BETWEEN_CHECKS = 32
"""Reading the loss waits for the device; a NaN is noticed this many steps late at most, and undone anyway."""


class TrainingRun:
    """Advances epoch by epoch until ``stopped`` says why no other follows.

    Parameters
    ----------
    config, model, objective, train, validation, generator, device, fingerprint
        As in `sensorad.training.trainer.Trainer.fit`.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        objective: Objective,
        train: BatchSource,
        validation: BatchSource | None,
        generator: torch.Generator,
        device: torch.device,
        fingerprint: str,
    ) -> None:
        self.config = config
        self.model = model.to(device)
        self.objective = objective
        self.train = train
        self.validation = validation
        self.generator = generator
        self.device = device
        self.identity: dict[str, Any] = {
            "config": config.to_json(),
            "objective": objective.to_json(),
            "fingerprint": fingerprint,
            "n_items": len(train),
            "n_validation_items": 0 if validation is None else len(validation),
            "initial_weights": digest(model.state_dict()),
            "seed": digest({"": generator.get_state()}),
        }
        self.parameters = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimiser = build_optimiser(config, self.parameters)
        self.n_planned_steps = max(1, config.epochs * math.ceil(len(train) / config.batch_size))
        self.rate = LearningRate(config, self.n_planned_steps)
        # The same noise and masks every time, so that validation losses of two epochs can be compared.
        self.validation_seed = int(torch.randint(2**62, (), generator=generator))
        self.n_steps = 0
        self.train_losses: list[float] = []
        self.validation_losses: list[float] = []
        self.seconds: list[float] = []
        self.best: dict[str, Tensor] | None = None
        self.best_epoch = 0
        self.best_loss = math.inf
        self.patience_loss = math.inf
        self.n_stale = 0
        self.stopped: StopReason | None = None
        self.note = ""

    def advance(self) -> None:
        """Run one epoch, judge it, and decide whether to stop."""
        config, started = self.config, time.monotonic()
        deadline = math.inf
        if config.time_limit_seconds is not None:
            deadline = started + config.time_limit_seconds - sum(self.seconds)
        train_loss, n_steps = self._train_epoch(deadline)
        validation_loss = None if self.validation is None else self._validate(self.validation)
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss or 0.0) and self._is_finite()):
            self._stop_non_finite()
            return
        self.n_steps += n_steps
        self.train_losses.append(train_loss)
        judged = train_loss
        if validation_loss is not None:
            self.validation_losses.append(validation_loss)
            judged = validation_loss
        self.rate.judge(judged)
        if validation_loss is None or judged < self.best_loss:
            # Clones: the live tensors go on changing.
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            self.best_epoch, self.best_loss = len(self.train_losses), judged
        if judged < self.patience_loss - config.min_delta:
            self.patience_loss, self.n_stale = judged, 0
        else:
            self.n_stale += 1
        now = time.monotonic()
        self.seconds.append(now - started)
        if len(self.train_losses) == config.epochs:
            self.stopped = "epochs"
        elif validation_loss is not None and config.patience is not None and self.n_stale >= config.patience:
            self.stopped = "patience"
        elif now >= deadline:
            self.stopped = "time_limit"

    def _train_epoch(self, deadline: float) -> tuple[float, int]:
        """Mean loss and number of steps of one pass in random order; fewer steps at the deadline or after a NaN."""
        config, model, objective, generator = self.config, self.model, self.objective, self.generator
        optimiser, parameters, rate, first_step = self.optimiser, self.parameters, self.rate, self.n_steps
        autocast, on_cpu = self._autocast(), self.device.type == "cpu"
        model.train()
        total = torch.zeros((), device=self.device)
        n_done = n_steps = 0
        # No value is read back within a step: all sums stay on the device.
        for indices in torch.split(torch.randperm(len(self.train), generator=generator), config.batch_size):
            batch = self.train.take(indices)
            if not on_cpu:
                batch = batch.to(self.device)
            batch.progress = (first_step + n_steps) / self.n_planned_steps
            with autocast:
                loss = objective.loss(model, batch, generator)
            for weight in parameters:
                weight.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            if config.gradient_clip is not None:
                clip_gradients(parameters, config.gradient_clip)
            for group in optimiser.param_groups:
                group["lr"] = rate.at(first_step + n_steps)
            optimiser.step()
            total.add_(loss.detach(), alpha=len(indices))
            n_done += len(indices)
            n_steps += 1
            if n_steps % STEPS_BETWEEN_CHECKS == 0 and not math.isfinite(total.item()):
                break
            if time.monotonic() >= deadline:
                break
        return total.item() / n_done, n_steps

    def _validate(self, source: BatchSource) -> float:
        self.model.eval()
        generator = torch.Generator().manual_seed(self.validation_seed)
        total = torch.zeros((), device=self.device)
        with torch.no_grad(), self._autocast():
            for indices in torch.split(torch.arange(len(source)), self.config.batch_size):
                loss = self.objective.loss(self.model, source.take(indices).to(self.device), generator)
                total.add_(loss, alpha=len(indices))
        return total.item() / len(source)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _is_finite(self) -> bool:
        """Whether weights and optimiser state are: an infinite second moment would freeze its weight unnoticed."""
        tensors = [*self.model.state_dict().values(), *self._optimiser_tensors().values()]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    def _stop_non_finite(self) -> None:
        epoch = len(self.train_losses) + 1
        if self.best is None:
            raise TrainingError(
                "a loss, weight or gradient became NaN or infinite before the first epoch had ended",
                hint="lower the learning rate, clip gradients or check the scaling of the data",
            )
        self.stopped = "non_finite"
        self.note = f"a loss or weight became NaN or infinite in epoch {epoch}; epoch {self.best_epoch} was kept"

    def _optimiser_tensors(self) -> dict[str, Tensor]:
        return {
            f"optimiser/{at}/{key}": value
            for at, state in self.optimiser.state_dict()["state"].items()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }

    def save(self, path: Path) -> None:
        """Write everything that the rest of the run depends on."""
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in (self.best or {}).items()}
        tensors |= self._optimiser_tensors() | {"generator": self.generator.get_state()}
        state = {
            "identity": self.identity,
            "rate": self.rate.to_json(),
            "validation_seed": self.validation_seed,
            "n_steps": self.n_steps,
            "train_losses": self.train_losses,
            "validation_losses": self.validation_losses,
            "seconds": self.seconds,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "patience_loss": self.patience_loss,
            "n_stale": self.n_stale,
            "stopped": self.stopped,
            "note": self.note,
        }
        save_checkpoint(path, tensors, state)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of this very run, or raise and change nothing."""
        tensors, state = load_checkpoint(path)
        refuse_other_run(path, state["identity"], self.identity)
        weights = _with_prefix(tensors, "model/")
        best = _with_prefix(tensors, "best/")
        shapes = {name: tensor.shape for name, tensor in self.model.state_dict().items()}
        for stored in (weights, best):
            if {name: tensor.shape for name, tensor in stored.items()} != shapes:
                raise ArtefactError("the checkpoint's weights do not fit the network", where=str(path))
        _load(self.model, weights)
        self.best = {name: tensor.to(self.device) for name, tensor in best.items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _with_prefix(tensors, "optimiser/").items():
            at, key = name.split("/")
            moments.setdefault(int(at), {})[key] = tensor
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
        self.generator.set_state(tensors["generator"])
        self.rate.restore(state["rate"])
        self.validation_seed = state["validation_seed"]
        self.n_steps = state["n_steps"]
        self.train_losses = state["train_losses"]
        self.validation_losses = state["validation_losses"]
        self.seconds = state["seconds"]
        self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]
        self.patience_loss, self.n_stale = state["patience_loss"], state["n_stale"]
        self.stopped, self.note = state["stopped"], state["note"]

    def finish(self) -> TrainingRecord:
        """Put the best weights into the network and tell what happened."""
        if self.stopped is None or self.best is None:
            raise RuntimeError("a run is finished only after it has stopped")
        _load(self.model, self.best)
        self.model.eval()
        return TrainingRecord(
            train_losses=tuple(self.train_losses),
            validation_losses=tuple(self.validation_losses),
            seconds=tuple(self.seconds),
            best_epoch=self.best_epoch,
            stopped_because=self.stopped,
            n_items=self.identity["n_items"],
            n_validation_items=self.identity["n_validation_items"],
            n_steps=self.n_steps,
            n_parameters=sum(weight.numel() for weight in self.parameters),
            config=self.identity["config"],
            objective=self.identity["objective"],
            fingerprint=self.identity["fingerprint"],
            note=self.note,
        )


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(weights[name])
