"""Damaged, truncated, swapped, newer and malicious artefacts are refused quickly, by name and without harm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorad.artefact import contents, read, read_artefact, tensors, write_artefact
from sensorad.errors import ArtefactError, StorageError

EVERY_FILE = (*contents.FILES, contents.SUMS)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    write_artefact(
        tmp_path / "pump.sensorad",
        detector={"model": "linear", "window": 30},
        weights={"basis": np.arange(6, dtype=np.float32).reshape(2, 3), "mask": np.array([True, False])},
        calibration={"threshold": 4.25},
        calibration_arrays={"quantiles": np.array([0.5, 4.25])},
        card="# Pump 3\n",
    )
    return tmp_path / "pump.sensorad"


def recompute_sums(artefact: Path) -> None:
    """What an attacker does after changing a file."""
    lines = [f"{hashlib.sha256((artefact / name).read_bytes()).hexdigest()}  {name}\n" for name in contents.FILES]
    (artefact / contents.SUMS).write_text("".join(lines))


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    members = json.loads(path.read_text())
    change(members)
    path.write_text(json.dumps(members))
    recompute_sums(path.parent)


def put_tensors(artefact: Path, header: bytes, body: bytes = b"") -> None:
    (artefact / contents.WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + body)
    recompute_sums(artefact)


def peak_bytes(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", EVERY_FILE)
def test_any_flipped_bit_is_refused(artefact: Path, name: str) -> None:
    good = (artefact / name).read_bytes()
    bits = range(8 * len(good))
    sample = bits if len(bits) < 300 else np.random.default_rng(0).choice(bits, 300, replace=False).tolist()
    for bit in sample:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        (artefact / name).write_bytes(bad)
        with pytest.raises(ArtefactError, match=r"\.json|safetensors|README\.md|SHA256SUMS"):
            read_artefact(artefact)
    (artefact / name).write_bytes(good)
    read_artefact(artefact)


@pytest.mark.parametrize("name", EVERY_FILE)
def test_truncated_lengthened_emptied_and_missing_files_are_named(artefact: Path, name: str) -> None:
    good = (artefact / name).read_bytes()
    for bad in (*(good[:n] for n in range(0, len(good), 7)), good + b"\n", good + b"\0" * 9):
        (artefact / name).write_bytes(bad)
        with pytest.raises(ArtefactError):
            read_artefact(artefact)
    (artefact / name).unlink()
    with pytest.raises(ArtefactError, match=rf"file is missing \(.*{name}\)"):
        read_artefact(artefact)


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_only_regular_files_are_read(artefact: Path, name: str, kind: str) -> None:
    shutil.move(artefact / name, artefact.parent / "elsewhere")
    if kind == "link":
        (artefact / name).symlink_to(artefact.parent / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(artefact / name)
    else:
        (artefact / name).mkdir()
    with pytest.raises(ArtefactError, match="symbolic link" if kind == "link" else "not a regular file"):
        read_artefact(artefact)


@pytest.mark.parametrize(
    "line",
    [
        "{hash}  ../../etc/passwd",
        "{hash}  /etc/passwd",
        "{hash}  sub/weights.safetensors",
        "{hash}  weights.pkl",
        "{hash}  README.md",
        "{hash} *weights.safetensors",
        "{upper}  notes.txt",
        "",
    ],
)
def test_strange_lines_in_the_sums_are_refused(artefact: Path, line: str) -> None:
    digest = "ab" * 32
    with (artefact / contents.SUMS).open("a") as sums:
        sums.write(line.format(hash=digest, upper=digest.upper()) + "\n")
    with pytest.raises(ArtefactError, match="SHA256SUMS"):
        read_artefact(artefact)


def test_every_file_must_be_listed(artefact: Path) -> None:
    lines = (artefact / contents.SUMS).read_text().splitlines(keepends=True)
    for missing in range(len(lines)):
        (artefact / contents.SUMS).write_text("".join(lines[:missing] + lines[missing + 1 :]))
        with pytest.raises(ArtefactError, match="not listed"):
            read_artefact(artefact)


def test_newer_format_is_refused_by_name(artefact: Path) -> None:
    def make_newer(members: dict[str, Any]) -> None:
        members.update(format_version=7, sensorad_version="9.9.0")

    edit_json(artefact / contents.DETECTOR, make_newer)
    with (artefact / contents.SUMS).open("a") as sums:
        sums.write("ab" * 32 + "  graph.onnx\n")  # a newer format may have more files
    with pytest.raises(ArtefactError, match=r"newer sensorad \(9\.9\.0, format 7; .* up to 1\).*upgrade"):
        read_artefact(artefact)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None, [1]])
def test_impossible_versions_are_refused(artefact: Path, version: object) -> None:
    edit_json(artefact / contents.DETECTOR, lambda members: members.update(format_version=version))
    with pytest.raises(ArtefactError, match="format_version is"):
        read_artefact(artefact)


def test_foreign_json_is_refused(artefact: Path) -> None:
    edit_json(artefact / contents.DETECTOR, lambda members: members.update(format="other"))
    with pytest.raises(ArtefactError, match="not a detector: format is 'other'"):
        read_artefact(artefact)


@pytest.mark.parametrize(
    "text",
    [
        '{"threshold": NaN}',
        '{"threshold": -Infinity}',
        '{"threshold": 1e999}',
        '{"threshold": 1, "threshold": 2}',
        '{"threshold": "\\ud800"}',
        '{"threshold": ' + "9" * 5000 + "}",
        "[" * 200_000,
        '{"a":' * 80 + "1" + "}" * 80,
        "[1]",
        "",
        '{"threshold": 1}x',
    ],
)
@pytest.mark.parametrize("name", [contents.DETECTOR, contents.CALIBRATION])
def test_json_is_strict(artefact: Path, name: str, text: str) -> None:
    (artefact / name).write_text(text)
    recompute_sums(artefact)
    with pytest.raises(ArtefactError, match=name):
        read_artefact(artefact)


def test_json_that_is_not_utf8_is_refused(artefact: Path) -> None:
    (artefact / contents.CALIBRATION).write_bytes(b'{"threshold": "\xff"}')
    recompute_sums(artefact)
    with pytest.raises(ArtefactError, match="not valid JSON"):
        read_artefact(artefact)


def test_swapped_weights_and_calibrations_are_refused_though_the_sums_fit(artefact: Path) -> None:
    other = artefact.parent / "other"
    write_artefact(
        other,
        detector={"model": "linear", "window": 30},
        weights={"basis": np.ones((2, 3), np.float32), "mask": np.array([True, False])},
        calibration={"threshold": 1.0},
        calibration_arrays={"quantiles": np.array([0.5, 1.0])},
        card="",
    )
    for name in (contents.WEIGHTS, contents.CALIBRATION, contents.DETECTOR):
        mixed = artefact.parent / f"mixed-{name}"
        shutil.copytree(artefact, mixed)
        shutil.copy(other / name, mixed / name)
        recompute_sums(mixed)
        with pytest.raises(ArtefactError, match="belongs to other weights"):
            read_artefact(mixed)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["F16", "F32", "F64"])
def test_non_finite_weights_are_refused_though_the_sums_fit(artefact: Path, value: float, dtype: str) -> None:
    body = np.array([1.0, value], f"<f{int(dtype[1:]) // 8}").tobytes()
    header = json.dumps({"basis": {"dtype": dtype, "shape": [2], "data_offsets": [0, len(body)]}})
    put_tensors(artefact, header.encode(), body)
    with pytest.raises(ArtefactError, match=r"'basis' holds NaN or an infinity \(.*weights.safetensors\)"):
        read_artefact(artefact)


def entry(**change: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **change}


@pytest.mark.parametrize(
    "header",
    [
        {"w": entry(dtype="F8_E4M3")},
        {"w": entry(dtype=["F32"])},
        {"w": entry(dtype="C64", shape=[1])},
        {"w": entry(shape=[3])},
        {"w": entry(shape=[-2])},
        {"w": entry(shape=[2.0])},
        {"w": entry(shape=[True, 2])},
        {"w": entry(shape="2")},
        {"w": entry(shape=[2**62, 2**62])},
        {"w": entry(shape=[2] + [1] * 8)},
        {"w": entry(data_offsets=[8, 0])},
        {"w": entry(data_offsets=[8, 16])},
        {"w": entry(data_offsets=[-8, 0])},
        {"w": entry(data_offsets=[0, 2**63])},
        {"w": entry(data_offsets=[0])},
        {"w": entry(data_offsets=[0, 8, 8])},
        {"w": entry(extra=1)},
        {"w": {"dtype": "F32", "shape": [2]}},
        {"w": 7},
        {"a": entry(), "b": entry()},
        {"a": entry(shape=[1], data_offsets=[0, 4]), "b": entry(shape=[1], data_offsets=[3, 7])},
        {"a": entry(shape=[1], data_offsets=[0, 4])},
        {"w": entry(), "e": entry(shape=[0, 2**62], data_offsets=[8, 8])},
        {"w": entry(), "e": entry(shape=[0], data_offsets=[4, 4])},
        {"w": entry(), "__metadata__": {"code": "import os"}},
        {"../w": entry()},
        {"/etc/passwd": entry()},
        {"w\0": entry()},
        {"=cmd()": entry()},
        {"w" * 201: entry()},
        {"": entry()},
        {},
        {"flag": entry(dtype="BOOL", shape=[8])},
    ],
)
def test_headers_that_lie_are_refused(artefact: Path, header: dict[str, Any]) -> None:
    put_tensors(artefact, json.dumps(header).encode(), np.array([1.5, 2.5], "<f4").tobytes())
    with pytest.raises(ArtefactError, match=r"weights\.safetensors"):
        read_artefact(artefact)


def test_duplicate_tensor_names_are_refused(artefact: Path) -> None:
    one = json.dumps(entry())
    put_tensors(artefact, f'{{"w": {one}, "w": {one}}}'.encode(), b"\0" * 8)
    with pytest.raises(ArtefactError, match="duplicate key 'w'"):
        read_artefact(artefact)


def test_six_hundred_thousand_empty_tensors_are_refused_without_parsing(artefact: Path) -> None:
    empty = '"data_offsets":[0,0],"dtype":"F32","shape":[0]'
    put_tensors(artefact, ("{" + ",".join(f'"t{i}":{{{empty}}}' for i in range(600_000)) + "}").encode())
    assert (artefact / contents.WEIGHTS).stat().st_size > 30 * 2**20

    def attempt() -> None:
        with pytest.raises(ArtefactError, match="header claims"):
            read_artefact(artefact)

    assert peak_bytes(attempt) < 8 * 2**20


@pytest.mark.parametrize("key", ["data_offsets", "data\\u005foffsets"])
def test_more_tensors_than_allowed_are_refused(artefact: Path, key: str) -> None:
    empty = f'"{key}":[0,0],"dtype":"F32","shape":[0]'
    header = ("{" + ",".join(f'"t{i}":{{{empty}}}' for i in range(tensors.MAX_TENSORS + 1)) + "}").encode()
    assert len(header) < tensors.MAX_HEADER_BYTES
    put_tensors(artefact, header)
    with pytest.raises(ArtefactError, match=f"more than {tensors.MAX_TENSORS} arrays"):
        read_artefact(artefact)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, tensors.MAX_HEADER_BYTES + 1, 1000])
def test_huge_header_lengths_are_refused_without_allocation(artefact: Path, length: int) -> None:
    (artefact / contents.WEIGHTS).write_bytes(struct.pack("<Q", length) + b"{}")
    recompute_sums(artefact)

    def attempt() -> None:
        with pytest.raises(ArtefactError, match="header claims"):
            read_artefact(artefact)

    assert peak_bytes(attempt) < 4 * 2**20


def test_huge_tensors_are_refused_without_allocation(artefact: Path) -> None:
    size = 2**38
    put_tensors(artefact, json.dumps({"w": entry(shape=[size], data_offsets=[0, 4 * size])}).encode())

    def attempt() -> None:
        with pytest.raises(ArtefactError, match=f"arrays need {4 * size} bytes, the file has 0"):
            read_artefact(artefact)

    assert peak_bytes(attempt) < 4 * 2**20


@pytest.mark.parametrize("name", EVERY_FILE)
def test_files_beyond_their_cap_are_refused_before_reading(artefact: Path, name: str) -> None:
    os.truncate(artefact / name, read._MAX_BYTES[name] + 1)  # sparse: takes no room on the disk

    def attempt() -> None:
        with pytest.raises(ArtefactError, match="are allowed"):
            read_artefact(artefact)

    assert peak_bytes(attempt) < 4 * 2**20


def test_pickles_are_not_even_looked_at(artefact: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(artefact.parent / "pwned"),)

    for name in (contents.DETECTOR, contents.WEIGHTS, contents.CALIBRATION_ARRAYS):
        good = (artefact / name).read_bytes()
        (artefact / name).write_bytes(pickle.dumps(Bomb()))
        recompute_sums(artefact)
        with pytest.raises(ArtefactError):
            read_artefact(artefact)
        (artefact / name).write_bytes(good)
    assert not (artefact.parent / "pwned").exists()


def test_what_is_not_a_directory_is_told_apart(artefact: Path) -> None:
    with pytest.raises(StorageError, match="no such artefact"):
        read_artefact(artefact.parent / "nothing")
    with pytest.raises(ArtefactError, match="is a file"):
        read_artefact(artefact / contents.DETECTOR)
    empty = artefact.parent / "empty"
    empty.mkdir()
    with pytest.raises(ArtefactError, match="SHA256SUMS"):
        read_artefact(empty)


def test_random_bytes_never_escape_the_exception_tree(artefact: Path) -> None:
    rng = np.random.default_rng(1)
    good = (artefact / contents.WEIGHTS).read_bytes()
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 12)):
            bad[rng.integers(len(bad))] = rng.integers(256)
        (artefact / contents.WEIGHTS).write_bytes(bad)
        recompute_sums(artefact)
        if bytes(bad) != good:
            with pytest.raises(ArtefactError):
                read_artefact(artefact)
