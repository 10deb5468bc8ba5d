"""`read_scores`: stored scores as the same blocks that were written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError
from sensorad.logs.failures import Place, reading
from sensorad.logs.names import NameTable
from sensorad.logs.parquet_files import check_footer, open_parquet, refuse_other_content, verified_batches
from sensorad.logs.score_columns import ScoreColumns, unit_of
from sensorad.logs.sealed_json import unsealed
from sensorad.types import ScoreBlock, SensorSchema

__all__ = ["StoredScores", "read_scores"]

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

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[ScoreBlock]:
        """Score blocks in stored order, in bounded memory; each call starts again."""
        label = str(self.path)
        groups, modes = NameTable(), NameTable()
        first_row = 0
        with reading(label), open_parquet(self.path) as file:
            for batch in verified_batches(file, label, self._layout.schema.names, rows):
                yield self._layout.block(batch, groups, modes, Place(label, first_row))
                first_row += len(batch)


def read_scores(path: str | os.PathLike[str]) -> StoredScores:
    """Open a file that `ScoreWriter` wrote as Parquet."""
    return StoredScores(path)
