"""The quickest way to score a single row under a model and a scheme."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models import LinearErrors
from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.scoring import FusedScheme, ScoringEngine
from sensorad.scoring.absences import Absences
from sensorad.scoring.single import MahalanobisScheme, SquaredErrorScheme
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import Ring, Table
from sensorad.streaming.row_fused import FusedRows
from sensorad.streaming.row_general import GeneralRows
from sensorad.streaming.row_linear import LinearRow
from sensorad.streaming.row_network import CarriedRow, GridRow, WholeRow
from sensorad.streaming.row_newest import NewestRows
from sensorad.streaming.row_windows import PlainRows, WindowRows
from sensorad.streaming.ticks import TickRows, TickScores

__all__ = ["RowJudge", "judge_of"]


class RowJudge(Protocol):
    """Scores the newest row of a machine, and remembers of it what later scores need.

    Attributes
    ----------
    depth, n_times
        Rows and times that it looks at.
    rings
        What it remembers.
    tail : (2 C + C_schema,)
        Expected newest row, window errors, measured values; the last are written by the scorer.
    warm
        Rows of a segment from which on it scores.
    """

    depth: int
    n_times: int
    rings: dict[str, Ring | Table]
    tail: NDArray[np.float64]
    warm: int

    def score_tick(self, tick: TickRows) -> TickScores:
        """Scores of the newest rows of several machines, whose windows are whole and have no missing cell."""

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""

    def score(
        self,
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> float:
        """Score of the newest row, the ``n``-th of its segment; NaN where it has too little past.

        ``present`` (L, C) is 1 in the cells of the window that were measured, ``newest`` (C,) True in those of the row;
        None where all were.
        """

    def reasons(self, slot: int, place: int) -> tuple[Any, ...]:
        """Copies of all from which surprise and blame of the row just scored follow; the first is ``tail``."""

    def surprise(self, reasons: tuple[Any, ...]) -> float:
        """-log10 of the tail probability of the newest row's own error."""

    def blame(self, reasons: tuple[Any, ...], score: float) -> NDArray[np.float64]:
        """(C,) shares of the used sensors."""


def judge_of(engine: ScoringEngine) -> RowJudge:
    """The judge for the model and the scheme of an engine."""
    n_cells, n_used = len(engine.scaler.is_used), len(engine.scaler.used_positions)
    model, scheme = engine.model, engine.scheme
    absences = Absences.of(engine.imputer, model, scheme, engine.length)
    if (
        isinstance(model, NetworkErrors)
        and model.gate == 0.0
        and not model.n_channels
        and model.linear_part is not None
    ):
        model = model.linear_part  # the network has no say
    is_fused = isinstance(scheme, FusedScheme)
    if not is_fused and not isinstance(scheme, (MahalanobisScheme, SquaredErrorScheme)):
        return GeneralRows(model, scheme, n_used, n_cells, absences)
    if isinstance(scheme, FusedScheme) and (scheme.members or scheme.channels):
        return GeneralRows(model, scheme, n_used, n_cells, absences)
    part = model.linear_part if isinstance(model, NetworkErrors) else model
    linear = None
    if isinstance(part, LinearErrors):
        scale = np.sqrt(scheme.step_size) if isinstance(scheme, FusedScheme) else np.ones(n_used)
        linear = LinearRow(part.pca, part.autoregression, scale, n_cells)
    reader: LinearRow | GridRow | WholeRow | CarriedRow
    if isinstance(model, CarriedErrors):
        reader = CarriedRow(model, n_used, n_cells)
    elif isinstance(model, NetworkErrors):
        if linear is not None and model.grid is not None:
            reader = GridRow(model, linear)
        else:
            reader = WholeRow(model, linear, n_used, n_cells)
    elif linear is not None:
        reader = linear
    else:
        return GeneralRows(model, scheme, n_used, n_cells, absences)
    if isinstance(scheme, MahalanobisScheme):
        return NewestRows(reader, scheme)
    if not isinstance(scheme, FusedScheme):
        return PlainRows(reader, scheme)
    if linear is None or isinstance(reader, CarriedRow) or not isinstance(part, LinearErrors):
        return WindowRows(reader, scheme)
    return FusedRows(linear, reader, part.autoregression, scheme, absences)
