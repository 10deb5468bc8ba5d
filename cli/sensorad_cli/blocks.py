"""Score blocks cut, joined and paired with the rows that they judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from sensorad.errors import DataError
from sensorad.types import RowBlock, ScoreBlock

__all__ = ["joined", "paired", "take"]

_ARRAYS = tuple(name for name in ScoreBlock.__slots__ if name != "group_names")


def take(block: ScoreBlock, rows: Any) -> ScoreBlock:
    """The rows chosen by a slice, a mask or positions."""
    return ScoreBlock(group_names=block.group_names, **{name: getattr(block, name)[rows] for name in _ARRAYS})


def joined(blocks: Sequence[ScoreBlock]) -> ScoreBlock:
    """All rows in one block; the last block knows all machines."""
    arrays = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in _ARRAYS}
    return ScoreBlock(group_names=blocks[-1].group_names, **arrays)


def paired(logs: Iterable[RowBlock], scores: Iterable[ScoreBlock], where: str) -> Iterator[tuple[RowBlock, ScoreBlock]]:
    """Blocks of rows with the scores of the same rows, both in input order, however either is cut.

    Raises
    ------
    DataError
        The scores are of other rows; named by ``where``.
    """
    left = iter(scores)
    held: ScoreBlock | None = None
    for rows in logs:
        while held is None or len(held) < len(rows):
            more = next(left, None)
            if more is None:
                n_scores = int(rows.index[0]) + (0 if held is None else len(held))
                raise _other_log(f"the log goes on after row {n_scores:,}", where)
            held = more if held is None or len(held) == 0 else joined([held, more])
        part, held = take(held, slice(0, len(rows))), take(held, slice(len(rows), None))
        if (part.time != rows.time).any():
            row = int(rows.index[np.flatnonzero(part.time != rows.time)[0]])
            raise _other_log(f"row {row:,} has another time", where)
        yield rows, part
    if (held is not None and len(held)) or next(left, None) is not None:
        raise _other_log("the log ends before the scores do", where)


def _other_log(what: str, where: str) -> DataError:
    return DataError(f"this is not the log that was scored: {what}", where=where, hint="name the scored files again")
