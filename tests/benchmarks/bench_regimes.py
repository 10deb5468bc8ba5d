"""Where a network wins: a simulated plant whose sensors hang together by curves and products.

``python tests/benchmarks/bench_regimes.py [--quick] [--seeds N] [--runs N] [--models linear lstm cross auto ...]``

Each seed is another plant of 14 sensors with 20,000 normal rows to fit on and 10,000 with faults that keep values,
steps and spectra of each sensor and only break its relation to the others (`sensorad_datasets.nonlinear_plant`). Each
plant is learned ``--runs`` times with other random numbers; models without any once. Models come as they are by
default. Printed are means over plants, and paired differences from the linear model with a bootstrap interval over
plants; seconds are processor time of one fit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import process_time

import numpy as np

from sensorad_datasets.bench.measures import measure
from sensorad_datasets.bench.methods import method_named
from sensorad_datasets.bench.summary import paired_difference
from sensorad_datasets.bench.tables import markdown
from sensorad_datasets.nonlinear_plant import NonlinearPlantConfig, load_nonlinear

MODELS = ("linear", "lstm", "cross", "cross-alone", "auto")
MEASURES = ("VUS-PR", "AUC-ROC", "AUC-PR", "blamed rightly", "fit seconds", "score seconds")
COMPARED = ("VUS-PR", "AUC-ROC")
QUICK = NonlinearPlantConfig(train_rows=3000, test_rows=3000)

Row = dict[str, float]


def judged(model: str, plant: int, run: int, config: NonlinearPlantConfig) -> Row:
    """All measures of one fit."""
    series = load_nonlinear(plant, config)
    runner = method_named(model).runner(1000 * run + plant)
    began = process_time()
    runner.fit(series)
    fitted = process_time()
    scored = runner.score(series, with_blame=True)
    seconds = process_time() - fitted
    found = {name: float(value) for name, value in measure(series, scored).items() if value is not None}
    blamed = found["n_top1"] / found["n_causes"]
    values = (found["vus_pr"], found["auc_roc"], found["auc_pr"], blamed, fitted - began, seconds)
    return dict(zip(MEASURES, values, strict=True))


def by_plant(rows: dict[tuple[str, int, int], Row], model: str, name: str) -> list[float]:
    """Means over the runs of each plant."""
    plants = sorted({plant for known, plant, _ in rows if known == model})
    return [
        float(np.mean([row[name] for (known, at, _), row in rows.items() if (known, at) == (model, plant)]))
        for plant in plants
    ]


def report(rows: dict[tuple[str, int, int], Row], models: Sequence[str], n_runs: int) -> str:
    """Both tables."""
    table = [[model, *(f"{np.mean(by_plant(rows, model, name)):.3f}" for name in MEASURES)] for model in models]
    parts = [markdown(["model", *MEASURES], table)]
    differences = []
    for model in models:
        if model == "linear" or "linear" not in models:
            continue
        for name in COMPARED:
            pairs = np.array(by_plant(rows, model, name)) - np.array(by_plant(rows, "linear", name))
            found = paired_difference(model, "linear", pairs)
            interval = f"{found.low:+.3f} to {found.high:+.3f}"
            differences.append([model, name, f"{found.mean:+.3f}", interval, f"{found.n_wins}/{found.n_series}"])
    if differences:
        parts.append(markdown(["model", "measure", "minus linear", "95 %", "wins"], differences))
    plants = len({plant for _, plant, _ in rows})
    parts.append(f"{plants} plants, {n_runs} runs of each model with random numbers.")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="plants")
    parser.add_argument("--first", type=int, default=0, help="seed of the first plant")
    parser.add_argument("--runs", type=int, default=2, help="fits of each network on each plant")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--quick", action="store_true", help="two short plants and one run: for a look, not a result")
    options = parser.parse_args()
    n_plants, n_runs = (2, 1) if options.quick else (options.seeds, options.runs)
    config = QUICK if options.quick else NonlinearPlantConfig()
    rows: dict[tuple[str, int, int], Row] = {}
    for plant in range(options.first, options.first + n_plants):
        for model in options.models:
            for run in range(n_runs if method_named(model).is_random else 1):
                rows[model, plant, run] = row = judged(model, plant, run, config)
                print(f"plant {plant} {model} run {run}: VUS-PR {row['VUS-PR']:.3f}", flush=True)
    print(f"\n{report(rows, options.models, n_runs)}")


if __name__ == "__main__":
    main()
