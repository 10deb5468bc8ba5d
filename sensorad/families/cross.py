"""Each sensor as a network tells it from all others, beside a linear part or alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec, check_arrays
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel, LinearErrors
from sensorad.error_models.cross_errors import CrossErrors
from sensorad.error_models.crossfit import Fold
from sensorad.error_models.numpy_cross import NumpyCross
from sensorad.errors import ArtefactError, UsageError
from sensorad.families.base import Arrays, Progress, Runtime, Trained
from sensorad.families.linear import (
    LinearPart,
    linear_arrays,
    linear_from_arrays,
    linear_part,
    linear_specs,
)
from sensorad.models.cross_config import CrossSensorConfig
from sensorad.normal_rows import NormalRows

if TYPE_CHECKING:
    from sensorad.error_models.network_cross import CrossTrained

__all__ = ["CrossFamily"]

PREFIX = "cross."
"""Of the names of the model's own arrays."""

NETWORK = "cross.network."
"""Of the names of the weights among them."""

PARTS = ("judged", "gate", "widening")
"""The others."""


class CrossFamily:
    """A network that is heard on the sensors where it knows more than a linear prediction does.

    Where it does so for no sensor, what is learned is the linear part and nothing else.
    """

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`."""
        from sensorad.error_models.network_cross import CrossPlan, cross_trained_sensors

        settings = CrossSensorConfig.from_json(dict(config.network))
        plan = CrossPlan(
            network=settings,
            epochs=config.epochs,
            time_limit_seconds=config.time_limit_seconds,
            stride=config.stride or 1,
            seed=config.random_state,
            margin=config.length,
            device=config.device,
        )
        found = cross_trained_sensors(
            plan,
            folds,
            rows.stretches,
            is_alone=not config.has_linear_part,
            checkpoint=checkpoint,
            progress=lambda what, epoch, n_epochs: report(what, epoch / n_epochs),
            fingerprint=rows.fingerprint,
        )
        n_sensors = len(found.gate)
        sensors = found.judged(settings) if config.has_linear_part else np.arange(n_sensors)

        def model(network: NumpyCross | None, fold: Fold) -> ErrorModel:
            return _errors(network, sensors, found.gate, found.widening, config, linear_part(fold, config, rows.prior))

        records = list(found.records)
        if records:
            records[-1] = replace(records[-1], note=_note(rows, found, sensors, config))
        beside = "a linear part fitted on the others and " if config.has_linear_part else ""
        return Trained(
            lambda fold: model(found.of_fold(fold), fold),
            model(found.final, Fold([], rows.stretches)),
            f"{beside}a network trained without its half of the log"
            if len(sensors)
            else "a model fitted on the others",
            records,
        )

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`; of the linear part alone where the network has no say."""
        if isinstance(model, LinearErrors):
            return linear_arrays(model.pca, model.autoregression)
        if not isinstance(model, CrossErrors):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        judged = np.zeros(len(model.gate), np.float32)
        judged[model.sensors] = 1.0
        own = {"judged": judged, "gate": model.gate.astype(np.float32), "widening": model.widening.astype(np.float32)}
        found = {f"{PREFIX}{name}": array for name, array in own.items()}
        found |= {f"{NETWORK}{name}": array for name, array in model.network.to_arrays().items()}
        return linear_arrays(model.pca, model.autoregression) | found

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        return linear_specs(config, n_used)

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return name.startswith(PREFIX)

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`; the network runs in NumPy in any case."""
        if not runtime.is_default:
            raise UsageError("this network runs in NumPy alone", hint="leave network and precision out")
        linear = linear_from_arrays(config, arrays)
        own = {name: array for name, array in arrays.items() if self.own(name)}
        if not own:
            return _errors(None, np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0)), config, linear)
        shapes = {"judged": (n_used,), "gate": (n_used,), "widening": (n_used, n_used)}
        parts = {name: array for name, array in own.items() if not name.startswith(NETWORK)}
        check_arrays(parts, {f"{PREFIX}{name}": ArraySpec(shapes[name], "float32") for name in PARTS})
        weights = {name.removeprefix(NETWORK): array for name, array in own.items() if name.startswith(NETWORK)}
        network = NumpyCross.from_arrays(weights, config.network, n_used)
        judged, gate, widening = (parts[f"{PREFIX}{name}"].astype(np.float64) for name in PARTS)
        if (widening < 0.0).any() or not judged.any():
            raise ArtefactError("the network judges no sensor, or more surely without others", where=PREFIX)
        return _errors(network, np.flatnonzero(judged > 0.5), gate, widening, config, linear)


def _errors(
    network: NumpyCross | None,
    sensors: NDArray[np.int64],
    gate: NDArray[np.float64],
    widening: NDArray[np.float64],
    config: DetectorConfig,
    linear: LinearPart,
) -> ErrorModel:
    """The linear part by itself where no sensor is judged."""
    pca, autoregression = linear
    if network is not None and len(sensors):
        return CrossErrors(network, sensors, gate, widening, config.length, pca, autoregression)
    if pca is None or autoregression is None:
        raise ArtefactError("there is neither a network nor a linear part", hint="fit the detector again")
    return LinearErrors(pca, autoregression)


def _note(rows: NormalRows, found: CrossTrained, sensors: NDArray[np.int64], config: DetectorConfig) -> str:
    """Which sensors the network judges, best first."""
    if not config.has_linear_part:
        return ""
    if len(sensors) == 0:
        n_known = (found.gain >= CrossSensorConfig.from_json(dict(config.network)).least_gain).sum()
        return (
            f"the network knows {n_known or 'none'} of {len(found.gain)} sensors far better than a linear prediction "
            f"does (largest gain {found.gain.max():.0%}), too few: the detector is the linear one"
        )
    best = sensors[np.argsort(-found.gain[sensors], kind="stable")]
    names = [f"{rows.sensors[sensor]} ({found.gain[sensor]:.0%})" for sensor in best[:5]]
    more = f" and {len(best) - 5} more" if len(best) > 5 else ""
    return f"the network judges {len(best)} of {len(found.gain)} sensors, by its gain: {', '.join(names)}{more}"
