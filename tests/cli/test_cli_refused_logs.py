"""Logs that cannot be scored: one line that names file, column or row and what to do, the right code, nothing left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_process import cli, left_in

Frame = pd.DataFrame


@dataclass(frozen=True)
class Bad:
    """A log, how it came to be bad, and what must be said about it."""

    name: str
    spoil: Callable[[Frame, Path], None]
    words: tuple[str, ...]
    kind: str = "E_SCHEMA"
    code: int = 3
    options: tuple[str, ...] = ()


def parquet(change: Callable[[Frame], Frame]) -> Callable[[Frame, Path], None]:
    return lambda log, path: change(log).to_parquet(path)


def csv(change: Callable[[Frame], Frame]) -> Callable[[Frame, Path], None]:
    return lambda log, path: change(log).to_csv(path, index=False)


def with_cell(log: Frame, column: str, row: int, value: object) -> Frame:
    changed = log.astype({column: object})
    changed.loc[row, column] = value
    return changed


def naive(log: Frame, start: str = "2024-06-01") -> Frame:
    return log.assign(time=pd.date_range(start, periods=len(log), freq="min"))


def number_times(log: Frame) -> Frame:
    return log.assign(time=log["time"].astype("int64") // 10**6)


def repeated_names(log: Frame, path: Path) -> None:
    table = pa.Table.from_pandas(log, preserve_index=False)
    pq.write_table(table.append_column("flow", table["flow"]), path)


def cut_short(log: Frame, path: Path) -> None:
    log.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-2000])


def one_flipped_page(log: Frame, path: Path) -> None:
    """A bit inside the data; only the page checksum can tell."""
    pq.write_table(
        pa.Table.from_pandas(log, preserve_index=False),
        path,
        write_page_checksum=True,
        use_dictionary=False,
        compression="none",
    )
    content = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(0).column(3)
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0x10
    path.write_bytes(content)


BAD = [
    Bad("lacks.parquet", parquet(lambda log: log.drop(columns="flow")), ("'flow' is missing", "--allow-missing 1")),
    Bad(
        "renamed.parquet",
        parquet(lambda log: log.rename(columns={"power": "Power_1"})),
        ("'power' is missing", "did you mean 'Power_1'"),
    ),
    Bad("twice.parquet", repeated_names, ("twice", "flow")),
    Bad(
        "comma.csv",
        csv(lambda log: with_cell(log, "temp", 7, "12,5")),
        ("comma.csv", "'temp'", "'12,5'", "row 7"),
    ),
    Bad("words.csv", csv(lambda log: with_cell(log, "temp", 900, "ERR")), ("'temp'", "'ERR'", "row 900")),
    Bad(
        "texts.parquet",
        parquet(lambda log: log.assign(temp="warm")),
        ("'temp'", "warm"),
    ),
    Bad(
        "stamps.parquet",
        parquet(lambda log: log.assign(temp=log["time"])),
        ("'temp'", "expected numbers"),
        options=("--time", "time"),
    ),
    Bad("naive.parquet", parquet(naive), ("'time'", "--time-zone"), "E_TIME"),
    Bad(
        "autumn.parquet",
        parquet(lambda log: naive(log, "2024-10-26 12:00")),
        ("2024-10-27T02:00:00", "ambiguous", "Europe/Berlin"),
        "E_TIME",
        options=("--time-zone", "Europe/Berlin"),
    ),
    Bad(
        "spring.parquet",
        parquet(lambda log: naive(log, "2024-03-30 12:00")),
        ("2024-03-31T02:00:00", "does not exist"),
        "E_TIME",
        options=("--time-zone", "Europe/Berlin"),
    ),
    Bad("epochs.parquet", parquet(number_times), ("epochs.parquet", "--time-unit"), "E_TIME"),
    Bad(
        "wrong-unit.parquet",
        parquet(number_times),
        ("outside 2000-2100", "unit"),
        "E_TIME",
        options=("--time-unit", "ms"),
    ),
    Bad(
        "far.parquet",
        parquet(lambda log: log.assign(time=log["time"] + pd.Timedelta("36525D"))),
        ("outside 2000-2100", "row 0"),
        "E_TIME",
    ),
    Bad("no-time.csv", csv(lambda log: with_cell(log, "time", 5, "")), ("time is missing", "row 5"), "E_TIME"),
    Bad(
        "unsorted.parquet",
        parquet(lambda log: log.iloc[::-1]),
        ("goes back", "--strict"),
        "E_TIME",
        options=("--strict",),
    ),
    Bad("empty.parquet", lambda _, path: path.write_bytes(b""), ("empty.parquet", "empty"), "E_DATA"),
    Bad("short.parquet", cut_short, ("short.parquet", "damaged"), "E_DATA"),
    Bad("flipped.parquet", one_flipped_page, ("flipped.parquet", "damaged"), "E_DATA"),
    Bad(
        "noise.parquet",
        lambda _, path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        ("noise.parquet", "not Parquet"),
        "E_DATA",
    ),
    Bad("really-csv.parquet", lambda log, path: log.to_csv(path), ("really-csv.parquet", "not Parquet"), "E_DATA"),
    Bad("log.xlsx", lambda log, path: log.to_csv(path), ("log.xlsx", ".parquet"), "E_DATA"),
    Bad("absent.parquet", lambda *_: None, ("absent.parquet", "does not exist"), "E_IO", 5),
    Bad("folder", lambda _, path: path.mkdir(), ("folder", "no log files"), "E_IO", 5),
    Bad("folder.parquet", lambda _, path: path.mkdir(), ("folder.parquet", "no log files"), "E_IO", 5),
]


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_a_bad_log_is_refused_in_one_line_with_nothing_left(
    bad: Bad, workshop: Path, new_log: Frame, tmp_path: Path
) -> None:
    bad.spoil(new_log, tmp_path / bad.name)
    before = left_in(tmp_path)
    args = ("score", tmp_path / bad.name, "-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet", *bad.options)
    cli(*args).refused(bad.code, bad.kind, *bad.words)
    assert left_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_without_permission_is_refused(workshop: Path, new_log: Frame, tmp_path: Path) -> None:
    path = tmp_path / "secret.parquet"
    new_log.to_parquet(path)
    path.chmod(0)
    args = ("score", path, "-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet")
    cli(*args).refused(5, "E_IO", "secret.parquet", "permission")


def test_one_bad_file_among_several_is_named_and_the_others_are_scored(
    workshop: Path, new_log: Frame, tmp_path: Path
) -> None:
    new_log.iloc[:700].to_parquet(tmp_path / "a.parquet")
    new_log.iloc[700:720].drop(columns="flow").to_parquet(tmp_path / "b.parquet")
    cut_short(new_log.iloc[720:740], tmp_path / "c.parquet")
    new_log.iloc[740:].to_parquet(tmp_path / "d.parquet")
    args = ("score", tmp_path, "-m", workshop / "pump.sensorad", "--json")
    run = cli(*args, "-o", workshop / "some.parquet", "--force").ok(3)
    assert run.err.strip().splitlines()[-1].startswith("error[E_DATA]: 2 of 4 files could not be scored")
    summary = json.loads(run.out)
    assert {Path(name).name for name in summary["skipped"]} == {"b.parquet", "c.parquet"}
    assert "'flow' is missing" in next(text for name, text in summary["skipped"].items() if name.endswith("b.parquet"))
    assert summary["rows"] == len(new_log) - 40 == len(pd.read_parquet(workshop / "some.parquet"))
    cli(*args, "-o", workshop / "none.parquet", "--no-skip-bad").refused(3, "E_DATA", "c.parquet", "damaged")
    assert not (workshop / "none.parquet").exists()


def test_all_files_bad_is_an_error_with_nothing_written(workshop: Path, new_log: Frame, tmp_path: Path) -> None:
    for name in ("a", "b"):
        new_log.drop(columns="temp").to_parquet(tmp_path / f"{name}.parquet")
    args = ("score", tmp_path / "a.parquet", tmp_path / "b.parquet", "-m", workshop / "pump.sensorad")
    cli(*args, "-o", tmp_path / "s.parquet").refused(3, "E_SCHEMA", "a.parquet", "'temp' is missing")
    assert left_in(tmp_path) == {"a.parquet", "b.parquet"}
