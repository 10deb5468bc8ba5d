"""Univariate and tabular sets: NAB, a sample of the UCR archive, AI4I 2020."""

from __future__ import annotations

import numpy as np

from .series import BenchmarkSeries, log_table, row_times
from .storage import SetFolder

__all__ = ["ai4i_series", "load_ai4i", "load_nab", "load_ucr", "nab_series", "ucr_series"]

_PROBATION_SHARE, _PROBATION_ROWS = 0.15, 750
_AI4I_UNITS = {
    "Air temperature [K]": "K",
    "Process temperature [K]": "K",
    "Rotational speed [rpm]": "rpm",
    "Torque [Nm]": "Nm",
    "Tool wear [min]": "min",
}


def nab_series(folder: SetFolder) -> list[str]:
    """All series, such as "realKnownCause/nyc_taxi"."""
    return folder.names()


def load_nab(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the probationary part, the first 15 % but at most 750 rows, and score what follows it.

    ``test`` is the whole file with ``score_from`` at the end of the probation. The set's own time stamps are kept
    with their quirks: gaps, and a few equal or backward steps.
    """
    table = folder.table(f"{series}.parquet")
    times = table["timestamp"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    test = log_table(table, ("value",), times, time_column="timestamp")
    probation = min(int(_PROBATION_SHARE * len(times)), _PROBATION_ROWS)
    return BenchmarkSeries(
        set_name="nab",
        series=series,
        train=test.slice(0, probation),
        test=test,
        labels=table["label"].to_numpy() == 1,
        sensors=("value",),
        step_seconds=float(np.median(np.diff(times))) / 1e9,
        time_column="timestamp",
        score_from=probation,
        notes="first 15 % train, at most 750 rows; labels are scoring windows of 10 % of the file, wider than the "
        "anomalies; naive times taken as UTC; gaps, and duplicate or backward time steps in two files",
    )


def ucr_series(folder: SetFolder) -> list[str]:
    """File names of the archive without their ending."""
    return folder.names()


def load_ucr(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the training rows that the file name gives, test on the rest, which holds exactly one anomaly."""
    table = folder.table(f"{series}.parquet")
    n_train = int(table["is_train"].to_numpy().sum())
    test = table.slice(n_train)
    return BenchmarkSeries(
        set_name="ucr_sample",
        series=series,
        train=log_table(table.slice(0, n_train), ("value",), row_times(n_train, 1.0)),
        test=log_table(test, ("value",), row_times(test.num_rows, 1.0, start_row=n_train)),
        labels=test["label"].to_numpy() == 1,
        sensors=("value",),
        step_seconds=1.0,
        notes="6 of 250 series: a sample; the archive counts a hit if the highest score lies within 100 rows of "
        "the anomaly; no clock is published, the 1 s step is made up",
    )


def ai4i_series(folder: SetFolder) -> list[str]:
    """One series: the whole table."""
    return ["ai4i2020"]


def load_ai4i(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the rows of the first half that did not fail, test on the second half.

    Rows are independent products: only row-wise detectors make sense, and the made-up time means nothing.
    """
    table = folder.table("ai4i2020.parquet")
    failed = table["Machine_failure"].to_numpy() == 1
    half = table.num_rows // 2
    train = table.take(np.flatnonzero(~failed[:half]))
    test = table.slice(half)
    sensors = tuple(_AI4I_UNITS)
    return BenchmarkSeries(
        set_name="ai4i2020",
        series=series,
        train=log_table(train, sensors, row_times(train.num_rows, 60.0), units=_AI4I_UNITS),
        test=log_table(test, sensors, row_times(test.num_rows, 60.0, start_row=train.num_rows), units=_AI4I_UNITS),
        labels=failed[half:],
        sensors=sensors,
        step_seconds=60.0,
        notes="tabular: rows are independent products and the time is made up; failures are taken out of the "
        "training half",
    )
