"""Speed of training as ratios, each between two ways that run in turns: ``python tests/benchmarks/bench_training.py``.

One core, process CPU time, median of the rounds. Absolute times differ by 20 % between runs on the same machine;
ratios of interleaved runs do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig
from sensorad.training import Denoising, Reconstruction, TensorSource, TrainConfig, Trainer, WindowSource

L, C = 64, 8
"""Window of the reference figures; the log of `default_runs` has 38 sensors and windows of 30 rows."""

FLOORS = "floors: trainer over bare loop <= 1.1x, Transformer >= 6x, LSTM >= 2.5x"


def bare_loop(
    model: nn.Module, x: Tensor, n_epochs: int, batch_size: int, clip: float | None = None, lr: float = 1e-3
) -> float:
    """The shortest training loop that shuffles; returns the loss of the last epoch."""
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    model.train()
    for _ in range(n_epochs):
        total = torch.zeros(())
        for indices in torch.randperm(len(x), generator=generator).split(batch_size):
            batch = x[indices]
            loss = nn.functional.mse_loss(model(batch), batch)
            optimiser.zero_grad()
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()
            total += loss.detach() * len(batch)
    return float(total) / len(x)


def with_trainer(
    model: nn.Module, x: Tensor, n_epochs: int, batch_size: int, clip: float | None = None, **options: object
) -> float:
    """The same by the trainer."""
    settings = {"epochs": n_epochs, "batch_size": batch_size, "learning_rate": 1e-3, "scheduler": "none"} | options
    trainer = Trainer(TrainConfig(gradient_clip=clip, **settings))  # type: ignore[arg-type]
    record = trainer.fit(model, Reconstruction(), TensorSource(x), None, torch.Generator().manual_seed(0))
    return record.train_losses[-1]


class RowTransformer(nn.Module):
    """The usual Transformer autoencoder: torch's own layers, one token per row, dropout 0.1."""

    def __init__(self) -> None:
        super().__init__()
        options = {"dim_feedforward": 128, "dropout": 0.1, "batch_first": True}
        self.embedding = nn.Linear(C, 64)
        self.positions = nn.Parameter(0.1 * torch.randn(L, 64))
        self.queries = nn.Parameter(0.1 * torch.randn(L, 64))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, **options), 2)  # type: ignore[arg-type]
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(64, 4, **options), 2)  # type: ignore[arg-type]
        self.narrow, self.widen = nn.Linear(L * 64, 16), nn.Linear(16, 4 * 64)
        self.output = nn.Linear(64, C)

    def forward(self, x: Tensor) -> Tensor:
        code = self.narrow(self.encoder(self.embedding(x) + self.positions).flatten(1))  # (N, code)
        memory = self.widen(code).view(len(x), 4, 64)  # (N, 4, D)
        rows: Tensor = self.output(self.decoder(self.queries.expand(len(x), -1, -1), memory))  # (N, L, C)
        return rows


class AutoregressiveLSTM(nn.Module):
    """The usual LSTM encoder-decoder: a Python loop that feeds the decoder with its own last output."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(C, 64, batch_first=True)
        self.narrow, self.widen = nn.Linear(128, 16), nn.Linear(16, 128)
        self.decoder = nn.LSTMCell(C, 64)
        self.output = nn.Linear(64, C)

    def forward(self, x: Tensor) -> Tensor:
        _, (hidden, cell) = self.encoder(x)
        hidden, cell = self.widen(self.narrow(torch.cat([hidden[0], cell[0]], 1))).chunk(2, 1)
        row, rows = torch.zeros_like(x[:, 0]), []
        for _ in range(x.shape[1]):
            hidden, cell = self.decoder(row, (hidden, cell))
            row = self.output(hidden)
            rows.append(row)
        return torch.stack(rows[::-1], 1)  # (N, L, C)


def compare(
    name: str, slow: Callable[[], float], fast: Callable[[], float], n_rounds: int, result: str = "final loss"
) -> dict[str, float | str]:
    """Median over rounds of time(slow) / time(fast), both run in every round, in alternating order."""
    times: dict[Callable[[], float], list[float]] = {slow: [], fast: []}
    results: dict[Callable[[], float], float] = {}
    for at in range(n_rounds + 1):
        for way in (slow, fast) if at % 2 else (fast, slow):
            started = time.process_time()
            results[way] = way()
            if at:  # the first round warms up
                times[way].append(time.process_time() - started)
    ratio = statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))
    row: dict[str, float | str] = {"name": name, "ratio": ratio}
    row |= {"slow": results[slow], "fast": results[fast], "result": result}
    print(f"{name:72s} {ratio:6.2f}x   {result} {results[slow]:.4f} against {results[fast]:.4f}", flush=True)
    return row


def waves(n_windows: int) -> Tensor:
    """Windows of coupled waves with noise (N, L, C): something that both networks of a pair can learn."""
    generator = torch.Generator().manual_seed(1)
    phase = 6.28 * torch.rand(n_windows, 1, 1, generator=generator)
    wave = torch.sin(0.2 * torch.arange(L)[None, :, None] + phase + torch.arange(C))
    return wave + 0.1 * torch.randn(n_windows, L, C, generator=generator)


class WindowDataset(torch.utils.data.Dataset[Tensor]):
    """The usual way to feed windows: one item at a time, collated into a batch."""

    def __init__(self, values: np.ndarray, starts: np.ndarray) -> None:
        self.values, self.starts = values, starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.values[self.starts[index] : self.starts[index] + L])


def feed(values: np.ndarray, starts: np.ndarray) -> tuple[Callable[[], float], Callable[[], float]]:
    """One pass over all windows by a data set of windows, and by the strided view."""
    generator = torch.Generator().manual_seed(0)
    loader = torch.utils.data.DataLoader(WindowDataset(values, starts), 64, shuffle=True, generator=generator)
    source = WindowSource(values, None, starts, L)

    def slow() -> float:
        return sum(len(batch) for batch in loader) / len(starts)

    def fast() -> float:
        order = torch.randperm(len(source), generator=generator)
        return sum(len(source.take(indices).inputs) for indices in order.split(64)) / len(starts)

    return slow, fast


def dense_pairs(n_rounds: int) -> Iterator[dict[str, float | str]]:
    """The trainer's own cost, where a step is short."""
    x = torch.randn(128 * 40, 784, generator=torch.Generator().manual_seed(0))
    config = DenseConfig(widths=(128, 32))
    for label, ours, bare in (
        ("neither clips", None, None),
        ("both clip", 1.0, 1.0),
        ("only trainer clips", 1.0, None),
    ):
        yield compare(
            f"dense 784-128-32, batch 128: trainer over bare loop, {label}",
            lambda ours=ours: with_trainer(DenseAutoencoder(784, config), x, 4, 128, ours),
            lambda bare=bare: bare_loop(DenseAutoencoder(784, config), x, 4, 128, bare),
            n_rounds,
        )


