"""Checkpoints: a killed and resumed run ends with the bits of an undisturbed one; foreign ones are refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.errors import ArtefactError, StorageError
from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig
from sensorad.models.weights import state_arrays
from sensorad.training import Denoising, Objective, Reconstruction, TensorSource, TrainConfig, Trainer, TrainingRecord
from sensorad.training.checkpoint import digest, load_checkpoint, save_checkpoint

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig
from sensorad.models.weights import state_arrays
from sensorad.training import MaskedReconstruction, TrainConfig, Trainer, WindowSource

torch.set_num_threads(1)
rows = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32).cumsum(0) / 30
generator = torch.Generator().manual_seed(5)
network = TransformerAutoencoder(4, 24, TransformerConfig(width=16, layers=1, dropout=0.1), generator)
train = WindowSource(rows, None, np.arange(0, 2400, 3), 24)
validation = WindowSource(rows, None, np.arange(2430, 2970, 10), 24)
record = Trainer(TrainConfig(epochs=10, batch_size=16, checkpoint_every_seconds=0.0)).fit(
    network, MaskedReconstruction(), train, validation, generator, checkpoint=Path(sys.argv[1]),
    progress=lambda epoch, *rest: print("epoch", epoch, flush=True),
)
np.savez(sys.argv[2], losses=record.validation_losses, steps=record.n_steps,
         generator=generator.get_state().numpy(), **state_arrays(network))
"""


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-W", "error", "-c", SCRIPT, str(folder / f"{name}.ckpt"), str(folder / f"{name}.npz")]
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    )


def test_killed_in_the_middle_and_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    whole = start(tmp_path, "whole")
    assert whole.communicate(timeout=120)[0].split() == [
        word for epoch in range(1, 11) for word in ("epoch", str(epoch))
    ]
    assert whole.returncode == 0
    epochs: list[list[int]] = []
    for n_epochs_before_the_kill in (3, 2):
        process = start(tmp_path, "killed")
        assert process.stdout is not None
        epochs.append([int(process.stdout.readline().split()[1]) for _ in range(n_epochs_before_the_kill)])
        time.sleep(0.05)  # into the next epoch
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "killed.npz").exists()
    assert epochs[0] == [1, 2, 3]
    assert epochs[1][0] in (3, 4, 5), "the second run must go on, not start anew"
    assert start(tmp_path, "killed").communicate(timeout=120)[0].endswith("epoch 10\n")
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "killed.npz") as other:
        assert sorted(one.files) == sorted(other.files)
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class StopError(Exception):
    """Stands for whatever ends a process between two epochs."""


def network(seed: int = 0, code: int = 4) -> TransformerAutoencoder:
    config = TransformerConfig(width=8, heads=2, layers=1, feedforward=8, code=code, sensor_width=4, dropout=0.1)
    return TransformerAutoencoder(2, 10, config, seed)


def windows(n_windows: int, seed: int) -> Tensor:
    return torch.randn(n_windows, 10, 2, generator=torch.Generator().manual_seed(seed))


def run(
    config: TrainConfig,
    checkpoint: Path | None,
    *,
    stop_after: int | None = None,
    model: TransformerAutoencoder | None = None,
    objective: Objective | None = None,
    n_items: int = 50,
    seed: int = 3,
    has_validation: bool = True,
    fingerprint: str = "data",
) -> tuple[dict[str, np.ndarray], TrainingRecord, Tensor]:
    def progress(epoch: int, *rest: Any) -> None:
        if epoch == stop_after:
            raise StopError

    model = model or network()
    generator = torch.Generator().manual_seed(seed)
    record = Trainer(config).fit(
        model,
        objective or Denoising(),
        TensorSource(windows(n_items, 0)),
        TensorSource(windows(20, 1)) if has_validation else None,
        generator,
        checkpoint=checkpoint,
        progress=progress,
        fingerprint=fingerprint,
    )
    return state_arrays(model), record, generator.get_state()


EACH_EPOCH: dict[str, Any] = {"epochs": 6, "batch_size": 16, "checkpoint_every_seconds": 0.0}


@pytest.mark.parametrize("has_validation", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimiser": "adamw", "weight_decay": 0.1, "scheduler": "cosine"},
        {"optimiser": "sgd", "scheduler": "plateau", "plateau_patience": 1, "learning_rate": 0.5},
        {"optimiser": "adadelta", "learning_rate": 1.0},
        {"optimiser": "radam", "scheduler": "none", "patience": 2, "min_delta": 0.01},
        {"precision": "bfloat16", "gradient_clip": None},
    ],
)
def test_every_kind_of_run_resumes_exactly(tmp_path: Path, options: dict[str, Any], has_validation: bool) -> None:
    config = TrainConfig(**EACH_EPOCH | options)
    weights, record, state = run(config, None, has_validation=has_validation)
    path = tmp_path / "run.ckpt"
    for stop_after in (2, 3):
        with pytest.raises(StopError):
            run(config, path, stop_after=stop_after, has_validation=has_validation)
    again, resumed, resumed_state = run(config, path, has_validation=has_validation)
    for name, array in weights.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert torch.equal(state, resumed_state)
    for field in ("train_losses", "validation_losses", "best_epoch", "stopped_because", "n_steps"):
        assert getattr(resumed, field) == getattr(record, field), field


