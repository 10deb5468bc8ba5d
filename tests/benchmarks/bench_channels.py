"""How what a model measures of whole windows should enter the score: in the mean, or guarded, and with which weight.

``SENSORAD_DATA=... python tests/benchmarks/bench_channels.py asd skab smd --series 8``. Models are trained once on each
series, and their channels are joined to the same errors in each way. Figures are VUS-PR minus that of the linear core.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace

import numpy as np
import torch
from learned import LearnedSeries
from numpy.typing import NDArray

import sensorad.scoring.fused as fused
from sensorad.config import DetectorConfig
from sensorad.error_models import SensorErrors
from sensorad.scoring import FusedScheme
from sensorad.scoring.evidence import RowEvidence, StepHistory
from sensorad_datasets import list_series, load_series

MODELS = {
    "adversarial": DetectorConfig(model="adversarial"),
    "classifier": DetectorConfig(model="classifier"),
    "head": DetectorConfig(exposure="head"),
}
IN_MEAN, GUARDED = (1.0, 0.25), (0.5, 0.7)
REST_WEIGHT = sum(fused.WEIGHTS.values())


def silent(errors: SensorErrors) -> SensorErrors:
    """The same without channels."""
    return replace(errors, channels=None)


def core(errors: SensorErrors) -> SensorErrors:
    """What the linear part alone says."""
    return replace(errors, window=errors.linear, channels=None)


def in_mean(weight: float) -> type[FusedScheme]:
    """Each channel with this weight in the mean of the score."""

    class InMean(FusedScheme):
        __slots__ = ()

        def evidence(self, errors: SensorErrors, history: StepHistory | None = None) -> RowEvidence:
            found = super().evidence(silent(errors), history)
            score, total = REST_WEIGHT * found.score, np.full(len(errors), REST_WEIGHT)
            for at, tail in enumerate(self.channels):
                said: NDArray[np.float64] = tail.evidence(errors.channels[:, at])  # type: ignore[index]
                score += weight * np.nan_to_num(said)
                total += weight * np.isfinite(said)
            return replace(found, score=score / total)

    return InMean


def guarded(learned: LearnedSeries, weight: float) -> float:
    """VUS-PR where this share of the evidence of the channels may raise the score."""
    usual, fused.CHANNEL_WEIGHT = fused.CHANNEL_WEIGHT, weight
    try:
        return learned.vus_pr()
    finally:
        fused.CHANNEL_WEIGHT = usual


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=["asd", "skab", "smd"])
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--series", type=int, help="at most so many of each set")
    options = parser.parse_args()
    if "SENSORAD_DATA" not in os.environ:
        print("left out: SENSORAD_DATA does not say where the benchmark sets are", file=sys.stderr)
        return
    torch.set_num_threads(1)
    ways = [*(f"in the mean, {weight:g}" for weight in IN_MEAN), *(f"guarded, {weight:g}" for weight in GUARDED)]
    print(f"| model | set | n | without | {' | '.join(ways)} |\n|:---|:---|---:|" + "---:|" * (1 + len(ways)))
    for model in options.models:
        for set_name in options.sets:
            found = []
            for name in list_series(set_name)[: options.series]:
                learned = LearnedSeries(load_series(set_name, name), MODELS[model])
                values = [learned.vus_pr(silent), *(learned.vus_pr(scheme=in_mean(weight)) for weight in IN_MEAN)]
                values += [guarded(learned, weight) for weight in GUARDED]
                found.append(np.array(values) - learned.vus_pr(core))
                print(set_name, name, model, np.round(found[-1], 4), file=sys.stderr)
            cells = " | ".join(f"{value:+.4f}" for value in np.mean(found, axis=0))
            print(f"| {model} | {set_name} | {len(found)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
