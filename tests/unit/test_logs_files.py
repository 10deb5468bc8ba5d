"""Files that are missing, damaged, mislabelled or odd: an error that names them, or the very same numbers."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensorad.errors import DataError, SchemaError, SensoradError, StorageError
from sensorad.logs import LogFormat, SensorLog
from sensorad.types import Sensor, SensorSchema

START = 1_717_243_200
N_ROWS = 300
CSV_TEXT = "time,TI-101,PI-7\n2024-06-01T12:00:00Z,1.5,2\n2024-06-01T12:01:00Z,,3\n"


def table(n_rows: int = N_ROWS) -> pa.Table:
    values = np.random.default_rng(0).normal(size=(2, n_rows)).astype(np.float32)
    times = pa.array(np.arange(START, START + n_rows) * 1_000_000, pa.timestamp("us", "UTC"))
    return pa.table({"time": times, "TI-101": values[0], "PI-7": values[1]})


def parquet(path: Path, data: pa.Table | None = None, checksum: bool = True, **options: Any) -> Path:
    data = table() if data is None else data
    pq.write_table(data, path, use_dictionary=False, write_page_checksum=checksum, **options)
    return path


def everything(source: Any, **options: Any) -> list[Any]:
    log = SensorLog(source, **options)
    blocks = log.blocks(64)
    return [(b.index.tolist(), b.time.tolist(), b.values.tolist(), b.flaw.tolist()) for b in blocks]


def outcome(path: Path, schema: SensorSchema | None) -> Any:
    try:
        return SensorLog(path, schema=schema).schema.names, everything(path, schema=schema)
    except SensoradError as err:
        return err


@pytest.mark.parametrize(("compression", "is_learned"), [("zstd", False), ("none", True)])
def test_flipped_bits_raise_or_change_nothing(compression: str, is_learned: bool, tmp_path: Path) -> None:
    path = parquet(tmp_path / "log.parquet", row_group_size=120, compression=compression)
    schema = None if is_learned else SensorSchema((Sensor("TI-101"), Sensor("PI-7")))
    raw, good = path.read_bytes(), outcome(path, schema)
    dice = random.Random(1)
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    positions = dice.sample(range(footer), 300) + list(range(footer, len(raw)))
    n_refused = 0
    for position in positions:
        damaged = bytearray(raw)
        damaged[position] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        got = outcome(path, schema)
        if isinstance(got, SensoradError):
            n_refused += 1
            assert str(path) in str(got)
        else:
            assert got == good, f"byte {position} changed the numbers unnoticed"
    assert n_refused > len(positions) / 2


def test_truncated_parquet_is_refused_at_any_length(tmp_path: Path) -> None:
    path = parquet(tmp_path / "log.parquet")
    raw = path.read_bytes()
    for length in [*range(0, 64), *range(64, len(raw), 97), len(raw) - 1]:
        path.write_bytes(raw[:length])
        with pytest.raises(DataError, match=r"log\.parquet"):
            everything(path)


def test_missing_file_and_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"does not exist.*gone\.parquet"):
        SensorLog(tmp_path / "gone.parquet")
    with pytest.raises(StorageError, match=r"does not exist.*gone\.csv"):
        SensorLog([tmp_path / "gone.csv"])
    with pytest.raises(StorageError, match=r"does not exist.*gone"):
        SensorLog(tmp_path / "gone")
    with pytest.raises(StorageError, match="holds no log files"):
        SensorLog(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"unknown kind of log file '\.txt'"):
        SensorLog(tmp_path / "notes.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_file_without_permission(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(CSV_TEXT)
    path.chmod(0)
    with pytest.raises(StorageError, match="no permission"):
        SensorLog(path)


def test_system_errors_become_storage_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "log.parquet")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"no permission to read.*log\.parquet"):
        SensorLog(path)


def test_mislabelled_files(tmp_path: Path) -> None:
    raw = parquet(tmp_path / "good.parquet").read_bytes()
    for name, content, message in [
        ("csv.parquet", CSV_TEXT.encode(), "not Parquet"),
        ("empty.parquet", b"", "file is empty"),
        ("short.parquet", b"PAR1", "damaged"),
        ("parquet.csv", raw, "found Parquet"),
        ("zip.csv", gzip.compress(CSV_TEXT.encode()), "found gzip"),
        ("plain.csv.gz", CSV_TEXT.encode(), "damaged"),
        ("binary.csv", b"time,a\n\0\0\0", "found binary"),
        ("utf16.csv", CSV_TEXT.encode("utf-16"), "binary|UTF-8"),
        ("latin.csv", b"time,Temp\xe9rature\n", "UTF-8"),
        ("endless.csv", b"1" * 300_000, "no line end"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            everything(tmp_path / name)
        assert name in str(caught.value)


def test_directory_with_the_name_of_a_file_is_read_as_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "log.parquet"
    folder.mkdir()
    parquet(folder / "part-0.parquet")
    assert SensorLog(folder).n_rows == N_ROWS


def test_files_without_checksums_are_named_in_one_note(tmp_path: Path) -> None:
    good = parquet(tmp_path / "good.parquet")
    plain = [parquet(tmp_path / f"plain{n}.parquet", checksum=False) for n in range(2)]
    assert SensorLog(good).notes == []
    assert SensorLog([good, *plain]).notes == [
        f"no page checksums, damage may go unnoticed: {plain[0]}, {plain[1]}",
    ]
    words = tmp_path / "words.parquet"
    pq.write_table(table().append_column("w", pa.array(["a"] * N_ROWS)), words, write_page_checksum=True)
    assert not any("checksum" in note for note in SensorLog(words).notes)


def test_bad_files_are_skipped_on_request(tmp_path: Path) -> None:
    good = parquet(tmp_path / "a.parquet")
    broken = tmp_path / "b.parquet"
    broken.write_bytes(good.read_bytes()[:500])
    other = parquet(tmp_path / "c.parquet", table().rename_columns(["time", "TI-101", "PI-8"]))
    late = parquet(tmp_path / "d.parquet")
    raw = bytearray(late.read_bytes())
    raw[300] ^= 1
    late.write_bytes(raw)
    gone = tmp_path / "gone.parquet"
    paths = [good, broken, other, late, gone, good]
    with pytest.raises(StorageError):
        SensorLog(paths[-2:])
    log = SensorLog(paths, skip_bad_files=True)
    assert set(log.bad_files) == {str(broken), str(other), str(gone)}
    assert log.files == (str(good), str(late), str(good))
    for _ in range(2):
        indices = np.concatenate([block.index for block in log.blocks()])
        assert indices.tolist() == list(range(2 * N_ROWS))
    assert set(log.bad_files) == {str(broken), str(other), str(gone), str(late)}
    assert sum("file skipped" in note for note in log.notes) == 4
    with pytest.raises(DataError):
        SensorLog([broken], skip_bad_files=True)


def test_csv_cells(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = ["1.5,x", ",y", "NaN,", "nan,", "null,", '" 2 ",', "-0,", "1e300,", "-inf,"]
    path.write_text("time,TI-101,word\n" + "".join(f"2024-06-01T12:00:0{n}Z,{row}\n" for n, row in enumerate(rows)))
    [(_, _, values, flaw)] = everything(path)
    assert [value for [value] in values] == [1.5, 0, 0, 0, 0, 2, 0, 0, 0]
    assert [f for [f] in flaw] == [0, 1, 1, 1, 1, 0, 0, 3, 2]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "LOG.CSV"])
def test_csv_dialects(ending: str, mark: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = (mark + "\n" + CSV_TEXT.replace("\n", ending) + "\n").encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    [(index, _, values, flaw)] = everything(path)
    assert (index, values, flaw) == ([0, 1], [[1.5, 2], [0, 3]], [[0, 0], [1, 0]])


def test_decimal_comma_is_an_error_not_a_column_to_pass_over(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("time;TI-101;PI-7\n2024-06-01T12:00Z;12,5;3\n2024-06-01T12:01Z;12,6;4\n")
    with pytest.raises(SchemaError, match=r"'12,5'.*log\.csv, column 'TI-101', row 0"):
        SensorLog(path)


def test_column_without_a_name_is_no_sensor(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(",time,TI-101\n0,2024-06-01T12:00Z,1\n1,2024-06-01T12:01Z,2\n")
    log = SensorLog(path)
    assert log.schema.names == ("TI-101",)
    assert next(log.blocks()).values.tolist() == [[1], [2]]


def test_ragged_and_cut_csv_are_refused(tmp_path: Path) -> None:
    for name, content in [("ragged.csv", CSV_TEXT + "2024-06-01T12:02Z,1\n"), ("cut.csv", CSV_TEXT + "2024-06-01T12")]:
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(DataError, match=rf"Expected 3 columns.*{name}"):
            everything(path)
    path = tmp_path / "cut.csv.gz"
    rows = "".join(f"2024-06-01T12:00:00Z,{value},1\n" for value in np.random.default_rng(0).random(50_000))
    path.write_bytes(gzip.compress(("time,a,b\n" + rows).encode())[:-1000])
    with pytest.raises(DataError, match=r"cut\.csv\.gz"):
        everything(path)


def test_quoted_line_ends_stay_in_their_cell(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    n_rows = 30_000
    path.write_text("time,note,TI-101\n" + "".join(f'2024-06-01T12:00Z,"two\nlines",{n}\n' for n in range(n_rows)))
    values = np.concatenate([block.values[:, 0] for block in SensorLog(path).blocks()])
    assert values.tolist() == list(range(n_rows))


def test_single_column_keeps_its_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("TI-101\n1\n\n3\n")
    block = next(SensorLog(path, LogFormat(time_step_seconds=60)).blocks())
    assert block.flaw.ravel().tolist() == [0, 1, 0]


def test_csv_larger_than_its_blocks_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    n_rows = 30_000
    path.write_text("time,TI-101\n" + "".join(f"{START + row},{row}\n" for row in range(n_rows)))
    log = SensorLog(path, LogFormat(time="time", time_unit="s"))
    blocks = list(log.blocks(1_000))
    assert np.concatenate([block.index for block in blocks]).tolist() == list(range(n_rows))
    assert np.concatenate([block.values[:, 0] for block in blocks]).tolist() == list(range(n_rows))


def test_rows_wider_than_a_block_are_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    n_columns = 4_000
    row = ",".join(["1.25" + "0" * 70] * n_columns)
    path.write_text(",".join(f"sensor{n}" for n in range(n_columns)) + "\n" + f"{row}\n" * 3)
    log = SensorLog(path, LogFormat(time_step_seconds=1))
    assert sum(float(block.values.sum()) for block in log.blocks()) == 1.25 * n_columns * 3


def test_time_faults_name_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("time,a\n" + "2024-06-01T12:00Z,1\n" * 700 + "2024-06-31T12:00Z,1\n")
    log = SensorLog(path)
    with pytest.raises(DataError, match=r"2024-06-31.*log\.csv, column 'time', row 700"):
        list(log.blocks(100))


def test_int96_times_are_naive(tmp_path: Path) -> None:
    path = tmp_path / "spark.parquet"
    pq.write_table(table(3), path, use_deprecated_int96_timestamps=True)
    [(_, times, _, _)] = everything(path, format=LogFormat(time_zone="UTC"))
    assert times == [(START + row) * 10**9 for row in range(3)]
