"""The Tennessee Eastman protocol: one fit on d00, one line for a 1 % false-alarm rate, a detection rate a fault."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError

from ..loaders import load_series
from .methods import Runner

__all__ = ["FIRST_FAULTY", "LINE_QUANTILE", "NORMAL", "UNDETECTABLE", "measure_fault", "run_tep"]

NORMAL = "d00"
FIRST_FAULTY = 160  # row of every test file from which the fault is on
LINE_QUANTILE = 0.99  # of the scores of d00's test file
UNDETECTABLE = ("d03", "d09", "d15")
"""Faults that no published method finds at this false-alarm rate; averaged apart."""

Row = dict[str, float | int | None]


def run_tep(runner: Runner, faults: Iterable[str], root: str | Path | None) -> dict[str, Row]:
    """Fault name -> measures; the runner is fitted once."""
    normal = load_series("tep", NORMAL, root)
    runner.fit(normal)
    scores = runner.score(normal).score
    if not np.isfinite(scores).any():
        raise DataError("no row of d00 has a score", hint="the method needs more rows before it scores")
    line = float(np.quantile(scores[np.isfinite(scores)], LINE_QUANTILE))
    rows = {}
    for fault in faults:
        scored = runner.score(load_series("tep", fault, root))
        rows[fault] = measure_fault(scored.score, line) | {
            "fit_seconds": runner.fit_seconds,
            "score_seconds": scored.seconds,
        }
    return rows


def measure_fault(score: NDArray[np.float64], line: float) -> Row:
    """Detection rate and delay from row 160 on, false alarms among the scored rows before it.

    A row without a score is no alarm, and no chance of a false one.

    Examples
    --------
    >>> score = np.zeros(200)
    >>> score[[10, 170, 171]] = 5.0
    >>> row = measure_fault(score, line=1.0)
    >>> row["detection_rate"], row["delay_rows"], row["n_false_rows"], row["n_normal_rows"]
    (0.05, 10, 1, 160)
    """
    alarm = score > line
    normal, faulty = np.isfinite(score[:FIRST_FAULTY]), alarm[FIRST_FAULTY:]
    return {
        "detection_rate": float(faulty.mean()),
        "delay_rows": int(np.argmax(faulty)) if faulty.any() else None,
        "n_false_rows": int(alarm[:FIRST_FAULTY].sum()),
        "n_normal_rows": int(normal.sum()),
        "line": line,
    }
