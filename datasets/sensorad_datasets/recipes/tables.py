"""What people read of a recipe: Markdown tables of means and spreads, the published figure beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sensorad_datasets.bench.summary import paired_difference
from sensorad_datasets.bench.tables import markdown

from .base import Difference
from .runner import RecipeRun

__all__ = ["recipe_text", "recipe_values"]

Row = tuple[str, str]
"""(table, variant)."""


def recipe_text(run: RecipeRun) -> str:
    """All of one run in Markdown: what was done, tables, differences, counts, time.

    Examples
    --------
    >>> from sensorad_datasets.recipes.base import Cell, Plan, Recipe
    >>> from sensorad_datasets.recipes.runner import KeptSeed
    >>> done = Recipe("I0", "Nothing", lambda plan, seed: None, published={("plain", "ROC-AUC"): "0.868"})
    >>> seeds = tuple(KeptSeed(seed, (Cell("plain", "ROC-AUC", 0.5 + seed),), {}, (), 1.0) for seed in (0, 1))
    >>> print(recipe_text(RecipeRun(done, Plan("mnist"), seeds)))
    ### I0. Nothing
    <BLANKLINE>
    |       |       ROC-AUC |     published |
    |:------|--------------:|--------------:|
    | plain | 1.000 ± 0.707 | ROC-AUC 0.868 |
    <BLANKLINE>
    2 seeds on mnist, 1 s of processor time each.
    """
    recipe = run.recipe
    is_first = run.plan.set_name == recipe.sets[0]
    parts = [f"### {recipe.name}. {recipe.title}" + ("" if is_first else f", on {run.plan.set_name}")]
    if recipe.about and (is_first or not run.is_as_published):
        parts.append(recipe.about)
    values = _values(run)
    tables = list(dict.fromkeys(table for table, _ in values))
    for table in tables:
        if table:
            parts.append(f"{table}:")
        rows = {row[1]: found for row, found in values.items() if row[0] == table}
        # Figures that were published for one set say nothing about another.
        parts.append(_table(recipe.published if run.is_as_published else {}, rows))
    if recipe.differences and (lines := [line for each in recipe.differences if (line := _difference(each, values))]):
        parts.append("\n".join(lines))
    parts += dict.fromkeys(note for seed in run.seeds for note in seed.notes)
    if counts := _counts(run):
        happened = ", ".join(f"{what} {n}" for what, n in counts.items() if n)
        parts.append(f"Counted over all seeds: {happened}." if happened else "No run collapsed or was restarted.")
    seconds = run.seconds / len(run.seeds)
    n_seeds = "1 seed" if len(run.seeds) == 1 else f"{len(run.seeds)} seeds"
    quick = ", shortened" if run.plan.is_quick else ""
    parts.append(f"{n_seeds} on {run.plan.set_name}{quick}, {seconds:.0f} s of processor time each.")
    return "\n\n".join(parts)


def recipe_values(run: RecipeRun) -> dict[str, Any]:
    """The same as plain values."""
    rows = [
        {
            "table": table,
            "variant": variant,
            "measure": measure,
            "mean": float(np.mean(found)),
            "sd": float(np.std(found, ddof=1)) if len(found) > 1 else None,
            "seeds": found,
            "published": run.recipe.published.get((variant, _shown(measure))) if run.is_as_published else None,
        }
        for (table, variant), measures in _values(run).items()
        for measure, found in ((name, list(by_seed.values())) for name, by_seed in measures.items())
    ]
    return {
        "recipe": run.recipe.name,
        "title": run.recipe.title,
        "set": run.plan.set_name,
        "is_quick": run.plan.is_quick,
        "seeds": [seed.seed for seed in run.seeds],
        "rows": rows,
        "counts": _counts(run),
        "seconds": [seed.seconds for seed in run.seeds],
        "pictures": [name for seed in run.seeds for name in seed.pictures],
    }


def _values(run: RecipeRun) -> dict[Row, dict[str, dict[int, float]]]:
    """(table, variant) -> measure -> seed -> value, in the order in which recipes put them."""
    found: dict[Row, dict[str, dict[int, float]]] = {}
    for seed in run.seeds:
        for cell in seed.cells:
            found.setdefault((cell.table, cell.variant), {}).setdefault(cell.measure, {})[seed.seed] = cell.value
    return found


def _table(figures: Mapping[tuple[str, str], str], rows: Mapping[str, Mapping[str, Mapping[int, float]]]) -> str:
    measures = list(dict.fromkeys(measure for row in rows.values() for measure in row))
    published = {
        variant: "; ".join(
            f"{_shown(measure)} {text}" for measure in measures if (text := figures.get((variant, _shown(measure))))
        )
        for variant in rows
    }
    has_published = any(published.values())
    head = ["", *map(_shown, measures), *(["published"] if has_published else [])]
    body = [
        [
            variant,
            *(_mean(list(row[measure].values())) if measure in row else "" for measure in measures),
            *([published[variant]] if has_published else []),
        ]
        for variant, row in rows.items()
    ]
    return markdown(head, body)


def _shown(measure: str) -> str:
    return measure.replace("_", " ")


def _mean(values: Sequence[float]) -> str:
    mean = float(np.mean(values))
    digits = _digits(mean)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def _digits(value: float) -> int:
    """Three significant digits at least, and never more than four after the point."""
    if value == 0 or not math.isfinite(value):
        return 3
    return min(max(3 - math.floor(math.log10(abs(value))) - 1, 0), 4) if abs(value) >= 1.5 else 3 + (abs(value) < 0.1)


def _difference(asked: Difference, values: Mapping[Row, Mapping[str, Mapping[int, float]]]) -> str:
    """One line, empty where a row is not there."""
    try:
        own = values[asked.table, asked.variant][asked.measure]
        other = values[asked.table, asked.beside][asked.measure]
    except KeyError:
        return ""
    shared = sorted(own.keys() & other.keys())
    if not shared:
        return ""
    found = paired_difference(asked.variant, asked.beside, np.array([own[seed] - other[seed] for seed in shared]))
    where = f" ({asked.table})" if asked.table else ""
    interval = f", 95 % interval {found.low:+.3f} to {found.high:+.3f}" if len(shared) > 1 else ""
    return (
        f"- {asked.variant} - {asked.beside}, {_shown(asked.measure)}{where}: {found.mean:+.4f}{interval}, "
        f"higher in {found.n_wins} of {len(shared)}"
    )


def _counts(run: RecipeRun) -> dict[str, int]:
    counts: dict[str, int] = {}
    for seed in run.seeds:
        for what, n in seed.counts.items():
            counts[what] = counts.get(what, 0) + n
    return counts
