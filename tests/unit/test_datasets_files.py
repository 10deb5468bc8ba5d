"""The simulated plant as files: same bytes for the same seed, storage rules, what cannot be written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sensorad.errors import StorageError, UsageError
from sensorad_datasets import PLANT_SENSORS, PlantFiles, write_plant


def write(directory: Path, seed: int = 0, **options: object) -> PlantFiles:
    return write_plant(directory, seed, normal_days=3, faulty_days=7, n_faults=5, **options)  # type: ignore[arg-type]


def test_three_files_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    first, again, other = write(tmp_path / "a"), write(tmp_path / "b"), write(tmp_path / "c", seed=1)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "faulty.parquet",
        "labels.parquet",
        "normal.parquet",
    ]
    for name in ("normal", "faulty", "labels"):
        assert getattr(first, name).read_bytes() == getattr(again, name).read_bytes()
        assert getattr(first, name).read_bytes() != getattr(other, name).read_bytes()


def test_faulty_log_continues_the_normal_one(tmp_path: Path) -> None:
    files = write(tmp_path)
    normal, faulty, labels = (pq.read_table(path) for path in (files.normal, files.faulty, files.labels))
    assert faulty["time"][0].as_py() - normal["time"][-1].as_py() == timedelta(minutes=1)
    assert (normal.num_rows, faulty.num_rows, labels.num_rows) == (3 * 1440, 7 * 1440, 5)
    assert normal.schema == faulty.schema
    assert normal.schema.field("LI-201").metadata[b"unit"] == b"m"
    assert labels["start"][0].as_py() > faulty["time"][0].as_py()
    assert labels["end"][-1].as_py() <= faulty["time"][-1].as_py()
    # Two independent draws, not one log twice.
    rows = slice(0, 1440)
    assert not np.array_equal(normal["SI-101"].to_numpy()[rows], faulty["SI-101"].to_numpy()[rows])


def test_floats_have_no_dictionary_and_pages_have_checksums(tmp_path: Path) -> None:
    path = write(tmp_path).normal
    group = pq.ParquetFile(path).metadata.row_group(0)
    encodings = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    for sensor in PLANT_SENSORS:
        assert "RLE_DICTIONARY" not in encodings[sensor.name]
    damaged = bytearray(path.read_bytes())
    middle = group.column(3).data_page_offset + group.column(3).total_compressed_size // 2
    damaged[middle] ^= 0xFF
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(bytes(damaged))
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(bad, page_checksum_verification=True)


def test_existing_files_are_kept_unless_forced(tmp_path: Path) -> None:
    files = write(tmp_path)
    before = files.normal.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        write(tmp_path, seed=1)
    assert files.normal.read_bytes() == before
    write(tmp_path, seed=1, force=True)
    assert files.normal.read_bytes() != before


def test_nothing_is_left_behind_where_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        write(tmp_path / "file" / "plant")
    with pytest.raises(UsageError, match="do not fit"):
        write_plant(tmp_path / "plant", 0, normal_days=1, faulty_days=1, n_faults=50)
    assert not (tmp_path / "plant").exists()
