"""Whose fault it is: how much of the one-step errors goes away if one sensor is left out of account.

A fault of one sensor spoils more than its own forecast: the forecasts of all sensors that are predicted from it go
wrong for as long as it is among their lags, and the neighbours of a biased sensor may show the larger errors. But all
these errors then have one cause, and the drop in the squared errors if the readings of that one sensor were free tells
it from its neighbours. For an autoregression that drop has a closed form: reconstruction-based contributions
(Alcala and Qin, Automatica 45, 2009) with a subspace of faults, all courses of one sensor, in place of one direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring.evidence import as_shares

__all__ = ["Contributions"]

SPANS = 2
"""Rows of errors that are explained together, in lags. From 1.2 to 3 the hits on plants, SMD and ASD differ by 0.03."""

SMALLEST_DIRECTION = 1e-8
"""Added to the information on each value of a fault, relative to its mean: the oldest values may leave no trace."""

NO_SUSPECT = 0.1
"""A sensor whose own errors have less than this part of an equal share is not suspected, however well it could explain
the errors of others. A sensor that never moved may have any weight in their forecasts: without this, ASD loses 0.06."""

PARTLY, WHOLLY = 0.6, 0.8
"""Share of the squared errors that the likeliest sensor explains: below the first it is the process that is disturbed,
above the second a sensor. Faults of single sensors mostly lie above; nine tenths of the blame in labelled causes of SMD
and ASD, where many sensors deviate together, lies below. Between (0.5, 0.7) and (0.65, 0.75) little changes."""

SHARPNESS = 4.0
"""Power of what is left unexplained by which sensors that explain nearly as much share the first place."""

BATCH_CELLS = 2**18
"""Bound of a batch, in numbers."""

LARGEST_BATCH = 32
"""Windows at once. A batch is filled up to its full size: products of the same shape round a row in the same way,
whatever else is in the batch."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """Drops of the squared one-step errors of a stretch of rows, for each sensor left free in turn.

    With z the errors of R rows, each divided by its usual size, and H_i the errors that a deviation of sensor i in
    any of these rows and of the ``lags`` rows before them causes, the drop is

        c_i = min_f |z|^2 - |z - H_i f|^2 = g^T (H_i^T H_i)^-1 g,  g = H_i^T z

    On normal rows it is about the number of values that are free, R + lags.

    Attributes
    ----------
    response : (lags + 1, C, C) float64
        [k, i, j]: relative error of sensor j, k rows after sensor i read one deviation too much.
    root : (C, R + lags, R + lags) float64
        root_i root_i^T = (H_i^T H_i)^-1.
    n_rows
        R.

    Examples
    --------
    >>> past = np.random.default_rng(0).normal(size=(3000, 3)).cumsum(axis=0).astype(np.float32)
    >>> model = RidgeAutoregression.fit([past], lags=2, penalty=1.0)
    >>> contributions = Contributions.of(model, size=np.ones(3))
    >>> errors = np.zeros((1, contributions.n_rows, 3))
    >>> errors[0, 1:4] = 5.0 * contributions.response[:, 1]  # sensor 1 read 5 deviations too much in one row
    >>> drop, _ = contributions.drops(errors)
    >>> bool(drop.argmax() == 1), bool(np.isclose(drop.max(), (errors**2).sum()))
    (True, True)
    """

    response: NDArray[np.float64]
    root: NDArray[np.float64]
    n_rows: int

    @classmethod
    def of(cls, model: RidgeAutoregression, size: NDArray[np.float64], most_rows: int = 2**31) -> Self:
        """For the errors of ``model`` whose usual sizes are ``size`` (C,), over at most ``most_rows`` rows."""
        response = model.responses() / size  # (lags + 1, C, C)
        n_rows, n_taps = min(SPANS * model.lags, most_rows), len(response)
        backward = response[::-1]
        overlap = np.einsum("kij,lij->ikl", backward, backward)  # (C, lags + 1, lags + 1)
        information = np.zeros((response.shape[1], n_rows + model.lags, n_rows + model.lags))
        for row in range(n_rows):
            information[:, row : row + n_taps, row : row + n_taps] += overlap
        mean = np.trace(information, axis1=1, axis2=2) / information.shape[1]
        information += SMALLEST_DIRECTION * mean[:, None, None] * np.eye(information.shape[1])
        inverse = np.linalg.inv(np.linalg.cholesky(information))
        return cls(response, np.ascontiguousarray(inverse.transpose(0, 2, 1)), n_rows)

    @property
    def n_free(self) -> int:
        """Values of one sensor that are free, R + lags: about the drop on normal rows."""
        return int(self.root.shape[1])

    def drops(self, errors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, R, C) relative errors -> drops (N, C), and their parts (C, N, R + lags) whose squares sum to them."""
        n_windows, n_rows, n_sensors = errors.shape
        lags = len(self.response) - 1
        flat = np.ascontiguousarray(errors).reshape(-1, n_sensors)  # (N R, C)
        traces = np.matmul(flat, self.response.transpose(0, 2, 1))  # (lags + 1, N R, C)
        traces = traces.reshape(lags + 1, n_windows, n_rows, n_sensors)
        found = np.zeros((n_windows, self.n_free, n_sensors))
        for back, trace in enumerate(traces):
            found[:, lags - back : lags - back + n_rows] += trace
        parts = np.matmul(np.ascontiguousarray(found.transpose(2, 0, 1)), self.root)  # (C, N, R + lags)
        return np.einsum("cnf,cnf->nc", parts, parts), parts

    def without(
        self, errors: NDArray[np.float64], sensors: NDArray[np.intp], parts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The errors (N, R, C) less what one sensor (N,) of each window explains, from its ``parts`` (N, R + lags)."""
        fault = np.einsum("nf,ngf->ng", parts, self.root[sensors])  # (N, R + lags)
        courses = sliding_window_view(fault, len(self.response), axis=1)  # (N, R, lags + 1), newest value last
        spread = self.response[::-1, sensors].transpose(1, 0, 2)  # (N, lags + 1, C)
        rest: NDArray[np.float64] = errors - np.matmul(np.ascontiguousarray(courses), spread)
        return rest

    def blame(self, step: NDArray[np.float64], rows: NDArray[np.intp], own: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares (T, C): in ``rows`` those of the sensors that explain the errors, elsewhere ``own``.

        Parameters
        ----------
        step : (T, C)
            Relative one-step errors of consecutive rows; NaN counts as none.
        rows : (t,)
            Rows to look into.
        own : (T, C)
            Shares by each sensor's own errors, also for what no sensor explains.
        """
        known = np.concatenate([np.zeros((self.n_rows - 1, step.shape[1])), np.nan_to_num(step)])
        windows = sliding_window_view(known, self.n_rows, axis=0).transpose(0, 2, 1)  # (T, R, C)
        blame = own.copy()
        size = self._batch(step.shape[1])
        for first in range(0, len(rows), size):
            chosen = rows[first : first + size]
            padded = np.concatenate([chosen, np.repeat(chosen[-1:], size - len(chosen))])
            blame[chosen] = self._explain(windows[padded], own[padded])[: len(chosen)]
        return blame

    def _batch(self, n_sensors: int) -> int:
        return int(np.clip(BATCH_CELLS // (self.n_rows * len(self.response) * n_sensors), 1, LARGEST_BATCH))

    def _explain(self, errors: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares (N, C) of windows of errors (N, R, C).

        The first sensor is the one that leaves least unexplained; the second explains most of that. Square roots,
        since of two faults at once the smaller must not vanish beside the larger.
        """
        n_sensors = errors.shape[2]
        at = np.arange(len(errors))
        is_suspect = own * n_sensors >= NO_SUSPECT
        total = np.einsum("nrc,nrc->n", errors, errors)
        drop, parts = self.drops(errors)  # (N, C)
        rest = np.where(is_suspect, self._unexplained(total, drop, n_sensors), np.inf)
        first = rest.argmin(axis=1)
        top = drop[at, first]
        explained = top / np.maximum(total, 1e-300)
        trust = np.clip((explained - PARTLY) / (WHOLLY - PARTLY), 0.0, 1.0)
        trust[top <= self.n_free] = 0.0  # no more than on normal rows
        if not trust.any():
            return own
        likely = as_shares((rest[at, first][:, None] / rest) ** SHARPNESS)
        share = np.sqrt(np.maximum(top / self.n_free - 1.0, 0.0))[:, None] * likely
        left, _ = self.drops(self.without(errors, first, parts[first, at]))
        left[~is_suspect] = 0.0
        left[at, first] = 0.0
        second = left.argmax(axis=1)
        share[at, second] += np.sqrt(np.maximum(left[at, second] / self.n_free - 1.0, 0.0))
        blame: NDArray[np.float64] = trust[:, None] * as_shares(share) + (1.0 - trust[:, None]) * own
        return blame

    def _unexplained(
        self, total: NDArray[np.float64], drop: NDArray[np.float64], n_sensors: int
    ) -> NDArray[np.float64]:
        """(N, C) how badly the errors fit a fault of each sensor."""
        rest = np.maximum(total[:, None] - drop, 0.0)
        if n_sensors == 2:
            # What remains are the errors of one other sensor, and if that is the one that is stuck they are smaller
            # than usual: log likelihood ratio of a changed variance. The errors of many sensors hide such a thing.
            usual = float(self.n_rows)
            share = np.clip(rest / usual, 1e-3, 1.0)
            rest = rest + usual * (share - 1.0 - np.log(share))
        return rest + self.n_free
