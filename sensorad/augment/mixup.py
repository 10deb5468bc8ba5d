"""Mixup: windows between two windows, with targets and labels between theirs.

A network that is trained on mixtures is asked to behave evenly between its examples (Zhang et al. 2018). For windows of
sensors a mixture of two operating modes, or of two phases of a cycle, is often nothing that the plant ever does: hence
partners from the same mode, and phases aligned on request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.checks import Mask, Windows, check_bool, check_number, check_windows
from sensorad.augment.phase import best_shift
from sensorad.augment.resampling import mixed_cells, rows_taken
from sensorad.errors import DataError, UsageError

__all__ = ["Mixed", "MixupConfig", "mixup"]

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class MixupConfig:
    """How windows are mixed.

    Attributes
    ----------
    alpha
        Weights are drawn from Beta(alpha, alpha): 0.1 to 0.4 keeps most mixtures near one of the two, 1 is uniform,
        8 to 32 is near the middle and meant against wrong labels, 0 turns mixing off.
    same_mode
        Partners come from the same operating mode, where modes are given.
    align_phase
        Each partner is first rolled, by L/2 rows at most, to where it agrees best with the window. For windows of
        cycles: rolling joins the last row to the first.

    Examples
    --------
    >>> MixupConfig.from_json(MixupConfig(alpha=0.4).to_json())
    MixupConfig(alpha=0.4, same_mode=True, align_phase=False)
    """

    alpha: float = 0.2
    same_mode: bool = True
    align_phase: bool = False

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0.0, math.inf, "mixup")
        check_bool("same_mode", self.same_mode, "mixup")
        check_bool("align_phase", self.align_phase, "mixup")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> MixupConfig:
        """What `to_json` described; unknown settings are refused."""
        unknown = sorted(row.keys() - {part.name for part in fields(cls)})
        if unknown:
            raise UsageError(f"unknown settings {unknown}", where="mixup")
        return cls(**row)


@dataclass(frozen=True, slots=True)
class Mixed:
    """Mixtures, and how they were made: ``weight`` of the window, and the rest of its partner.

    Attributes
    ----------
    windows : (N, L, C) float32
        ``weight[n] windows[n] + (1 - weight[n]) windows[partner[n]]``, the partner rolled by ``shift[n]`` rows.
    targets : (N, ...), optional
        Mixed alike.
    labels : (N, K), optional
        Mixed alike: rows that summed to 1 still do.
    partner : (N,) int64
        The other window, another one wherever the mode has two.
    weight : (N,) float32
        Share of the window itself, in [0, 1].
    shift : (N,) int64
        Rows by which the partner was rolled; 0 without alignment.
    usable : (N, L, C) bool, optional
        Where both windows were measured.
    """

    windows: Windows
    targets: Floats | None
    labels: Floats | None
    partner: NDArray[np.int64]
    weight: NDArray[np.float32]
    shift: NDArray[np.int64]
    usable: Mask | None = None


def mixup(
    windows: Windows,
    generator: np.random.Generator,
    config: MixupConfig | None = None,
    targets: Floats | None = None,
    labels: Floats | None = None,
    modes: NDArray[np.integer] | None = None,
    usable: Mask | None = None,
) -> Mixed:
    """Each window mixed with another one, in place of it.

    Parameters
    ----------
    windows : (N, L, C) float32
        Finite; missing cells filled and marked in ``usable``.
    generator
        Source of all randomness; alpha = 0 draws nothing and gives copies of what came.
    config
        By default ``MixupConfig()``.
    targets : (N, ...) floats, optional
        What a network should answer. Targets with rows, (N, L, ...) of three axes or more, are rolled as their
        windows are.
    labels : (N, K) in [0, 1], optional
        One-hot, soft or several classes at once.
    modes : (N,) whole numbers, optional
        Operating modes; without them all windows are of one mode.
    usable : (N, L, C) bool, optional
        False = the cell holds no measurement. A mixture with a missing cell is missing, and holds its filling.

    Raises
    ------
    UsageError
        If a shape or dtype does not fit.
    DataError
        If a value is NaN or infinite, or a label outside [0, 1].

    Examples
    --------
    >>> windows = np.repeat(np.arange(4, dtype=np.float32), 5).reshape(4, 5, 1)
    >>> modes = np.array([0, 0, 1, 1])
    >>> mixed = mixup(windows, np.random.default_rng(0), MixupConfig(alpha=1.0), labels=np.eye(4), modes=modes)
    >>> mixed.partner
    array([1, 0, 3, 2])
    >>> mixed.labels.sum(axis=1)
    array([1., 1., 1., 1.])
    >>> bool(np.allclose(mixed.windows[0], mixed.weight[0] * 0.0 + (1 - mixed.weight[0]) * 1.0))
    True
    """
    config = config or MixupConfig()
    check_windows(windows, usable, "mixup")
    n_windows = len(windows)
    targets = None if targets is None else _checked("targets", targets, n_windows)
    labels = None if labels is None else _checked_labels(labels, n_windows)
    if modes is not None and (modes.shape != (n_windows,) or not np.issubdtype(modes.dtype, np.integer)):
        raise UsageError(f"modes must be ({n_windows},) whole numbers, got {modes.shape} {modes.dtype}", where="mixup")
    none = np.zeros(n_windows, np.int64)
    if config.alpha == 0.0 or not n_windows:
        return Mixed(
            windows.copy(),
            None if targets is None else targets.copy(),
            None if labels is None else labels.copy(),
            np.arange(n_windows),
            np.ones(n_windows, np.float32),
            none,
            None if usable is None else usable.copy(),
        )
    partner = _partners(none if modes is None or not config.same_mode else modes, generator)
    weight = generator.beta(config.alpha, config.alpha, n_windows).astype(np.float32)
    other, other_usable = windows[partner], None if usable is None else usable[partner]
    shift = best_shift(windows, other) if config.align_phase else none
    if config.align_phase:
        other, other_usable = rows_taken(other, other_usable, _rolled(shift, windows.shape[1]))
    rest = (np.float32(1.0) - weight)[:, None, None]
    if usable is None or other_usable is None:
        mixed, both = _mixture(windows, other, weight), None
    else:
        mixed, both = mixed_cells(windows, other, rest, usable, other_usable)
    return Mixed(
        mixed,
        None if targets is None else _mixture(targets, _other_targets(targets, partner, shift, windows), weight),
        None if labels is None else _mixture(labels, labels[partner], weight),
        partner,
        weight,
        shift,
        both,
    )


def _partners(modes: NDArray[np.integer], generator: np.random.Generator) -> NDArray[np.int64]:
    """For each window the next one of its mode in a random circle: its own partner only if it is alone."""
    order = np.lexsort((generator.random(len(modes)), modes))  # by mode, at random within
    ranked = modes[order]
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    following = np.arange(1, len(modes) + 1)
    firsts = np.flatnonzero(np.append(True, is_last[:-1]))
    following[is_last] = firsts
    partner = np.empty(len(modes), np.int64)
    partner[order] = order[following]
    return partner


def _rolled(shift: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The rows (N, L) that stand in each row after rolling."""
    return np.asarray((np.arange(length) - shift[:, None]) % length)


