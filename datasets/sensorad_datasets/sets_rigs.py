"""Test rigs: SKAB (water circuit), the hydraulic rig of ZeMA, CWRU (bearing vibration)."""

from __future__ import annotations

import numpy as np

from .series import BenchmarkSeries, log_table, row_times
from .storage import SetFolder

__all__ = ["cwru_series", "hydraulic_series", "load_cwru", "load_hydraulic", "load_skab", "skab_series"]

_SKAB_TRAIN_ROWS = 400
_SKAB_SENSORS = (
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
)
_HYDRAULIC_UNITS = {
    "TS1": "degC",
    "TS2": "degC",
    "TS3": "degC",
    "TS4": "degC",
    "VS1": "mm/s",
    "CE": "%",
    "CP": "kW",
    "SE": "%",
}
_CWRU_UNITS = {"DE": "g", "FE": "g"}
_CWRU_RATE = 48_000
_GAP_SECONDS = 3600.0  # between stretches that do not touch: far longer than any window


def skab_series(folder: SetFolder) -> list[str]:
    """The labelled files, such as "valve1/0"; the anomaly-free file has nothing to detect and is not listed."""
    return [name for name in folder.names() if not name.startswith("anomaly-free")]


def load_skab(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the first 400 rows of the file, score the rest: the protocol of the publishers' leaderboard.

    ``test`` is the whole file with ``score_from`` = 400: the training rows lie before the scored ones, so reading
    them as context looks at no future. Units stay undeclared, as in the published files.
    "anomaly-free/anomaly-free" can be loaded too; its labels are all False.
    """
    table = folder.table(f"{series}.parquet")
    sensors = _SKAB_SENSORS
    times = table["datetime"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    test = log_table(table, sensors, times, time_column="datetime")
    labelled = "anomaly" in table.column_names
    return BenchmarkSeries(
        set_name="skab",
        series=series,
        train=test.slice(0, _SKAB_TRAIN_ROWS),
        test=test,
        labels=table["anomaly"].to_numpy() == 1 if labelled else np.zeros(len(times), bool),
        sensors=sensors,
        step_seconds=1.0,
        time_column="datetime",
        score_from=_SKAB_TRAIN_ROWS,
        notes="first 400 rows train, rest scored; naive times taken as UTC; the one anomaly of each file lies at about "
        "the same rows, so position alone scores high; in other/2 rows 104..399 of the training part are anomalous",
    )


def hydraulic_series(folder: SetFolder) -> list[str]:
    """One series: the cooler's condition."""
    return ["cooler"]


def load_hydraulic(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on segments with a healthy cooler; test on every third of those and on all with a failing cooler.

    A segment is a run of 60 s load cycles under equal conditions. Segments do not touch in the shared file, so they
    lie an hour apart in time and carry their own group.
    """
    table = folder.table("hydraulic_1hz.parquet")
    segment = table["segment"].to_numpy().astype(np.int64)
    label = table["label"].to_numpy() == 1
    healthy = np.unique(segment[~label])
    in_test = label | np.isin(segment, healthy[2::3])
    border = np.concatenate([[0], np.cumsum(np.diff(segment) != 0)])
    parts = []
    offset = 0.0
    for rows in (np.flatnonzero(~in_test), np.flatnonzero(in_test)):
        stretch = np.concatenate([[0], np.cumsum(np.diff(border[rows]) != 0)])
        times = row_times(len(rows), 1.0) + np.round((stretch * _GAP_SECONDS + offset) * 1e9).astype(np.int64)
        offset = (int(times[-1]) - int(row_times(1, 1.0)[0])) / 1e9 + _GAP_SECONDS
        groups = ("segment", [str(number) for number in segment[rows]])
        parts.append(log_table(table.take(rows), tuple(_HYDRAULIC_UNITS), times, groups=groups, units=_HYDRAULIC_UNITS))
    return BenchmarkSeries(
        set_name="hydraulic",
        series=series,
        train=parts[0],
        test=parts[1],
        labels=label[in_test],
        sensors=tuple(_HYDRAULIC_UNITS),
        step_seconds=1.0,
        group_column="segment",
        notes="label = cooler below 100 % (the publishers give component states only); two thirds of the healthy "
        "segments train, every third is in the test; the other components fail in both parts",
    )


def cwru_series(folder: SetFolder) -> list[str]:
    """The fault files, such as "IR_7": fault and diameter in thousandths of an inch."""
    return folder.names("1797_", "_DE48.parquet")


def load_cwru(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the first two thirds of the normal file; test on its last third followed by the faulty file."""
    import pyarrow as pa

    normal = folder.table("1797_Normal.parquet")
    faulty = folder.table(f"1797_{series}_DE48.parquet")
    sensors = tuple(_CWRU_UNITS)
    n_train = normal.num_rows * 2 // 3
    step = 1.0 / _CWRU_RATE
    test = pa.concat_tables([normal.slice(n_train), faulty])
    n_normal = normal.num_rows - n_train
    test_times = np.concatenate(
        [
            row_times(n_normal, step, start_row=n_train),
            row_times(faulty.num_rows, step, start_row=normal.num_rows, offset_seconds=_GAP_SECONDS),
        ]
    )
    return BenchmarkSeries(
        set_name="cwru",
        series=series,
        train=log_table(normal.slice(0, n_train), sensors, row_times(n_train, step), units=_CWRU_UNITS),
        test=log_table(test, sensors, test_times, units=_CWRU_UNITS),
        labels=np.arange(test.num_rows) >= n_normal,
        sensors=sensors,
        step_seconds=step,
        notes="48 kHz throughout; an hour of made-up time lies between the normal and the faulty recording; the "
        "signal's level alone separates the two: a smoke test, not a ranking benchmark",
    )
