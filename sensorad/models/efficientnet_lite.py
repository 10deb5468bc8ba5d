"""EfficientNet-Lite0: inverted bottlenecks without squeeze-and-excitation, 3.4 million parameters before the logits.

Written out here so that building it draws nothing from a global generator and drop-path draws from the trainer's; the
names of its weights are those of the published file. Source: Tan and Le 2019; the Lite variants, Google 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import ArtefactError, UsageError
from sensorad.models.checks import at_least
from sensorad.models.drop_path import DropPath, rising_shares
from sensorad.models.weights import bare, initialise, state_shapes

__all__ = ["EfficientNetLite0"]

STEM_WIDTH, HEAD_WIDTH = 32, 1280

STAGES = (
    # (repeats, kernel, stride of the first, expansion, output channels)
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

EPSILON = 1e-3
"""Of the batch norms, as in the published network."""

REDUCTION = 32
"""Pixels of the image per pixel of the last layer; with other sides the published padding would be another."""


class EfficientNetLite0(nn.Module):
    """Features (N, 1280) of colour images (N, 3, H, W), whose sides are multiples of 32.

    Statistics of the batch norms move by a tenth per step, not by the published hundredth: a fine-tuning of a few
    hundred steps would otherwise be judged with those of ImageNet.

    Parameters
    ----------
    drop_path
        Share of skipped branches at the last block; it rises from 0 at the first.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = EfficientNetLite0().eval()
    >>> with torch.inference_mode():
    ...     network(torch.ones(2, 3, 32, 32)).shape
    torch.Size([2, 1280])
    """

    def __init__(self, drop_path: float = 0.0, generator: torch.Generator | int | None = 0) -> None:
        super().__init__()
        self.n_features = HEAD_WIDTH
        self.n_frozen = 0
        self._conv_stem = _same(3, STEM_WIDTH, 3, 2)
        self._bn0 = _norm(STEM_WIDTH)
        shares = rising_shares(drop_path, sum(repeats for repeats, *_ in STAGES))
        self._blocks = nn.ModuleList(
            _InvertedBottleneck(*sizes, share) for sizes, share in zip(_block_sizes(), shares, strict=True)
        )
        self._conv_head = bare(nn.Conv2d, STAGES[-1][-1], HEAD_WIDTH, 1, bias=False)
        self._bn1 = _norm(HEAD_WIDTH)
        initialise(self, generator)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                # A count that nothing reads, and the only number of the network that is not a float32.
                module.num_batches_tracked = None
            elif isinstance(module, nn.Conv2d) and generator is not None:
                # Half the time of the usual order in memory: most layers see a channel at a time.
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)

    @classmethod
    def expected_shapes(cls) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(0.0, None))

    def load(self, weights: Mapping[str, Tensor], *, where: str) -> None:
        """Put the published weights in, or change nothing; those of its 1,000 logits are not used.

        Raises
        ------
        ArtefactError
            A name is missing or unknown, or a tensor has another shape or a value that is not finite.
        """
        own = self.state_dict()
        given = {
            name: tensor
            for name, tensor in weights.items()
            if not name.startswith("_fc.") and not name.endswith(".num_batches_tracked")
        }
        if odd := sorted(own.keys() ^ given.keys()):
            raise ArtefactError(f"weights that are missing or unknown: {', '.join(odd[:5])}", where=where)
        for name, tensor in given.items():
            if tensor.shape != own[name].shape or not bool(tensor.isfinite().all()):
                raise ArtefactError(f"{name} must be finite, of shape {tuple(own[name].shape)}", where=where)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(given[name])

    def freeze(self, n_blocks: int) -> None:
        """Leave the stem and the first ``n_blocks`` of 16 blocks as they are in training, statistics included."""
        at_least(0, len(self._blocks), n_blocks=n_blocks)
        self.n_frozen = n_blocks
        for module in self._frozen():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """As every module has it; what is frozen stays in evaluation."""
        super().train(mode)
        for module in self._frozen():
            module.train(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Features: (N, 3, H, W) -> (N, 1280)."""
        if x.shape[1] != 3 or x.shape[2] % REDUCTION or x.shape[3] % REDUCTION:
            raise UsageError(f"3 channels and sides in multiples of {REDUCTION} expected, got {tuple(x.shape[1:])}")
        x = x.contiguous(memory_format=torch.channels_last)
        x = functional.relu6(self._bn0(self._conv_stem(x)))  # (N, 32, H/2, W/2)
        for block in self._blocks:
            x = block(x)  # at last (N, 320, H/32, W/32)
        x = functional.relu6(self._bn1(self._conv_head(x)))  # (N, 1280, H/32, W/32)
        return x.mean((2, 3))

    def _frozen(self) -> list[nn.Module]:
        return [self._conv_stem, self._bn0, *self._blocks[: self.n_frozen]] if self.n_frozen else []


class _InvertedBottleneck(nn.Module):
    """Widen, filter each channel on its own, narrow; by-passed where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, share: float) -> None:
        super().__init__()
        wide = inputs * expansion
        self.is_widened = expansion > 1
        self.is_bypassed = stride == 1 and inputs == outputs
        if self.is_widened:
            self._expand_conv = bare(nn.Conv2d, inputs, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _same(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = bare(nn.Conv2d, wide, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.path = DropPath(share)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = functional.relu6(self._bn0(self._expand_conv(x))) if self.is_widened else x
        branch = functional.relu6(self._bn1(self._depthwise_conv(branch)))
        branch = self._bn2(self._project_conv(branch))
        if self.is_bypassed:
            branch = x + self.path(branch)
        return branch


class _SameConv(nn.Conv2d):
    """A convolution with stride 2 that pads as the published network did: the odd pixel at the right and the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        before = (self.kernel_size[0] - 2) // 2
        after = self.kernel_size[0] - 2 - before
        padded = functional.pad(x, (before, after, before, after))
        return functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


def _same(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return bare(nn.Conv2d, inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return bare(_SameConv, inputs, outputs, kernel, stride=stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = bare(nn.BatchNorm2d, channels)
    norm.eps = EPSILON
    return norm


def _block_sizes() -> Iterator[tuple[int, int, int, int, int]]:
    """(inputs, outputs, kernel, stride, expansion) of each of the 16 blocks."""
    inputs = STEM_WIDTH
    for repeats, kernel, stride, expansion, outputs in STAGES:
        for at in range(repeats):
            yield inputs, outputs, kernel, stride if at == 0 else 1, expansion
            inputs = outputs
