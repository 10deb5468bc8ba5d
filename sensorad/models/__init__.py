"""Models by name. The networks themselves live in their own modules, which import torch: this one does not."""

from sensorad.models.linear import RidgeAutoregression, WindowPCA, window_gram
from sensorad.models.registry import MODELS, ModelKind, ReadyNetwork, model_kind, plain_model

__all__ = [
    "MODELS",
    "ModelKind",
    "ReadyNetwork",
    "RidgeAutoregression",
    "WindowPCA",
    "model_kind",
    "plain_model",
    "window_gram",
]
