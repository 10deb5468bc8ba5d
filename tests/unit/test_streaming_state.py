"""The state of a stream: whole or refused, of this model and calibration or refused by name."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sensorad import Detector, load
from sensorad.config import DetectorConfig
from sensorad.errors import ArtefactError, StorageError
from sensorad.streaming import Stream, state_file
from sensorad.streaming.state_file import pack, read_state, unpack, write_state
from sensorad.thresholds import QuantileThreshold

MINUTE = 60 * 10**9
START = 20_000 * 1440 * MINUTE
OWNER = {"model": "a" * 64, "calibration": "b" * 64}


def _values(n_rows: int, seed: int) -> np.ndarray:
    wave = np.sin(np.arange(n_rows) / 5.0)[:, None]
    return np.array([1.0, 2.0, -1.0]) * wave + 0.1 * np.random.default_rng(seed).normal(size=(n_rows, 3))


def _log(seed: int = 0) -> pd.DataFrame:
    log = pd.DataFrame(_values(700, seed), columns=["flow", "power", "level"])
    log["time"] = pd.date_range("2024-05-01", periods=700, freq="min", tz="UTC")
    return log


@cache
def _detector(seed: int = 0, q: float = 0.97) -> Detector:
    return Detector(config=DetectorConfig(window=6, lags=2), threshold=QuantileThreshold(q)).fit(_log(seed))


def _fed(stream: Stream, first: int, stop: int) -> list[dict]:
    """Rows of three machines, one of which has an open event, and some of which wait or are set aside."""
    found = []
    values = _values(200, 1)
    values[40:, 1] += 3.0
    for at in range(first, stop):
        for name in ("east", "west", "north"):
            row = values[at] if name == "west" else values[at % 40]
            ahead = 90_000 if name == "north" and at % 50 >= 48 else 0
            cells = [None, *row[1:]] if at % 7 == 3 else row
            found += [row.to_json() for row in stream.push(START + (at + ahead) * MINUTE, cells, name)]
    return found


@cache
def _state() -> bytes:
    stream = _detector().stream(lateness_seconds=120)
    _fed(stream, 0, 50)
    assert stream.ongoing()
    assert stream.counts["waiting"]
    assert stream.counts["far_future"]
    return stream.state_bytes()


def test_a_file_is_as_good_as_bytes(tmp_path: Path) -> None:
    stream = _detector().stream(lateness_seconds=120)
    _fed(stream, 0, 50)
    path = tmp_path / "pump.state"
    stream.save(path)
    assert path.read_bytes() == stream.state_bytes() == _state()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pump.state"]
    expected = _fed(stream, 50, 90)
    for state in (path, str(path), _state()):
        again = _detector().stream(state=state, lateness_seconds=120)
        assert _fed(again, 50, 90) == expected
        assert again.counts == stream.counts
        assert again.state_bytes() == stream.state_bytes()


def test_a_state_outlives_the_process_and_the_detector_object(tmp_path: Path) -> None:
    _detector().save(tmp_path / "pump.sensorad")
    stream = load(tmp_path / "pump.sensorad").stream(state=_state(), lateness_seconds=120)
    assert _fed(stream, 50, 60) == _fed(_detector().stream(state=_state(), lateness_seconds=120), 50, 60)


def test_a_later_row_does_not_change_a_state_that_was_taken() -> None:
    stream = _detector().stream(lateness_seconds=120)
    _fed(stream, 0, 50)
    state = stream._core.state()
    before = pack(state, OWNER)
    _fed(stream, 50, 60)
    assert pack(state, OWNER) == before


def test_any_flipped_byte_is_refused() -> None:
    data, detector = _state(), _detector()
    rng = np.random.default_rng(0)
    places = {*range(0, 80), *rng.integers(0, len(data), 300).tolist(), len(data) - 1}
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ArtefactError, match=r"damaged|not the state|newer"):
            detector.stream(state=bytes(damaged))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 19, 20, 51, 52, 59, 60, 61, 200, -1])
def test_a_state_cut_short_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"damaged|not the state"):
        _detector().stream(state=_state()[:length])
    path = tmp_path / "cut.state"
    path.write_bytes(_state()[:length])
    with pytest.raises(ArtefactError, match=r"damaged|not the state") as found:
        _detector().stream(state=path)
    assert "cut.state" in str(found.value)


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(ArtefactError, match="damaged"):
        _detector().stream(state=_state() + b"\0")


def test_a_newer_state_is_refused_by_name() -> None:
    data = bytearray(_state())
    data[16:20] = (state_file.FORMAT_VERSION + 1).to_bytes(4, "little")
    with pytest.raises(ArtefactError, match=r"newer sensorad \(format 3; this program reads up to 2\)"):
        _detector().stream(state=bytes(data))


def test_another_model_is_refused_by_name() -> None:
    with pytest.raises(ArtefactError, match="belongs to another model"):
        _detector(seed=5).stream(state=_state())


def test_another_calibration_is_refused_by_name() -> None:
    other = Detector(config=DetectorConfig(window=6, lags=2), threshold=QuantileThreshold(0.9)).fit(_log())
    with pytest.raises(ArtefactError, match="belongs to another calibration of the model"):
        other.stream(state=_state())


def _sealed(body: bytes) -> bytes:
    return state_file.MAGIC + (1).to_bytes(4, "little") + hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        (2**63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b'{"a"',
    ],
)
def test_a_forged_body_is_refused(body: bytes) -> None:
    with pytest.raises(ArtefactError):
        unpack(_sealed(body), OWNER)


def _edited(old: bytes, new: bytes) -> bytes:
    """A state with other text in its JSON and all sums made right again, as somebody with bad intentions would."""
    body = _state()[52:]
    length = int.from_bytes(body[:8], "little")
    text = body[8 : 8 + length]
    assert old in text
    text = text.replace(old, new, 1)
    return _sealed(len(text).to_bytes(8, "little") + text + body[8 + length :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"array": "0"', b'"array": "999"'),
        (b'"dtype": "float64"', b'"dtype": "int64"'),
        (b'"dtype": "int64"', b'"dtype": "object"'),
        (b'"n_arrived": 150', b'"n_arrived": -1'),
        (b'"n_arrived": 150', b'"n_arrived": true'),
        (b'"n_far"', b'"m_far"'),
        (b'"core"', b'"care"'),
        (b'"waiting"', b'"wasting"'),
        (b'"carried"', b'"married"'),
    ],
)
def test_a_forged_state_is_refused_before_it_does_harm(old: bytes, new: bytes) -> None:
    with pytest.raises(ArtefactError):
        _detector().stream(state=_edited(old, new))


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such state"):
        _detector().stream(state=tmp_path / "nothing.state")
    with pytest.raises((StorageError, ArtefactError)):
        _detector().stream(state=tmp_path)
    with pytest.raises(StorageError):
        _detector().stream(state="a\0b")
    with pytest.raises(StorageError, match="cannot write"):
        _detector().stream().save(tmp_path / "no" / "folder" / "x.state")
    assert list(tmp_path.iterdir()) == []


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.state"
    with path.open("wb") as file:
        file.truncate(state_file.MAX_BYTES + 1)
    with pytest.raises(ArtefactError, match="at most"):
        read_state(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(ArtefactError, match="not a regular file"):
            read_state(path)
    finally:
        os.close(keeper)


def test_saving_again_replaces_the_file_or_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pump.state"
    write_state(path, b"first")
    write_state(path, b"second")
    assert path.read_bytes() == b"second"

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_state(path, b"third")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["pump.state"]


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    arrays(np.float64, array_shapes(max_dims=3, max_side=4, min_side=0)),
    arrays(np.float32, array_shapes(max_dims=2, max_side=4)),
    arrays(np.int64, array_shapes(max_dims=2, max_side=4)),
    arrays(np.int16, array_shapes(max_dims=2, max_side=4)),
    arrays(np.uint8, array_shapes(max_dims=1, max_side=4)),
    arrays(np.bool_, array_shapes(max_dims=1, max_side=4)),
)
states = st.dictionaries(
    st.sampled_from(["one", "two", "three"]),
    st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["x", "y"]), inner)),
        max_leaves=8,
    ),
)


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
            and other.flags.writeable
        )
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


@settings(max_examples=60)
@given(states)
def test_all_that_a_state_may_hold_comes_back_bit_for_bit(state: dict) -> None:
    """Not-a-numbers and infinities in arrays among it."""
    assert _same(state, unpack(pack(state, OWNER), OWNER))


def test_arrays_of_any_layout_are_kept() -> None:
    wide = np.arange(24.0).reshape(4, 6)
    state = {"a": wide.T, "b": wide[::2, ::-1], "c": np.array(np.nan), "d": np.zeros((0, 3), np.float32)}
    found = unpack(pack(state, OWNER), OWNER)
    assert all(_same(np.ascontiguousarray(state[name]).reshape(state[name].shape), found[name]) for name in state)


@pytest.mark.parametrize(
    "value", [np.array(["a"]), np.array([object()]), object(), np.float64(1.0), float("nan"), {1: 2}]
)
def test_what_has_no_place_in_a_state_is_refused_when_it_is_written(value: object) -> None:
    with pytest.raises(ArtefactError):
        pack({"x": value}, OWNER)


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "=cmd()", "a\0b", "x" * 5_000, "{}", '"', "\n", "𝕊", '{"array": "0"}']
    stream = _detector().stream()
    for at, row in enumerate(_values(20, 3)):
        for name in names:
            stream.update(START + at * MINUTE, row, name)
    stream.save(tmp_path / "x")
    again = _detector().stream(state=tmp_path / "x")
    assert list(again.newest) == names
    assert again.update(START + 20 * MINUTE, [0.0, 0.0, 0.0], names[0]).status == "scored"
    stream.update(START, [0.0, 0.0, 0.0], "lone \ud800")
    with pytest.raises(ArtefactError, match="surrogate"):
        stream.state_bytes()


def test_states_of_many_machines_hold_few_arrays() -> None:
    """One row of a table for each machine, so that a fleet is saved and restored in one go."""
    stream = _detector().stream()
    names = [f"machine {number}" for number in range(300)]
    values = np.repeat(_values(40, 2), 300, axis=0).reshape(40, 300, 3)
    for at, rows in enumerate(values):
        stream.update_many(START + at * MINUTE, rows, names)
    small = _detector().stream()
    for at, rows in enumerate(values[:, :1]):
        small.update_many(START + at * MINUTE, rows, names[:1])
    assert stream.state_bytes().count(b"data_offsets") == small.state_bytes().count(b"data_offsets") < 200
    again = _detector().stream(state=stream.state_bytes())
    assert again.newest == stream.newest
