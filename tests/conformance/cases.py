"""Every model and every score by name, fitted once, and ways to run a detector over rows in any cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from small_plant import normal_log

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.models import MODELS
from sensorad.scoring import SCHEMES
from sensorad.types import Event, RowBlock, ScoreBlock

LENGTH = 8
LAGS = 3

SMALL = {
    "classifier": {"width": 8, "reach": 3},
    "cross": {"width": 8, "least_gain": -9.0},
    "lstm": {"width": 8, "code": 4, "near_zero": False},
    "randnet": {"width": 8, "code": 4, "near_zero": False},
    "shape": {"centroids": 24},
    "transformer": {"width": 8, "near_zero": False},
    "variational": {"width": 8, "code": 4, "sigma_range": 1.2, "near_zero": False},
    "adversarial": {"width": 8, "code": 4, "patch": 4, "features": 8, "near_zero": False},
}
"""Sizes that make a test quick, and first weights that are not 0, so that an untrained network says something too;
a model that is not listed here runs at its own."""

MEMBERS = (
    {"model": "linear", "window": 2},
    {"model": "lstm", "network": SMALL["lstm"]},
    {"model": "randnet", "window": 4, "network": SMALL["randnet"]},
    {"model": "shape", "network": SMALL["shape"]},
)
"""Of an ensemble; those that are not linear where there is no linear part."""

PARTS = (
    "index", "time", "group", "score", "row_surprise", "status", "reason",
    "top_sensors", "top_shares", "top_expected", "top_actual",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One kind of detector; ``training`` are further settings by name."""

    model: str
    score: str = "fused"
    has_linear_part: bool = True
    epochs: int = 1
    training: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        alone = "" if self.has_linear_part else "-alone"
        said = "".join(f"-{value if isinstance(value, str) else name}" for name, value in self.training)
        return f"{self.model}-{self.score}{alone}{said}" + ("" if self.epochs else "-untrained")

    @property
    def is_network(self) -> bool:
        return MODELS[self.model].is_trained

    def config(self, seed: int = 0) -> DetectorConfig:
        return DetectorConfig(
            model=self.model,
            score=self.score,
            has_linear_part=self.has_linear_part,
            window=LENGTH,
            lags=LAGS,
            epochs=self.epochs if self.is_network else None,
            network=SMALL.get(self.model, {}),
            members=self.members,
            random_state=seed,
            **dict(self.training),
        )

    @property
    def members(self) -> tuple[dict[str, object], ...]:
        if MODELS[self.model].family != "ensemble":
            return ()
        return tuple(member for member in MEMBERS if self.has_linear_part or member["model"] != "linear")


EVERY_SCORE = ("linear", "lstm", "transformer")
"""Models that run under every score; to the others scores are only what they do with errors, and two of them do."""

KINDS = [model for model in MODELS if model != "auto"]
"""What `auto` learns is one of the others: tests/unit/test_families_auto.py."""

DEFAULTS = [Case(model) for model in KINDS]
NETWORKS = [case for case in DEFAULTS if case.is_network]
ALONE = [Case(case.model, has_linear_part=False) for case in DEFAULTS if case.model != "linear"]
UNTRAINED = [
    Case(case.model, has_linear_part=has_linear, epochs=0)
    for case in NETWORKS
    for has_linear in ((True, False) if case.model in EVERY_SCORE else (False,))
]
SCORED = [
    Case(model, score) for model in KINDS for score in (SCHEMES if model in EVERY_SCORE else ("fused", "mahalanobis"))
]
EXPOSED = [
    Case("lstm", training=(("exposure", "head"),)),
    Case("lstm", training=(("exposure", "repair"), ("augment", ("jitter", "time_warp")), ("mixup", 0.2))),
]
CASES = [*SCORED, *ALONE, *UNTRAINED, *EXPOSED]


def fit(case: Case, seed: int = 0) -> Detector:
    """A fresh fit on the training log."""
    return Detector(config=case.config(seed)).fit(normal_log(450, seed=1), time="time", group="machine")


@cache
def detector_of(case: Case) -> Detector:
    """The fitted detector of a case, shared by all tests: they must not change it."""
    return fit(case)


def rows_of(detector: Detector, log: pd.DataFrame) -> RowBlock:
    """A whole log as one block."""
    [block] = detector.open_log(log).blocks()
    return block


def cut(block: RowBlock, places: Iterable[int]) -> list[RowBlock]:
    """The same rows in several blocks."""
    return [block.take(slice(a, b)) for a, b in pairwise([0, *sorted(set(places) - {0, len(block)}), len(block)])]


def run(detector: Detector, blocks: Sequence[RowBlock]) -> list[ScoreBlock]:
    """Scores of consecutive blocks by one fresh engine."""
    engine = detector.engine()
    return [engine.score(block) for block in blocks]


def joined(parts: Sequence[ScoreBlock]) -> dict[str, np.ndarray]:
    """Columns of several blocks, one after another."""
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in PARTS}


def score_rows(detector: Detector, block: RowBlock) -> dict[str, np.ndarray]:
    """Columns of the scores of one block."""
    return joined(run(detector, [block]))


def events_of(detector: Detector, parts: Sequence[ScoreBlock], threshold: float | None = None) -> list[Event]:
    """Events from blocks of scores, in order of their start."""
    builder = detector.event_builder(threshold)
    events = [event for part in parts for event in builder.update(part)] + builder.finish()
    return sorted(events, key=lambda event: (event.start, event.group))


def assert_same_bits(left: dict[str, np.ndarray], right: dict[str, np.ndarray], rows: object = slice(None)) -> None:
    """Every column is equal to the last bit in ``rows``."""
    for name in PARTS:
        np.testing.assert_array_equal(left[name][rows], right[name][rows], err_msg=name)


def assert_close(got: np.ndarray, expected: np.ndarray, scale: float, tolerance: float = 1e-6) -> None:
    """Equal to ``tolerance`` of the score, or of ``scale`` (the alarm line) where the score is lower.

    NaN must be in the same places. Scores far below the line say no more than "nothing": as -log10 of a probability
    close to 1 they are small differences of large numbers, and the last digit of a float32 network is 1e-6 of them.
    """
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    has_score = ~np.isnan(expected)
    got, expected = got[has_score].astype(np.float64), expected[has_score].astype(np.float64)
    excess = np.abs(got - expected) / np.maximum(np.abs(expected), scale)
    assert excess.max(initial=0.0) <= tolerance, (
        f"row {excess.argmax()}: {got[excess.argmax()]}, not {expected[excess.argmax()]}"
    )
