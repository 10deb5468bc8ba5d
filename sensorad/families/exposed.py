"""Any family of models with a head of exposure beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.augment.faults import FAULTS
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel
from sensorad.error_models.crossfit import Fold
from sensorad.error_models.errors import StackedErrorModel
from sensorad.error_models.exposed_errors import ExposedErrors
from sensorad.error_models.fault_features import FEATURES
from sensorad.error_models.fault_head import FaultHead
from sensorad.errors import ArtefactError
from sensorad.families.base import Arrays, Family, Progress, Runtime, Trained
from sensorad.families.objectives import training_statistics
from sensorad.models.exposed_config import PULL
from sensorad.models.other_sensors import OtherSensorsRegression
from sensorad.normal_rows import NormalRows

__all__ = ["ExposedFamily"]

NAME = "head"
"""Names of its arrays begin so."""


class ExposedFamily:
    """The models of another family, each with a head that was trained on faults in rows it never saw.

    Parameters
    ----------
    base
        The other family.
    pull
        How strongly the weights of heads are held where they begin (`FaultDetection`).
    """

    def __init__(self, base: Family, pull: float = PULL) -> None:
        self.base, self.pull = base, pull

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`; the head takes seconds and is trained again when a fit resumes."""
        from sensorad.error_models.head_training import HeadPlan, train_heads

        trained = self.base.learn(rows, folds, config, checkpoint=checkpoint, report=report)
        models = {id(fold): cast(StackedErrorModel, trained.fold_model(fold)) for fold in folds}
        plan = HeadPlan(
            length=config.length,
            lags=config.lags,
            penalty=config.penalty,
            statistics=training_statistics(rows.stretches),
            kinds=config.exposure_kinds or tuple(FAULTS),
            pull=self.pull,
            seed=config.random_state,
        )
        heads = train_heads(
            plan, rows.stretches, folds, lambda fold: models[id(fold)], lambda share: report("learning faults", share)
        )
        return Trained(
            lambda fold: ExposedErrors(models[id(fold)], heads.of_fold(fold)),
            ExposedErrors(cast(StackedErrorModel, trained.model), heads.final),
            f"{trained.how}, beside a head that learned faults in the other half",
            trained.records,
            trained.config,
        )

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`."""
        if not isinstance(model, ExposedErrors):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        return self.base.arrays(model.base) | model.head.to_arrays(NAME)

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        numbers = ArraySpec((n_used, len(FEATURES)), "float64")
        own = {
            "centre": numbers,
            "above": numbers,
            "below": numbers,
            "sides": ArraySpec((2, len(FEATURES)), "float64"),
            "line": ArraySpec((2,), "float64"),
            "others": ArraySpec((len(OtherSensorsRegression.LAGS) * n_used + 1, n_used), "float32"),
            "steps": ArraySpec((config.lags * n_used + 1, n_used), "float32"),
        }
        return self.base.specs(config, n_used) | {f"{NAME}.{name}": spec for name, spec in own.items()}

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return self.base.own(name)

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`."""
        head = FaultHead.from_arrays(arrays, NAME, config.length, config.lags)
        if not ((head.usual.above > 0).all() and (head.usual.below > 0).all()):
            raise ArtefactError("spreads must be positive", where=f"{NAME}.above, {NAME}.below", hint="fit again")
        base = {name: array for name, array in arrays.items() if not name.startswith(f"{NAME}.")}
        return ExposedErrors(cast(StackedErrorModel, self.base.built(config, n_used, base, runtime)), head)
