"""Marks the faults that people have labelled in calibration scores, and the rows that still remember them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, unknown_name
from sensorad.logs import Labels
from sensorad.thresholds.base import ECHO, NORMAL, CalibrationScores

__all__ = ["LabelledScores", "fault_heights", "labelled", "labelled_by_rows"]


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """Scores that know their faults, and what is to be said about the labels.

    Attributes
    ----------
    scores : CalibrationScores
        With ``fault`` filled in.
    notes : tuple of str
        Labels that lie outside the log or meet no scored row; empty where all is well.
    """

    scores: CalibrationScores
    notes: tuple[str, ...] = ()


def labelled(
    scores: CalibrationScores, group_names: Sequence[str], labels: Labels, *, echo_rows: int
) -> LabelledScores:
    """Scores with the faults of a label table; false alarms in the table stay normal operation.

    A row is faulty from the start of a label to its end, both included; on an end that two labels share it belongs
    to the later one. The ``echo_rows`` rows of the machine after a faulty row are neither faulty nor normal. Faults
    that ``scores`` had before stay faults; where one shares rows with a label, they are one fault.

    Parameters
    ----------
    scores
        Each machine's rows in time order.
    group_names
        Machine names that ``scores.group`` counts in; ("",) in a log without machines.
    labels
        A label without a machine holds for all machines. The k-th of ``labels.faults()`` becomes fault number k.
    echo_rows
        Rows that a fault spoils after its end: window length and smoothing.

    Raises
    ------
    DataError
        A label names a machine that the log does not know, two fault labels overlap on one machine, or all of them
        lie outside the time of the log.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(8) * 10**9, np.ones(8), np.zeros(8, np.int32), 1.0)
    >>> labels = Labels(np.array([2]) * 10**9, np.array([3]) * 10**9, ("",), ("fault",))
    >>> labelled(scores, ("",), labels, echo_rows=2).scores.fault.tolist()
    [-1, -1, 0, 0, -2, -2, -1, -1]
    """
    faults = labels.faults()
    n_faults = len(faults)
    if n_faults == 0:
        return LabelledScores(_marked(scores, np.full(len(scores.time), NORMAL, np.int32), 0, echo_rows))
    machine = _machines_of(faults, group_names)
    in_order = np.lexsort((faults.end, faults.start))
    _refuse_overlaps(faults, machine, in_order)
    is_outside = _outside(faults, scores)

    number = np.full(len(scores.time), NORMAL, np.int32)
    has_scored_row = np.zeros(n_faults, bool)
    for code, rows in _rows_by_machine(scores.group):
        own = in_order[(machine[in_order] == code) | (machine[in_order] < 0)]
        time = scores.time[rows]
        first = np.searchsorted(time, faults.start[own], side="left")
        stop = np.searchsorted(time, faults.end[own], side="right")
        for place in np.flatnonzero(stop > first):
            covered = slice(first[place], stop[place]) if isinstance(rows, slice) else rows[first[place] : stop[place]]
            number[covered] = own[place]
            has_scored_row[own[place]] |= bool(np.isfinite(scores.score[covered]).any())
    notes = []
    if is_outside.any():
        notes.append(_outside_words(faults, is_outside, scores) + "; they are left out")
    n_unscored = int((~has_scored_row & ~is_outside).sum())
    if n_unscored:
        notes.append(
            f"{n_unscored:,} of {n_faults:,} fault labels meet no row of their machine that has a score: "
            "no line can find these"
        )
    return LabelledScores(_marked(scores, number, n_faults, echo_rows), tuple(notes))


def labelled_by_rows(
    scores: CalibrationScores, is_anomalous: NDArray[np.bool_], *, echo_rows: int
) -> CalibrationScores:
    """The same from a label for each row, (T,): every run of anomalous rows of a machine is a fault.

    Raises
    ------
    DataError
        ``is_anomalous`` has another length than the scores.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(6) * 10**9, np.ones(6), np.zeros(6, np.int32), 1.0)
    >>> labelled_by_rows(scores, np.array([0, 1, 1, 0, 0, 1], bool), echo_rows=1).fault.tolist()
    [-1, 0, 0, -2, -1, 1]
    """
    if is_anomalous.shape != scores.time.shape:
        raise DataError(f"expected a label for each of {len(scores.time):,} rows, got shape {is_anomalous.shape}")
    number = np.full(len(scores.time), NORMAL, np.int32)
    n_faults = 0
    for _, rows in _rows_by_machine(scores.group):
        is_fault = is_anomalous[rows]
        is_start = is_fault & ~np.append(False, is_fault[:-1])
        number[rows] = np.where(is_fault, n_faults + np.cumsum(is_start) - 1, NORMAL)
        n_faults += int(is_start.sum())
    return _marked(scores, number, n_faults, echo_rows)


def fault_heights(scores: CalibrationScores, min_rows: int = 1) -> NDArray[np.float64]:
    """Height of each labelled fault, (F,) by number: below it an alarm line finds the fault, from it upwards never.

    The ``min_rows``-th highest score among the rows of the fault and the echo right after it; -inf where fewer have a
    score, NaN where none has.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(5) * 10**9, np.array([9.0, 1.0, 2.0, 4.0, 9.0]), np.zeros(5, np.int32),
    ...                            1.0, fault=np.array([-1, 0, 0, -2, -1], np.int32))
    >>> fault_heights(scores).tolist(), fault_heights(scores, min_rows=2).tolist()
    ([4.0], [2.0])
    """
    if scores.fault is None:
        return np.zeros(0)
    owner = scores.fault.copy()
    for _, rows in _rows_by_machine(scores.group):
        fault = scores.fault[rows]
        before = np.maximum.accumulate(np.where(fault != ECHO, np.arange(len(fault)), -1))  # an echo takes this row's
        owner[rows] = np.where(before >= 0, fault[before], NORMAL)
    numbers = np.unique(scores.fault[scores.fault >= 0])
    counted = np.flatnonzero((owner >= 0) & ~np.isnan(scores.score))
    counted = counted[np.lexsort((-scores.score[counted], owner[counted]))]  # by fault, the highest first
    first = np.searchsorted(owner[counted], numbers, side="left")
    stop = np.searchsorted(owner[counted], numbers, side="right")
    heights = np.where(stop > first, -np.inf, np.nan)
    is_enough = stop - first >= min_rows
    heights[is_enough] = scores.score[counted[first[is_enough] + min_rows - 1]]
    return heights


def _marked(scores: CalibrationScores, number: NDArray[np.int32], n_faults: int, echo_rows: int) -> CalibrationScores:
    """``scores`` with the faults ``number`` (T,) joined with those that they had before, and their echo."""
    fault = number
    if scores.fault is not None:
        fault = np.where(number == NORMAL, _joined(number, scores.fault, n_faults), number)
    fault = fault.astype(np.int32)
    for _, rows in _rows_by_machine(scores.group):
        is_faulty = fault[rows] >= 0
        place = np.arange(len(is_faulty))
        last = np.maximum.accumulate(np.where(is_faulty, place, -echo_rows - 1))  # of the rows so far, the last faulty
        fault[rows] = np.where(~is_faulty & (place - last <= echo_rows), ECHO, fault[rows])
    return replace(scores, fault=fault)


def _joined(number: NDArray[np.int32], before: NDArray[np.int32], n_faults: int) -> NDArray[np.int64]:
    """Faults ``before`` (T,) renumbered: as the first of ``number`` that shares a row with them, else from n_faults."""
    known, code = np.unique(before[before >= 0], return_inverse=True)
    met = number[before >= 0]
    renumbered = np.full(len(known), n_faults, np.int64)
    np.minimum.at(renumbered, code[met >= 0], met[met >= 0])
    is_new = renumbered == n_faults
    renumbered[is_new] += np.arange(is_new.sum())
    result = before.astype(np.int64)
    result[before >= 0] = renumbered[code]
    return result


def _rows_by_machine(group: NDArray[np.int32]) -> list[tuple[int, slice | NDArray[np.int64]]]:
    """Each machine with its rows in their order; a slice where the log has one machine, which is ten times cheaper."""
    if len(group) == 0:
        return []
    if (group == group[0]).all():
        return [(int(group[0]), slice(None))]
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    return [(int(group[rows[0]]), rows) for rows in np.split(order, cuts)]


def _machines_of(faults: Labels, group_names: Sequence[str]) -> NDArray[np.int64]:
    """Machine of each label, -1 = all machines."""
    codes = {name: code for code, name in enumerate(group_names)} | {"": -1}
    for row, name in enumerate(faults.group):
        if name in codes:
            continue
        known = [other for other in group_names if other]
        hint = unknown_name("machine", name, known).hint if known else "the log has no machines: leave the column empty"
        raise DataError(
            f"a label names a machine {name!r} that the log does not know", where=_named(faults, row), hint=hint
        )
    return np.array([codes[name] for name in faults.group], np.int64)


def _refuse_overlaps(faults: Labels, machine: NDArray[np.int64], in_order: NDArray[np.int64]) -> None:
    for code in np.unique(machine):
        own = in_order[(machine[in_order] == code) | (machine[in_order] < 0)]
        start, end = faults.start[own], faults.end[own]
        # In order of their starts, the first overlap there is shows between neighbours.
        wrong = np.flatnonzero((start[1:] < end[:-1]) | (start[1:] == start[:-1]))
        if len(wrong):
            one, other = int(own[wrong[0]]), int(own[wrong[0] + 1])
            raise DataError(
                f"two fault labels overlap: {_named(faults, one)}, and {_named(faults, other)}",
                hint="make one label of them, or let the first end where the second starts",
            )


def _outside(faults: Labels, scores: CalibrationScores) -> NDArray[np.bool_]:
    """Which labels lie outside the time of the log; not all of them may."""
    if len(scores.time) == 0:
        raise DataError(f"there are {len(faults):,} fault labels, but the log has no rows")
    is_outside = (faults.end < scores.time.min()) | (faults.start > scores.time.max())
    if is_outside.all():
        raise DataError(
            _outside_words(faults, is_outside, scores),
            hint="give labels of this log, and check the time zone of both",
        )
    return np.asarray(is_outside, np.bool_)


def _outside_words(faults: Labels, is_outside: NDArray[np.bool_], scores: CalibrationScores) -> str:
    n_outside = int(is_outside.sum())
    of_all = f"all {n_outside:,}" if n_outside == len(faults) else f"{n_outside:,} of {len(faults):,}"
    labels = _span(faults.start[is_outside].min(), faults.end[is_outside].max())
    return f"{of_all} fault labels ({labels}) lie outside the log ({_span(scores.time.min(), scores.time.max())})"


def _named(faults: Labels, row: int) -> str:
    kind = faults.kind[row] or "label"
    machine = f" on machine {faults.group[row]!r}" if faults.group[row] else ""
    return f"{kind} {_span(faults.start[row], faults.end[row])}{machine}"


def _span(start: np.int64, end: np.int64) -> str:
    first, last = (np.datetime_as_string(np.datetime64(int(time), "ns"), unit="s") for time in (start, end))
    return f"{first}Z to {last}Z"
