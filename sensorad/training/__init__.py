"""One trainer for windows and images: sources of batches, objectives, checkpoints, the training record.

Names load when they are first used, so that the record and its figure are at hand without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensorad.training.batches import Batch, BatchSource, TensorSource, WindowSource
    from sensorad.training.composition import Composed, composed
    from sensorad.training.config import TrainConfig
    from sensorad.training.curves import loss_curve_svg
    from sensorad.training.exposure import Repair, ScoreHinge, exposure_from_name
    from sensorad.training.objectives import (
        Denoising,
        MaskedReconstruction,
        Objective,
        PixelCrossEntropy,
        Reconstruction,
        objective_from_json,
        objective_from_name,
    )
    from sensorad.training.record import TrainingRecord
    from sensorad.training.trainer import Trainer

__all__ = [
    "Batch",
    "BatchSource",
    "Composed",
    "Denoising",
    "MaskedReconstruction",
    "Objective",
    "PixelCrossEntropy",
    "Reconstruction",
    "Repair",
    "ScoreHinge",
    "TensorSource",
    "TrainConfig",
    "Trainer",
    "TrainingRecord",
    "WindowSource",
    "composed",
    "exposure_from_name",
    "loss_curve_svg",
    "objective_from_json",
    "objective_from_name",
]

_HOMES = {
    "batches": ("Batch", "BatchSource", "TensorSource", "WindowSource"),
    "composition": ("Composed", "composed"),
    "config": ("TrainConfig",),
    "curves": ("loss_curve_svg",),
    "exposure": ("Repair", "ScoreHinge", "exposure_from_name"),
    "objectives": (
        "Denoising",
        "MaskedReconstruction",
        "Objective",
        "PixelCrossEntropy",
        "Reconstruction",
        "objective_from_json",
        "objective_from_name",
    ),
    "record": ("TrainingRecord",),
    "trainer": ("Trainer",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"sensorad.training.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
