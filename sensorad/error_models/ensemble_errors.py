"""Errors of several models of the same rows, side by side: windows of several lengths, one linear part for each length.

Needs no torch, unless a member does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.centroid_errors import CentroidErrors, errors_under
from sensorad.error_models.errors import (
    AskedRows,
    LinearErrors,
    PredictionErrors,
    SensorErrors,
    StackedErrors,
    in_place,
)
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.window_batches import by_sensor, projection_errors
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["EnsembleErrors", "Member", "median_of"]

Member = LinearErrors | CentroidErrors | NetworkErrors
"""A model with windows of its own; its linear part, if any, is one of those of the ensemble."""


@dataclass(frozen=True, slots=True)
class EnsembleErrors(StackedErrors):
    """Errors of all members, and their median.

    Every member speaks in a row, or none does: all wait for the longest window.

    Attributes
    ----------
    members : tuple of Member
        At least one.
    length
        Rows of the longest windows.
    pcas : dict of int to WindowPCA
        By window length: linear parts of the ensemble, and of members that are linear or networks; empty where nothing
        is linear.
    autoregression
        The predictor of steps; None where nothing is linear.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(200, 3)).astype(np.float32)
    >>> pcas = {length: WindowPCA.fit([rows], length, 0.9) for length in (8, 2)}
    >>> steps = RidgeAutoregression.fit([rows], lags=2, penalty=1.0)
    >>> ensemble = EnsembleErrors(tuple(LinearErrors(pca, steps) for pca in pcas.values()), 8, pcas, steps)
    >>> ensemble.errors(rows, np.ones(rows.shape, bool), np.arange(200)).members.shape
    (200, 2, 3)
    """

    members: tuple[Member, ...]
    length: int
    pcas: dict[int, WindowPCA]
    autoregression: RidgeAutoregression | None

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        return max(self.length - 1, *(member.context_rows for member in self.members))

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        linear = self._linear(asked)
        found = [_member(member, linear, asked) for member in self.members]
        is_ready = asked.has_window(self.length)[:, None]
        members = np.stack([np.where(is_ready, part.window, np.nan) for part in found], axis=1)  # (n, M, C)
        window = median_of(members)
        newest = np.where(is_ready, median_of(np.stack([part.newest for part in found], axis=1)), np.nan)
        expected = np.where(
            is_ready, median_of(np.stack([part.expected for part in found], axis=1)), np.float32(np.nan)
        )
        measured = [part.channels for part in found if part.channels is not None]
        channels = np.where(is_ready, np.concatenate(measured, axis=1), np.nan) if measured else None
        if linear:
            main: SensorErrors = linear[self.length]
            parts = {"window": window, "newest": newest, "expected": expected}
            return replace(main, **parts, members=members, channels=channels)
        step = np.full(window.shape, np.nan)
        return SensorErrors(window, newest, expected, step, window, members=members, channels=channels)

    def _linear(self, asked: AskedRows) -> dict[int, PredictionErrors]:
        """Errors of the linear parts by window length; their steps are the same."""
        if self.autoregression is None:
            return {}
        main = LinearErrors(self.pcas[self.length], self.autoregression).errors_at(asked)
        found = {self.length: main}
        for length, pca in self.pcas.items():
            if length != self.length:
                has_window = asked.has_window(length)
                parts = projection_errors(by_sensor(asked.rows), asked.usable, pca, asked.at[has_window])
                window, newest, expected = (in_place(part, has_window) for part in parts)
                found[length] = replace(main, window=window, newest=newest, expected=expected, linear=window)
        return found


def _member(member: Member, linear: dict[int, PredictionErrors], asked: AskedRows) -> SensorErrors:
    """Errors of one member on top of those of its linear part."""
    if isinstance(member, LinearErrors):
        return linear[member.pca.length]
    if isinstance(member, NetworkErrors):
        return member.errors_beside(linear.get(member.length), asked)
    return errors_under(member.centroids, linear[max(linear)] if linear else None, asked)


Value = TypeVar("Value", np.float32, np.float64)


def median_of(values: NDArray[Value]) -> NDArray[Value]:
    """(n, M, C) -> (n, C) medians over the members that know a value; NaN where none does.

    Examples
    --------
    >>> median_of(np.array([[[1.0, 1.0], [np.nan, 7.0], [2.0, 3.0]]])).tolist()
    [[1.5, 3.0]]
    """
    ordered = np.sort(values, axis=1)  # NaN last
    n_known = np.isfinite(ordered).sum(axis=1, keepdims=True)  # (n, 1, C)
    low, high = np.maximum(n_known - 1, 0) // 2, n_known // 2
    high = np.minimum(high, values.shape[1] - 1)
    either = np.take_along_axis(ordered, low, 1) + np.take_along_axis(ordered, high, 1)
    found: NDArray[Value] = 0.5 * either[:, 0]
    return found
