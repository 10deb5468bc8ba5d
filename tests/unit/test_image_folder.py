"""The folder layout of MVTec AD, read and written; what is wrong in it is named."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sensorad.errors import DataError, StorageError, TooLittleDataError, UsageError
from sensorad_datasets.images import folder
from sensorad_datasets.images.folder import load_part_folder
from sensorad_datasets.images.parts import FLIPPED_PRODUCT, PART_COUNTS, part_images, write_parts

COUNTS = {("bracket", "good"): 3, ("bracket", "flipped"): 2, ("washer", "good"): 2, ("washer", "stained"): 1}

needs_pillow = pytest.mark.skipif(
    importlib.util.find_spec("PIL") is None, reason="the extra 'vision' (Pillow) is not installed"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_parts(tmp_path / "parts", np.random.default_rng(0), COUNTS, size=32)


@needs_pillow
def test_what_was_written_is_read_back(root: Path) -> None:
    made, read = part_images(np.random.default_rng(0), COUNTS, size=32), load_part_folder(root, size=32)
    assert read.class_names == ("bracket-good", "bracket-flipped", "washer-good", "washer-stained")
    assert read.counts() == {"bracket-good": 3, "bracket-flipped": 2, "washer-good": 2, "washer-stained": 1}
    assert read.labels.tolist() == made.labels.tolist()
    assert read.images.dtype == np.float32
    assert np.abs(read.images - made.images).max() <= 0.5 / 255 + 1e-6  # eight bits
    assert read.files[3] == "bracket/test/flipped/000.png"
    assert read.products == ("bracket", "washer")
    assert read.classes_of(("washer",)) == (2, 3)
    with pytest.raises(DataError, match=r"no images of 'screw'.*bracket, washer"):
        read.classes_of(("screw",))


@needs_pillow
def test_good_parts_of_both_halves_are_one_class_and_masks_none(root: Path) -> None:
    more = root / "bracket" / "test" / "good"
    more.mkdir()
    (root / "bracket" / "train" / "good" / "002.png").rename(more / "000.png")
    masks = root / "bracket" / "ground_truth" / "flipped"
    masks.mkdir(parents=True)
    (masks / "000_mask.png").write_bytes(b"never read")
    (root / "license.txt").write_text("files beside the folders are let be")
    (root / "bracket" / "readme.txt").write_text("here too")
    read = load_part_folder(root, size=32)
    assert read.counts()["bracket-good"] == 3
    assert read.files[2] == "bracket/test/good/000.png"


@needs_pillow
def test_images_are_resized_and_grey_ones_get_three_channels(root: Path) -> None:
    image = importlib.import_module("PIL.Image")
    image.new("L", (50, 20), 128).save(root / "washer" / "test" / "stained" / "001.png")
    read = load_part_folder(root, size=16)
    assert read.images.shape == (9, 3, 16, 16)
    assert np.allclose(read.images[-1], 128 / 255)


@needs_pillow
def test_an_image_that_cannot_be_decoded_is_named(root: Path) -> None:
    path = root / "washer" / "test" / "stained" / "000.png"
    whole = path.read_bytes()
    for damaged in (b"", b"no image", whole[: len(whole) // 2], b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"cannot decode an image.*washer/test/stained/000\.png"):
            load_part_folder(root)


@needs_pillow
def test_sixteen_bits_are_refused_and_not_cut_off(root: Path) -> None:
    image = importlib.import_module("PIL.Image")
    deep = image.fromarray(np.full((32, 32), 40_000, np.uint16))
    deep.save(root / "washer" / "test" / "stained" / "001.png")
    with pytest.raises(DataError, match=r"8 bits a channel expected.*stained/001\.png"):
        load_part_folder(root)


@needs_pillow
def test_what_is_no_image_is_named(root: Path) -> None:
    place = root / "washer" / "test" / "stained"
    (place / "notes.txt").write_text("seen on Monday")
    (place / "more").mkdir()
    with pytest.raises(DataError, match=r"not images: more, notes\.txt .*stained.*images alone"):
        load_part_folder(root)


@needs_pillow
def test_an_empty_folder_of_a_state_is_named(root: Path) -> None:
    (root / "washer" / "test" / "bent").mkdir()
    with pytest.raises(DataError, match=r"a folder without images .*washer/test/bent"):
        load_part_folder(root)


@needs_pillow
def test_other_layouts_are_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(StorageError, match=r"does not exist .*nowhere.*train/good"):
        load_part_folder(tmp_path / "nowhere")
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match=r"no folder of a product.*train/good"):
        load_part_folder(tmp_path / "flat")
    (root / "washer" / "train" / "stained").mkdir()
    with pytest.raises(DataError, match="only 'good' is expected in train, got stained"):
        load_part_folder(root)
    one = write_parts(tmp_path / "one", np.random.default_rng(0), {("tile", "good"): 2}, size=16)
    with pytest.raises(TooLittleDataError, match="at least two classes"):
        load_part_folder(one)
    with pytest.raises(UsageError, match="size must be from 8 to 4096"):
        load_part_folder(root, size=4)


@needs_pillow
def test_nothing_is_written_over(root: Path) -> None:
    with pytest.raises(StorageError, match="is not empty"):
        write_parts(root, np.random.default_rng(0), COUNTS, size=32)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: str | None = None) -> ModuleType:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(folder, "import_module", missing)
    monkeypatch.setattr("sensorad_datasets.images.parts.import_module", missing)
    with pytest.raises(UsageError, match=r"Pillow.*sensorad\[vision\]"):
        load_part_folder(tmp_path)
    with pytest.raises(UsageError, match=r"Pillow.*sensorad\[vision\]"):
        write_parts(tmp_path / "new", np.random.default_rng(0), COUNTS)
    assert not (tmp_path / "new").exists()
    assert len(part_images(np.random.default_rng(0), COUNTS, 16)) == 8  # arrays need no files


def test_parts_are_unbalanced_and_repeat() -> None:
    sizes = list(PART_COUNTS.values())
    assert max(sizes) > 10 * min(sizes)
    assert min(sizes) < 5  # rarer than the folds
    for product in {product for product, _ in PART_COUNTS}:
        states = [state for one, state in PART_COUNTS if one == product]
        assert states[0] == "good"
        assert 2 <= len(states) - 1 <= 4
    first, again = (part_images(np.random.default_rng(5), COUNTS, 32).images for _ in range(2))
    assert np.array_equal(first, again)
    with pytest.raises(UsageError, match="no generated part 'tile-bent'"):
        part_images(np.random.default_rng(0), {("tile", "bent"): 1})


def test_a_mirrored_good_bracket_is_a_flipped_one() -> None:
    """The mean picture of flipped brackets is that of good ones mirrored, and far from that of good ones."""
    each = 200
    counts = {(FLIPPED_PRODUCT, "good"): each, (FLIPPED_PRODUCT, "flipped"): each}
    parts = part_images(np.random.default_rng(0), counts, 32)
    good, flipped = (parts.images[parts.labels == at].mean((0, 1)) for at in (0, 1))
    assert np.abs(good[:, ::-1] - flipped).mean() < 0.25 * np.abs(good - flipped).mean()