class Scalar(nn.Module):
    """One weight that answers itself whatever comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.expand(x.shape)


def test_best_weights_from_before_the_kill_stay_the_best(tmp_path: Path) -> None:
    """Training pulls the weight away from where validation likes it, and the kill comes after that."""
    config = TrainConfig(**EACH_EPOCH | {"epochs": 12, "learning_rate": 0.5, "scheduler": "none", "patience": None})
    models, records = [], []

    def fit(stop_after: int | None) -> None:
        def progress(epoch: int, *rest: Any) -> None:
            if epoch == stop_after:
                raise StopError

        model = Scalar()
        record = Trainer(config).fit(
            model,
            Reconstruction(),
            TensorSource(torch.full((4, 2), 10.0)),
            TensorSource(torch.full((4, 2), 2.0)),
            torch.Generator().manual_seed(0),
            checkpoint=tmp_path / f"{len(models)}.ckpt",
            progress=progress,
        )
        models.append(model)
        records.append(record)

    fit(None)
    with pytest.raises(StopError):
        fit(9)
    fit(None)
    assert records[0].best_epoch == records[1].best_epoch == 4
    assert float(models[0].weight.detach()) == float(models[1].weight.detach()) == pytest.approx(2.0, abs=0.3)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    path, config = tmp_path / "run.ckpt", TrainConfig(**EACH_EPOCH)
    weights, record, _ = run(config, path)
    content = path.read_bytes()
    again, second, _ = run(config, path, stop_after=1)
    assert second == record
    assert path.read_bytes() == content
    for name, array in weights.items():
        np.testing.assert_array_equal(again[name], array)


def test_checkpoints_keep_their_distance_in_time(tmp_path: Path) -> None:
    config = TrainConfig(**EACH_EPOCH | {"checkpoint_every_seconds": 1000.0})
    with pytest.raises(StopError):
        run(config, tmp_path / "run.ckpt", stop_after=4)
    assert not (tmp_path / "run.ckpt").exists()
    run(config, tmp_path / "run.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": TrainConfig(**EACH_EPOCH | {"learning_rate": 0.1})}, "config.learning_rate was 0.003, is 0.1"),
        ({"objective": Reconstruction()}, "objective.name was 'denoising', is 'plain'"),
        ({"objective": Denoising(0.2)}, "objective.sigma was 0.1, is 0.2"),
        ({"fingerprint": "other"}, "fingerprint was 'data', is 'other'"),
        ({"n_items": 51}, "n_items was 50, is 51"),
        ({"has_validation": False}, "n_validation_items was 20, is 0"),
        ({"seed": 4}, "seed was"),
        ({"model": network(seed=1)}, "initial_weights was"),
        ({"model": network(code=5)}, "initial_weights was"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path, config = tmp_path / "run.ckpt", TrainConfig(**EACH_EPOCH)
    with pytest.raises(StopError):
        run(config, path, stop_after=3)
    content = path.read_bytes()
    with pytest.raises(ArtefactError, match=message) as caught:
        run(**{"config": config, "checkpoint": path} | change)
    assert "run.ckpt" in str(caught.value)
    assert path.read_bytes() == content


def test_any_damaged_byte_is_refused(tmp_path: Path) -> None:
    path, config = tmp_path / "run.ckpt", TrainConfig(**EACH_EPOCH)
    with pytest.raises(StopError):
        run(config, path, stop_after=3)
    content = path.read_bytes()
    places = np.random.default_rng(0).choice(len(content), 60, replace=False)
    for place in [*places.tolist(), 0, 9, len(content) - 1]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(ArtefactError, match=r"run\.ckpt"):
            run(config, path)
    for damaged_content in (b"", content[:100], content[:-1], content + b"\0", b"not a checkpoint at all"):
        path.write_bytes(damaged_content)
        with pytest.raises(ArtefactError, match=r"run\.ckpt"):
            run(config, path)


def test_a_newer_format_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"x": torch.zeros(2)}, {"format": 2})
    with pytest.raises(ArtefactError, match="format 2 is newer than this program's 1"):
        load_checkpoint(path)


def test_tensors_and_state_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    tied = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    tensors = {"a": tied, "b": tied.t(), "c": torch.tensor(5), "d": torch.tensor([1, 2], dtype=torch.uint8)}
    save_checkpoint(path, tensors, {"loss": 0.1 + 0.2, "stopped": None})
    stored, state = load_checkpoint(path)
    assert digest(stored) == digest(tensors)
    assert (state["loss"], state["stopped"]) == (0.1 + 0.2, None)
    assert json.loads(json.dumps(state)) == state


def test_a_full_or_missing_directory_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        save_checkpoint(tmp_path / "nowhere" / "run.ckpt", {}, {})
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"x": torch.zeros(2)}, {"epoch": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_checkpoint(path, {"x": torch.ones(2)}, {"epoch": 2})
    assert load_checkpoint(path)[1]["epoch"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.ckpt"]


def test_an_unreadable_checkpoint_is_an_io_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_time_spent_before_the_kill_counts_against_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    config = TrainConfig(**EACH_EPOCH | {"time_limit_seconds": 1000.0})
    with pytest.raises(StopError):
        run(config, path, stop_after=3)
    tensors, state = load_checkpoint(path)
    state["seconds"] = [600.0, 500.0]
    save_checkpoint(path, tensors, state)
    _, record, _ = run(config, path)
    assert record.stopped_because == "time_limit"
    assert record.n_epochs == 3
