"""Scoring schemes by name: a new scheme is one class and one line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import SensorErrors
from sensorad.errors import unknown_name
from sensorad.scoring.evidence import RowEvidence, StepHistory
from sensorad.scoring.fused import FusedScheme
from sensorad.scoring.single import LargestScheme, MahalanobisScheme, SquaredErrorScheme, TopShareScheme

__all__ = ["SCHEMES", "Scheme", "scheme_class"]


class Scheme(Protocol):
    """Turns errors into scores with statistics that were learned on errors of rows the weights never saw."""

    name: ClassVar[str]

    @property
    def memory_rows(self) -> int:
        """Rows whose errors a score depends on, its own included."""

    @classmethod
    def fit(cls, errors: Sequence[SensorErrors], noise: NDArray[np.float64]) -> Self:
        """Learn from the errors of normal segments; ``noise`` (C,) is the rounding noise in deviations."""

    def evidence(self, errors: SensorErrors, history: StepHistory | None = None) -> RowEvidence:
        """Scores, surprises and blame of consecutive rows of one segment; with a ``history``, of rows of several.

        A scheme with `memory_rows` above 1 needs the history of rows that begin within a segment.
        """

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Everything learned, for an artefact."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """The scheme of `to_arrays`."""


SCHEMES: Mapping[str, type[Scheme]] = MappingProxyType(
    {
        "fused": FusedScheme,
        "mahalanobis": MahalanobisScheme,
        "max": LargestScheme,
        "sse": SquaredErrorScheme,
        "topk": TopShareScheme,
    }
)
"""Name on the command line (``--score``) -> class."""


def scheme_class(name: str) -> type[Scheme]:
    """The scheme of that name.

    Raises
    ------
    UsageError
        No such scheme; names the closest one.
    """
    if name not in SCHEMES:
        raise unknown_name("score", name, SCHEMES)
    return SCHEMES[name]
