"""Image sets: verified before they are read, the right shapes and classes, and clear words where something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from sensorad.errors import DataError, StorageError, UsageError
from sensorad_datasets import fetch, fetch_set, fetch_urls, list_series, load_series, set_cards, verify_set
from sensorad_datasets.images import IMAGE_SETS, load_images
from sensorad_datasets.images.idx import read_idx, unpacked

REAL = os.environ.get("SENSORAD_DATA")
NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
Parts = dict[str, np.ndarray]


def made_up() -> Parts:
    """Thirty images of 28 x 28 and six for the test, all ten classes in training."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        "y_train": (np.arange(30) % 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        "y_test": np.array([9, 8, 7, 0, 0, 1], np.uint8),
    }


def as_idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write(root: Path, files: dict[str, bytes], name: str = "mnist") -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for file, content in files.items():
        (folder / file).write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {file}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))
    return root


def npz(parts: Parts, name: str = "mnist", **options: bool) -> dict[str, bytes]:
    sink = io.BytesIO()
    np.savez_compressed(sink, **parts, **options)
    return {f"{name}.npz": sink.getvalue()}


def idx_files(parts: Parts, *, is_packed: bool) -> dict[str, bytes]:
    files = {NAMES[part]: as_idx(values) for part, values in parts.items()}
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()} if is_packed else files


