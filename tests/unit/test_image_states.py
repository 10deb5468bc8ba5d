"""Classification of states: folds, statistics without a leak, flips by class, voting, and a classifier in a folder."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sensorad.augment.image import ImageAugment
from sensorad.errors import ArtefactError, DataError, StorageError, TooLittleDataError, UsageError
from sensorad.training.batches import Batch
from sensorad.training.classification import Classification
from sensorad.training.image_augmentation import Augmented
from sensorad_datasets.images.labelled import PartImages
from sensorad_datasets.images.parts import part_images, write_parts
from sensorad_datasets.recipes import recipe
from sensorad_datasets.recipes.states.config import StateConfig
from sensorad_datasets.recipes.states.ensemble import StateEnsemble, probabilities
from sensorad_datasets.recipes.states.folds import (
    balanced_repeats,
    balanced_weights,
    channel_statistics,
    stratified_folds,
)
from sensorad_datasets.recipes.states.result import StateResult, macro_f1
from sensorad_datasets.recipes.states.training import classify_states, cross_validate, train_fold

COUNTS = {("bracket", "good"): 8, ("bracket", "flipped"): 5, ("tile", "good"): 7, ("tile", "stained"): 2}
QUICK = StateConfig(size=32, folds=3, epochs=2, drop_path=0.1, flip_excluded=("bracket",))


@pytest.fixture(scope="module")
def parts() -> PartImages:
    return part_images(np.random.default_rng(0), COUNTS, size=32)


@pytest.fixture(scope="module")
def judged(parts: PartImages) -> tuple[StateResult, StateEnsemble]:
    return cross_validate(parts, QUICK)


def test_folds_share_every_class_out_and_rare_ones_as_far_as_they_go() -> None:
    labels = np.repeat(np.arange(5), [40, 12, 3, 2, 1])
    folds = stratified_folds(labels, 5, seed=3)
    judged = np.concatenate([fold.validation for fold in folds])
    assert sorted(judged.tolist()) == list(range(57))  # each once, but the only one of its class
    for fold in folds:
        assert sorted([*fold.training, *fold.validation]) == list(range(58))
        counts = np.bincount(labels[fold.validation], minlength=5)
        assert counts[0] == 8
        assert counts[1] in (2, 3)
        assert max(counts[2:]) <= 1
        assert 57 in fold.training  # the only one is always learned from
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_folds_follow_their_seed_and_touch_no_global_generator() -> None:
    labels = np.repeat(np.arange(3), [10, 9, 2])
    before = str(np.random.get_state())  # noqa: NPY002
    first, again, other = (
        [fold.validation.tolist() for fold in stratified_folds(labels, 3, seed)] for seed in (0, 0, 1)
    )
    assert str(np.random.get_state()) == before  # noqa: NPY002
    assert first == again
    assert first != other
    assert all(stratified_folds(np.repeat(np.arange(4), 2), 4, 0))  # all classes rare
    with pytest.raises(UsageError, match="at least two folds"):
        stratified_folds(labels, 1, 0)
    with pytest.raises(TooLittleDataError, match="10 folds need at least 20 images"):
        stratified_folds(labels[:12], 10, 0)


def test_statistics_of_a_channel_are_those_of_all_its_pixels() -> None:
    images = np.random.default_rng(0).random((5, 3, 4, 6)).astype(np.float32)
    chosen = np.array([0, 2, 3])
    mean, sd = channel_statistics(images, chosen)
    for channel in range(3):
        pixels = [float(value) for at in chosen for row in images[at, channel] for value in row]
        average = sum(pixels) / len(pixels)
        assert mean[channel] == pytest.approx(average)
        assert sd[channel] == pytest.approx((sum((value - average) ** 2 for value in pixels) / len(pixels)) ** 0.5)


def test_nothing_of_the_validation_images_leaks_into_a_network(parts: PartImages) -> None:
    """Other validation images: the same statistics, and after one epoch the same weights to the last bit."""
    fold = stratified_folds(parts.labels, 3, 0)[0]
    config = replace(QUICK, epochs=1)
    images = parts.images.copy()
    images[fold.validation] = 1.0 - 0.5 * images[fold.validation]
    own = train_fold(parts, fold, 0, config).network.state_dict()
    other = train_fold(replace(parts, images=images), fold, 0, config).network.state_dict()
    assert all(torch.equal(own[name], other[name]) for name in own)
    mean, sd = channel_statistics(parts.images, fold.training)
    assert own["mean"].flatten().tolist() == pytest.approx(mean)
    assert own["sd"].flatten().tolist() == pytest.approx(sd)
    # The same change in a training image does show.
    images = parts.images.copy()
    images[fold.training[0]] = 1.0 - 0.5 * images[fold.training[0]]
    changed = train_fold(replace(parts, images=images), fold, 0, config).network.state_dict()
    assert not torch.equal(own["mean"], changed["mean"])


def test_no_image_of_an_excluded_product_is_mirrored(parts: PartImages, monkeypatch: pytest.MonkeyPatch) -> None:
    """All states of the product, and every other product still is."""
    seen: list[tuple[bool, int]] = []
    draw = ImageAugment.draw

    def noted(self: ImageAugment, n_images: int, generator: torch.Generator, labels: torch.Tensor | None) -> object:
        moves = draw(self, n_images, generator, labels)
        known = [-1] * n_images if labels is None else labels.tolist()
        seen.extend(zip(moves.is_mirrored.any(1).tolist(), known, strict=True))
        return moves

    monkeypatch.setattr(ImageAugment, "draw", noted)
    fold = stratified_folds(parts.labels, 3, 0)[0]
    train_fold(parts, fold, 0, replace(QUICK, flip_excluded=("bracket",)))
    assert {parts.classes[label][0] for is_mirrored, label in seen if is_mirrored} == {"tile"}
    seen.clear()
    train_fold(parts, fold, 0, QUICK)
    assert any(is_mirrored for is_mirrored, _ in seen), "the same settings mirror where nothing is excluded"
    seen.clear()
    train_fold(parts, fold, 0, replace(QUICK, is_flipped=False))
    assert not any(is_mirrored for is_mirrored, _ in seen)
    with pytest.raises(DataError, match=r"no images of 'zipper'.*bracket, tile"):
        train_fold(parts, fold, 0, replace(QUICK, flip_excluded=("zipper",)))


def test_flips_of_all_make_the_flipped_state_unknowable_and_the_exclusion_helps() -> None:
    """The published finding in small: brackets good and flipped, two classes that a mirror exchanges."""
    counts = {("bracket", "good"): 24, ("bracket", "flipped"): 24}
    parts = part_images(np.random.default_rng(1), counts, size=32)
    test = part_images(np.random.default_rng(2), counts, size=32)
    config = replace(QUICK, epochs=8, rotation=0.0, drop_path=0.0, optimiser="adam", learning_rate=3e-3)
    found = {}
    for excluded in ((), ("bracket",)):
        fold = stratified_folds(parts.labels, 3, 0)[0]
        network = train_fold(parts, fold, 0, replace(config, flip_excluded=excluded)).network
        found[excluded] = macro_f1(test.labels, probabilities(network, torch.from_numpy(test.images)).argmax(1))
    assert found[("bracket",)] > 0.9
    assert found[()] < 0.75


def test_a_network_that_is_judged_sees_images_as_they_are() -> None:
    objective = Augmented(Classification(), ImageAugment(rotation=0.0, shift=0.0, flip=1.0))
    seen = []

    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.flatten(1)[:, :2]

    batch = Batch(torch.arange(4.0).view(1, 1, 1, 4), labels=torch.tensor([0]))
    for mode in (False, True):
        objective.loss(Network().train(mode), batch, torch.Generator())
    assert seen[0].flatten().tolist() == [0.0, 1.0, 2.0, 3.0]
    assert seen[1].flatten().tolist() == [3.0, 2.0, 1.0, 0.0]
    assert objective.to_json()["image_augment"]["flip"] == 1.0


def test_rare_classes_weigh_more_or_are_shown_more_often() -> None:
    labels = np.repeat(np.arange(3), [36, 9, 4])
    weights = balanced_weights(labels, 3)
    assert weights[1] / weights[0] == pytest.approx(2.0)  # the square root of four times rarer
    assert np.mean([weights[label] for label in labels]) == pytest.approx(1.0)
    shown = np.bincount(labels[balanced_repeats(labels, np.arange(49))])
    assert shown.tolist() == [36, 18, 12]
    chosen = np.array([0, 1, 2, 3, 40])  # four of the first class, one of the second, none of the third
    assert np.bincount(labels[balanced_repeats(labels, chosen)]).tolist() == [4, 2]


def test_class_weights_count_in_the_loss() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    batch = Batch(logits, labels=labels)
    each = [float(-logits[at].log_softmax(0)[label]) for at, label in enumerate(labels.tolist())]
    weighted = Classification(class_weights=(1.0, 3.0)).loss(torch.nn.Identity(), batch, torch.Generator())
    assert float(weighted) == pytest.approx((each[0] + 3.0 * each[1]) / 4.0)
    assert Classification(class_weights=(1.0, 3.0)).to_json()["class_weights"] == [1.0, 3.0]
    assert "class_weights" not in Classification().to_json()
    with pytest.raises(UsageError, match="class_weights must be finite"):
        Classification(class_weights=(float("nan"),))


def test_balance_reaches_the_training(parts: PartImages) -> None:
    fold = stratified_folds(parts.labels, 3, 0)[0]
    records = {
        name: train_fold(parts, fold, 0, replace(QUICK, balance=name)).record
        for name in ("none", "weights", "sampling")
    }
    assert records["none"].n_items == records["weights"].n_items == len(fold.training)
    assert records["sampling"].n_items > len(fold.training)
    assert len(records["weights"].objective["class_weights"]) == 4
    assert "class_weights" not in records["none"].objective


def test_each_image_is_judged_by_the_network_that_has_not_seen_it(
    parts: PartImages, judged: tuple[StateResult, StateEnsemble]
) -> None:
    result, ensemble = judged
    assert len(ensemble.networks) == 3
    answers = np.full(len(parts), -1)
    for network, fold in zip(ensemble.networks, stratified_folds(parts.labels, 3, 0), strict=True):
        answers[fold.validation] = probabilities(network, torch.from_numpy(parts.images[fold.validation])).argmax(1)
    naive = []
    for label in range(4):
        hit = sum((answers == label) & (parts.labels == label))
        naive.append(2.0 * hit / max(1, sum(answers == label) + sum(parts.labels == label)))
    assert result.class_f1 == pytest.approx(naive)
    assert result.macro_f1 == pytest.approx(np.mean(naive))
    assert np.sum(result.confusion) == len(parts)
    assert np.trace(result.confusion) == round(result.accuracy * len(parts))
    assert len(result.mistakes) == len(parts) - np.trace(result.confusion)
    assert result.unjudged == ()


def test_the_folds_vote_by_the_mean_of_their_probabilities(
    parts: PartImages, judged: tuple[StateResult, StateEnsemble]
) -> None:
    _, ensemble = judged
    images = torch.from_numpy(parts.images[:5])
    with torch.inference_mode():
        each = [network(images).double().softmax(1).numpy() for network in ensemble.networks]
    assert np.allclose(ensemble.probabilities(parts.images[:5]), sum(each) / 3.0)
    with pytest.raises(UsageError, match=r"images \(N, 3, 32, 32\) expected"):
        ensemble.probabilities(parts.images[:, :, :16])


def test_the_same_seed_gives_the_same_networks(parts: PartImages, judged: tuple[StateResult, StateEnsemble]) -> None:
    before = torch.get_rng_state()
    _, again = cross_validate(parts, QUICK, most_folds=1)
    assert torch.equal(torch.get_rng_state(), before)
    first = judged[1].networks[0].state_dict()
    assert all(torch.equal(weight, first[name]) for name, weight in again.networks[0].state_dict().items())


def test_the_only_image_of_a_class_is_not_judged() -> None:
    counts = {("tile", "good"): 6, ("tile", "cracked"): 6, ("tile", "stained"): 1}
    parts = part_images(np.random.default_rng(0), counts, size=32)
    result, _ = cross_validate(parts, replace(QUICK, epochs=1, flip_excluded=()))
    assert result.unjudged == ("tile-stained",)
    assert result.class_f1[2] is None
    assert result.macro_f1 == pytest.approx(np.mean(result.class_f1[:2]))  # type: ignore[arg-type]


@pytest.mark.skipif(importlib.util.find_spec("PIL") is None, reason="the extra 'vision' (Pillow) is not installed")
def test_a_folder_of_ones_own_is_classified_saved_and_read_again(tmp_path: Path) -> None:
    root = write_parts(tmp_path / "parts", np.random.default_rng(0), COUNTS, size=32)
    said: list[tuple[int, int]] = []
    result, ensemble = classify_states(root, QUICK, lambda fold, epoch, _loss, _judged: said.append((fold, epoch)))
    assert said == [(fold, epoch) for fold in (1, 2, 3) for epoch in (1, 2)]
    target = ensemble.save(tmp_path / "classifier", result)
    row = json.loads((target / "result.json").read_text())
    assert row["macro_f1"] == result.macro_f1
    assert row["class_f1"]["bracket-flipped"] == result.class_f1[1]
    assert len(row["fold_macro_f1"]) == 3
    assert StateConfig.from_json(row["config"]) == QUICK
    assert all(name.endswith((".json", ".safetensors")) for name in (path.name for path in target.iterdir()))
    images = part_images(np.random.default_rng(9), COUNTS, size=32).images
    again = StateEnsemble.load(target)
    assert again.class_names == ensemble.class_names
    assert np.array_equal(again.probabilities(images), ensemble.probabilities(images))
    with pytest.raises(StorageError, match="exists already"):
        ensemble.save(target)
    ensemble.save(target, force=True)


def test_a_damaged_classifier_is_refused(tmp_path: Path, judged: tuple[StateResult, StateEnsemble]) -> None:
    target = judged[1].save(tmp_path / "classifier")
    weights = target / "fold-2.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    with pytest.raises(ArtefactError, match=r"fold-2\.safetensors"):
        StateEnsemble.load(target)
    weights.write_bytes(whole)
    about = json.loads((target / "classifier.json").read_text())
    for wrong in (
        *({"classes": ["one"]}, {"format": 9}, {"networks": 0}, {"classes": [*about["classes"], "more"]}),
        *({"config": None}, {"config": {"folds": 0}}, {"config": {"drop_path": "half"}}, {"config": {"colour": 1}}),
    ):
        (target / "classifier.json").write_text(json.dumps(about | wrong))
        with pytest.raises(ArtefactError):
            StateEnsemble.load(target)
    weights.unlink()
    (target / "classifier.json").write_text(json.dumps(about))
    with pytest.raises(StorageError, match="cannot read"):
        StateEnsemble.load(target)


def test_settings_are_checked_and_go_through_json() -> None:
    config = StateConfig(optimiser="radam", flip_excluded=("metal_nut",))
    assert StateConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert (config.rate, StateConfig().rate, replace(config, learning_rate=0.5).rate) == (1e-3, 1.0, 0.5)
    for wrong, said in (
        ({"optimiser": "sgd"}, "optimiser must be one of adadelta, adam, adamw, radam"),
        ({"folds": 1}, "folds must be a whole number from 2"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\)"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number"),
        ({"flip_excluded": "metal_nut"}, "names of products in a tuple"),
        ({"backbone": "efficientnet-lite0", "size": 100}, "multiple of 32"),
        ({"n_frozen": 3}, "n_frozen must be 0 where nothing was published"),
    ):
        with pytest.raises(UsageError, match=said):
            StateConfig(**wrong)
    with pytest.raises(UsageError, match="unknown settings"):
        StateConfig.from_json({"colour": "red"})


def test_each_optimiser_trains(parts: PartImages) -> None:
    fold = stratified_folds(parts.labels, 3, 0)[0]
    weights = set()
    for optimiser in ("adadelta", "adam", "adamw", "radam"):
        trained = train_fold(parts, fold, 0, replace(QUICK, optimiser=optimiser, epochs=1))
        assert trained.record.config["optimiser"] == optimiser
        weights.add(float(trained.network.state_dict()["head.weight"].square().sum()))
    assert len(weights) == 4  # AdamW without its weight decay would be Adam


def test_the_recipe_runs_from_end_to_end_and_draws_its_pictures() -> None:
    figure = pytest.importorskip("matplotlib.figure", reason="the extra 'vision' (matplotlib) is not installed")
    found = recipe("I16")
    outcome = found.run(found.plan(None, None, is_quick=True), 0)
    tables = {cell.table for cell in outcome.cells}
    assert tables == {"flips", "optimisers", "rare classes", "drop-path", "backbones"}
    assert {cell.variant for cell in outcome.cells if cell.table == "optimisers"} == {
        "adadelta", "adam", "adamw", "radam",
    }  # fmt: skip
    assert [picture.name for picture in outcome.pictures] == [
        "parts",
        "curves-small",
        "confusion",
        "hardest",
        "class-f1",
    ]
    for picture in outcome.pictures:
        drawn = figure.Figure((picture.width, picture.height))
        picture.draw(drawn)
        assert drawn.axes
