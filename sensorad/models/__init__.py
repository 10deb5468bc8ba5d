"""Models by name. The networks themselves live in their own modules, which import torch: this one does not."""

from sensorad.models.linear import RidgeAutoregression, WindowPCA, window_gram
from sensorad.models.registry import MODELS, ModelKind, model_kind

__all__ = ["MODELS", "ModelKind", "RidgeAutoregression", "WindowPCA", "model_kind", "window_gram"]
