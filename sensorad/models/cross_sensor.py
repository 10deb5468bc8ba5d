"""Masked-sensor network: what the others tell of a sensor, whichever of them are hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.models.checks import at_least
from sensorad.models.cross_config import LAGS, LINEAR, CrossSensorConfig
from sensorad.models.weights import bare, initialise

__all__ = ["CrossSensorNetwork"]

FIRST_OUTPUT = 0.1
"""The first outputs are this part of what they would be: the network begins close to saying nothing."""


class CrossSensorNetwork(nn.Module):
    """Corrects a linear prediction of each sensor of a row, from the other sensors in this row and rows before it.

    Sensors that are hidden are 0 at all lags, and a bit each says so; the network is only ever asked for hidden ones,
    so that it cannot learn to copy. The idea of masking an input to predict it is that of masked autoencoders (Germain
    et al. 2015, Devlin et al. 2019), here with whole sensors for words.

    Parameters
    ----------
    n_sensors
        C.
    config
        Sizes.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = CrossSensorNetwork(3, CrossSensorConfig(width=8))
    >>> readings, hidden = torch.ones(4, 15), torch.zeros(4, 3)
    >>> hidden[:, 1] = 1.0
    >>> network(readings, hidden).shape
    torch.Size([4, 3])
    """

    def __init__(self, n_sensors: int, config: CrossSensorConfig, generator: torch.Generator | int | None = 0) -> None:
        super().__init__()
        at_least(1, n_sensors=n_sensors)
        self.n_sensors = n_sensors
        self.config = config
        sizes = {name: shape for name, shape in config.shapes(n_sensors).items() if name != LINEAR}
        for layer in ("first", "second", "output"):
            n_outputs, n_inputs = sizes[f"{layer}.weight"]
            self.add_module(layer, bare(nn.Linear, n_inputs, n_outputs))
        initialise(self, generator)
        if generator is not None:
            with torch.no_grad():
                self.get_parameter("output.weight").mul_(FIRST_OUTPUT)
                self.get_parameter("output.bias").zero_()

    def forward(self, readings: Tensor, hidden: Tensor) -> Tensor:
        """(N, lags C) readings, lag by lag, and (N, C) 1 where a sensor is hidden -> (N, C) corrections."""
        shown = readings * (1.0 - hidden).repeat(1, len(LAGS))  # (N, lags C)
        code = torch.cat([shown, hidden], dim=1)  # (N, lags C + C)
        for layer in ("first", "second"):
            code = functional.gelu(self.get_submodule(layer)(code), approximate="tanh")  # (N, D)
        corrections: Tensor = self.get_submodule("output")(code)  # (N, C)
        return corrections
