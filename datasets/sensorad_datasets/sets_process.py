"""Simulated processes: Tennessee Eastman, BATADAL (water supply), C-MAPSS (turbofan engines)."""

from __future__ import annotations

import numpy as np

from .series import BenchmarkSeries, log_table, row_times
from .storage import SetFolder

__all__ = ["batadal_series", "cmapss_series", "load_batadal", "load_cmapss", "load_tep", "tep_series"]

_TEP_STEP = 180.0
_CMAPSS_STEP = 60.0
_CMAPSS_GAP = 86_400.0
_HEALTHY_RUL = 125  # more cycles left than this: normal
_FAILING_RUL = 30  # this or less: anomalous; between the two: no verdict


def tep_series(folder: SetFolder) -> list[str]:
    """d00 (normal operation) and the faults, such as "d01"."""
    return folder.names("test/")


def load_tep(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the 500 normal rows of d00; test files turn faulty at row 160 (d00 stays normal)."""
    train = folder.table("train/d00.parquet")
    test = folder.table(f"test/{series}.parquet")
    sensors = tuple(name for name in train.column_names if name.startswith(("XMEAS_", "XMV_")))
    return BenchmarkSeries(
        set_name="tep",
        series=series,
        train=log_table(train, sensors, row_times(train.num_rows, _TEP_STEP)),
        test=log_table(test, sensors, row_times(test.num_rows, _TEP_STEP, start_row=train.num_rows)),
        labels=test["label"].to_numpy() == 1,
        sensors=sensors,
        step_seconds=_TEP_STEP,
        notes="the usual threshold is the 99 % quantile of the scores of d00's test file; faults 3, 9 and 15 are known "
        "as undetectable: list them apart; XMEAS_23..41 are analysers, held for 2 or 5 rows",
    )


def batadal_series(folder: SetFolder) -> list[str]:
    """One series: the seven documented attacks of dataset 04."""
    return folder.names("dataset04_")


def load_batadal(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on dataset 03 (a year without attack), test on dataset 04."""
    train = folder.table("dataset03_normal.parquet")
    test = folder.table(f"dataset04_{series}.parquet")
    sensors = tuple(name for name in train.column_names if name.startswith(("L_", "F_", "S_", "P_")))
    tables = [
        log_table(
            table,
            sensors,
            table["datetime"].to_numpy().astype("datetime64[ns]").astype(np.int64),
            time_column="datetime",
            units={name: "m" for name in sensors if name.startswith("L_")},
        )
        for table in (train, test)
    ]
    return BenchmarkSeries(
        set_name="batadal",
        series=series,
        train=tables[0],
        test=tables[1],
        labels=test["label"].to_numpy() == 1,
        sensors=sensors,
        step_seconds=3600.0,
        time_column="datetime",
        notes="label = inside a documented attack; naive times taken as UTC; attackers conceal some channels; the "
        "test has another season and values rounded to 2 decimals",
    )


def cmapss_series(folder: SetFolder) -> list[str]:
    """One series: sub-set FD001."""
    return ["FD001"]


def load_cmapss(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the healthy life of the training engines (more than 125 cycles left), test on the other engines.

    The set has no anomaly label. At most 30 cycles left is anomalous, more than 125 normal, the rows between carry no
    verdict (``ignored``). One row is one flight; engines are groups and lie a day of made-up time apart.
    """
    train = folder.table("train.parquet")
    test = folder.table("test.parquet")
    train = train.take(np.flatnonzero(train["rul"].to_numpy() > _HEALTHY_RUL))
    remaining = test["rul"].to_numpy()
    sensors = tuple(name for name in train.column_names if name.startswith(("setting_", "sensor_")))
    parts = []
    offset = 0.0
    for name, table in (("train", train), ("test", test)):
        unit = table["unit"].to_numpy()
        engine = np.concatenate([[0], np.cumsum(np.diff(unit) != 0)])
        times = row_times(len(unit), _CMAPSS_STEP, offset_seconds=offset)
        times += (engine * round(_CMAPSS_GAP * 1e9)).astype(np.int64)
        offset += (int(times[-1]) - int(times[0])) / 1e9 + _CMAPSS_GAP
        parts.append(log_table(table, sensors, times, groups=("unit", [f"{name}-{number:03d}" for number in unit])))
    return BenchmarkSeries(
        set_name="cmapss_fd001",
        series=series,
        train=parts[0],
        test=parts[1],
        labels=remaining <= _FAILING_RUL,
        sensors=sensors,
        step_seconds=_CMAPSS_STEP,
        group_column="unit",
        ignored=(remaining > _FAILING_RUL) & (remaining <= _HEALTHY_RUL),
        notes="no published anomaly label: remaining life <= 30 cycles is anomalous, > 125 normal, between ignored; "
        "test engines are cut before they fail and only some reach 30 cycles; a row is a flight, its 60 s are made up",
    )