@pytest.mark.parametrize("form", ["npz", "idx", "idx.gz"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_every_form_gives_the_same_images(name: str, form: str, tmp_path: Path) -> None:
    parts = made_up()
    write(tmp_path, npz(parts, name) if form == "npz" else idx_files(parts, is_packed=form == "idx.gz"), name)
    found = load_images(name, tmp_path)
    assert (found.train.shape, found.test.shape, found.shape) == ((30, 1, 28, 28), (6, 1, 28, 28), (1, 28, 28))
    assert found.train.dtype == found.test.dtype == np.float32
    for row in range(30):
        for line in range(28):
            expected = [np.float32(parts["x_train"][row, line, column]) / np.float32(255.0) for column in range(28)]
            assert found.train[row, 0, line].tolist() == [float(value) for value in expected]
    assert found.train_labels.tolist() == parts["y_train"].tolist()
    assert found.test_labels.tolist() == [9, 8, 7, 0, 0, 1]
    assert found.test_labels.dtype == np.int64
    assert len(found.class_names) == 10
    assert load_images(name, str(tmp_path)) is found  # read once


def test_arrays_become_tensors_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.from_numpy(load_images().train).shape == (1198, 1, 8, 8)


def test_digits_are_split_by_class_in_index_order() -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    train: list[int] = []
    for kind in range(10):
        rows = [row for row in range(len(labels)) if labels[row] == kind]
        train += rows[: round(len(rows) * 2 / 3)]
    found = load_images("digits")
    assert found.train_labels.tolist() == [labels[row] for row in sorted(train)]
    rest = sorted(set(range(len(labels))) - set(train))
    assert found.test_labels.tolist() == [labels[row] for row in rest]
    np.testing.assert_array_equal(found.test[:, 0].reshape(len(rest), 64), images[rest].astype(np.float32) / 16)
    assert float(found.train.max()) == 1.0


def test_of_chooses_and_renumbers_classes() -> None:
    whole, chosen = load_images("digits"), load_images("digits").of((7, 2))
    assert chosen.class_names == ("7", "2")
    for images, labels, part, part_labels in (
        (whole.train, whole.train_labels, chosen.train, chosen.train_labels),
        (whole.test, whole.test_labels, chosen.test, chosen.test_labels),
    ):
        rows = [row for row, label in enumerate(labels) if label in (7, 2)]
        assert part_labels.tolist() == [0 if labels[row] == 7 else 1 for row in rows]
        np.testing.assert_array_equal(part, images[rows])
    for wrong in ((), (1, 1), (10,), (-1,)):
        with pytest.raises(UsageError, match="no choice of classes"):
            whole.of(wrong)


def test_an_absent_set_says_how_to_obtain_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"data fetch mnist -o DIR.*SENSORAD_DATA.*--data digits"):
        load_images("mnist", tmp_path)
    monkeypatch.delenv("SENSORAD_DATA", raising=False)
    with pytest.raises(StorageError, match="data fetch fashion_mnist -o DIR"):
        load_images("fashion_mnist")
    (tmp_path / "mnist").mkdir()
    with pytest.raises(StorageError, match=r"SHA256SUMS.*data fetch mnist"):
        load_images("mnist", tmp_path)
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        load_images("minst", tmp_path)


def test_nothing_is_parsed_before_its_checksum_agrees(tmp_path: Path) -> None:
    write(tmp_path, npz(made_up()))
    path = tmp_path / "mnist" / "mnist.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="sha256"):
        load_images("mnist", tmp_path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    write(tmp_path, npz(made_up() | {"y_test": np.array([{}] * 6, object)}, allow_pickle=True))
    with pytest.raises(DataError, match=r"not an NPZ file with plain arrays.*mnist.npz"):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_train": np.zeros((30, 28, 27), np.uint8)}, r"shape \(30, 28, 27\).*mnist.npz, x_train"),
        ({"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, np.uint8)}, "N > 0.*x_test"),
        ({"x_train": np.zeros((30, 28, 28), np.float32)}, "float32, expected uint8.*x_train"),
        ({"y_train": np.zeros(29, np.uint8)}, "for 30 images.*y_train"),
        ({"y_test": np.array([0, 1, 2, 10, 4, 11], np.uint8)}, "label 10 of image 3.*y_test"),
    ],
)
def test_wrong_contents_are_named(change: Parts, words: str, tmp_path: Path) -> None:
    write(tmp_path, npz(made_up() | change))
    with pytest.raises(DataError, match=words):
        load_images("mnist", tmp_path)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    parts = made_up()
    del parts["y_test"]
    with pytest.raises(DataError, match="y_test"):
        load_images("mnist", write(tmp_path / "a", npz(parts)))
    with pytest.raises(StorageError, match=r"t10k-labels-idx1-ubyte\[.gz\] is listed.*data fetch"):
        load_images("mnist", write(tmp_path / "b", idx_files(parts, is_packed=True)))
    with pytest.raises(DataError, match="not an NPZ"):
        load_images("mnist", write(tmp_path / "c", {"mnist.npz": b"no archive"}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file"),
        (b"\1\0\x08\1\0\0\0\0", "not an IDX file"),
        (bytes([0, 0, 13, 1]) + struct.pack(">If", 1, 0.5), "type 0x0d"),
        (bytes([0, 0, 8, 3, 0, 0]), "header is cut off"),
        (as_idx(np.zeros((2, 2), np.uint8))[:-1], "3 values follow"),
        (as_idx(np.zeros((2, 2), np.uint8)) + b"x", "5 values follow"),
        (gzip.compress(as_idx(np.zeros(4, np.uint8)))[:-9], "cannot unpack"),
    ],
)
def test_damaged_idx_files_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=rf"{words}.*some file"):
        read_idx(content, "some file")


def test_a_gzip_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorad_datasets.images import idx

    monkeypatch.setattr(idx, "_MOST_BYTES", 1000)
    assert unpacked(gzip.compress(bytes(1000))) == bytes(1000)
    with pytest.raises(DataError, match="over 1 GiB"):
        unpacked(gzip.compress(bytes(1001)))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_fetched_images_can_be_loaded_if_they_are_the_published_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = idx_files(made_up(), is_packed=True)

    def site(url: str) -> bytes:
        return files[url.rsplit("/", 1)[1]]

    with pytest.raises(DataError, match=r"unpacks to sha256.*nothing was kept"):
        fetch_set(name, tmp_path, read_url=site)
    assert list(tmp_path.iterdir()) == []
    sums = fetch._MNIST_SUMS if name == "mnist" else fetch._FASHION_SUMS
    for file, content in files.items():
        monkeypatch.setitem(sums, file.removesuffix(".gz"), hashlib.sha256(gzip.decompress(content)).hexdigest())
    seen: list[str] = []
    fetch_set(name, tmp_path, read_url=site, report=seen.append)
    assert seen == fetch_urls(name)
    assert sorted(url.rsplit("/", 1)[1] for url in seen) == sorted(files)
    assert verify_set(name, tmp_path) == 4
    assert load_images(name, tmp_path).train_labels.tolist() == made_up()["y_train"].tolist()


def test_sets_of_images_have_cards_and_no_series(tmp_path: Path) -> None:
    cards = {card.name: card for card in set_cards()}
    assert set(IMAGE_SETS) <= set(cards)
    assert cards["digits"].size == "1,797 images, 10 classes"
    assert cards["fashion_mnist"].obtain == "sensorad data fetch fashion_mnist"
    assert "series" in cards["smd"].size
    for name in IMAGE_SETS:
        with pytest.raises(UsageError, match="is a set of images"):
            list_series(name, tmp_path)
        with pytest.raises(UsageError, match=f"load_images\\('{name}'\\)"):
            load_series(name, "train", tmp_path)


@pytest.mark.skipif(not REAL, reason="SENSORAD_DATA names no folder with the public benchmark sets")
@pytest.mark.parametrize(("name", "mean"), [("mnist", 33.318), ("fashion_mnist", 72.940)])
def test_real_sets_are_complete_and_what_a_download_must_be(name: str, mean: float) -> None:
    found = load_images(name)
    assert (found.train.shape, found.test.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert 255.0 * float(found.train.mean(dtype=np.float64)) == pytest.approx(mean, abs=1e-3)
    assert np.bincount(found.test_labels).min() > 800
    if name == "mnist":  # as the published one-class protocol counts them
        assert (len(found.of((0, 1, 2, 3)).train), len(found.of((7, 8, 9)).test)) == (24_754, 3_011)
    sums = fetch._MNIST_SUMS if name == "mnist" else fetch._FASHION_SUMS
    test = (255.0 * found.test[:, 0]).round().astype(np.uint8)
    assert hashlib.sha256(as_idx(test)).hexdigest() == sums["t10k-images-idx3-ubyte"]
    labels = found.train_labels.astype(np.uint8)
    assert hashlib.sha256(as_idx(labels)).hexdigest() == sums["train-labels-idx1-ubyte"]
