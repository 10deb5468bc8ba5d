"""Weights as plain arrays, and weights drawn from a given generator: what every network shares.

torch's layers draw their first weights from a global generator. Here layers are built without memory
(`bare`) and filled by `initialise` from a generator that is passed in, so building a network changes
nothing outside it and the same seed gives the same weights whatever ran before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sensorad.models.checks import check_weights

__all__ = [
    "bare",
    "initialise",
    "lecun_normal",
    "load_state_arrays",
    "parameter",
    "state_arrays",
    "state_shapes",
]

Layer = TypeVar("Layer", bound=nn.Module)


def bare(layer: Callable[..., Layer], *sizes: int, **options: bool | int | str) -> Layer:
    """A layer whose parameters have shapes but no memory and no values yet."""
    return layer(*sizes, device="meta", **options)


def parameter(*sizes: int) -> nn.Parameter:
    """A free parameter (a table of positions, of queries), without memory or values yet."""
    return nn.Parameter(torch.empty(sizes, device="meta"))


def initialise(network: nn.Module, generator: torch.Generator | int | None) -> None:
    """Give every parameter memory and a first value drawn from ``generator`` alone.

    Linear and convolutional layers are uniform within 1/sqrt(inputs), recurrent ones within 1/sqrt(width) with the
    forget gate opened by a bias of 1 (Jozefowicz et al. 2015: long memory from the first step), norms start as
    identity, free parameters are normal with standard deviation 1/sqrt(last size).

    Parameters
    ----------
    generator
        A CPU generator, a seed for a fresh one, or None: leave the network without memory (shapes only).
    """
    if generator is None:
        return
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                _uniform(module, module.in_features**-0.5, generator)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                n_seen = module.in_channels // module.groups * math.prod(module.kernel_size)
                _uniform(module, n_seen**-0.5, generator)
            elif isinstance(module, nn.LSTM):
                _uniform(module, module.hidden_size**-0.5, generator)
                for layer in range(module.num_layers):
                    getattr(module, f"bias_ih_l{layer}")[module.hidden_size : 2 * module.hidden_size] = 1.0
            elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
                module.weight.fill_(1.0)
                module.bias.fill_(0.0)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()  # of its running statistics too; draws nothing
            else:
                for free in module.parameters(recurse=False):
                    free.normal_(0.0, free.shape[-1] ** -0.5, generator=generator)


def lecun_normal(network: nn.Module, generator: torch.Generator | int | None) -> None:
    """As `initialise`, but linear layers are normal with variance 1/inputs and have biases of 0 (LeCun et al. 1998).

    Examples
    --------
    >>> layer = bare(nn.Linear, 400, 300)
    >>> lecun_normal(layer, 0)
    >>> round(20 * float(layer.weight.detach().std()), 2), float(layer.bias.detach().abs().max())
    (1.0, 0.0)
    """
    if generator is None:
        return
    source = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
    initialise(network, source)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0.0, module.in_features**-0.5, generator=source)
                if module.bias is not None:
                    module.bias.zero_()


def _uniform(module: nn.Module, bound: float, generator: torch.Generator) -> None:
    for weight in module.parameters(recurse=False):
        weight.uniform_(-bound, bound, generator=generator)


def state_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array that the network's state consists of; works without memory."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def state_arrays(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """A copy of the network's weights as float32 arrays, by name."""
    return {
        name: tensor.detach().to("cpu", torch.float32, copy=True).numpy()
        for name, tensor in network.state_dict().items()
    }


def load_state_arrays(network: nn.Module, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Put arrays from a file into the network, or change nothing at all.

    Raises
    ------
    ArtefactError
        If a name is missing or unknown, or an array has another shape, another dtype than float32, or a
        value that is not finite. Everything is checked before the first weight changes.

    Examples
    --------
    >>> from sensorad.models.dense import DenseAutoencoder, DenseConfig
    >>> one, other = (DenseAutoencoder(8, DenseConfig(widths=(4, 2)), seed) for seed in (0, 1))
    >>> load_state_arrays(other, state_arrays(one))
    >>> all((state_arrays(one)[name] == array).all() for name, array in state_arrays(other).items())
    True
    """
    check_weights(arrays, state_shapes(network))
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(torch.tensor(arrays[name]))
