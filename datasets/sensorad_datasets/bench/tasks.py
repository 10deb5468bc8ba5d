"""What there is to run: one task is one fit, and gives one row of measures for each series that it scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

from ..loaders import SET_NAMES, list_series, load_series
from ..nonlinear_plant import load_nonlinear
from ..series import BenchmarkSeries
from ..storage import data_root
from .measures import measure
from .methods import CLOCK, Scored, method_named
from .plant_trial import run_plant
from .tep import NORMAL, run_tep

__all__ = [
    "BENCH_SETS",
    "NONLINEAR",
    "PLANT",
    "QUICK_SERIES",
    "TEP",
    "Task",
    "available_sets",
    "clock_score",
    "plan_tasks",
    "run_task",
]

PLANT = "plant"
NONLINEAR = "nonlinear"
TEP = "tep"
BENCH_SETS: tuple[str, ...] = (*SET_NAMES, PLANT, NONLINEAR)
"""Everything that can be measured: the sets with loaders, and the simulated plants, which need no data."""

QUICK_SERIES = 3

Key = tuple[str, str, str, int]
"""Set, series, method, seed: names one row of results."""


@dataclass(frozen=True, slots=True)
class Task:
    """One fit of one method, and the series of the set that it is measured on.

    Examples
    --------
    >>> Task("tep", ("d01", "d02"), "linear", 0).keys
    (('tep', 'd01', 'linear', 0), ('tep', 'd02', 'linear', 0))
    """

    set_name: str
    series: tuple[str, ...]
    method: str
    seed: int

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple((self.set_name, name, self.method, self.seed) for name in self.series)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        return cls(values["set_name"], tuple(values["series"]), values["method"], values["seed"])


def available_sets(root: str | Path | None) -> list[str]:
    """Sets in the data folder, and the simulated plant; StorageError where no folder is known."""
    folder = data_root(root)
    return [name for name in SET_NAMES if (folder / name).is_dir()] + [PLANT]


def plan_tasks(
    sets: Sequence[str],
    methods: Sequence[str],
    n_seeds: int,
    root: str | Path | None,
    *,
    quick: bool = False,
) -> list[Task]:
    """All tasks, set by set and method by method.

    Methods without randomness run once. ``quick`` takes a few series of each set and one seed: for a look, not for
    a result. The plant knows only methods with an alarm line, and the clock needs a set of several series.

    Raises
    ------
    UsageError
        An unknown set or method, or nothing to do.
    StorageError
        A set is not in the data folder.
    """
    for name in methods:
        method_named(name)
    tasks: list[Task] = []
    for set_name in sets:
        if set_name not in BENCH_SETS:
            raise UsageError(f"unknown data set {set_name!r}", hint=f"one of {', '.join(BENCH_SETS)}")
        tasks += _tasks_of(set_name, methods, 1 if quick else n_seeds, root, quick)
    if not tasks:
        raise UsageError(f"none of {', '.join(methods)} runs on {', '.join(sets)}")
    return tasks


def run_task(task: Task, root: str | Path | None) -> list[dict[str, Any]]:
    """The rows of one task, each with set, series, method and seed."""
    method = method_named(task.method)
    results: dict[str, dict[str, Any]]
    if task.set_name == PLANT:
        if method.detector is None:
            raise UsageError(f"{task.method} has no alarm line to put to the test")
        results = {name: run_plant(method.detector(task.seed), task.seed) for name in task.series}
    elif task.set_name == TEP:
        results = {**run_tep(method.runner(task.seed), task.series, root)}
    else:
        results = {name: _run_series(task, name, root) for name in task.series}
    head = {"set": task.set_name, "method": task.method, "seed": task.seed}
    return [head | {"series": name} | values for name, values in results.items()]


def clock_score(series: BenchmarkSeries, others: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Share of the other series that are anomalous at each row (T,); 0 beyond their ends.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> own = SimpleNamespace(labels=np.zeros(3, bool))
    >>> clock_score(own, [np.array([False, True]), np.array([False, True, True, True])]).tolist()
    [0.0, 1.0, 1.0]
    """
    n_rows = len(series.labels)
    n_anomalous, n_known = np.zeros(n_rows), np.zeros(n_rows)
    for labels in others:
        shared = min(n_rows, len(labels))
        n_anomalous[:shared] += labels[:shared]
        n_known[:shared] += 1
    return np.asarray(n_anomalous / np.maximum(n_known, 1))


def _run_series(task: Task, name: str, root: str | Path | None) -> dict[str, Any]:
    series = _series(task.set_name, name, root)
    if task.method == CLOCK:
        others = [labels for other, labels in _labels(task.set_name, root) if other != name]
        return measure(series, Scored(clock_score(series, others), 0.0)) | {"fit_seconds": 0.0}
    runner = method_named(task.method).runner(task.seed)
    runner.fit(series)
    scored = runner.score(series, with_blame=bool(series.causes))
    return measure(series, scored) | {"fit_seconds": runner.fit_seconds}


@lru_cache(maxsize=1)
def _series(set_name: str, name: str, root: str | Path | None) -> BenchmarkSeries:
    if set_name == NONLINEAR:
        return load_nonlinear(int(name.removeprefix(f"{NONLINEAR}-")))
    return load_series(set_name, name, root)


@lru_cache(maxsize=1)
def _labels(set_name: str, root: str | Path | None) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
    return tuple((name, load_series(set_name, name, root).labels) for name in list_series(set_name, root))


def _tasks_of(
    set_name: str, methods: Sequence[str], n_seeds: int, root: str | Path | None, quick: bool
) -> Iterator[Task]:
    names = [] if set_name in (PLANT, NONLINEAR) else list_series(set_name, root)
    is_lonely = len(names) < 2
    if quick and set_name != TEP:
        names = names[:: max(1, len(names) // QUICK_SERIES)][:QUICK_SERIES]
    for method in map(method_named, methods):
        seeds = range(n_seeds if method.is_random else 1)
        if set_name == PLANT:
            # A seed of the plant is another plant, so methods without randomness have several as well.
            if method.detector is not None:
                yield from (Task(PLANT, (f"plant-{seed}",), method.name, seed) for seed in range(n_seeds))
        elif set_name == NONLINEAR:
            if method.name != CLOCK:
                yield from (Task(NONLINEAR, (f"{NONLINEAR}-{seed}",), method.name, seed) for seed in range(n_seeds))
        elif set_name == TEP:
            if method.name != CLOCK:
                faults = tuple(name for name in names if name != NORMAL)
                yield from (Task(TEP, faults, method.name, seed) for seed in seeds)
        elif method.name != CLOCK or not is_lonely:
            yield from (Task(set_name, (name,), method.name, seed) for name in names for seed in seeds)
