"""Write a simulated plant as files: normal weeks, faulty weeks right after them, and the labels of the faults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sensorad.errors import StorageError

from .plant import PlantConfig, simulate_plant
from .plant_plan import plan_faults

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PlantFiles", "write_plant"]


@dataclass(frozen=True, slots=True)
class PlantFiles:
    """What `write_plant` wrote."""

    normal: Path
    faulty: Path
    labels: Path


def write_plant(
    directory: str | Path,
    seed: int,
    *,
    normal_days: float = 35.0,
    faulty_days: float = 28.0,
    n_faults: int = 28,
    step_seconds: int = 60,
    start: str = "2024-01-01T00:00:00+00:00",
    force: bool = False,
) -> PlantFiles:
    """Write ``normal.parquet``, ``faulty.parquet`` and ``labels.parquet``, the same bytes for the same arguments.

    The faulty log starts where the normal one ends. Floats are stored without a dictionary and every page with a
    checksum; a file appears complete or not at all.

    Raises
    ------
    UsageError
        Where the faults do not fit into the days.
    StorageError
        Where a file exists and ``force`` is False, or the directory cannot be written.
    """
    folder = Path(directory)
    files = PlantFiles(folder / "normal.parquet", folder / "faulty.parquet", folder / "labels.parquet")
    for path in (files.normal, files.faulty, files.labels):
        if path.exists() and not force:
            raise StorageError("file exists already", where=str(path), hint="choose another directory or force it")
    normal_draws, faulty_draws, plan_draws = np.random.default_rng(seed).spawn(3)
    normal = PlantConfig(normal_days, step_seconds, start)
    end = normal.start_time + timedelta(seconds=normal.n_rows * step_seconds)
    faulty = PlantConfig(faulty_days, step_seconds, end.isoformat())
    plant = simulate_plant(faulty, faulty_draws, plan_faults(faulty, plan_draws, n_faults))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(simulate_plant(normal, normal_draws).table, files.normal, ["mode"])
        _write(plant.table, files.faulty, ["mode"])
        _write(plant.labels, files.labels, ["kind", "fault"])
    except OSError as error:
        raise StorageError(f"cannot write the simulated plant: {error}", where=str(folder)) from error
    return files


def _write(table: pa.Table, path: Path, dictionary_columns: list[str]) -> None:
    import pyarrow.parquet as pq

    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=dictionary_columns, write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
