"""Sizes of the LSTM encoder-decoder, and the shapes that follow from them. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sensorad.models.checks import at_least, checked_options

__all__ = ["LSTMConfig"]


@dataclass(frozen=True, slots=True)
class LSTMConfig:
    """Sizes of an `LSTMAutoencoder`.

    Attributes
    ----------
    width
        Units of encoder and decoder.
    code
        Numbers that describe a window. None: no narrow code, the decoder starts from the encoder's final
        state itself, as published.
    layers
        Stacked LSTM layers in encoder and in decoder.
    near_zero
        Start with an output of exactly 0, for a network that learns what a linear model left over.
    """

    width: int = 64
    code: int | None = 16
    layers: int = 1
    near_zero: bool = True

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width)
        at_least(1, 8, layers=self.layers)
        if self.code is not None:
            at_least(1, 4096, code=self.code)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> LSTMConfig:
        return cls(**checked_options(cls, row))

    def shapes(self, n_sensors: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight of a network on ``n_sensors`` sensors.

        Examples
        --------
        >>> LSTMConfig(width=8, code=None).shapes(3)["encoder.weight_ih_l0"]
        (32, 3)
        """
        width, state = self.width, 2 * self.layers * self.width
        shapes: dict[str, tuple[int, ...]] = {"output.weight": (n_sensors, width), "output.bias": (n_sensors,)}
        for part, n_inputs in (("encoder", n_sensors), ("decoder", self.code or 1)):
            for layer in range(self.layers):
                shapes[f"{part}.weight_ih_l{layer}"] = (4 * width, width if layer else n_inputs)
                shapes[f"{part}.weight_hh_l{layer}"] = (4 * width, width)
                shapes |= {f"{part}.bias_{kind}_l{layer}": (4 * width,) for kind in ("ih", "hh")}
        if self.code is not None:
            shapes |= {"narrow.weight": (self.code, state), "narrow.bias": (self.code,)}
            shapes |= {"widen.weight": (state, self.code), "widen.bias": (state,)}
        return shapes
