"""What images add to the objectives and scores of classifiers: turns, exposed sets, labels that are not mixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sensorad.error_models.confidence import max_logit_score
from sensorad.errors import DataError, UsageError
from sensorad.metrics import expected_calibration_error, negative_log_likelihood, reliability
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.models.window_classifier import TRANSFORMS, TURNS, transformed
from sensorad.training.batches import Batch
from sensorad.training.classification import Classification, SetExposure

IMAGES = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def _linear(n_classes: int = 3) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, n_classes))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(generator=generator)
    return network.requires_grad_(False)


def test_turns_are_quarters_of_a_circle_pixel_by_pixel() -> None:
    shown = transformed(IMAGES, TURNS).view(6, 4, 1, 4, 4)
    for n in range(6):
        for turn in range(4):
            slow = np.rot90(IMAGES[n, 0].numpy(), turn)
            for row in range(4):
                for column in range(4):
                    assert float(shown[n, turn, 0, row, column]) == slow[row, column]


def test_turns_are_of_images_and_the_rest_of_windows() -> None:
    with pytest.raises(UsageError, match="images are turned, not negation"):
        transformed(IMAGES, ["identity", "negation"])
    with pytest.raises(UsageError, match="turn-90"):
        transformed(torch.zeros(2, 8, 3), ["turn-90"])
    assert not set(TURNS[1:]) & set(TRANSFORMS)


def test_a_classifier_of_turns_makes_its_own_labels() -> None:
    network = _linear(4)
    loss = Classification(transforms=TURNS).loss(network, Batch(IMAGES), torch.Generator()).detach()
    slow = []
    for image in IMAGES:
        for turn in range(4):
            logits = network(torch.rot90(image, turn, (1, 2))[None])
            slow.append(-float(logits.log_softmax(1)[0, turn].detach()))
    assert float(loss) == pytest.approx(np.mean(slow), rel=1e-5)


def test_exposed_items_come_from_the_set_alone_and_all_of_them_do() -> None:
    outliers = np.arange(7, dtype=np.float32).reshape(7, 1, 1, 1)
    drawn = SetExposure(outliers).exposed(np.zeros((500, 1, 1, 1), np.float32), np.random.default_rng(0))
    assert drawn.shape == (500, 1, 1, 1)
    assert set(drawn.ravel().tolist()) == set(range(7))
    with pytest.raises(UsageError, match="empty"):
        SetExposure(outliers[:0])


def test_exposure_adds_half_the_cross_entropy_to_an_even_answer() -> None:
    network, outliers = _linear(), torch.ones(1, 1, 4, 4)
    batch = Batch(IMAGES, labels=LABELS)
    plain = Classification().loss(network, batch, torch.Generator())
    exposed = Classification(exposure=SetExposure(outliers.numpy())).loss(network, batch, torch.Generator())
    even = -float(network(outliers).log_softmax(1).mean())
    assert float(exposed - plain) == pytest.approx(0.5 * even, rel=1e-5)


def test_mixtures_may_keep_the_labels_of_the_first_image() -> None:
    network = _linear().train()
    batch = Batch(IMAGES, labels=LABELS)
    kept, mixed = (
        Classification(mixup=1.0, mixed_labels=how).loss(network, batch, torch.Generator().manual_seed(3))
        for how in ("own", "weighted")
    )
    assert float(kept) != pytest.approx(float(mixed), rel=1e-3)
    alike = Batch(IMAGES, labels=torch.zeros(6, dtype=torch.long))
    same = [
        float(Classification(mixup=1.0, mixed_labels=how).loss(network, alike, torch.Generator().manual_seed(3)))
        for how in ("own", "weighted")
    ]
    assert same[0] == pytest.approx(same[1], rel=1e-5), "where all labels are one, keeping and mixing are the same"
    with pytest.raises(UsageError, match="'weighted' or 'union' or 'own'"):
        Classification(mixed_labels="other")  # type: ignore[arg-type]


def test_the_largest_logit_is_a_score() -> None:
    logits = torch.tensor([[1.0, -2.0], [-3.0, -4.0]])
    assert max_logit_score(logits).tolist() == [-1.0, 3.0]


def test_calibration_error_against_a_loop_over_bins() -> None:
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.ones(3), 400)
    labels = rng.integers(0, 3, 400)
    total = 0.0
    for low in np.arange(15) / 15:
        inside = [n for n in range(400) if low < said[n].max() <= low + 1 / 15 + 1e-12]
        if inside:
            right = np.mean([said[n].argmax() == labels[n] for n in inside])
            total += len(inside) / 400 * abs(right - np.mean([said[n].max() for n in inside]))
    assert expected_calibration_error(said, labels) == pytest.approx(total, rel=1e-9)
    assert reliability(said, labels).counts.sum() == 400
    assert negative_log_likelihood(said, labels) == pytest.approx(
        np.mean([-np.log(said[n, labels[n]]) for n in range(400)])
    )


@pytest.mark.parametrize(
    ("said", "labels"),
    [([[0.5, 0.6]], [0]), ([[0.5, 0.5]], [2]), ([[np.nan, 1.0]], [0]), ([0.5, 0.5], [0, 0]), ([[1.0, 0.0]], [0.5])],
)
def test_what_is_no_probability_or_no_label_is_refused(said: list[object], labels: list[float]) -> None:
    with pytest.raises(DataError):
        reliability(said, labels)


def test_a_certain_answer_that_is_wrong_costs_without_end() -> None:
    assert negative_log_likelihood([[1.0, 0.0]], [1]) == np.inf


def test_classifiers_of_images_say_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="4 x 4 pixels are too few"):
        ImageClassifier((1, 4, 4), ImageClassifierConfig())
    with pytest.raises(UsageError, match="odd"):
        ImageClassifierConfig(stride=1, kernel=2)
    larger = ImageClassifierConfig.larger(classes=10, dropout=0.5)
    assert ImageClassifierConfig.from_json(larger.to_json()) == larger
    network = ImageClassifier((1, 28, 28), larger)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert ImageClassifier.expected_shapes((1, 28, 28), larger) == shapes
