"""Images turned, shifted, zoomed and mirrored: against loops over pixels, within their bounds, and pure."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.augment.image import ImageAugment, ImageMoves, enlarged, moved
from sensorad.errors import DataError, UsageError
from sensorad.training.batches import Batch, TensorSource
from sensorad.training.classification import Classification
from sensorad.training.config import TrainConfig
from sensorad.training.image_augmentation import Augmented
from sensorad.training.objectives import Reconstruction
from sensorad.training.trainer import Trainer

EVERYTHING = ImageAugment(rotation=40.0, shift=0.2, zoom=0.3, flip=0.5, vertical_flip=0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(n: int = 6, shape: tuple[int, int, int] = (2, 7, 11), dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand((n, *shape), generator=seeded(99), dtype=dtype)


def slowly_moved(images: Tensor, moves: ImageMoves, padding: str) -> np.ndarray:
    """Pixel by pixel: where did it come from, and what are the four pixels around that place worth?"""
    n_images, n_channels, height, width = images.shape
    found = np.zeros(images.shape)
    for n in range(n_images):
        angle = math.radians(float(moves.angles[n]))
        for row, column in product(range(height), range(width)):
            # From the middle, to the right and up.
            right = column + 0.5 - width / 2 - float(moves.shifts[n, 0]) * width
            up = height / 2 - (row + 0.5) + float(moves.shifts[n, 1]) * height
            right, up = right / float(moves.zooms[n]), up / float(moves.zooms[n])
            right, up = (
                right * math.cos(angle) + up * math.sin(angle),
                -right * math.sin(angle) + up * math.cos(angle),
            )
            right = -right if moves.is_mirrored[n, 0] else right
            up = -up if moves.is_mirrored[n, 1] else up
            x, y = right + width / 2 - 0.5, height / 2 - up - 0.5
            if padding == "border":
                x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
            for near_y, near_x in product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
                if 0 <= near_y < height and 0 <= near_x < width:
                    share = (1 - abs(y - near_y)) * (1 - abs(x - near_x))
                    for channel in range(n_channels):
                        found[n, channel, row, column] += share * float(images[n, channel, near_y, near_x])
    return found


def still(n: int, **changed: Tensor) -> ImageMoves:
    moves = ImageMoves(torch.zeros(n, 2).bool(), torch.zeros(n), torch.ones(n), torch.zeros(n, 2))
    return replace(moves, **changed)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("shape", [(2, 7, 11), (1, 8, 8), (1, 1, 5)])
def test_all_moves_at_once_as_pixel_by_pixel(padding: str, shape: tuple[int, int, int]) -> None:
    images = some_images(shape=shape)
    moves = EVERYTHING.draw(len(images), seeded(3))
    assert moves.is_mirrored.any(), "nothing is mirrored: the comparison would not see it"
    np.testing.assert_allclose(moved(images, moves, padding).numpy(), slowly_moved(images, moves, padding), atol=1e-6)


def test_a_quarter_turn_is_counter_clockwise_and_exact() -> None:
    images = some_images(3, (1, 6, 6))
    turned = moved(images, still(3, angles=torch.full((3,), 90.0)))
    torch.testing.assert_close(turned, torch.rot90(images, 1, (2, 3)), atol=1e-6, rtol=0)


def test_whole_pixels_mirrors_and_zoom() -> None:
    images = some_images(1, (1, 8, 10))
    shifted = moved(images, still(1, shifts=torch.tensor([[0.2, -0.125]])))  # 2 to the right, 1 up
    torch.testing.assert_close(shifted[..., :7, 2:], images[..., 1:, :8], atol=1e-6, rtol=0)
    assert shifted[..., 7, :].abs().max() < 1e-6
    assert shifted[..., :2].abs().max() < 1e-6
    for column, axis in ((0, 3), (1, 2)):
        is_mirrored = torch.zeros(1, 2).bool()
        is_mirrored[0, column] = True
        torch.testing.assert_close(moved(images, still(1, is_mirrored=is_mirrored)), images.flip(axis))
    spot = torch.zeros(1, 1, 9, 9)
    spot[..., 3:6, 3:6] = 1.0
    assert moved(spot, still(1, zooms=torch.tensor([2.0]))).sum() == pytest.approx(36.0, rel=0.05)


def test_draws_fill_their_bounds_and_do_not_leave_them() -> None:
    augment = ImageAugment(rotation=30.0, shift=0.1, zoom=0.2, flip=0.3, vertical_flip=0.1)
    moves = augment.draw(20_000, seeded())
    for values, low, high in (
        (moves.angles, -30.0, 30.0),
        (moves.shifts[:, 0], -0.1, 0.1),
        (moves.shifts[:, 1], -0.1, 0.1),
        (moves.zooms, 0.8, 1.2),
    ):
        least, most = float(values.min()), float(values.max())
        assert low - 1e-6 <= least < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < most <= high + 1e-6
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=0.01 * (high - low))
    assert moves.is_mirrored.float().mean(0).tolist() == pytest.approx([0.3, 0.1], abs=0.01)
    together = torch.stack([moves.angles, moves.zooms, *moves.shifts.T, *moves.is_mirrored.T.float()])
    assert (torch.corrcoef(together) - torch.eye(6)).abs().max() < 0.03, "moves depend on each other"


def test_no_value_leaves_the_range_of_the_images() -> None:
    images = (torch.rand(400, 1, 12, 12, generator=seeded(1)) > 0.3).float()
    for padding in ("zeros", "border", "reflection"):
        found = replace(EVERYTHING, padding=padding)(images, seeded())
        assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0
    assert replace(EVERYTHING, padding="border")(images[:, :, :4, :4] * 0 + 0.5, seeded()).min() == 0.5


def test_each_image_gets_its_own_draw_and_nothing_else_changes() -> None:
    images = some_images(1).expand(8, -1, -1, -1).contiguous()
    before, state = images.clone(), torch.get_rng_state()
    found = EVERYTHING(images, seeded(5))
    assert all(not torch.equal(found[0], other) for other in found[1:])
    assert torch.equal(found, EVERYTHING(images, seeded(5)))
    assert not torch.equal(found, EVERYTHING(images, seeded(6)))
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.dtype, found.shape) == (images.dtype, images.shape)


def test_settings_do_not_change_what_is_drawn_next() -> None:
    generators = [seeded(2), seeded(2)]
    still_images = ImageAugment(rotation=0.0, shift=0.0)
    assert still_images.is_identity
    images = some_images()
    assert torch.equal(still_images(images, generators[0]), images)
    EVERYTHING(images, generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_excluded_classes_are_never_mirrored_and_only_they() -> None:
    images, labels = some_images(60), torch.arange(60) % 4
    augment = ImageAugment(rotation=0.0, shift=0.0, flip=1.0, flip_excluded=(3, 1))
    found = augment(images, seeded(), labels)
    kept = (labels == 1) | (labels == 3)
    torch.testing.assert_close(found[kept], images[kept])
    torch.testing.assert_close(found[~kept], images[~kept].flip(3))
    mixed = replace(EVERYTHING, flip_excluded=(2,))
    with_labels, without = mixed.draw(60, seeded(), labels), EVERYTHING.draw(60, seeded())
    assert not with_labels.is_mirrored[labels == 2].any()
    assert torch.equal(with_labels.is_mirrored[labels != 2], without.is_mirrored[labels != 2])
    assert torch.equal(with_labels.angles, without.angles)


@pytest.mark.parametrize("labels", [None, torch.zeros(5).long(), torch.zeros(6), torch.zeros(6, 2).long()])
def test_labels_that_are_needed_must_be_classes(labels: Tensor | None) -> None:
    with pytest.raises(UsageError, match="labels"):
        ImageAugment(flip=0.5, flip_excluded=(0,))(some_images(), seeded(), labels)


def test_labels_are_not_needed_where_nothing_is_mirrored() -> None:
    assert ImageAugment(flip_excluded=(0,))(some_images(), seeded()).shape == (6, 2, 7, 11)


def test_enlarged_starts_with_the_images_themselves() -> None:
    images, labels = some_images(10), torch.arange(10) % 2
    augment = replace(EVERYTHING, flip_excluded=(1,))
    large = enlarged(images, 4, augment, seeded(), labels)
    assert large.shape == (40, 2, 7, 11)
    assert torch.equal(large[:10], images)
    generator = seeded()
    for fold in range(1, 4):
        assert torch.equal(large[10 * fold : 10 * fold + 10], augment(images, generator, labels))
        assert not torch.equal(large[10 * fold : 10 * fold + 10], images)
    assert torch.equal(enlarged(images, 1, augment, seeded(), labels), images)
    with pytest.raises(UsageError, match="n_fold"):
        enlarged(images, 0, augment, seeded(), labels)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": -1.0},
        {"rotation": 181.0},
        {"rotation": float("nan")},
        {"shift": 1.5},
        {"zoom": 1.0},
        {"flip": 1.1},
        {"vertical_flip": -0.1},
        {"flip_excluded": (-1,)},
        {"flip_excluded": "12"},
        {"flip_excluded": (0.5,)},
        {"padding": "wrap"},
    ],
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ImageAugment(**wrong)


def test_settings_survive_json() -> None:
    augment = ImageAugment(12.0, 0.2, 0.1, 0.5, 0.25, (4, 2, 2), "reflection")
    assert augment.flip_excluded == (2, 4)
    assert ImageAugment.from_json(augment.to_json()) == augment
    assert ImageAugment.from_json({}) == ImageAugment()
    with pytest.raises(UsageError, match="turn"):
        ImageAugment.from_json({"turn": 3})


def test_images_that_are_none_are_refused() -> None:
    for images in (torch.rand(4, 8, 8), torch.zeros(4, 1, 8, 8).int()):
        with pytest.raises(UsageError, match="images"):
            ImageAugment()(images, seeded())
    broken = some_images()
    broken[4, 0, 2, 2] = torch.nan
    with pytest.raises(DataError, match="image 4"):
        ImageAugment()(broken, seeded())
    assert ImageAugment()(torch.empty(0, 1, 8, 8), seeded()).shape == (0, 1, 8, 8)


class Recorder(nn.Module):
    """Remembers what it was shown; answers by its only weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x.clone())
        return self.weight * x.flatten(1).sum(1, keepdim=True)


