"""Wide logs: one row for each time, one column for each sensor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sensorad.logs.casting import cells_of
from sensorad.logs.format import LogFormat
from sensorad.logs.keys import KeyReader
from sensorad.logs.roles import key_names
from sensorad.logs.sources import LogPart
from sensorad.types import FLAWS, RowBlock, SensorSchema

__all__ = ["WideReader"]

MISSING = FLAWS.index("missing")


class WideReader:
    """One pass over the files of a wide log, which must be given in order."""

    def __init__(self, form: LogFormat, time: str | None, schema: SensorSchema) -> None:
        self._keys = KeyReader(form, time)
        self._key_names = key_names(form, time)
        self._schema = schema
        self._n_read = 0

    def blocks(self, part: LogPart, rows: int) -> Iterator[RowBlock]:
        """Blocks of at most ``rows`` rows; a sensor that the file does not have is missing in each of them."""
        names = self._schema.names
        present = [(column, name) for column, name in enumerate(names) if name in part.fields]
        for place, batch in part.batches((*self._key_names, *(name for _, name in present)), rows):
            keys = self._keys.read(batch, place)
            values = np.zeros((len(batch), len(names)), np.float32)  # (T, C)
            flaw = np.full((len(batch), len(names)), MISSING, np.uint8)
            for position, (column, name) in enumerate(present, start=len(self._key_names)):
                values[:, column], flaw[:, column] = cells_of(batch.column(position), name, place)
            yield RowBlock(
                index=np.arange(self._n_read, self._n_read + len(batch)),
                time=keys.time,
                values=values,
                flaw=flaw,
                group=keys.group,
                group_names=self._keys.group_names,
                mode=keys.mode,
                mode_names=self._keys.modes.names,
                label=keys.label,
            )
            self._n_read += len(batch)

    def finish(self, rows: int) -> Iterator[RowBlock]:
        """Nothing is held back in a wide log."""
        yield from ()
