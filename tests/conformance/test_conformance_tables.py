"""What every detector promises of tables: sensors by name, and the kind of table that came in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cases import CASES, DEFAULTS, Case, detector_of
from small_plant import SENSORS, messy_log, with_fault

from sensorad.errors import SchemaError
from sensorad.logs import LogFormat, SensorLog, SortedLog

LOG = with_fault(messy_log(80, seed=31), 60, 70, size=200.0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sensors_are_matched_by_name(case: Case) -> None:
    detector = detector_of(case)
    other = LOG[["valve", "power", "machine", "temperature", "flow", "time", "pressure"]].copy()
    other.insert(2, "spare", np.arange(len(other)) * 1e6)
    other["remark"] = "none"
    pd.testing.assert_frame_equal(detector.score(other), detector.score(LOG), check_exact=True)
    pd.testing.assert_frame_equal(detector.detect(other), detector.detect(LOG), check_exact=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_missing_sensor_is_named_or_allowed(case: Case) -> None:
    detector = detector_of(case)
    lacking = LOG.rename(columns={"power": "powr"})
    with pytest.raises(SchemaError, match=r"'power'.*'powr'"):
        detector.score(lacking)
    table = detector.score(lacking, allow_missing=1)
    silent = detector.score(LOG.assign(power=np.nan))
    pd.testing.assert_frame_equal(table, silent, check_exact=True)
    assert "scored" not in set(table["status"])
    assert "degraded" in set(table["status"])


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_a_log_that_was_opened_with_other_sensors_is_refused(case: Case) -> None:
    """It has a schema of its own, so its columns may stand in another order."""
    form = LogFormat(time="time", group="machine")
    columns = ["time", "machine", *SENSORS[::-1]]
    with pytest.raises(SchemaError, match="open_log"):
        detector_of(case).score(SortedLog(SensorLog(LOG[columns], form)))
    same = detector_of(case).score(SortedLog(SensorLog(LOG, form)))
    pd.testing.assert_frame_equal(same, detector_of(case).score(LOG), check_exact=True)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
@pytest.mark.parametrize("kind", ["arrow", "polars", "files"])
def test_the_kind_of_table_that_came_in_goes_out(case: Case, kind: str, tmp_path: Path) -> None:
    detector = detector_of(case)
    arrow = pa.Table.from_pandas(LOG, preserve_index=False)
    source: object
    if kind == "polars":
        source, wanted = pl.from_arrow(arrow), pl.DataFrame
    elif kind == "arrow":
        source, wanted = arrow, pa.Table
    else:
        source, wanted = tmp_path / "log.parquet", pa.Table
        pq.write_table(arrow, source, write_page_checksum=True)
    for method in ("score", "detect"):
        expected = getattr(detector, method)(LOG)
        found = getattr(detector, method)(source)
        assert isinstance(expected, pd.DataFrame)
        assert isinstance(found, wanted)
        frame = found.to_arrow() if kind == "polars" else found
        again = pa.Table.from_pandas(expected, preserve_index=False)
        assert frame.column_names == again.column_names
        for name in frame.column_names:
            assert frame[name].to_pylist() == again[name].to_pylist(), name
