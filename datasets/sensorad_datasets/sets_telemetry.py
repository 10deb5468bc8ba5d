"""Servers and spacecraft: SMD, ASD, MSL, SMAP; one train and one test file a machine or channel."""

from __future__ import annotations

from .series import BenchmarkSeries, Cause, log_table, row_times
from .storage import SetFolder

__all__ = ["load_asd", "load_msl", "load_smap", "load_smd", "split_series"]


def split_series(folder: SetFolder) -> list[str]:
    """Machines or channels that have a test file."""
    return folder.names("test/")


def load_smd(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the first half of five weeks of one server, test on the second; ends of causes are exclusive."""
    return _load(
        folder,
        "smd",
        series,
        60.0,
        end_is_inclusive=False,
        notes="channels scaled to [0, 1] over train and test together by the publishers; several are constant in "
        "training; averages over fewer than the 28 machines compare with no published ones",
    )


def load_asd(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the first 30 days of one server, test on the next 15; ends of causes are inclusive in the files."""
    return _load(
        folder,
        "asd",
        series,
        300.0,
        end_is_inclusive=True,
        notes="channels scaled to [0, 1] by the publishers; omi-11 has one cause more than label runs",
    )


def load_msl(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the train file of one Curiosity channel, test on its test file."""
    return _load(folder, "msl", series, 60.0, notes=_SPACECRAFT)


def load_smap(folder: SetFolder, series: str) -> BenchmarkSeries:
    """Fit on the train file of one SMAP channel, test on its test file."""
    return _load(folder, "smap", series, 60.0, notes=_SPACECRAFT)


_SPACECRAFT = (
    "only 'value' is a measurement, the rest are 0/1 commands, most of them constant; labels are coarse and disputed; "
    "point-adjusted scores of papers are not comparable"
)


def _load(
    folder: SetFolder,
    set_name: str,
    series: str,
    step_seconds: float,
    *,
    end_is_inclusive: bool | None = None,
    notes: str,
) -> BenchmarkSeries:
    """``end_is_inclusive`` says how the set counts the ends of its interpretation; None where it has none."""
    train = folder.table(f"train/{series}.parquet")
    test = folder.table(f"test/{series}.parquet")
    sensors = tuple(train.column_names)
    causes: tuple[Cause, ...] = ()
    if end_is_inclusive is not None:
        causes = tuple(
            Cause(row["start"], row["end"] + end_is_inclusive, tuple(sensors[i - 1] for i in row["dims_1based"]))
            for row in folder.json(f"interpretation/{series}.json")
        )
    return BenchmarkSeries(
        set_name=set_name,
        series=series,
        train=log_table(train, sensors, row_times(train.num_rows, step_seconds)),
        test=log_table(test, sensors, row_times(test.num_rows, step_seconds, start_row=train.num_rows)),
        labels=test["label"].to_numpy() == 1,
        sensors=sensors,
        step_seconds=step_seconds,
        causes=causes,
        notes=notes,
    )
