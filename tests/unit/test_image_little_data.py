"""Augmentation with little data, and features of a classifier: equal steps are equal, parts apart, pictures drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sensorad_datasets.recipes import little_data
from sensorad_datasets.recipes.base import Plan, SeedOutcome
from sensorad_datasets.recipes.embedding import neighbour_distance
from sensorad_datasets.recipes.little_data import READINGS, judged
from sensorad_datasets.recipes.registry import recipe


@pytest.fixture(scope="module")
def little() -> SeedOutcome:
    return recipe("I6").run(Plan(is_quick=True), 0)


@pytest.fixture(scope="module")
def embedded() -> SeedOutcome:
    return recipe("I4").run(Plan(is_quick=True), 0)


def values(outcome: SeedOutcome) -> dict[tuple[str, str, str], float]:
    return {(cell.table, cell.variant, cell.measure): cell.value for cell in outcome.cells}


def test_both_comparisons_are_there_for_both_networks(little: SeedOutcome) -> None:
    found = values(little)
    assert all(math.isfinite(value) for value in found.values())
    for net in ("474", "larger"):
        for how in ("plain, equal epochs", "plain, equal steps", "augmented"):
            row = (READINGS[0].name, f"{net}: {how}")
            gap = found[*row, "validation loss"] - found[*row, "training loss"]
            assert found[*row, "gap"] == pytest.approx(gap)
            assert 0.0 <= found[*row, "1 - MSP"] <= 1.0
    for each in recipe("I6").differences:
        if each.table == READINGS[0].name:
            for variant in (each.variant, each.beside):
                assert (each.table, variant, each.measure) in found


def test_a_run_is_repeated_by_its_seed(little: SeedOutcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(little_data, "NETS", little_data.NETS[:1])
    again = values(recipe("I6").run(Plan(is_quick=True), 0))
    assert again == {key: value for key, value in values(little).items() if key[1].startswith("474")}
    assert values(recipe("I6").run(Plan(is_quick=True), 1)) != again


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.name)
def test_parts_do_not_overlap_and_steps_are_as_equal_as_epochs_allow(reading: little_data.Reading) -> None:
    task = little_data.drawn(Plan(), reading, seed=3)
    assert len(task.train) == little_data.SMALL_TRAIN
    assert task.labels.bincount().max() - task.labels.bincount().min() <= 2, "not stratified"
    train = {image.numpy().tobytes() for image in task.train}
    assert not any(image.numpy().tobytes() in train for image in task.validation)
    equal_epochs, equal_steps, augmented = little_data.ways(task)
    assert equal_epochs.epochs == augmented.epochs
    n_steps = augmented.epochs * task.steps(augmented.n_fold)
    assert abs(equal_steps.epochs * task.steps(1) - n_steps) <= task.steps(1) / 2
    assert task.steps(1) == math.ceil(len(task.train) / 32)


def test_the_published_count_is_half_of_the_second_reading() -> None:
    normal, anomalous = judged(4_157, 3_011, READINGS[1])
    assert len(normal) + len(anomalous) == 3_584
    assert normal.max() < 4_157
    assert 0 <= anomalous.min() <= anomalous.max() < 3_011
    whole = judged(10, 4, READINGS[0])
    assert [part.tolist() for part in whole] == [list(range(10)), list(range(4))]


def test_features_are_judged_for_both_networks_and_smoothings(embedded: SeedOutcome) -> None:
    found = values(embedded)
    rows = [f"{net}: {how}" for net in ("474", "larger") for how in ("plain", "smoothing 0.2")]
    assert {variant for _, variant, _ in found} == set(rows)
    for row in rows:
        assert found["", row, "5-NN distance"] > 0.55, "anomalies should lie farther off than normal images"
    assert found["", "larger: plain", "5-NN distance"] > 0.85


@pytest.mark.parametrize("is_cosine", [False, True])
def test_neighbour_distances_are_those_of_a_double_loop(is_cosine: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    known, features = (torch.randn(n, 3, generator=generator) for n in (20, 7))
    features[2] = 0.0
    expected = []
    for row in features.double().numpy():
        apart = []
        for other in known.double().numpy():
            length = np.linalg.norm(row) * np.linalg.norm(other)
            cosine = row @ other / length if length else 0.0
            apart.append(1.0 - cosine if is_cosine else np.linalg.norm(row - other))
        expected.append(np.mean(sorted(apart)[:4]))
    found = neighbour_distance(known, features, 4, is_cosine=is_cosine, batch=3)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_pictures_of_both_recipes_are_drawn(little: SeedOutcome, embedded: SeedOutcome, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'vision'")
    from sensorad_datasets.recipes.pictures import save

    by_name = {picture.name: picture for picture in (*little.pictures, *embedded.pictures)}
    assert len(by_name) == len(little.pictures) + len(embedded.pictures), "two pictures of one name"
    for name in ("augmented", "training-larger", "roc-474", "scores-larger-augmented", "tsne-larger-plain"):
        assert save(by_name[name], tmp_path).name == f"{name}.svg"
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 150_000
