"""Two faults at once, by a classifier that has only ever seen one: with and without mixup.

``python tests/benchmarks/bench_mixed_faults.py [--quick] [--seeds N] [--alphas 0.2 1 8] [--kinds bias drift ...]``

Windows of 32 rows of 6 simulated sensors that follow three common causes. In training each window has one synthetic
fault on one sensor, from the worse half of its range of severities; the classifier has a sigmoid for each kind of
fault. It is tested on windows with two faults of different kinds on different sensors, and on windows with one. All
variants of a seed have the same windows, first weights and number of steps; a kind is said to be there where its
sigmoid is above 0.5, and "top-2" says the two likeliest kinds. The sensors share their convolutions, and of each
feature the strongest sensor counts: a fault looks alike wherever it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.augment.faults import SensorStatistics, fault_kind, inject_windows
from sensorad.models.window_classifier import WindowClassifier, WindowClassifierConfig
from sensorad.training import TensorSource, TrainConfig, Trainer
from sensorad.training.classification import Classification
from sensorad_datasets.bench.summary import paired_difference

LENGTH, N_SENSORS, N_CAUSES = 32, 6, 3
KINDS = ("bias", "drift", "spike", "stuck", "noise", "oscillation")
ALPHAS = (0.2, 1.0, 8.0)
N_TRAIN, N_TEST, EPOCHS = 3000, 2000, 30
GOAL = "goal: with mixup at least 10 points above without, exact match on two faults"
MEASURES = ("exact", "by label", "top-2", "exact, one fault")

Windows = NDArray[np.float32]


@dataclass(frozen=True)
class Faulted:
    """Windows (N, L, C) and which kinds of fault are in them, (N, K) of 0 and 1."""

    windows: Windows
    kinds: NDArray[np.float32]


@dataclass(frozen=True)
class Draws:
    """One simulated plant with all windows of a seed."""

    train: Faulted
    one: Faulted
    two: Faulted


def normal_windows(n: int, mixing: NDArray[np.float64], generator: np.random.Generator) -> Windows:
    """(N, L, C): sensors that follow slow common causes, with noise of a fifth of a deviation."""
    time = np.arange(LENGTH)[None, :, None]
    period = generator.uniform(25.0, 90.0, (n, 1, N_CAUSES))
    phase = generator.uniform(0.0, 2.0 * np.pi, (n, 1, N_CAUSES))
    size = generator.uniform(0.5, 1.5, (n, 1, N_CAUSES))
    causes = size * np.sin(2.0 * np.pi * time / period + phase)  # (N, L, causes)
    noise = 0.2 * generator.normal(size=(n, LENGTH, N_SENSORS))
    return (causes @ mixing + noise).astype(np.float32)


def faulted(
    n: int,
    n_faults: int,
    mixing: NDArray[np.float64],
    statistics: SensorStatistics,
    kinds: Sequence[str],
    generator: np.random.Generator,
) -> Faulted:
    """``n`` windows with as many faults each, of different kinds and on different sensors."""
    parts: list[Windows] = []
    labels: list[NDArray[np.float32]] = []
    while sum(map(len, parts)) < n:
        clean = normal_windows(n, mixing, generator)
        windows = clean.copy()
        said = np.zeros((n, len(kinds)), np.float32)
        touched = np.zeros(clean.shape, bool)
        is_kept = np.ones(n, bool)
        for _ in range(n_faults):
            found = inject_windows(clean, statistics, generator, kinds=kinds, most_sensors=1.0 / N_SENSORS)
            worst_half = np.array([np.sqrt(fault_kind(name).low * fault_kind(name).high) for name in kinds])
            has_fault = (found.kind >= 0) & (found.severity >= worst_half[found.kind])
            # The second fault is of another kind and hits another sensor, or the window is left out.
            overlaps = (found.mask.any(axis=1) & touched.any(axis=1)).any(axis=1)
            is_kept &= has_fault & ~overlaps & (said[np.arange(n), found.kind] == 0.0)
            windows = np.where(found.mask, found.windows, windows)
            said[np.arange(n), found.kind] = 1.0
            touched |= found.mask
        parts.append(np.nan_to_num(windows[is_kept]))
        labels.append(said[is_kept])
    return Faulted(np.concatenate(parts)[:n], np.concatenate(labels)[:n])


def drawn(seed: int, kinds: Sequence[str], *, quick: bool) -> Draws:
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(N_CAUSES, N_SENSORS)) / np.sqrt(N_CAUSES)
    statistics = SensorStatistics.fit(normal_windows(2000, mixing, generator))
    n_train, n_test = (N_TRAIN // 4, N_TEST // 4) if quick else (N_TRAIN, N_TEST)
    train, one, two = (
        faulted(n, n_faults, mixing, statistics, kinds, generator)
        for n, n_faults in ((n_train, 1), (n_test, 1), (n_test, 2))
    )
    return Draws(train, one, two)


class SensorwiseClassifier(nn.Module):
    """The same convolutions for each sensor; of each feature the strongest sensor counts."""

    def __init__(self, n_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        config = WindowClassifierConfig(width=20, reach=7, dropout=0.0, classes=n_classes)
        self.network = WindowClassifier(1, config, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, K)."""
        n, length, n_sensors = x.shape
        features = self.network.encode(x.transpose(1, 2).reshape(n * n_sensors, length, 1))  # (N C, F)
        logits: Tensor = self.network.head(features.view(n, n_sensors, -1).amax(1))  # (N, K)
        return logits


