"""Loaders: verified files, one common shape, the protocol of every set; on made-up sets and on the real ones."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensorad.errors import DataError, StorageError, UsageError
from sensorad_datasets import SET_NAMES, data_root, list_series, load_series, set_cards, verify_set
from sensorad_datasets.images import IMAGE_SETS
from sensorad_datasets.storage import natural_order

REAL = os.environ.get("SENSORAD_DATA")
needs_data = pytest.mark.skipif(not REAL, reason="SENSORAD_DATA names no folder with the public benchmark sets")


def write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def write_split(root: Path, set_name: str, causes: list[dict[str, object]]) -> None:
    """A set of one machine with three channels, 40 training and 30 test rows, rows 10..14 anomalous."""
    values = {f"m{i:02d}": np.arange(40, dtype=np.float32) + i for i in range(3)}
    label = np.zeros(30, np.int8)
    label[10:15] = 1
    folder = root / set_name
    for name in ("train", "test", "interpretation"):
        (folder / name).mkdir(parents=True)
    pq.write_table(pa.table(values), folder / "train" / "box-1.parquet")
    pq.write_table(
        pa.table({**{k: v[:30] for k, v in values.items()}, "label": label}), folder / "test" / "box-1.parquet"
    )
    (folder / "interpretation" / "box-1.json").write_text(json.dumps(causes))
    write_sums(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_split(tmp_path, "smd", [{"start": 10, "end": 15, "dims_1based": [1, 3]}])
    write_split(tmp_path, "asd", [{"start": 10, "end": 14, "dims_1based": [1, 3]}])
    return tmp_path


def test_end_of_a_cause_is_exclusive_whatever_the_set_says(root: Path) -> None:
    for set_name in ("smd", "asd"):
        series = load_series(set_name, "box-1", root)
        (cause,) = series.causes
        assert (cause.start, cause.end, cause.sensors) == (10, 15, ("m00", "m02"))
        assert np.flatnonzero(series.labels).tolist() == list(range(cause.start, cause.end))


def test_sets_without_a_clock_get_one_that_runs_on(root: Path) -> None:
    series = load_series("asd", "box-1", root)
    times = np.concatenate([table["time"].cast("int64").to_numpy() for table in (series.train, series.test)])
    assert str(series.train["time"][0].as_py()) == "2020-01-01 00:00:00+00:00"
    assert times.tolist() == [times[0] + row * 300 * 1_000_000 for row in range(70)]
    assert series.step_seconds == 300.0
    assert series.test.column_names == ["time", "m00", "m01", "m02"]
    assert series.counted.all()


def test_root_comes_from_the_argument_or_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORAD_DATA", str(root))
    assert list_series("smd") == ["box-1"]
    monkeypatch.delenv("SENSORAD_DATA")
    with pytest.raises(StorageError, match="set SENSORAD_DATA or give root="):
        list_series("smd")
    with pytest.raises(StorageError, match="does not exist"):
        data_root(root / "nowhere")
    with pytest.raises(StorageError, match="'tep' is not in the data folder"):
        list_series("tep", root)


def test_changed_bytes_are_noticed_before_they_are_parsed(root: Path) -> None:
    path = root / "smd" / "test" / "box-1.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"sha256 is .* SHA256SUMS says"):
        load_series("smd", "box-1", root)
    with pytest.raises(DataError, match="sha256"):
        verify_set("smd", root)
    assert verify_set("asd", root) == 3


def test_changed_interpretation_is_noticed_too(root: Path) -> None:
    (root / "asd" / "interpretation" / "box-1.json").write_text("[]")
    with pytest.raises(DataError, match=r"interpretation/box-1.json"):
        load_series("asd", "box-1", root)


def test_missing_and_unlisted_files_are_named(root: Path) -> None:
    (root / "smd" / "train" / "box-1.parquet").unlink()
    with pytest.raises(StorageError, match=r"train/box-1.parquet"):
        load_series("smd", "box-1", root)
    sums = root / "asd" / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if "train" not in line))
    with pytest.raises(DataError, match="not listed"):
        load_series("asd", "box-1", root)


@pytest.mark.parametrize("line", ["abc  file", "0" * 64 + "  ../../secret", "0" * 64 + "  /etc/hostname", "0" * 64])
def test_checksum_lists_that_make_no_sense_are_refused(root: Path, line: str) -> None:
    (root / "smd" / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(DataError, match="line 1"):
        list_series("smd", root)


def test_unknown_names_are_refused_with_the_closest(root: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'smd'"):
        load_series("smdd", "box-1", root)
    with pytest.raises(StorageError, match="there is box-1"):
        load_series("smd", "box-2", root)
    with pytest.raises(StorageError, match="has no series"):
        load_series("smd", "../asd/test/box-1", root)


def test_names_sort_as_people_count() -> None:
    assert sorted(["omi-10", "omi-9", "omi-1", "d01"], key=natural_order) == ["d01", "omi-1", "omi-9", "omi-10"]


def test_every_set_has_a_card() -> None:
    cards = {card.name: card for card in set_cards()}
    assert set(cards) == {*SET_NAMES, *IMAGE_SETS, "plant"}
    for card in cards.values():
        assert card.what
        assert card.licence
        assert card.citation
        assert card.source
        assert card.obtain
        assert "{name}" not in card.obtain


@needs_data
@pytest.mark.parametrize("set_name", SET_NAMES)
def test_every_real_series_has_the_common_shape(set_name: str) -> None:
    names = list_series(set_name)
    assert names
    for name in names[:2] + names[-1:]:
        series = load_series(set_name, name)
        n_rows = series.test.num_rows
        assert (series.set_name, series.series) == (set_name, name)
        assert series.notes
        assert series.labels.dtype == bool
        assert series.labels.shape == series.counted.shape == (n_rows,)
        assert 0 <= series.score_from < n_rows
        expected = [series.time_column, *series.sensors]
        expected += [series.group_column] if series.group_column else []
        assert series.train.column_names == series.test.column_names == expected
        for table in (series.train, series.test):
            assert table.num_rows > 0
            assert table.schema.field(series.time_column).type.tz == "UTC"
            assert all(table.schema.field(sensor).type == pa.float32() for sensor in series.sensors)
            assert all(table[sensor].null_count == 0 for sensor in series.sensors)
        times = series.test[series.time_column].cast("int64").to_numpy()
        if set_name != "nab":  # the only set with equal and backward steps of its own
            assert (np.diff(times) > 0).all()
        if series.score_from == 0 and set_name != "batadal":
            last = series.train[series.time_column].cast("int64")[-1].as_py()
            assert times[0] > last
        for cause in series.causes:
            assert 0 <= cause.start < cause.end <= n_rows
            assert set(cause.sensors) <= set(series.sensors)


@needs_data
@pytest.mark.parametrize(
    ("set_name", "series", "n_train", "n_test", "n_sensors", "score_from", "rate"),
    [
        ("skab", "valve1/0", 400, 1147, 8, 400, 0.3496),
        ("tep", "d00", 500, 960, 52, 0, 0.0),
        ("tep", "d04", 500, 960, 52, 0, 800 / 960),
        ("batadal", "attacks1-7", 8761, 4177, 43, 0, 0.118),
        ("smd", "machine-1-2", 23694, 23694, 38, 0, 0.0229),
        ("asd", "omi-11", 8640, 4320, 19, 0, 0.0579),
        ("msl", "C-1", 2158, 2264, 55, 0, 0.1378),
        ("smap", "A-2", 2648, 7914, 25, 0, 0.014),
        ("nab", "realKnownCause/rogue_agent_key_hold", 282, 1882, 1, 282, 0.101),
        ("nab", "realKnownCause/machine_temperature_system_failure", 750, 22695, 1, 750, 0.0999),
        ("ucr_sample", "135_UCR_Anomaly_InternalBleeding16_1200_4187_4199", 1200, 6301, 1, 0, 13 / 6301),
        ("cwru", "IR_7", 108416, 174209, 2, 0, 120000 / 174209),
    ],
)
def test_real_sizes_and_rates_are_those_of_the_set_descriptions(
    set_name: str, series: str, n_train: int, n_test: int, n_sensors: int, score_from: int, rate: float
) -> None:
    loaded = load_series(set_name, series)
    assert (loaded.train.num_rows, loaded.test.num_rows, len(loaded.sensors)) == (n_train, n_test, n_sensors)
    assert loaded.score_from == score_from
    assert loaded.labels.mean() == pytest.approx(rate, abs=6e-4)


@needs_data
def test_skab_context_is_the_training_part_itself() -> None:
    series = load_series("skab", "valve2/0")
    assert series.test.slice(0, 400).equals(series.train)
    assert not series.counted[:400].any()
    assert series.counted[400:].all()
    assert series.train.schema.field("Current").metadata is None  # as published: no units in the files
    assert "anomaly-free/anomaly-free" not in list_series("skab")
    assert not load_series("skab", "anomaly-free/anomaly-free").labels.any()


@needs_data
def test_causes_cover_the_label_runs() -> None:
    """With the right end rule nearly every cause is exactly one run of labelled rows."""
    exact = total = 0
    for set_name in ("smd", "asd"):
        for name in list_series(set_name):
            series = load_series(set_name, name)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], series.labels.astype(int), [0]])))
            runs = set(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
            exact += sum((cause.start, cause.end) in runs for cause in series.causes)
            total += len(series.causes)
    assert total > 200
    assert exact / total > 0.95


@needs_data
def test_tep_labels_begin_at_row_160() -> None:
    labels = load_series("tep", "d01").labels
    assert not labels[:160].any()
    assert labels[160:].all()


@needs_data
def test_hydraulic_segments_never_touch_in_time() -> None:
    series = load_series("hydraulic", "cooler")
    train_segments = set(series.train["segment"].to_pylist())
    assert not train_segments & set(series.test["segment"].to_pylist())
    assert 0.0 < series.labels.mean() < 1.0
    for table in (series.train, series.test):
        times = table["time"].cast("int64").to_numpy() // 1_000_000
        segment = np.array(table["segment"].to_pylist())
        same = segment[1:] == segment[:-1]
        assert set(np.diff(times)[same]) == {1}
        assert (np.diff(times)[~same] > 3000).all()


@needs_data
def test_cmapss_judges_only_what_the_rule_covers() -> None:
    series = load_series("cmapss_fd001", "FD001")
    assert series.ignored is not None
    assert not (series.ignored & series.labels).any()
    assert 0 < series.labels.sum() < series.counted.sum() < series.test.num_rows
    assert len(set(series.test["unit"].to_pylist())) == 67
    assert not set(series.test["unit"].to_pylist()) & set(series.train["unit"].to_pylist())


@needs_data
def test_ai4i_trains_on_products_that_did_not_fail() -> None:
    series = load_series("ai4i2020", "ai4i2020")
    assert series.train.num_rows < series.test.num_rows
    assert 0.0 < series.labels.mean() < 0.06
