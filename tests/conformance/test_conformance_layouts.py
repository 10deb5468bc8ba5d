"""However a log lies on the disk, and however much is computed at once: the same scores, alarms and events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from cases import DEFAULTS, NETWORKS, Case, assert_close, detector_of, score_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plant import messy_log, with_fault
from threadpoolctl import threadpool_limits

import sensorad.error_models.network_errors
import sensorad.error_models.torch_windows
from sensorad import Detector
from sensorad.types import ScoreBlock

N_ROWS = 110
EXAMPLES = 5


def _log(seed: int) -> pd.DataFrame:
    return with_fault(messy_log(N_ROWS, seed), 70, 80)


def _written(log: pd.DataFrame, folder: Path, cuts: set[int], row_group: int) -> list[str]:
    """The log as several Parquet files, in order."""
    table = pa.Table.from_pandas(log, preserve_index=False)
    borders = [0, *sorted(cuts - {0, len(log)}), len(log)]
    paths = []
    for number, (first, stop) in enumerate(pairwise(borders)):
        paths.append(str(folder / f"{number:03d}.parquet"))
        pq.write_table(table.slice(first, stop - first), paths[-1], row_group_size=row_group, write_page_checksum=True)
    return paths


def _scores(detector: Detector, source: object, block_rows: int) -> tuple[ScoreBlock, list[str]]:
    """All scores, and the ids of the events."""
    engine, findings = detector.engine(), detector.findings()
    parts, events = [], []
    for rows in detector.open_log(source).blocks(block_rows):
        parts.append(engine.score(rows))
        events += findings.update(parts[-1], rows)
    events += findings.finish()
    return ScoreBlock.joined(parts), sorted(event.event_id for event in events)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
@settings(max_examples=EXAMPLES)
@given(
    st.integers(0, 20),
    st.sets(st.integers(1, 2 * N_ROWS), max_size=5),
    st.integers(1, 300),
    st.integers(1, 512),
)
def test_files_row_groups_and_blocks_change_no_alarm(
    case: Case, seed: int, cuts: set[int], row_group: int, block_rows: int
) -> None:
    detector = detector_of(case)
    log = _log(seed)
    whole, events = _scores(detector, log, 10**6)
    with tempfile.TemporaryDirectory() as folder:
        parts, again = _scores(detector, _written(log, Path(folder), cuts, row_group), block_rows)
    np.testing.assert_array_equal(parts.status, whole.status)
    assert_close(parts.score, whole.score, detector.threshold_)
    np.testing.assert_array_equal(parts.score > detector.threshold_, whole.score > detector.threshold_)
    assert again == events


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for the products of NumPy and of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_the_number_of_threads_changes_no_alarm(case: Case) -> None:
    detector = detector_of(case)
    [block] = detector.open_log(_log(3)).blocks()
    with _threads(1):
        one = score_rows(detector, block)
    with _threads(2):
        two = score_rows(detector, block)
    np.testing.assert_array_equal(one["status"], two["status"])
    assert_close(two["score"], one["score"], detector.threshold_)
    np.testing.assert_array_equal(two["score"] > detector.threshold_, one["score"] > detector.threshold_)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
@pytest.mark.parametrize("batch", [1, 2, 7, 64, 512])
def test_the_windows_that_a_network_reads_at_once_change_no_alarm(
    case: Case, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = detector_of(case)
    [block] = detector.open_log(_log(4)).blocks()
    usual = score_rows(detector, block)
    monkeypatch.setattr(sensorad.error_models.network_errors, "SCORING_WINDOWS", batch)
    monkeypatch.setattr(sensorad.error_models.torch_windows, "MICRO_BATCH", batch)
    other = score_rows(detector, block)
    assert_close(other["score"], usual["score"], detector.threshold_)
    np.testing.assert_array_equal(other["score"] > detector.threshold_, usual["score"] > detector.threshold_)
