"""Stored scores as a command needs them: from the right detector, in time order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sensorad.errors import DataError
from sensorad_cli.scoring import scorer_of

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.logs import StoredScores
    from sensorad.types import ScoreBlock

__all__ = ["is_score_file", "open_scores", "stored_blocks"]


def is_score_file(path: str) -> bool:
    """Whether a path is a Parquet file that `score` wrote, told by its metadata and not by its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        return False
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return False  # damaged or no Parquet: whoever reads it as a log will say so
    return b"sensorad" in metadata


def open_scores(path: str, detector: Detector | None = None) -> StoredScores:
    """The score file, once it is found to speak of the detector's sensors, where a detector is given.

    Raises
    ------
    DataError
        The file is no score file, is damaged, or another detector made it.
    """
    from sensorad.logs import read_scores

    stored = read_scores(path)
    if detector is None:
        return stored
    if stored.sensor_names != detector.schema_.names:
        raise _foreign("other sensors", path)
    # Scores that a script wrote with a bare ScoreWriter do not say; their sensors must do.
    if stored.metadata.get("detector", scorer_of(detector)) != scorer_of(detector):
        raise _foreign("other weights or another way of scoring", path)
    return stored


def _foreign(what: str, path: str) -> DataError:
    hint = "name the detector that made them, or score the log again"
    return DataError(f"these scores come from a detector with {what}", where=path, hint=hint)


def stored_blocks(stored: StoredScores) -> Iterator[ScoreBlock]:
    """Blocks in time order: streamed where the log was in order, else loaded and sorted as the log was."""
    if not stored.metadata.get("n_unsorted"):
        yield from stored.blocks()
        return
    from sensorad.types import ScoreBlock

    whole = ScoreBlock.joined(list(stored.blocks()))
    yield whole.take(np.argsort(whole.time, kind="stable"))
