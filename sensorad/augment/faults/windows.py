"""`inject_windows`: a fault into each window of a batch, fast enough to be done anew for every batch of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults.fault import Fault
from sensorad.augment.faults.kinds import FAULTS, fault_kind
from sensorad.augment.faults.statistics import SensorStatistics
from sensorad.augment.faults.window_courses import Pairs, faulty_pairs
from sensorad.augment.faults.window_plan import LEAST_WINDOW, KindTable, WindowPlan, draw_plan
from sensorad.errors import UsageError

__all__ = ["FaultedWindows", "inject_windows"]

ATTEMPTS = 5
"""Draws for a window in which the fault would change nothing; the last of them may be of another kind."""


@dataclass(frozen=True, slots=True, eq=False)
class FaultedWindows:
    """Windows with faults, and where.

    Attributes
    ----------
    windows : (N, L, C) float32
    mask : (N, L, C) bool
        The cells that differ from what they were, and no others.
    kind : (N,) int64
        Position in ``kinds``, -1 where the window is as it was.
    severity : (N,) float64
        In the unit of the kind; 0 where the window is as it was.
    kinds : tuple of str
    start, length, sign, form : (N,) int64
        As in `Fault`, the form as a position in the kind's forms.
    """

    windows: NDArray[np.float32]
    mask: NDArray[np.bool_]
    kind: NDArray[np.int64]
    severity: NDArray[np.float64]
    kinds: tuple[str, ...]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    sign: NDArray[np.int64]
    form: NDArray[np.int64]

    def fault(self, n: int) -> Fault | None:
        """The fault of one window, None where it has none."""
        if self.kind[n] < 0:
            return None
        kind = fault_kind(self.kinds[self.kind[n]])
        return Fault(
            kind=kind.name,
            sensors=tuple(np.flatnonzero(self.mask[n].any(axis=0)).tolist()),
            start=int(self.start[n]),
            length=int(self.length[n]),
            severity=float(self.severity[n]),
            sign=int(self.sign[n]),
            form=kind.forms[self.form[n]] if kind.forms else "",
        )


def inject_windows(
    windows: NDArray[np.float32],
    statistics: SensorStatistics,
    generator: np.random.Generator,
    kinds: Sequence[str] = tuple(FAULTS),
    share: float = 1.0,
    most_sensors: float = 0.25,
    donors: NDArray[np.float32] | None = None,
) -> FaultedWindows:
    """One random fault into each window of a share of them; a cell is marked exactly where its value changed.

    Kinds come equally often. A fault may begin within the window, half of them last to its newest row, and it hits one
    sensor or several. Severities are drawn evenly in their logarithm between the ends of the kind's range. A fault that
    would change nothing is drawn again; a window in which none does after five draws stays as it is.

    Parameters
    ----------
    windows : (N, L, C) float32
        Normal windows, raw or scaled; cells that are not finite stay as they are.
    statistics
        Of normal rows, in the unit of ``windows``.
    kinds
        Names of `FAULTS`.
    share
        Share of the windows that get a fault, in [0, 1].
    most_sensors
        Share of the sensors that a fault may hit; one at least.
    donors : (M, L, C) float32, optional
        Normal windows that lend their courses to correlation breaks; None takes the other windows of the batch.

    Raises
    ------
    UsageError
        An unknown kind, windows of fewer than 8 rows, or shapes that do not fit.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> windows = generator.normal(size=(64, 30, 38)).astype(np.float32)
    >>> faulted = inject_windows(windows, SensorStatistics.fit(windows), generator)
    >>> bool((faulted.mask == (faulted.windows != windows)).all()), np.bincount(faulted.kind).min() >= 4
    (True, np.True_)
    """
    windows, donors = _checked(windows, statistics, kinds, share, most_sensors, donors)
    n, length, n_sensors = windows.shape
    is_own_batch = donors is None
    lenders = windows if donors is None else donors
    table = KindTable(tuple(fault_kind(name) for name in kinds), length)
    result = FaultedWindows(
        windows=windows.copy(),
        mask=np.zeros(windows.shape, np.bool_),
        kind=np.full(n, -1, np.int64),
        severity=np.zeros(n),
        kinds=tuple(kinds),
        start=np.zeros(n, np.int64),
        length=np.zeros(n, np.int64),
        sign=np.ones(n, np.int64),
        form=np.zeros(n, np.int64),
    )
    own = generator.permutation(n)[: round(share * n)]
    kind = np.sort((np.arange(len(own)) + generator.integers(len(kinds))) % len(kinds))
    highest, lowest = windows.max(axis=1), windows.min(axis=1)  # (N, C)
    for attempt in range(ATTEMPTS):
        if not len(own):
            break
        if attempt == ATTEMPTS - 1:
            kind = np.sort(generator.integers(len(kinds), size=len(own)))
        plan = draw_plan(
            kind,
            table,
            highest[own],
            lowest[own],
            own,
            len(lenders),
            is_own_batch,
            max(1, int(most_sensors * n_sensors)),
            statistics,
            generator,
        )
        is_done = _write(result, windows, lenders, own, plan, statistics, generator)
        own, kind = own[~is_done], kind[~is_done]
    return result


def _checked(
    windows: NDArray[np.float32],
    statistics: SensorStatistics,
    kinds: Sequence[str],
    share: float,
    most_sensors: float,
    donors: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    windows = np.asarray(windows, np.float32)
    if windows.ndim != 3 or windows.shape[2] != len(statistics):
        raise UsageError(f"expected windows (N, L, {len(statistics)}) as in the statistics, got shape {windows.shape}")
    if windows.shape[1] < LEAST_WINDOW:
        raise UsageError(f"faults need windows of at least {LEAST_WINDOW} rows, got {windows.shape[1]}")
    if not kinds or isinstance(kinds, str) or len(set(kinds)) < len(kinds):
        raise UsageError(f"kinds must be one or several different names, got {kinds!r}")
    if not 0 <= share <= 1 or not 0 <= most_sensors <= 1:
        raise UsageError(f"share and most_sensors must be in [0, 1], got {share} and {most_sensors}")
    if donors is None:
        return windows, None
    donors = np.asarray(donors, np.float32)
    if donors.ndim != 3 or donors.shape[1:] != windows.shape[1:] or not len(donors):
        raise UsageError(f"donors must be windows of shape {windows.shape[1:]}, got {donors.shape}")
    return windows, donors


def _write(
    result: FaultedWindows,
    windows: NDArray[np.float32],
    lenders: NDArray[np.float32],
    own: NDArray[np.int64],
    plan: WindowPlan,
    s: SensorStatistics,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Write the planned faults that change something; returns (n,) which of the windows ``own`` now have theirs."""
    pair, sensor = plan.pair, plan.sensor
    window = own[pair]
    before = windows[window, :, sensor]  # (P, L)
    row = np.arange(windows.shape[1])
    start, stop = plan.start[pair, None], plan.stop[pair, None]
    inside = (row >= start) & (row < stop)
    pairs = Pairs(
        x=before.astype(np.float64),
        row=pair,
        lender=plan.partner[pair],
        sensor=sensor,
        severity=plan.severity[pair, None],
        sign=plan.sign[pair, None],
        form=plan.form[pair, None],
        start=start,
        stop=stop,
        inside=inside,
        centre=s.centre[sensor, None],
        sigma=s.sigma[sensor, None],
        residual_sigma=s.residual_sigma[sensor, None],
        minimum=s.minimum[sensor, None],
        floor=s.floor[sensor, None],
        reach=s.reach[sensor, None],
        lenders=lenders,
        generator=generator,
    )
    y = np.empty_like(pairs.x)
    edges = np.searchsorted(plan.kind[pair], np.arange(len(result.kinds) + 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for name, first, last in zip(result.kinds, edges[:-1], edges[1:], strict=True):
            if first < last:
                y[first:last] = faulty_pairs(name, pairs.part(first, last))
        after = y.astype(np.float32)
    changes = inside & np.isfinite(before) & np.isfinite(after) & (before != after)
    # A swap has two ends; of any other fault the sensors that it changed are those that have it.
    n_needed = 1 + (np.array([name == "correlation" for name in result.kinds])[plan.kind] & (plan.form == 1))
    n_changed = np.bincount(pair, changes.any(axis=1), len(own))
    is_done = n_changed >= n_needed
    written = is_done[pair]
    to, of = window[written], sensor[written]
    result.windows[to, :, of] = np.where(changes, after, before)[written]
    result.mask[to, :, of] = changes[written]
    for target, values in (
        (result.kind, plan.kind),
        (result.severity, plan.severity),
        (result.start, plan.start),
        (result.length, plan.stop - plan.start),
        (result.sign, plan.sign),
        (result.form, plan.form),
    ):
        target[own[is_done]] = values[is_done]
    return np.asarray(is_done)
