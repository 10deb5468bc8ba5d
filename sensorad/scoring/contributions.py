"""Whose fault it is: how much of the one-step errors goes away if one sensor is left out of account.

A fault of one sensor spoils more than its own forecast: the forecasts of all sensors that are predicted from it go
wrong for as long as it is among their lags, and the neighbours of a biased sensor may show the larger errors. But all
these errors then have one cause, and the drop in the squared errors if the readings of that one sensor were free tells
it from its neighbours. For an autoregression that drop has a closed form: reconstruction-based contributions
(Alcala and Qin, Automatica 45, 2009) with a subspace of faults, all courses of one sensor, in place of one direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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

BATCH_CELLS = 2**16
"""Numbers that describe the windows of a batch: a second-level cache holds what is worked out of them."""

PRODUCT_ROWS = 16
"""Batches are whole multiples of so many windows: products of such shapes round a window in the same way, whatever else
is in the batch."""

LARGEST_BATCH = 256

MOST_PAIRS = 2**22
"""Bound of the table of overlaps between the faults of any two sensors, in numbers."""


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
    _overlaps: list[NDArray[np.float64]] = field(default_factory=list, init=False, repr=False, compare=False)

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
        blame = own.copy()
        blame[rows] = self.shares(step, rows, own[rows])
        return blame

    def shares(
        self,
        step: NDArray[np.float64],
        rows: NDArray[np.intp],
        own: NDArray[np.float64],
        age: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """As `blame`, of ``rows`` (t,), rising, alone: (t, C) from ``own`` (t, C).

        ``age`` (T,) is how many rows of the same stretch stand before each row, where there are several stretches.
        """
        found = own.copy()
        size = self._batch(step.shape[1])
        for first in range(0, len(rows), size):
            part = slice(first, first + size)
            chosen = rows[part]
            padded = np.concatenate([chosen, np.repeat(chosen[-1:], -len(chosen) % PRODUCT_ROWS)])
            before = padded if age is None else age[padded]
            found[part] = self._explain(step, padded, own[part], before)
        return found

    def _batch(self, n_sensors: int) -> int:
        n_fitting = BATCH_CELLS // (self.n_free * n_sensors) // PRODUCT_ROWS * PRODUCT_ROWS
        return int(np.clip(n_fitting, PRODUCT_ROWS, LARGEST_BATCH))

    def _explain(
        self, step: NDArray[np.float64], rows: NDArray[np.intp], own: NDArray[np.float64], age: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Shares (n, C) of the windows of errors that end at the first n of ``rows`` (N,); ``age`` rows stand before.

        The first sensor is the one that leaves least unexplained; the second explains most of that. Square roots,
        since of two faults at once the smaller must not vanish beside the larger.
        """
        n_rows, n_sensors = own.shape
        at = np.arange(n_rows)
        is_suspect = own * n_sensors >= NO_SUSPECT
        every = _Windows.of(step, rows, age, self.n_rows)
        total = every.squares()[:n_rows]
        parts = np.matmul(self.root.transpose(0, 2, 1), every.traces(self.response))  # (C, R + lags, N)
        drop = _sums_of_squares(parts)[:, :n_rows].T  # (n, C)
        rest = np.where(is_suspect, self._unexplained(total, drop, n_sensors), np.inf)
        first = rest.argmin(axis=1)
        top = drop[at, first]
        explained = top / np.maximum(total, 1e-300)
        trust = np.clip((explained - PARTLY) / (WHOLLY - PARTLY), 0.0, 1.0)
        trust[top <= self.n_free] = 0.0  # no more than on normal rows
        asked = np.flatnonzero(trust > 0.0)
        if not len(asked):
            return own
        likely = as_shares((rest[at, first][:, None] / rest) ** SHARPNESS)
        share = np.sqrt(np.maximum(top / self.n_free - 1.0, 0.0))[:, None] * likely
        left = np.zeros(own.shape)
        left[asked] = self._drops_without(first[asked], parts, asked, every)
        left[~is_suspect] = 0.0
        left[at, first] = 0.0
        second = left.argmax(axis=1)
        share[at, second] += np.sqrt(np.maximum(left[at, second] / self.n_free - 1.0, 0.0))
        blame = trust[:, None] * as_shares(share) + (1.0 - trust[:, None]) * own
        return np.where(trust[:, None] > 0.0, blame, own)

    def _drops_without(
        self, sensors: NDArray[np.intp], parts: NDArray[np.float64], windows: NDArray[np.intp], every: _Windows
    ) -> NDArray[np.float64]:
        """(n, C) drops of what is left of each of the ``windows`` (n,) without the fault of a sensor (n,)."""
        n_sensors = len(self.root)
        left = np.empty((len(windows), n_sensors))
        if (n_sensors * self.n_free) ** 2 > MOST_PAIRS:
            own = parts[sensors, :, windows]  # (n, R + lags)
            return self.drops(self.without(every.errors()[windows], sensors, own))[0]
        for sensor in np.unique(sensors):
            chosen = np.flatnonzero(sensors == sensor)
            padded = windows[np.concatenate([chosen, np.repeat(chosen[-1:], -len(chosen) % PRODUCT_ROWS)])]
            rest = parts.take(padded, axis=2)  # (C, R + lags, n)
            overlaps = self._overlaps_with(int(sensor)).reshape(-1, self.n_free)
            rest -= np.matmul(overlaps, rest[sensor]).reshape(rest.shape)
            left[chosen] = _sums_of_squares(rest)[:, : len(chosen)].T
        return left

    def _overlaps_with(self, sensor: int) -> NDArray[np.float64]:
        """(C, R + lags, R + lags): the parts of every sensor that one unit of each part of ``sensor`` takes with it.

        With U_i = H_i root_i, whose columns are orthonormal, the parts of z are U_j^T z, and those of what the fault
        of sensor i leaves are U_j^T (z - U_i U_i^T z).
        """
        if not self._overlaps:
            effect = self._effects() @ self.root  # (C, R C, R + lags)
            flat = effect.transpose(1, 0, 2).reshape(effect.shape[1], -1)
            n_sensors, n_free = len(self.root), self.n_free
            table = (flat.T @ flat).reshape(n_sensors, n_free, n_sensors, n_free)
            self._overlaps.append(np.ascontiguousarray(table.transpose(2, 0, 1, 3)))
        overlaps: NDArray[np.float64] = self._overlaps[0][sensor]
        return overlaps

    def _effects(self) -> NDArray[np.float64]:
        """H (C, R C, R + lags): errors that each value of a fault causes."""
        n_taps, n_sensors, _ = self.response.shape
        effects = np.zeros((n_sensors, self.n_rows, n_sensors, self.n_free))
        for row in range(self.n_rows):
            effects[:, row, :, row : row + n_taps] = self.response[::-1].transpose(1, 2, 0)
        return effects.reshape(n_sensors, self.n_rows * n_sensors, self.n_free)

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


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of R rows of errors, each row once, however many windows it is in.

    Attributes
    ----------
    rows : (S, C) float64
        Without NaN; 0 where a window reaches beyond the start of its stretch.
    last : (N,) int64
        Where each window ends.
    length
        R.
    """

    rows: NDArray[np.float64]
    last: NDArray[np.int64]
    length: int

    @classmethod
    def of(cls, step: NDArray[np.float64], ends: NDArray[np.intp], age: NDArray[np.intp], length: int) -> Self:
        """The windows that end at ``ends`` (N,), not falling, before each of which ``age`` rows belong to it."""
        gap = np.diff(ends)
        is_shared = (gap < length) & (gap <= age[1:])  # the window before lies in the same stretch and reaches into it
        n_new = np.concatenate([[length], np.where(is_shared, gap, length)])
        last = np.cumsum(n_new) - 1
        source = np.arange(last[-1] + 1) + np.repeat(ends - last, n_new)
        is_known = source >= np.repeat(ends - age, n_new)
        rows = step[np.where(is_known, source, 0)]
        if not np.isfinite(rows).all():
            rows = np.nan_to_num(rows)
        rows[~is_known] = 0.0
        return cls(rows, last, length)

    def errors(self) -> NDArray[np.float64]:
        """(N, R, C)."""
        windows: NDArray[np.float64] = self.rows[self.last[:, None] + np.arange(1 - self.length, 1)]
        return windows

    def squares(self) -> NDArray[np.float64]:
        """(N,) sums of squares."""
        amount = np.square(self.rows).sum(axis=1)
        total: NDArray[np.float64] = amount[self.last[:, None] + np.arange(1 - self.length, 1)].sum(axis=1)
        return total

    def traces(self, response: NDArray[np.float64]) -> NDArray[np.float64]:
        """H_i^T z of every sensor i, (C, R + lags, N): how the errors speak for each value of its fault.

        The value of time t shows in the errors of the rows t to t + lags. Of values in the middle of a window all these
        are in it, and the sum over them serves every window; of the newest and the oldest ones some are not, so that
        windows read the sum at the stage that ends, or starts, where they do.
        """
        n_taps, n_sensors, _ = response.shape
        lags, n_rows = n_taps - 1, self.length
        upright = np.zeros((n_sensors, -(-len(self.rows) // PRODUCT_ROWS) * PRODUCT_ROWS))
        upright[:, : len(self.rows)] = self.rows.T
        trace = np.matmul(response.reshape(-1, n_sensors), upright).reshape(n_taps, n_sensors, -1)  # (taps, C, S)
        found = np.empty((n_sensors, n_rows + lags, len(self.last)))
        if n_rows < lags:
            return self._traces_of_short_windows(trace, found)
        start = self.last - n_rows + 1
        until = trace[0].copy()  # sum over the rows t to t + k, for k = 0, 1, ...
        for tap in range(1, n_taps):
            found[:, n_rows + lags - tap] = until.take(self.last - (tap - 1), axis=1)
            until[:, :-tap] += trace[tap][:, tap:]
        inner = start + np.arange(n_rows - lags)[:, None]  # (R - lags, N)
        found[:, lags:n_rows] = until.take(inner, axis=1)
        since = trace[lags].copy()  # sum from the first row of the window to t + lags, by that first row
        for tap in range(lags, 0, -1):
            if tap < lags:
                since[:, :-1] = since[:, 1:]
                since += trace[tap]
            found[:, lags - tap] = since.take(start, axis=1)
        return found

    def _traces_of_short_windows(self, trace: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same where a fault may show before and after the window at once."""
        lags = len(trace) - 1
        found[:] = 0.0
        for back in range(self.length):
            for tap in range(lags + 1):
                found[:, self.length - 1 - back + lags - tap] += trace[tap].take(self.last - back, axis=1)
        return found


def _sums_of_squares(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, F, N) -> (C, N)."""
    total: NDArray[np.float64] = np.einsum("cfn,cfn->cn", parts, parts)
    return total