def _other_targets(targets: Floats, partner: NDArray[np.int64], shift: NDArray[np.int64], windows: Windows) -> Floats:
    other = targets[partner]
    length = windows.shape[1]
    if targets.ndim < 3 or targets.shape[1] != length or not shift.any():
        return other
    rows = _rolled(shift, length).reshape(len(other), length, *[1] * (other.ndim - 2))
    return np.asarray(np.take_along_axis(other, rows, axis=1))


def _mixture(own: Floats, other: Floats, weight: NDArray[np.float32]) -> Any:
    """Exactly ``own`` where both agree and where the weight is 1."""
    rest = (1.0 - weight.astype(own.dtype)).reshape(-1, *[1] * (own.ndim - 1))
    return own + rest * (other - own)


def _checked(name: str, values: Floats, n_windows: int) -> Floats:
    if values.ndim < 1 or len(values) != n_windows:
        raise UsageError(f"{n_windows} {name} expected, one per window, got shape {values.shape}", where="mixup")
    if not np.issubdtype(values.dtype, np.floating):
        raise UsageError(f"{name} must be floats, got {values.dtype}", where="mixup", hint="classes go to labels")
    if not np.isfinite(values).all():
        raise DataError(f"{name} must be finite", where="mixup")
    return values


def _checked_labels(labels: Floats, n_windows: int) -> Floats:
    if labels.ndim != 2:
        raise UsageError(
            f"labels must be (N, K), got shape {labels.shape}",
            where="mixup",
            hint="turn classes into one-hot rows: np.eye(n_classes)[classes]",
        )
    soft = labels if np.issubdtype(labels.dtype, np.floating) else labels.astype(np.float32)
    soft = _checked("labels", soft, n_windows)
    if soft.size and (soft.min() < 0.0 or soft.max() > 1.0):
        raise DataError(f"labels must lie in [0, 1], got {soft.min():g} to {soft.max():g}", where="mixup")
    return soft
