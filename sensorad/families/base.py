"""What a family of models must offer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel
from sensorad.error_models.crossfit import Fold
from sensorad.normal_rows import NormalRows

if TYPE_CHECKING:
    from sensorad.error_models.torch_windows import Precision
    from sensorad.training import TrainingRecord

__all__ = ["Arrays", "Family", "Progress", "Runtime", "Trained"]

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of learning.

    Attributes
    ----------
    fold_model
        The model for each fold; it never saw the rows held out there.
    model
        The one for use.
    how
        How the errors of a block out of fold come about, after "each scored by".
    records
        Of networks; the run on everything last.
    config
        Settings of what was learned, where these were left open; None: those that were given.
    """

    fold_model: Callable[[Fold], ErrorModel]
    model: ErrorModel
    how: str
    records: Sequence[TrainingRecord] = field(default_factory=list)
    config: DetectorConfig | None = None


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs the networks of a detector.

    Attributes
    ----------
    network
        "torch", "numpy", or the path of an ONNX file made of the detector.
    precision
        Of the products in torch.
    step_seconds
        Usual time between rows.
    weights
        Tells the SHA-256 of all weights of the detector.
    """

    network: str | os.PathLike[str]
    precision: Precision
    step_seconds: float
    weights: Callable[[], str]

    @property
    def is_default(self) -> bool:
        """Nothing was asked for."""
        return self.network in ("torch", "numpy") and self.precision == "float32"


class Family(Protocol):
    """Models that are learned, kept and put together in the same way."""

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """Fit out of fold, and on everything."""

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """Everything learned, by name, for an artefact."""

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """Arrays that must be in an artefact, those in `own` left out."""

    def own(self, name: str) -> bool:
        """Whether the array of that name is one that `built` checks itself."""

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """The model with these arrays, all of which are known to be in order but those in `own`.

        Raises
        ------
        ArtefactError
            The arrays are not those of the settings.
        UsageError
            The model cannot run so.
        """