def test_a_network_in_training_sees_augmented_images_and_a_judged_one_the_real_ones() -> None:
    images, labels = some_images(8, (1, 6, 6), torch.float32), torch.arange(8) % 2
    augment = ImageAugment(rotation=0.0, shift=0.0, flip=1.0, flip_excluded=(1,))
    network, objective, generator = Recorder(), Augmented(Classification(), augment), seeded()
    batch = Batch(images, labels=labels)
    objective.loss(network.train(), batch, generator)
    torch.testing.assert_close(network.shown[0][labels == 1], images[labels == 1])
    torch.testing.assert_close(network.shown[0][labels == 0], images[labels == 0].flip(3))
    state = generator.get_state()
    objective.loss(network.eval(), batch, generator)
    assert torch.equal(network.shown[1], images)
    assert torch.equal(generator.get_state(), state)
    assert objective.to_json() == Classification().to_json() | {"image_augment": augment.to_json()}
    with pytest.raises(UsageError, match="masks"):
        objective.loss(network.train(), replace(batch, mask=images > 0.5), generator)


def test_soft_labels_pass_where_no_class_is_excluded() -> None:
    batch = Batch(some_images(8, (1, 6, 6), torch.float32), labels=torch.full((8, 2), 0.5))
    loss = Augmented(Classification(), ImageAugment(flip=0.5)).loss(Recorder().train(), batch, seeded())
    assert float(loss.detach()) == pytest.approx(math.log(2.0))


def test_an_autoencoder_rebuilds_the_changed_image() -> None:
    batch = Batch(some_images(8, (1, 6, 6), torch.float32))
    loss = Augmented(Reconstruction(), ImageAugment()).loss(nn.Identity().train(), batch, seeded())
    assert float(loss) == 0.0


def test_the_trainer_augments_on_the_fly_and_repeats_itself() -> None:
    images, labels = some_images(40, (1, 6, 6), torch.float32), torch.arange(40) % 2
    objective = Augmented(Classification(), ImageAugment())
    runs = []
    for chosen in (objective, objective, Classification()):
        network = Recorder()
        source = TensorSource(images, labels=labels)
        config = TrainConfig(epochs=2, batch_size=40)
        runs.append((network, Trainer(config).fit(network, chosen, source, source, seeded(4))))
    (first, record), (again, record_again), (plain, _) = runs
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, plain.weight)
    assert record.train_losses == record_again.train_losses
    first_epoch, judged, second_epoch, _ = first.shown
    assert torch.equal(judged, images)
    changed = torch.sort(first_epoch.flatten(1).sum(1)).values, torch.sort(second_epoch.flatten(1).sum(1)).values
    assert not torch.allclose(*changed), "each epoch shows the same images"
