"""Runs recipes seed by seed, in processes of one thread each, and keeps what every seed gave.

A run that was stopped goes on where it stood: the outcome of each seed is a file of its own, written at once or not at
all, and is used again as long as recipe, set and length are the same.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sensorad.errors import DataError, StorageError
from sensorad.logs.atomic import NewFile

from .base import Cell, Plan, Recipe, SeedOutcome
from .pictures import need_matplotlib
from .registry import recipe

__all__ = ["PROTOCOL", "KeptSeed", "RecipeRun", "run_recipes"]

PROTOCOL = "protocol"
"""In place of a set: those of each published experiment."""

FORMAT = 1

Report = Callable[["RecipeRun", int, int, int], None]
"""Called with a run, the seed that is done, how many are done and how many there are."""


@dataclass(frozen=True, slots=True)
class KeptSeed:
    """What one seed gave, as it is kept.

    Attributes
    ----------
    cells, counts, notes
        As in `SeedOutcome`.
    seconds
        Processor time.
    pictures
        Names of files, of the first seed.
    """

    seed: int
    cells: tuple[Cell, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    seconds: float
    pictures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"counts": dict(self.counts)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> KeptSeed:
        """What `to_json` gave."""
        return cls(
            row["seed"],
            tuple(Cell(**cell) for cell in row["cells"]),
            dict(row["counts"]),
            tuple(row["notes"]),
            row["seconds"],
            tuple(row["pictures"]),
        )


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """A recipe on one set, with what its seeds gave."""

    recipe: Recipe
    plan: Plan
    seeds: tuple[KeptSeed, ...]

    @property
    def seconds(self) -> float:
        """Processor time of all seeds."""
        return sum(seed.seconds for seed in self.seeds)

    @property
    def is_as_published(self) -> bool:
        """Whether the set is one of the published protocol."""
        return self.plan.set_name in self.recipe.protocol_sets

    def folder(self, directory: Path) -> Path:
        """Where the files of this run are, below the directory of all runs."""
        return _folder(self.recipe.name, self.plan, directory)


def run_recipes(
    recipes: Sequence[Recipe],
    set_name: str | None,
    n_seeds: int | None,
    directory: Path,
    *,
    root: str | None = None,
    jobs: int = 1,
    is_quick: bool = False,
    is_guarded: bool = False,
    has_pictures: bool = True,
    is_fresh: bool = False,
    report: Report | None = None,
) -> list[RecipeRun]:
    """Run what is not there yet, and return all of it.

    Parameters
    ----------
    set_name
        Set of images; None: the default of each recipe; `PROTOCOL`: those of each published experiment. A recipe that
        makes its images takes these whatever is asked.
    n_seeds
        Runs of each recipe; None: its own number.
    directory
        Gets a folder for each recipe and set, with a file for each seed and the pictures of the first.
    jobs
        Processes.
    is_quick, is_guarded
        As in `Plan`.
    has_pictures
        Draw those of the first seed; needs matplotlib.
    is_fresh
        Run again what is there.

    Raises
    ------
    UsageError
        A set on which a recipe does not run.
    SensoradError
        What a recipe raised; what the other seeds gave is kept.
    """
    pairs = [
        (each, replace(each.plan(name, root, is_quick=is_quick), is_guarded=is_guarded))
        for each in recipes
        for name in _sets_for(each, set_name)
    ]
    tasks = [
        _Task(each.name, plan, seed, directory, has_pictures and seed == 0)
        for each, plan in pairs
        for seed in range(n_seeds or each.n_seeds)
    ]
    kept = {} if is_fresh else {task.key: found for task in tasks if (found := _read(task)) is not None}
    missing = [task for task in tasks if task.key not in kept]
    if any(task.has_pictures for task in missing):
        need_matplotlib()  # not after hours of training
    by_name = {each.name: each for each in recipes}
    for n_done, (task, found) in enumerate(_outcomes(missing, jobs), start=1):
        kept[task.key] = found
        if report is not None:
            report(RecipeRun(by_name[task.name], task.plan, (found,)), task.seed, n_done, len(missing))
    return [
        RecipeRun(each, plan, tuple(kept[each.name, plan.set_name, seed] for seed in range(n_seeds or each.n_seeds)))
        for each, plan in pairs
    ]


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    plan: Plan
    seed: int
    directory: Path
    has_pictures: bool

    @property
    def key(self) -> tuple[str, str, int]:
        return self.name, self.plan.set_name, self.seed

    @property
    def folder(self) -> Path:
        return _folder(self.name, self.plan, self.directory)

    @property
    def path(self) -> Path:
        return self.folder / f"seed-{self.seed}.json"


def _folder(name: str, plan: Plan, directory: Path) -> Path:
    how = ("-quick" if plan.is_quick else "") + ("-guarded" if plan.is_guarded else "")
    return directory / f"{name}-{plan.set_name}{how}"


def _sets_for(each: Recipe, set_name: str | None) -> tuple[str | None, ...]:
    if set_name == PROTOCOL:
        return each.protocol_sets
    return (None if each.sets == ("generated",) else set_name,)


def _outcomes(tasks: Sequence[_Task], jobs: int) -> Iterable[tuple[_Task, KeptSeed]]:
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, _run(task)
        return
    context = multiprocessing.get_context("spawn")  # a forked torch may hang on its locks
    with ProcessPoolExecutor(jobs, context, initializer=_one_thread) as pool:
        waiting: dict[Future[KeptSeed], _Task] = {pool.submit(_run, task): task for task in tasks}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    """Of a worker process that is ours alone: two threads on two busy cores are slower than one."""
    import torch

    torch.set_num_threads(1)


def _run(task: _Task) -> KeptSeed:
    """Run one seed, draw the pictures and keep the outcome."""
    started = time.process_time()
    outcome = recipe(task.name).run(task.plan, task.seed)
    seconds = time.process_time() - started
    for cell in outcome.cells:
        if cell.value != cell.value:
            raise DataError(f"{cell.variant}, {cell.measure} is not a number", where=f"{task.name}, seed {task.seed}")
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        found = KeptSeed(
            task.seed,
            tuple(outcome.cells),
            outcome.counts,
            tuple(outcome.notes),
            seconds,
            _drawn(outcome, task) if task.has_pictures else (),
        )
        with NewFile(task.path, force=True) as temporary:
            temporary.write_text(json.dumps({"format": FORMAT, "outcome": found.to_json()}, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise StorageError(f"cannot keep the outcome: {error}", where=str(task.folder)) from error
    return found


def _drawn(outcome: SeedOutcome, task: _Task) -> tuple[str, ...]:
    from .pictures import save

    return tuple(save(picture, task.folder).name for picture in outcome.pictures)


def _read(task: _Task) -> KeptSeed | None:
    """What was kept, None where nothing was, or nothing of this format; pictures that are asked for must be there."""
    try:
        row = json.loads(task.path.read_bytes())
        found = KeptSeed.from_json(row["outcome"]) if row["format"] == FORMAT else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read what was kept: {error.strerror}", where=str(task.path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("not what a recipe kept", where=str(task.path), hint="delete the file, or --force") from error
    if found is not None and task.has_pictures and not _has_pictures(found, task.folder):
        return None
    return found


def _has_pictures(found: KeptSeed, folder: Path) -> bool:
    return bool(found.pictures) and all((folder / name).is_file() for name in found.pictures)