def transformer_pairs(n_rounds: int) -> Iterator[dict[str, float | str]]:
    """Patches without dropout against rows with it."""
    x = waves(512)
    for batch_size in (64, 128):
        yield compare(
            f"Transformer, batch {batch_size}: rows with dropout over patches",
            lambda size=batch_size: bare_loop(RowTransformer(), x, 1, size),
            lambda size=batch_size: with_trainer(TransformerAutoencoder(C, L, TransformerConfig()), x, 1, size, 1.0),
            n_rounds,
        )


def lstm_pairs(n_rounds: int) -> Iterator[dict[str, float | str]]:
    """The fused decoder against a loop, both trained until the loss is low."""
    x = waves(1024)
    for batch_size, precision in ((32, "bfloat16"), (64, "bfloat16"), (128, "bfloat16"), (64, "float32")):
        yield compare(
            f"LSTM, batch {batch_size}: autoregressive float32 over fused {precision}",
            lambda size=batch_size: bare_loop(AutoregressiveLSTM(), x, 10, size, 1.0, lr=5e-3),
            lambda size=batch_size, precision=precision: with_trainer(
                LSTMAutoencoder(C, LSTMConfig()), x, 10, size, 1.0, learning_rate=5e-3, precision=precision
            ),
            n_rounds,
        )


def ratios(n_rounds: int) -> list[dict[str, float | str]]:
    """All pairs; the slow ones get fewer rounds."""
    values = np.random.default_rng(0).normal(size=(40_000, C)).astype(np.float32)
    return [
        *dense_pairs(n_rounds),
        *transformer_pairs(n_rounds // 2),
        *lstm_pairs(max(n_rounds // 3, 2)),
        compare(
            "feeding windows: Dataset over strided view", *feed(values, np.arange(30_000)), n_rounds // 2, "share seen"
        ),
    ]


def default_runs() -> list[dict[str, float | str]]:
    """A whole default training on a log of 23,700 rows x 38 sensors, windows of 30 rows."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(23_700, 6)).cumsum(0) / 50
    values = (shared @ rng.normal(size=(6, 38)) + rng.normal(size=(23_700, 38))).astype(np.float32)
    rows = []
    for name, stride, precision in (
        ("lstm", 4, "float32"),
        ("lstm", 4, "bfloat16"),
        ("lstm", 8, "bfloat16"),
        ("transformer", 4, "float32"),
        ("transformer", 8, "float32"),
    ):
        train = WindowSource(values, None, np.arange(0, 19_000, stride), 30)
        validation = WindowSource(values, None, np.arange(19_030, 23_670, 2 * stride), 30)
        generator = torch.Generator().manual_seed(0)
        model: nn.Module = (
            LSTMAutoencoder(38, LSTMConfig(), generator)
            if name == "lstm"
            else TransformerAutoencoder(38, 30, TransformerConfig(), generator)
        )
        config = TrainConfig(precision=precision, patience=None)  # type: ignore[arg-type]
        record = Trainer(config).fit(model, Denoising(), train, validation, generator)
        seconds = sum(record.seconds)
        label = f"{name} {precision} 23,700 x 38, stride {stride}, {record.n_epochs} epochs"
        print(f"{label:72s} {seconds:6.1f} s  {seconds / record.n_epochs:.2f} s an epoch", flush=True)
        rows.append({"name": label, "seconds": seconds})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="rounds per pair; fewer for the slow ones")
    parser.add_argument("--json", action="store_true", help="print the figures once more, as one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, one thread; {FLOORS}", flush=True)
    figures = {"ratios": ratios(options.rounds), "default_runs": default_runs()}
    if options.json:
        json.dump(figures, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
