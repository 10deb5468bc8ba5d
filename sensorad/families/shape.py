"""Nearest normal windows: k-means centroids, beside a linear part or alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel
from sensorad.error_models.centroid_errors import CentroidErrors
from sensorad.error_models.crossfit import Fold
from sensorad.errors import UsageError
from sensorad.families.base import Arrays, Progress, Runtime, Trained
from sensorad.families.linear import LinearPart, linear_arrays, linear_from_arrays, linear_part, linear_specs
from sensorad.models.centroids import ShapeConfig, WindowCentroids
from sensorad.normal_rows import NormalRows

__all__ = ["ShapeFamily", "centroids_of"]

PREFIX = "shape."
"""Of the names of the model's own arrays."""


class ShapeFamily:
    """Centroids of windows of one length."""

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
        report("clustering, out of fold", 0.0)
        done = iter(range(1, len(folds) + 1))

        def fold_model(fold: Fold) -> ErrorModel:
            model = _errors(fold, config, linear_part(fold, config, rows.prior))
            report("clustering, out of fold", next(done) / (len(folds) + 1))
            return model

        whole = Fold([], rows.stretches)
        return Trained(
            fold_model, _errors(whole, config, linear_part(whole, config, rows.prior)), "a model fitted on the others"
        )

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`."""
        if not isinstance(model, CentroidErrors):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        own = {f"{PREFIX}{name}": array for name, array in model.centroids.to_arrays().items()}
        return linear_arrays(model.pca, model.autoregression) | own

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        return linear_specs(config, n_used)

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return name.startswith(PREFIX)

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`."""
        if not runtime.is_default:
            raise UsageError("a shape model has no network to run", hint="leave network and precision out")
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if self.own(name)}
        centroids = WindowCentroids.from_arrays(own, config.length, n_used)
        return CentroidErrors(centroids, *linear_from_arrays(config, arrays))


def centroids_of(fold: Fold, config: DetectorConfig) -> WindowCentroids:
    """Fitted on the kept rows of a fold."""
    settings = ShapeConfig.from_json(dict(config.network))
    kept = [stretch.rows for stretch in fold.kept]
    return WindowCentroids.fit(kept, config.length, settings, config.random_state)


def _errors(fold: Fold, config: DetectorConfig, linear: LinearPart) -> CentroidErrors:
    return CentroidErrors(centroids_of(fold, config), *linear)