def trained(draws: Draws, objective: Classification, seed: int, epochs: int) -> SensorwiseClassifier:
    generator = torch.Generator().manual_seed(seed)
    network = SensorwiseClassifier(draws.train.kinds.shape[1], generator)
    source = TensorSource(torch.from_numpy(draws.train.windows), labels=torch.from_numpy(draws.train.kinds))
    Trainer(TrainConfig(epochs=epochs, learning_rate=5e-3)).fit(network, objective, source, None, generator)
    return network.eval()


def judged(network: SensorwiseClassifier, draws: Draws) -> dict[str, float]:
    """All measures."""
    with torch.inference_mode():
        one, two = (network(torch.from_numpy(part.windows)).numpy() for part in (draws.one, draws.two))
    truth, said = draws.two.kinds > 0.5, two > 0.0
    top = np.zeros_like(truth)
    np.put_along_axis(top, np.argsort(-two, axis=1)[:, :2], True, axis=1)
    figures = (
        (said == truth).all(axis=1).mean(),
        (said == truth).mean(),
        (top == truth).all(axis=1).mean(),
        ((one > 0.0) == (draws.one.kinds > 0.5)).all(axis=1).mean(),
    )
    return dict(zip(MEASURES, map(float, figures), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the windows, two seeds and alphas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--alphas", type=float, nargs="+", default=ALPHAS)
    parser.add_argument("--kinds", nargs="+", default=KINDS, help="kinds of faults")
    options = parser.parse_args()
    torch.set_num_threads(1)
    n_seeds, alphas = (2, (0.2, 1.0)) if options.quick else (options.seeds, tuple(options.alphas))
    variants = {"none": Classification(is_multi_label=True)}
    variants |= {f"labels mixed, alpha {a:g}": Classification(mixup=a, is_multi_label=True) for a in alphas}
    variants |= {
        f"both labels 1, alpha {a:g}": Classification(mixup=a, is_multi_label=True, mixed_labels="union")
        for a in alphas
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    began = process_time()
    for seed in range(n_seeds):
        draws = drawn(seed, options.kinds, quick=options.quick)
        for name, objective in variants.items():
            network = trained(draws, objective, seed, EPOCHS // 3 if options.quick else EPOCHS)
            rows[name].append(judged(network, draws))
    print(f"{GOAL}\n\n{len(draws.train.windows)} windows with one fault, {n_seeds} seeds, {', '.join(options.kinds)}\n")
    print("| mixup | " + " | ".join(MEASURES) + " | exact, against none | 95 % interval | wins |")
    print("|---" + "|--:" * (len(MEASURES) + 3) + "|")
    base = np.array([row["exact"] for row in rows["none"]])
    for name, found in rows.items():
        means = [f"{100 * np.mean([row[measure] for row in found]):.1f} %" for measure in MEASURES]
        gain = ["", "", ""]
        if name != "none":
            pair = paired_difference(name, "none", np.array([row["exact"] for row in found]) - base)
            gain = [
                f"{100 * pair.mean:+.1f}",
                f"{100 * pair.low:+.1f} to {100 * pair.high:+.1f}",
                f"{pair.n_wins} of {pair.n_series}",
            ]
        print("| " + " | ".join([name, *means, *gain]) + " |")
    print(f"\n{process_time() - began:.0f} s of process time")


if __name__ == "__main__":
    main()
