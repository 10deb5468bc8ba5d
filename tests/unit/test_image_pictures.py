"""Pictures of the image experiments: what is drawn, the same bytes each time, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from sensorad.errors import StorageError, UsageError
from sensorad.metrics import auc_roc
from sensorad_datasets.recipes import pictures
from sensorad_datasets.recipes.base import Picture

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra 'vision'")

from matplotlib.figure import Figure  # noqa: E402

DRAWS = np.random.default_rng(0)
TRUTH = np.repeat([False, True], [700, 300])
SCORES = DRAWS.normal(size=1_000) + TRUTH
SURE = DRAWS.uniform(0.3, 1.0, 1_000)
RIGHT = DRAWS.random(1_000) < SURE**2
IMAGES = DRAWS.random((5, 6, 8))
LABELS = np.arange(60) % 3

EACH: dict[str, tuple[Picture, tuple[str, ...]]] = {
    "curves": (pictures.curves("curves", {"plain": [3, 2, 1], "mixup": [2, 1]}, "loss"), ("plain", "mixup", "loss")),
    "histograms": (
        pictures.histograms("scores_of_all", {"normal": SCORES[:700], "anomalous": SCORES[700:]}, "log(1 - MSP)"),
        ("Scores of all", "normal", "anomalous", "log(1 - MSP)"),
    ),
    "roc": (pictures.roc("roc", {"plain": (TRUTH, SCORES)}), (f"plain ({auc_roc(TRUTH, SCORES):.3f})", "ROC")),
    "image_grid": (
        pictures.image_grid("grid", {"input": IMAGES, "rebuilt": IMAGES[:3]}, column_titles=list("abcde")),
        ("input", "rebuilt", "e"),
    ),
    "scatter": (
        pictures.scatter("cloud", DRAWS.normal(size=(60, 2)), LABELS, ["zero", "one", "two"], title="A cloud"),
        ("zero", "one", "two", "A cloud"),
    ),
    "embedding": (
        pictures.embedding(
            "tsne", DRAWS.normal(size=(60, 4)), 0, {"by class": (LABELS, list("xyz")), "by kind": (LABELS > 1, "np")}
        ),
        ("by class", "by kind", "Tsne"),
    ),
    "reliability": (pictures.reliability("reliability", {"before": (SURE, RIGHT)}), ("calibration error",)),
    "bars": (pictures.bars("bars", {"plain": 0.8125, "mixup": 0.75}, ylabel="ROC-AUC"), ("0.812", "mixup", "ROC-AUC")),
    "grouped bars": (
        pictures.bars("by digit", {"plain": {"7": 0.5, "8": 0.25}, "mixup": {"8": 0.75}}),
        ("By digit", "plain", "mixup", "7", "0.75"),
    ),
}


def drawn(picture: Picture) -> Figure:
    figure = Figure()
    picture.draw(figure)
    return figure


@pytest.mark.parametrize("kind", EACH)
def test_each_picture_is_an_svg_with_its_words_and_the_same_bytes_twice(kind: str, tmp_path: Path) -> None:
    picture, words = EACH[kind]
    settings = dict(matplotlib.rcParams)
    path = pictures.save(picture, tmp_path / "made")
    content = path.read_bytes()
    assert path.name == picture.name.replace("_", "-").replace(" ", "-") + ".svg"
    found = {text.strip() for text in ElementTree.fromstring(content).itertext()}  # noqa: S314
    assert set(words) <= found
    assert b"<dc:date" not in content
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        assert pictures.save(picture, tmp_path / "again").read_bytes() == content
    assert dict(matplotlib.rcParams) == settings


def test_pictures_are_drawn_without_pyplot_and_made_without_matplotlib(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from sensorad_datasets.recipes import pictures\n"
        "made = [pictures.curves('a', {'b': [1, 2]}, 'c'), pictures.histograms('d', {'e': [1.0, 2.0]}, 'f')]\n"
        "assert 'matplotlib' not in sys.modules\n"
        "for each in made: pictures.save(each, sys.argv[1])\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "d.svg"]


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"matplotlib.*pip install 'sensorad\[vision\]'"):
        pictures.save(EACH["curves"][0], tmp_path)
    with pytest.raises(UsageError, match="not installed"):
        pictures.need_matplotlib()


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        pictures.save(EACH["curves"][0], tmp_path / "file")


def test_curves_start_at_one_or_where_they_are_told() -> None:
    (axes,) = drawn(EACH["curves"][0]).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2, 3], [1, 2]]
    (axes,) = drawn(pictures.curves("a", {"b": [5.0, 6.0]}, "c", x=[10, 20], is_log=True)).axes
    assert list(axes.lines[0].get_xdata()) == [10, 20]
    assert axes.get_yscale() == "log"


def test_histograms_are_densities_over_the_same_bins() -> None:
    (axes,) = drawn(EACH["histograms"][0]).axes
    stairs = [patch.get_data() for patch in axes.patches]
    for values, edges, _ in stairs:
        assert float(np.sum(values * np.diff(edges))) == pytest.approx(1.0)
        np.testing.assert_array_equal(edges, stairs[0][1])
    assert stairs[0][0].argmax() < stairs[-1][0].argmax(), "normal and anomalous are mixed up"


def test_the_thinned_roc_curve_still_has_its_area() -> None:
    (axes,) = drawn(EACH["roc"][0]).axes
    false, true = axes.lines[1].get_data()
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    area = float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))
    assert area == pytest.approx(auc_roc(TRUTH, SCORES), abs=0.005)
    assert len(false) < 250


def test_images_stand_in_their_row_and_column_as_ink() -> None:
    (axes,) = drawn(EACH["image_grid"][0]).axes
    sheet = axes.images[0].get_array()
    assert sheet.shape == (2 * 6 + 1, 5 * 8 + 4, 3)
    np.testing.assert_array_equal(sheet[7:13, 18:26, 1], (255 * (1 - IMAGES[2])).round())
    assert (sheet[7:, 27:] == 255).all(), "a shorter row ends in white"
    colours = DRAWS.random((2, 3, 4, 4))
    (axes,) = drawn(pictures.image_grid("a", {"b": colours})).axes
    np.testing.assert_array_equal(axes.images[0].get_array()[:, 5:9], (255 * colours[1].transpose(1, 2, 0)).round())
    with pytest.raises(UsageError, match="images"):
        pictures.image_grid("a", {"b": IMAGES[None, None]})


def test_the_calibration_error_is_that_of_a_loop_over_bins() -> None:
    (axes,) = drawn(EACH["reliability"][0]).axes
    error = 0.0
    for low in np.arange(15) / 15:
        own = [i for i, sure in enumerate(SURE) if low <= sure < low + 1 / 15]
        if own:
            error += abs(sum(RIGHT[i] for i in own) - sum(SURE[i] for i in own)) / len(SURE)
    assert axes.get_legend().get_texts()[0].get_text() == f"before ({error:.3f})"


def test_points_are_shown_by_class_and_not_too_many() -> None:
    (axes,) = drawn(EACH["scatter"][0]).axes
    assert [len(cloud.get_offsets()) for cloud in axes.collections] == [20, 20, 20]
    with pytest.raises(UsageError, match="1,501"):
        pictures.scatter("a", np.zeros((1_501, 2)), np.zeros(1_501, int), ["a"])
    with pytest.raises(UsageError, match="subsample"):
        pictures.embedding("a", np.zeros((1_501, 2)), 0, {"a": (np.zeros(1_501, int), ["a"])})


def test_a_subsample_keeps_the_shares_of_classes() -> None:
    labels = DRAWS.permutation(np.repeat([0, 1, 2], [600, 300, 100]))
    chosen = pictures.subsample(labels, seed=1, most=100)
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen]).tolist() == [60, 30, 10]
    np.testing.assert_array_equal(chosen, pictures.subsample(labels, seed=1, most=100))
    assert set(chosen) != set(pictures.subsample(labels, seed=2, most=100))
    assert len(pictures.subsample(labels, seed=1, most=5_000)) == 1_000


def test_tsne_keeps_clusters_apart_and_repeats_itself() -> None:
    middles = np.array([[0.0] * 5, [30.0] * 5])
    features = middles[LABELS[:40] % 2] + DRAWS.normal(size=(40, 5))
    points = pictures.tsne(features, seed=3)
    assert points.shape == (40, 2)
    np.testing.assert_array_equal(points, pictures.tsne(features, seed=3))
    first = LABELS[:40] % 2 == 0
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (first[apart.argmin(1)] == first).all()
