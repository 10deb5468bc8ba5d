"""Window-PCA and autoregression, alone and as the ground that other models stand on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel, LinearErrors
from sensorad.error_models.crossfit import Fold
from sensorad.errors import ArtefactError, UsageError
from sensorad.families.base import Arrays, Progress, Runtime, Trained
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.models.autocovariance import LinearPrior
from sensorad.normal_rows import NormalRows

__all__ = ["LinearFamily", "LinearPart", "linear_arrays", "linear_from_arrays", "linear_part", "linear_specs"]

LinearPart = tuple[WindowPCA | None, RidgeAutoregression | None]


class LinearFamily:
    """The linear part and nothing else."""

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`; there is nothing to resume from a checkpoint."""
        report("fitting, out of fold", 0.0)
        done = iter(range(1, len(folds) + 1))

        def fold_model(fold: Fold) -> ErrorModel:
            model = LinearErrors(*_fit(fold, config, rows.prior))
            report("fitting, out of fold", next(done) / (len(folds) + 1))
            return model

        return Trained(
            fold_model,
            LinearErrors(*_fit(Fold([], rows.stretches), config, rows.prior)),
            "a model fitted on the others",
        )

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`."""
        if not isinstance(model, LinearErrors):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        return linear_arrays(model.pca, model.autoregression)

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        return linear_specs(config, n_used)

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return False

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`."""
        if not runtime.is_default:
            raise UsageError("a linear model has no network to run", hint="leave network and precision out")
        pca, autoregression = linear_from_arrays(config, arrays)
        if pca is None or autoregression is None:
            raise ArtefactError("the linear model lacks its linear part", hint="fit the detector again")
        return LinearErrors(pca, autoregression)


def linear_part(fold: Fold, config: DetectorConfig, prior: LinearPrior | None = None) -> LinearPart:
    """Fitted on the kept rows of a fold, where the settings want one."""
    return _fit(fold, config, prior) if config.has_linear_part else (None, None)


def linear_arrays(pca: WindowPCA | None, autoregression: RidgeAutoregression | None) -> dict[str, NDArray[Any]]:
    """Of a linear part, if there is one."""
    return {} if pca is None or autoregression is None else pca.to_arrays() | autoregression.to_arrays()


def linear_from_arrays(config: DetectorConfig, arrays: Arrays) -> LinearPart:
    """The part of `linear_arrays`."""
    if not config.has_linear_part:
        return None, None
    return WindowPCA.from_arrays(arrays, config.length), RidgeAutoregression.from_arrays(arrays, config.lags)


def linear_specs(config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
    """Shapes of `linear_arrays`."""
    if not config.has_linear_part:
        return {}
    return {
        "pca.components": ArraySpec((config.length * n_used, None), "float32"),
        "autoregression.weights": ArraySpec((config.lags * n_used + 1, n_used), "float32"),
    }


def _fit(fold: Fold, config: DetectorConfig, prior: LinearPrior | None) -> tuple[WindowPCA, RidgeAutoregression]:
    kept = [stretch.rows for stretch in fold.kept]
    pca = WindowPCA.fit(kept, config.length, config.variance, prior)
    return pca, RidgeAutoregression.fit(kept, config.lags, config.penalty, prior)
