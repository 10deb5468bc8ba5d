"""Which product is it, and in which state: cross-validated classification of images of parts (I16)."""

from __future__ import annotations

from .config import StateConfig
from .ensemble import StateEnsemble
from .result import StateResult
from .training import classify_states, cross_validate

__all__ = ["StateConfig", "StateEnsemble", "StateResult", "classify_states", "cross_validate"]
