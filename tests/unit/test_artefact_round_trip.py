"""What is written is what is read, and the target directory is treated with care."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from sensorad.artefact import (
    ArraySpec,
    ArtefactContents,
    atomic,
    check_arrays,
    check_target,
    contents,
    migrations,
    read,
    read_artefact,
    weights_hash,
    write_artefact,
)
from sensorad.errors import ArtefactError, StorageError

GOLDEN = Path(__file__).parent / "golden" / "artefact_format_1.sensorad"


def parts(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "detector": {
            "model": "linear",
            "window": {"length": 30},
            "sensors": ["TI-101", "Füllstand [m³]"],
            "none": None,
        },
        "weights": {
            "encoder.weight": rng.normal(size=(4, 3)).astype(np.float32),
            "counts": rng.integers(0, 9, size=(2, 2, 2)),
            "scalar": np.array(2.5),
            "mask": np.array([True, False, True]),
            "nothing": np.zeros((0, 3), np.float32),
        },
        "calibration": {"threshold": 4.25 + seed, "rule": {"merge_gap": 3}},
        "calibration_arrays": {"quantiles": rng.normal(size=50)},
        "card": f"# Pump {seed}\n",
    }


def assert_holds(found: ArtefactContents, expected: dict[str, Any]) -> None:
    assert found.detector == expected["detector"]
    assert found.calibration == expected["calibration"]
    for arrays, wanted in (
        (found.weights, expected["weights"]),
        (found.calibration_arrays, expected["calibration_arrays"]),
    ):
        assert arrays.keys() == wanted.keys()
        for name, array in wanted.items():
            assert arrays[name].dtype == array.dtype
            assert arrays[name].shape == array.shape
            np.testing.assert_array_equal(arrays[name], array)


def test_round_trip_is_exact(tmp_path: Path) -> None:
    write_artefact(tmp_path / "a" / "pump.sensorad", **parts())
    found = read_artefact(tmp_path / "a" / "pump.sensorad")
    assert_holds(found, parts())
    assert found.weights_hash == weights_hash(parts()["weights"])
    assert found.format_version == contents.FORMAT_VERSION
    assert found.hashes.keys() == set(contents.FILES)
    assert all(array.flags.writeable for array in found.weights.values())
    assert (tmp_path / "a" / "pump.sensorad" / "README.md").read_text() == "# Pump 0\n"


def test_the_safetensors_library_reads_the_same_arrays(tmp_path: Path) -> None:
    write_artefact(tmp_path / "m", **parts())
    ours, theirs = read_artefact(tmp_path / "m").weights, load_file(tmp_path / "m" / "weights.safetensors")
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


@pytest.mark.parametrize("change", [lambda a: a.T, lambda a: a[::2], lambda a: a.astype(">f4"), lambda a: a[:, ::-1]])
def test_strided_and_foreign_order_arrays_keep_their_values(tmp_path: Path, change: Any) -> None:
    array = change(np.arange(12, dtype=np.float32).reshape(4, 3))
    write_artefact(tmp_path / "m", **{**parts(), "weights": {"w": array}})
    np.testing.assert_array_equal(read_artefact(tmp_path / "m").weights["w"], array)


def test_equal_contents_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_artefact(tmp_path / name, **parts())
    assert read_artefact(tmp_path / "a").hashes == read_artefact(tmp_path / "b").hashes


def test_nothing_to_learn_is_allowed(tmp_path: Path) -> None:
    write_artefact(tmp_path / "m", detector={}, weights={}, calibration={}, calibration_arrays={}, card="")
    found = read_artefact(tmp_path / "m")
    assert (found.detector, found.weights, found.calibration_arrays) == ({}, {}, {})


def test_golden_artefact_of_format_1_loads() -> None:
    found = read_artefact(GOLDEN)
    assert found.format_version == 1
    assert found.detector == {"model": "linear", "sensors": ["TI-101", "Füllstand [m³]"], "window": 30}
    assert found.calibration == {"threshold": 4.25}
    np.testing.assert_array_equal(found.weights["basis"], np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(found.calibration_arrays["quantiles"], [0.5, 4.25])


def test_older_format_is_migrated_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(read, "FORMAT_VERSION", 3)
    monkeypatch.setattr(migrations, "FORMAT_VERSION", 3)
    with pytest.raises(ArtefactError, match="format 1 was never released"):
        read_artefact(GOLDEN)
    monkeypatch.setitem(
        migrations.STEPS, 1, lambda old: replace(old, calibration={"limit": old.calibration["threshold"]})
    )
    monkeypatch.setitem(migrations.STEPS, 2, lambda old: replace(old, calibration={"line": old.calibration["limit"]}))
    found = read_artefact(GOLDEN)
    assert found.calibration == {"line": 4.25}
    assert found.format_version == 1


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("detector", {"scaler": {"floor": float("nan")}}, r"scaler.floor is nan.*\(detector.json\)"),
        ("detector", {"a": [1, np.float32(2)]}, r"a\[1\] is a float32"),
        ("detector", {"a": {1: 2}}, "key 1 under a is not a string"),
        ("detector", {"name": "\ud800"}, "lone surrogate"),
        ("detector", {"format_version": 9}, "'format_version' is written by the artefact itself"),
        ("calibration", {"weights_hash": ""}, "'weights_hash' is written by the artefact itself"),
        ("calibration", {"x": float("inf")}, r"x is inf.*\(calibration.json\)"),
        ("weights", {"w": np.array([1.0, np.nan])}, r"'w' holds NaN.*\(weights.safetensors\)"),
        ("weights", {"../w": np.zeros(2)}, "name '../w' is not allowed"),
        ("weights", {"w": np.array(["text"])}, "has no place in a file"),
        ("weights", {"w": np.zeros(2, complex)}, "has no place in a file"),
        ("weights", {"w": [1.0]}, "is a list"),
        ("calibration_arrays", {"q": np.array([-np.inf])}, r"'q' holds NaN.*\(calibration.safetensors\)"),
        ("card", "\udc80", "lone surrogate"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, part: str, value: Any, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        write_artefact(tmp_path / "m", **{**parts(), part: value})
    assert list(tmp_path.iterdir()) == []


def test_existing_artefact_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "m"
    write_artefact(target, **parts(0))
    with pytest.raises(StorageError, match="exists already"):
        write_artefact(target, **parts(1))
    assert_holds(read_artefact(target), parts(0))
    write_artefact(target, **parts(1), force=True)
    assert_holds(read_artefact(target), parts(1))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_force_never_deletes_what_is_not_an_artefact(tmp_path: Path) -> None:
    target = tmp_path / "m"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(StorageError, match=r"holds 'thesis\.tex'"):
        write_artefact(target, **parts(), force=True)
    assert (target / "thesis.tex").read_text() == "years of work"
    file = tmp_path / "f"
    file.write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        write_artefact(file, **parts(), force=True)
    assert file.read_text() == "x"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StorageError, match="symbolic link"):
        write_artefact(tmp_path / "link", **parts(), force=True)


@pytest.mark.parametrize("path", ["/", "..", "m\0n", "x" * 300])
def test_impossible_targets_are_storage_errors(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError):
        write_artefact(path, **parts(), force=True)
    with pytest.raises((StorageError, ArtefactError)):
        read_artefact(path)


def test_target_is_checked_before_the_work(tmp_path: Path) -> None:
    check_target(tmp_path / "new" / "m")
    assert not (tmp_path / "new").exists()
    write_artefact(tmp_path / "m", **parts())
    check_target(tmp_path / "m", force=True)
    with pytest.raises(StorageError, match="exists already"):
        check_target(tmp_path / "m")
    with pytest.raises(StorageError):
        check_target(tmp_path / "m" / "README.md" / "inside")


def test_artefact_can_be_copied_and_read_through_a_linked_directory(tmp_path: Path) -> None:
    write_artefact(tmp_path / "m", **parts())
    shutil.copytree(tmp_path / "m", tmp_path / "copy")
    (tmp_path / "current").symlink_to(tmp_path / "copy")
    assert_holds(read_artefact(tmp_path / "current"), parts())


def test_unlisted_files_are_never_opened(tmp_path: Path) -> None:
    write_artefact(tmp_path / "m", **parts())
    os.mkfifo(tmp_path / "m" / ".DS_Store")  # opening it would block for ever
    assert_holds(read_artefact(tmp_path / "m"), parts())


def test_leftovers_of_killed_writers_are_swept(tmp_path: Path) -> None:
    for name in (".m.partial-0123abcd", ".m.old-0123abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "detector.json").write_text("{")
    (tmp_path / ".m.partial-notes").mkdir()
    write_artefact(tmp_path / "m", **parts())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".m.partial-notes", "m"]


def test_a_live_writer_is_not_swept(tmp_path: Path) -> None:
    with atomic.fresh_directory(tmp_path / "m", force=True, owned=(*contents.FILES, contents.SUMS)) as staging:
        (staging / "README.md").write_text("mine")
        write_artefact(tmp_path / "m", **parts())
        assert (staging / "README.md").read_text() == "mine"
    assert (tmp_path / "m" / "README.md").read_text() == "mine"


def test_check_arrays_is_an_allow_list() -> None:
    arrays = {"w": np.zeros((4, 3), np.float32), "b": np.zeros(4, np.float32)}
    good = {"w": ArraySpec((4, 3), "float32"), "b": ArraySpec((None,), "float32")}
    check_arrays(arrays, good)
    for change, message in (
        ({"c": ArraySpec((1,), "float32")}, "missing arrays: 'c'"),
        ({"w": ArraySpec((4, 4), "float32")}, r"'w' is float32 \(4, 3\), expected float32 \(4, 4\)"),
        ({"w": ArraySpec((4, 3), "float64")}, "expected float64"),
        ({"b": ArraySpec((4, 1), "float32")}, r"'b' is float32 \(4,\)"),
    ):
        with pytest.raises(ArtefactError, match=message):
            check_arrays(arrays, {**good, **change})
    with pytest.raises(ArtefactError, match=r"unknown arrays: 'x0', 'x1', 'x2' and 2 more \(calibration.safetensors\)"):
        check_arrays({**arrays, **{f"x{i}": arrays["b"] for i in range(5)}}, good, where="calibration.safetensors")


def test_files_are_readable_by_eye_and_by_sha256sum(tmp_path: Path) -> None:
    import hashlib

    write_artefact(tmp_path / "m", **parts())
    assert json.loads((tmp_path / "m" / "detector.json").read_text())["format"] == "sensorad-detector"
    for line in (tmp_path / "m" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "m" / name).read_bytes()).hexdigest() == digest
