"""A whole benchmark: what is missing is run, everything is kept, the tables are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sensorad.logs.atomic import NewFile

from .environment import code_hash, machine, versions
from .methods import METHODS
from .pool import Outcome, run_tasks
from .store import ResultStore, plain
from .summary import by_method, paired_differences
from .tables import document, sets_of
from .tasks import PLANT, TEP, Task

__all__ = ["Campaign", "summary_values"]

FORMAT = 1

HEADLINES = (
    "vus_pr",
    "vus_pr_period",
    "vus_roc",
    "auc_pr",
    "auc_roc",
    "recall_at_1_per_10k",
    "detection_rate",
    "fit_seconds",
    "score_seconds",
)


class Campaign:
    """The benchmark in one directory.

    Parameters
    ----------
    directory
        Holds ``rows.jsonl`` (every row, as it comes), ``bench.json`` and ``bench.md`` (all rows of the directory).
    root
        Data folder; None takes what SENSORAD_DATA names.

    Attributes
    ----------
    failures : list of Outcome
        Tasks of this run that gave no rows.
    """

    def __init__(self, directory: str | Path, root: str | Path | None) -> None:
        self.directory = Path(directory)
        self.root = root
        self.store = ResultStore(directory)
        self.failures: list[Outcome] = []
        self._code = code_hash()
        self._versions = versions()

    def missing(self, tasks: Sequence[Task], *, force: bool = False) -> list[Task]:
        """Tasks still to run; all of them with ``force``."""
        return [task for task in tasks if force or not self.store.has(task)]

    def n_stale(self, tasks: Sequence[Task]) -> int:
        """Rows of these tasks that another version of the library gave."""
        keys = {key for task in tasks for key in task.keys}
        return sum(
            (row["set"], row["series"], row["method"], row["seed"]) in keys and row.get("code") != self._code
            for row in self.store.rows
        )

    def run(self, tasks: Sequence[Task], n_jobs: int, done: Callable[[Outcome, int], None]) -> None:
        """Run all ``tasks``, keeping the rows of each as soon as it ends; ``done`` is called after each."""
        with closing(run_tasks(tasks, self.root, n_jobs)) as outcomes:
            for number, outcome in enumerate(outcomes, start=1):
                if outcome.failure:
                    self.failures.append(outcome)
                else:
                    self.store.add(row | {"code": self._code} for row in outcome.rows)
                done(outcome, number)

    def text(self, sets: Sequence[str] | None = None) -> str:
        """The tables of ``sets``, by default of all sets that have rows."""
        rows = self.store.rows
        wanted = sets_of(rows) if sets is None else [name for name in sets_of(rows) if name in sets]
        codes = {row.get("code") for row in rows}
        notes = ["Rows come from different versions of the library; run again with --force to compare."]
        return document(rows, wanted, notes if len(codes) > 1 else ())

    def write(self) -> tuple[Path, Path]:
        """Write ``bench.json`` and ``bench.md`` over those of an earlier run."""
        values = {
            "format": FORMAT,
            "versions": self._versions,
            "code": self._code,
            "machine": machine(),
            "methods": {name: method.what for name, method in METHODS.items()},
            "summary": summary_values(self.store.rows),
            "rows": self.store.rows,
        }
        paths = self.directory / "bench.json", self.directory / "bench.md"
        texts = json.dumps(plain(values), indent=1, allow_nan=False) + "\n", self.text()
        for path, text in zip(paths, texts, strict=True):
            with NewFile(path, True) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return paths


def summary_values(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means and comparisons by set as plain values: what the tables show, with all digits."""
    sets: dict[str, Any] = {}
    for set_name in sets_of(rows):
        methods = by_method(rows, set_name)
        sets[set_name] = {
            "methods": {
                method.method: {"n_series": method.n_series, "seeds": method.seeds}
                | {name: asdict(figure) for name in HEADLINES if (figure := method.figure(name)) is not None}
                for method in methods
            },
        }
        if set_name not in (PLANT, TEP):
            sets[set_name]["differences"] = [asdict(found) for found in paired_differences(methods, "vus_pr")]
    return sets
