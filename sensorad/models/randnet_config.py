"""Sizes of the randomly connected autoencoder, and the shapes that follow from them. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options

__all__ = ["LAYERS", "RandNetConfig"]

LAYERS = ("encoder", "narrow", "widen", "output")
"""Linear layers from the window to the code and back, in their order."""


@dataclass(frozen=True, slots=True)
class RandNetConfig:
    """Sizes of a `RandNetAutoencoder`.

    Attributes
    ----------
    width
        Units between the window and the code, on the way in and on the way out.
    code
        Numbers that describe a window.
    connections
        Share of the connections between two layers that exist; the others are never there. 0.63 is what remains where
        as many are drawn with replacement as there are, as published.
    near_zero
        Start with an output of exactly 0, for a network that learns what a linear model left over.
    """

    width: int = 128
    code: int = 16
    connections: float = 0.63
    near_zero: bool = True

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width, code=self.code)
        if not isinstance(self.connections, int | float) or not 0.0 < self.connections <= 1.0:
            raise UsageError(
                f"connections is a share above 0 and up to 1, got {self.connections!r}", where="model configuration"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> RandNetConfig:
        return cls(**checked_options(cls, row))

    def sizes(self, n_features: int) -> tuple[int, ...]:
        """Numbers before and after each layer, for windows of ``n_features`` numbers."""
        return (n_features, self.width, self.code, self.width, n_features)

    def shapes(self, n_features: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, and of the connections that exist.

        Examples
        --------
        >>> RandNetConfig(width=8, code=2).shapes(30)["narrow.connected"]
        (2, 8)
        """
        shapes: dict[str, tuple[int, ...]] = {}
        sizes = self.sizes(n_features)
        for name, n_inputs, n_outputs in zip(LAYERS, sizes[:-1], sizes[1:], strict=True):
            shapes |= {f"{name}.{part}": (n_outputs, n_inputs) for part in ("weight", "connected")}
            shapes[f"{name}.bias"] = (n_outputs,)
        return shapes
