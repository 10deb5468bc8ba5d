"""`read_scores`: stored scores as the same blocks that were written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError
from sensorad.logs.failures import Place, reading
from sensorad.logs.footnotes import quality_of
from sensorad.logs.names import NameTable
from sensorad.logs.parquet_files import check_footer, open_parquet, refuse_other_content, verified_batches
from sensorad.logs.score_columns import ScoreColumns, unit_of
from sensorad.logs.sealed_json import unsealed
from sensorad.types import ScoreBlock, SensorSchema

__all__ = ["StoredScores", "is_score_file", "read_scores"]

BLOCK_ROWS = 16_384


class StoredScores:
    """A score file, its metadata checked on opening and its pages while they are read.

    Attributes
    ----------
    metadata : dict
        What `ScoreWriter` stored: format, time, group, threshold, sensors and the extra values.
    schema : SensorSchema
    time_name, group_name : str, str or None
    mode_name : str or None
    line : AlarmLine or None
    n_rows : int
    quality_events : list of Event
        What was found wrong with the data when the log was scored.

    Raises
    ------
    DataError, StorageError
        If the file is not a score file, is damaged, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        label = str(path)
        refuse_other_content(self.path)
        with reading(label), open_parquet(self.path) as file:
            check_footer(file, label)
            stored, self.n_rows = file.schema_arrow, file.metadata.num_rows
            self.quality_events = quality_of(file.metadata.metadata, label)
        self.metadata: dict[str, Any] = unsealed(stored.metadata, kind="scores", label=label)
        self.schema = SensorSchema.from_json(self.metadata["sensors"])
        self.time_name: str = self.metadata["time"]
        self.group_name: str | None = self.metadata["group"]
        self.mode_name: str | None = self.metadata.get("mode")
        threshold: float | None = self.metadata["threshold"]
        self.line = None if threshold is None else AlarmLine(threshold, self.metadata.get("mode_thresholds", {}))
        unit = unit_of(stored, self.time_name)
        self._layout = ScoreColumns(self.sensor_names, self.time_name, self.group_name, self.line, unit, self.mode_name)
        if not stored.equals(self._layout.schema):
            raise DataError("columns are not those of a score file", where=label, hint="write it again")

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """What ``top_sensors`` points to."""
        return self.schema.names

    def blocks(self, rows: int = BLOCK_ROWS, *, with_blame: bool = True) -> Iterator[ScoreBlock]:
        """Score blocks in stored order, in bounded memory; each call starts again.

        Without blame no sensor is named and no value given: several times faster, and all that a threshold needs.
        """
        label = str(self.path)
        groups, modes = NameTable(), NameTable()
        first_row = 0
        with reading(label), open_parquet(self.path) as file:
            for batch in verified_batches(file, label, self._layout.stored_names(with_blame), rows):
                yield self._layout.block(batch, groups, modes, Place(label, first_row))
                first_row += len(batch)

    def blocks_in_order(self, *, with_blame: bool = True) -> Iterator[ScoreBlock]:
        """Blocks in time order: streamed where the log was in order, else loaded and sorted as the log was."""
        if not self.metadata.get("n_unsorted"):
            yield from self.blocks(with_blame=with_blame)
            return
        whole = ScoreBlock.joined(list(self.blocks(with_blame=with_blame)))
        yield whole.take(np.argsort(whole.time, kind="stable"))


def is_score_file(source: object) -> bool:
    """Whether ``source`` is the path of a Parquet file that holds scores, told by its metadata and not by its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(source, str | os.PathLike) or not Path(source).is_file():
        return False
    try:
        metadata = pq.read_schema(source).metadata or {}
    except (OSError, pa.ArrowException):
        return False  # damaged or no Parquet: whoever reads it as a log will say so
    return b"sensorad" in metadata


def read_scores(path: str | os.PathLike[str]) -> StoredScores:
    """Open a file that `ScoreWriter` wrote as Parquet."""
    return StoredScores(path)
