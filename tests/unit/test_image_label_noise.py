"""Label noise and mixed defects: the right labels are wrong, the figures are what they say, and mixup does its work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sensorad.errors import UsageError
from sensorad.training.classification import Classification
from sensorad_datasets.images import wafer_maps
from sensorad_datasets.recipes import label_noise, mixed_defects
from sensorad_datasets.recipes.base import Plan
from sensorad_datasets.recipes.label_noise import METHODS, Method, noisy_labels
from sensorad_datasets.recipes.mixed_defects import OVERLAID, PATTERNS, overlaid
from sensorad_datasets.recipes.pictures import save
from sensorad_datasets.recipes.training import answers


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_exactly_that_share_is_replaced_evenly_by_all_classes(share: float) -> None:
    real = torch.arange(20_000) % 10
    found = noisy_labels(real, share, 10, generator())
    assert int(found.is_replaced.sum()) == round(share * 20_000)
    n_wrong = 0
    for given, true, is_replaced in zip(found.labels.tolist(), real.tolist(), found.is_replaced.tolist(), strict=True):
        assert is_replaced or given == true
        n_wrong += given != true
    assert n_wrong / 20_000 == pytest.approx(0.9 * share, abs=0.01)
    if share:
        counts = torch.bincount(found.labels[found.is_replaced], minlength=10) / found.is_replaced.sum()
        assert counts.tolist() == pytest.approx([0.1] * 10, abs=0.02)
    assert torch.equal(found.labels, noisy_labels(real, share, 10, generator()).labels)
    assert real.tolist() == [row % 10 for row in range(20_000)]


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="share of labels"):
        noisy_labels(torch.zeros(3, dtype=torch.int64), 1.5, 10, generator())


def test_parts_do_not_overlap_and_the_test_part_is_complete() -> None:
    task = label_noise._drawn(Plan("digits"), 0)
    assert (len(task.train[0]), len(task.held_out[0]), len(task.test[0])) == (900, 298, 599)
    rows = {image.numpy().tobytes() for image in task.train[0]}
    assert not any(image.numpy().tobytes() in rows for image in task.held_out[0])


def test_figures_of_a_method_are_those_of_its_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of every epoch are kept here; best, last and training errors are counted one image at a time."""
    task = label_noise._drawn(Plan("digits", is_quick=True), 0)
    few = slice(60)
    task = replace(
        task, epochs=4, held_out=tuple(part[few] for part in task.held_out), test=tuple(part[few] for part in task.test)
    )
    given = noisy_labels(task.train[1], 0.5, 10, generator()).labels
    kept: list[dict[str, torch.Tensor]] = []
    networks = []
    real = label_noise.train

    def watched(network, objective, images, random, config, *, labels, after_epoch):  # type: ignore[no-untyped-def]
        networks.append(network)
        assert torch.equal(labels, given)
        assert objective == Classification(mixup=8.0)

        def both(epoch: int, loss: float) -> None:
            kept.append({name: weights.clone() for name, weights in network.state_dict().items()})
            after_epoch(epoch, loss)

        return real(network, objective, images, random, config, labels=labels, after_epoch=both)

    monkeypatch.setattr(label_noise, "train", watched)
    measures, course = label_noise._trained(task, given, Method("mixup 8", alpha=8.0), 0)

    def error(weights: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor) -> float:
        networks[0].load_state_dict(weights)
        said = [int(answers(networks[0], image[None]).argmax()) for image in images]
        return 100.0 * sum(a != b for a, b in zip(said, labels.tolist(), strict=True)) / len(said)

    assert course.errors == pytest.approx([error(weights, *task.held_out) for weights in kept])
    best = kept[int(np.argmin(course.errors))]
    assert measures["best"] == pytest.approx(error(best, *task.test))
    assert measures["last"] == pytest.approx(error(kept[-1], *task.test))
    assert measures["last_minus_best"] == pytest.approx(measures["last"] - measures["best"])
    assert measures["training_error_real"] == pytest.approx(error(kept[-1], *task.train))
    assert measures["training_error_given"] == pytest.approx(error(kept[-1], task.train[0], given))


def test_the_recipe_has_all_rows_and_says_how_wrong_the_labels_are() -> None:
    outcome = label_noise.RECIPE.run(Plan("digits", is_quick=True), 0)
    rows = {cell.variant for cell in outcome.cells}
    assert rows == {f"{n} % noise: {name}" for n in (20, 50, 80) for name in (*(m.name for m in METHODS), "the labels")}
    wrong = {cell.variant: cell.value for cell in outcome.cells if cell.variant.endswith("the labels")}
    for n in (20, 50, 80):
        assert wrong[f"{n} % noise: the labels"] == pytest.approx(0.9 * n, abs=6.0)
    assert len(outcome.pictures) == 3


def test_overlaid_images_are_the_brighter_pixels_of_two_classes() -> None:
    random = np.random.default_rng(0)
    images, labels = random.random((30, 1, 4, 4), np.float32), np.arange(30) % 3
    found, said = overlaid(images, labels, 3, 25, np.random.default_rng(1))
    assert len(found) == len(said) == 25
    for image, label in zip(found, said, strict=True):
        makers = [
            (one, other)
            for one in range(30)
            for other in range(one)
            if (image == np.where(images[one] > images[other], images[one], images[other])).all()
        ]
        [(one, other)] = makers
        assert labels[one] != labels[other]
        assert sorted(np.flatnonzero(label)) == sorted((labels[one], labels[other]))


def test_mixup_recognises_two_patterns_after_seeing_one_at_a_time() -> None:
    """On two patterns that are easy to see, a plain dense network says one of them, one with mixtures says both."""
    random = np.random.default_rng(0)
    patterns = ("centre", "edge-ring")
    maps = wafer_maps(300, random, patterns, 12)
    parts = [maps, *(wafer_maps(100, random, patterns, 12, (n,)) for n in (1, 2))]
    task = mixed_defects._Task(*(mixed_defects._Labelled.of(part.failing, part.labels) for part in parts))
    config = replace(mixed_defects.WAFER_CONFIG, epochs=12, batch_size=32)
    plain, _weighted, union = (
        mixed_defects._measures(task, mixed_defects._dense, objective, config, 0)
        for objective in mixed_defects.VARIANTS.values()
    )
    assert plain["single_all_right"] > 95.0
    assert union["single_all_right"] > 90.0
    assert union["mixed_all_right"] > plain["mixed_all_right"] + 20.0


def test_mixed_defects_has_a_table_for_each_network_and_counts_whole_maps_and_labels(tmp_path: Path) -> None:
    recipe = mixed_defects.RECIPE
    outcome = recipe.run(recipe.plan(None, None, is_quick=True), 0)
    tables = [f"wafer maps, {name}" for name in mixed_defects.NETWORKS] + [OVERLAID]
    assert list(dict.fromkeys(cell.table for cell in outcome.cells)) == tables
    values = {(cell.table, cell.variant, cell.measure): cell.value for cell in outcome.cells}
    assert len(values) == 4 * 3 * 4
    for (table, variant, measure), value in values.items():
        if measure.endswith("all_right"):
            assert 0.0 <= value <= values[table, variant, measure.replace("all_right", "by_label")] <= 100.0
    pytest.importorskip("matplotlib")
    for picture in outcome.pictures:
        assert save(picture, tmp_path).stat().st_size > 1000
    assert not {"near-full", "random"} & set(PATTERNS)
