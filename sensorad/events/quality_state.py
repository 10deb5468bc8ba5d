"""Open quality events of all machines as a few arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sensorad.events.quality_drafts import MOST_EVENTS, WHOLE_ROW, ClockFaults, Draft, DraftBook
from sensorad.events.state_parts import array_in, misfit

__all__ = ["restore_books", "stored_books"]

QUALITY_REASONS = ("overflow", "out_of_range", "flat", "missing", "clock")
"""In states as the position in this tuple."""


def stored_books(books: Sequence[DraftBook], n_sensors: int) -> dict[str, Any]:
    """Everything that the books of ``M`` machines hold; ``D`` drafts, ``E`` pairs of reason and sensor with events."""
    rows = [
        (machine, is_over, draft)
        for machine, book in enumerate(books)
        for is_over, drafts in ((True, book.over), (False, book.open.values()))
        for draft in drafts
    ]
    drafts = [draft for _, _, draft in rows]
    n_events = [
        (machine, QUALITY_REASONS.index(reason), column, count)
        for machine, book in enumerate(books)
        for (reason, column), count in book.n_events.items()
    ]
    clock = [draft.clock or ClockFaults() for draft in drafts]
    blind = [draft.cells for draft in drafts if draft.cells is not None]
    return {
        "machine": np.array([machine for machine, _, _ in rows], np.int64),
        "reason": np.array([QUALITY_REASONS.index(draft.reason) for draft in drafts], np.int64),
        "column": np.array([draft.column for draft in drafts], np.int64),
        "is_over": np.array([is_over for _, is_over, _ in rows], bool),
        "is_last": np.array([draft.is_last for draft in drafts], bool),
        "ends": np.array([(draft.first, draft.last) for draft in drafts], np.int64).reshape(-1, 2, 3),
        "counts": np.array([(d.n_cells, d.n_runs, d.longest) for d in drafts], np.int64).reshape(-1, 3),
        "shown": np.array([(draft.value, draft.expected) for draft in drafts], np.float64).reshape(-1, 2),
        "blind": np.array(blind, np.int64).reshape(-1, n_sensors),
        "clock": np.array(
            [(c.n_gaps, c.longest_gap, c.n_late, c.n_conflicts, c.n_rate) for c in clock], np.int64
        ).reshape(-1, 5),
        "n_events": np.array(n_events, np.int64).reshape(-1, 4),
    }


def restore_books(books: Sequence[DraftBook], n_sensors: int, state: dict[str, Any]) -> None:
    """Put the drafts of `stored_books` into new books of as many machines.

    Raises
    ------
    ArtefactError
        An array is missing or of another shape, or names a machine, sensor or reason that does not exist.
    """
    machine = array_in(state, "machine", np.int64, (None,), low=0)
    n = len(machine)
    reason = array_in(state, "reason", np.int64, (n,), low=0)
    column = array_in(state, "column", np.int64, (n,), low=WHOLE_ROW)
    is_over = array_in(state, "is_over", bool, (n,))
    is_last = array_in(state, "is_last", bool, (n,))
    ends = array_in(state, "ends", np.int64, (n, 2, 3))
    counts = array_in(state, "counts", np.int64, (n, 3), low=0)
    shown = array_in(state, "shown", np.float64, (n, 2))
    clock = array_in(state, "clock", np.int64, (n, 5), low=0)
    is_clock = reason == QUALITY_REASONS.index("clock")
    is_blind = (column == WHOLE_ROW) & (reason == QUALITY_REASONS.index("missing"))
    blind = iter(array_in(state, "blind", np.int64, (int(is_blind.sum()), n_sensors), low=0))
    n_events = array_in(state, "n_events", np.int64, (None, 4))
    for numbers in (np.column_stack([machine, reason, column]), n_events[:, :3]):
        is_foreign = (numbers < (0, 0, WHOLE_ROW)) | (numbers >= (len(books), len(QUALITY_REASONS), max(n_sensors, 1)))
        if is_foreign.any():
            raise misfit("it holds quality events of other machines, sensors or reasons")
    if not (is_clock | is_blind == (column == WHOLE_ROW)).all() or not (counts[~is_clock, 0] > 0).all():
        raise misfit("it holds quality events that cannot be")
    for i in range(n):
        draft = Draft(
            QUALITY_REASONS[reason[i]],
            int(column[i]),
            _place(ends[i, 0]),
            _place(ends[i, 1]),
            n_cells=int(counts[i, 0]),
            n_runs=int(counts[i, 1]),
            longest=int(counts[i, 2]),
            value=float(shown[i, 0]),
            expected=float(shown[i, 1]),
            cells=next(blind) if is_blind[i] else None,
            clock=ClockFaults(*clock[i].tolist()) if is_clock[i] else None,
            is_last=bool(is_last[i]),
        )
        book = books[machine[i]]
        if is_over[i]:
            book.over.append(draft)
        else:
            book.open[draft.reason, draft.column] = draft
    for owner, which, sensor, count in n_events.tolist():
        books[owner].n_events[QUALITY_REASONS[which], sensor] = min(count, MOST_EVENTS)


def _place(row: Any) -> tuple[int, int, int]:
    time, position, number = row.tolist()
    return time, position, number
