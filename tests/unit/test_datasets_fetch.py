"""Fetching: the right addresses, the layout that the loaders read, nothing half-done; no network is touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sensorad.errors import DataError, StorageError, UsageError
from sensorad_datasets import FETCHABLE, fetch_set, fetch_urls, list_series, load_series, verify_set
from sensorad_datasets.images import IMAGE_SETS

SERIES_SETS = [name for name in FETCHABLE if name not in IMAGE_SETS]
CHANNELS = [f"{i / 100:.6f}" for i in range(38)]


def fake_site(url: str) -> bytes:
    """What the publishers' files look like, forty times shorter."""
    if "SKAB" in url:
        head = "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage"
        lines = [
            f"2020-03-09 10:{i // 60:02d}:{i % 60:02d};0.02;0.04;1.3;0.05;79.3;26.0;233.{i % 10};32.0"
            + ("" if "anomaly-free" in url else f";{float(i > 450)};{float(i == 451)}")
            for i in range(500)
        ]
        return "\n".join(
            [head + ";Volume Flow RateRMS" + ("" if "anomaly-free" in url else ";anomaly;changepoint"), *lines]
        ).encode()
    if url.endswith("combined_windows.json"):
        windows = [["2014-07-01 10:00:00.000000", "2014-07-01 12:00:00.000000"]]
        names = [address.split("/data/")[1] for address in fetch_urls("nab")[1:]]
        return json.dumps(dict.fromkeys(names, windows)).encode()
    if "NAB" in url:
        rows = [f"2014-07-0{1 + i // 24} {i % 24:02d}:00:00,{i}.5" for i in range(60)]
        return "\n".join(["timestamp,value", *rows]).encode()
    if "interpretation_label" in url:
        return b"4-6:1,38\n"
    if "test_label" in url:
        return b"0\n0\n0\n0\n1\n1\n0\n0\n"
    return ("\n".join([",".join(CHANNELS)] * 8) + "\n").encode()


@pytest.mark.parametrize("set_name", SERIES_SETS)
def test_fetched_sets_can_be_loaded(set_name: str, tmp_path: Path) -> None:
    seen: list[str] = []
    folder = fetch_set(set_name, tmp_path, read_url=fake_site, report=seen.append)
    assert folder == tmp_path / set_name
    assert seen == fetch_urls(set_name)  # each address once
    assert sorted(path.name for path in tmp_path.iterdir()) == [set_name]
    assert verify_set(set_name, tmp_path) > 0
    for name in list_series(set_name, tmp_path):
        series = load_series(set_name, name, tmp_path)
        assert series.labels.any()
        assert not series.labels.all()


def test_fetched_values_and_labels_are_the_publishers(tmp_path: Path) -> None:
    for set_name in SERIES_SETS:
        fetch_set(set_name, tmp_path, read_url=fake_site)
    machine = load_series("smd", "machine-3-11", tmp_path)
    assert [machine.test[name][0].as_py() for name in machine.sensors] == pytest.approx([i / 100 for i in range(38)])
    assert np.flatnonzero(machine.labels).tolist() == [4, 5]
    assert [(cause.start, cause.end, cause.sensors) for cause in machine.causes] == [(4, 6, ("m00", "m37"))]
    taxi = load_series("nab", "realKnownCause/nyc_taxi", tmp_path)
    assert np.flatnonzero(taxi.labels).tolist() == [10, 11, 12]  # both ends of the window count
    assert (len(list_series("skab", tmp_path)), len(list_series("smd", tmp_path))) == (34, 28)
    types = {str(field.type) for field in pq.read_schema(tmp_path / "skab" / "valve1" / "0.parquet")}
    assert types == {"timestamp[us]", "float", "int8"}


def test_addresses_are_pinned_and_encrypted() -> None:
    for set_name in FETCHABLE:
        for url in fetch_urls(set_name):
            if set_name == "mnist":  # pinned by content: test_image_sets.py
                assert url.startswith("https://")
                continue
            assert url.startswith("https://raw.githubusercontent.com/")
            commit = url.split("/")[5]
            assert len(commit) == 40
            assert int(commit, 16)


def test_a_broken_download_leaves_nothing(tmp_path: Path) -> None:
    def broken(url: str) -> bytes:
        if url.endswith("valve1/3.csv"):
            raise TimeoutError("no answer")
        return fake_site(url)

    with pytest.raises(StorageError, match="no answer"):
        fetch_set("skab", tmp_path, read_url=broken)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_not_the_data_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not the publishers' format"):
        fetch_set("skab", tmp_path, read_url=lambda url: b"<html>moved</html>")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_set_is_kept_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "nab").mkdir()
    (tmp_path / "nab" / "mine").write_text("keep")
    with pytest.raises(StorageError, match="there already"):
        fetch_set("nab", tmp_path, read_url=fake_site)
    assert (tmp_path / "nab" / "mine").read_text() == "keep"
    fetch_set("nab", tmp_path, read_url=fake_site, force=True)
    assert not (tmp_path / "nab" / "mine").exists()


def test_only_https_is_read_and_unknown_sets_are_refused(tmp_path: Path) -> None:
    from sensorad_datasets import fetch

    with pytest.raises(StorageError, match="only https"):
        fetch._download("file:///etc/hostname")
    with pytest.raises(UsageError, match="no single public address"):
        fetch_set("tep", tmp_path)
