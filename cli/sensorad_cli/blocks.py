"""Score blocks paired with the rows that they judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sensorad.errors import DataError
from sensorad.types import RowBlock, ScoreBlock

__all__ = ["paired"]


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
            held = more if held is None or len(held) == 0 else ScoreBlock.joined([held, more])
        part, held = held.take(slice(0, len(rows))), held.take(slice(len(rows), None))
        if (part.time != rows.time).any():
            row = int(rows.index[np.flatnonzero(part.time != rows.time)[0]])
            raise _other_log(f"row {row:,} has another time", where)
        yield rows, part
    if (held is not None and len(held)) or next(left, None) is not None:
        raise _other_log("the log ends before the scores do", where)


def _other_log(what: str, where: str) -> DataError:
    return DataError(f"this is not the log that was scored: {what}", where=where, hint="name the scored files again")
