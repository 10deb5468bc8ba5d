"""From rows to figures: means by set and method, spread over seeds, paired differences with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .methods import LSTM_TRAININGS, METHODS
from .tep import UNDETECTABLE

__all__ = [
    "PAIRS",
    "Figure",
    "MethodRows",
    "PairedDifference",
    "by_method",
    "paired_difference",
    "paired_differences",
    "share",
    "split_faults",
]

BESIDE_LINEAR = (
    *("auto", "ensemble", "shape", "lstm", "transformer", "variational", "adversarial", "randnet", "cross"),
    *("cross-alone", "classifier", "head"),
)

PAIRS: tuple[tuple[str, str], ...] = (
    *((method, "linear") for method in BESIDE_LINEAR),
    ("lstm", "lstm-untrained-alone"),
    ("transformer", "transformer-untrained-alone"),
    ("lstm-alone", "lstm-untrained-alone"),
    ("transformer-alone", "transformer-untrained-alone"),
    ("lstm-alone", "lstm-plain-alone"),
    # Those that keep the usual objective stand beside the network that has nothing but it.
    *(
        (f"lstm-{training}-alone", "lstm-plain-alone" if "objective" in options else "lstm-alone")
        for training, (_what, options) in LSTM_TRAININGS.items()
        if training != "plain"
    ),
    ("linear", "window-pca"),
    ("linear", "autoregression"),
)
"""(method, what it has to be better than)."""

N_RESAMPLES = 10_000
CONFIDENCE = 0.95

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over series; ``spread`` is the standard deviation of that mean over seeds, None with one seed."""

    mean: float
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class MethodRows:
    """All rows of one method on one set."""

    method: str
    rows: tuple[Row, ...]

    @property
    def n_series(self) -> int:
        return len({row["series"] for row in self.rows})

    @property
    def seeds(self) -> list[int]:
        return sorted({int(row["seed"]) for row in self.rows})

    def figure(self, name: str) -> Figure | None:
        """Mean over series for each seed, then mean and standard deviation over seeds; None where nothing is known."""
        return self._over_seeds(lambda rows: _mean([row[name] for row in rows if row.get(name) is not None]))

    def ratio(self, part: str, whole: str) -> Figure | None:
        """Sum of ``part`` over the series / sum of ``whole``, by seed as in `figure`."""
        return self._over_seeds(lambda rows: share(rows, part, whole))

    def total(self, name: str) -> float | None:
        """Sum over all rows, None where nothing is known."""
        values = [float(row[name]) for row in self.rows if row.get(name) is not None]
        return sum(values) if values else None

    def by_series(self, name: str) -> dict[str, float]:
        """Series -> mean over seeds."""
        values: dict[str, list[float]] = {}
        for row in self.rows:
            if row.get(name) is not None:
                values.setdefault(str(row["series"]), []).append(float(row[name]))
        return {series: float(np.mean(known)) for series, known in values.items()}

    def _over_seeds(self, figure: Callable[[Sequence[Row]], float | None]) -> Figure | None:
        means = [figure([row for row in self.rows if row["seed"] == seed]) for seed in self.seeds]
        known = [mean for mean in means if mean is not None]
        if not known:
            return None
        return Figure(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much better ``method`` is than ``other`` on the same series.

    Attributes
    ----------
    mean
        Mean difference over the series that both have.
    low, high
        95 % bootstrap interval of it over series.
    n_wins, n_series
        Series on which the method is better, and all.
    """

    method: str
    other: str
    mean: float
    low: float
    high: float
    n_wins: int
    n_series: int


def by_method(rows: Sequence[Row], set_name: str) -> list[MethodRows]:
    """The rows of a set by method, in the order of the tables."""
    own = [row for row in rows if row["set"] == set_name]
    known = {str(row["method"]) for row in own}
    order = [name for name in METHODS if name in known] + sorted(known - METHODS.keys())
    return [MethodRows(name, tuple(row for row in own if row["method"] == name)) for name in order]


def share(rows: Sequence[Row], part: str, whole: str) -> float | None:
    """Sum of ``part`` / sum of ``whole`` over the rows that have both.

    Examples
    --------
    >>> share([{"found": 1, "events": 4}, {"found": None, "events": 9}, {"found": 2, "events": 2}], "found", "events")
    0.5
    """
    known = [row for row in rows if row.get(part) is not None and row.get(whole) is not None]
    below = sum(float(row[whole]) for row in known)
    return sum(float(row[part]) for row in known) / below if below > 0 else None


def split_faults(rows: MethodRows) -> tuple[MethodRows, MethodRows]:
    """The rows of TEP split into the faults that can be detected and those that nobody detects."""
    hard = tuple(row for row in rows.rows if row["series"] in UNDETECTABLE)
    return MethodRows(rows.method, tuple(row for row in rows.rows if row not in hard)), MethodRows(rows.method, hard)


def paired_differences(methods: Sequence[MethodRows], measure: str) -> list[PairedDifference]:
    """The comparisons of `PAIRS` for which both methods are there, on the series that both have."""
    values = {rows.method: rows.by_series(measure) for rows in methods}
    found = []
    for method, other in PAIRS:
        if method in values and other in values:
            shared = sorted(values[method].keys() & values[other].keys())
            if shared:
                differences = np.array([values[method][name] - values[other][name] for name in shared])
                found.append(paired_difference(method, other, differences))
    return found


def paired_difference(method: str, other: str, differences: NDArray[np.float64]) -> PairedDifference:
    """Mean, bootstrap interval and wins of differences (S,); the same differences give the same interval.

    Examples
    --------
    >>> paired_difference("a", "b", np.array([0.1, 0.1, 0.1])).n_wins
    3
    """
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(differences), (N_RESAMPLES, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    n_wins = int((differences > 0).sum())
    return PairedDifference(method, other, float(differences.mean()), float(low), float(high), n_wins, len(differences))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
