"""The default score: three kinds of evidence from the same errors, averaged, with a guarded slow channel.

1. total: squared window errors, each sensor's divided by its usual size (half standardised: full standardisation
   gives the quietest sensor the loudest voice, none gives it no voice).
2. few: log size of each sensor's window error, robustly standardised; mean of the top 10 % of sensors, for a
   fault that only few sensors see.
3. step: squared one-step errors, half standardised too, smoothed over 5 rows.

Each becomes -log10 of its tail probability on normal data; *fast* is their weighted mean (a maximum would follow the
worst calibrated of them). Total counts half, since it and few are two readings of the same window errors. The same
sum over 30 rows is the *slow* channel, for small faults that last; it counts half, so it may alarm with twice the
evidence and never dilutes the fast one: score = max(fast, slow / 2).

A network on a linear part gives a second opinion on windows. Of the two, the stronger evidence counts: a network that
reconstructs the fault as well may not explain away what the linear part finds surprising. The members of an ensemble
speak with one voice, the median of their evidence: what is strange to one member alone is a matter of that member.
Whatever else a model measures of a window, no matter of which sensor, is guarded like the slow channel: in the mean it
lets every fault fade that it does not see (docs/decisions/0012-guarded-channels.md).

Errors of sensors as all others tell them are a second opinion of their own: where it is the stronger, it is the score,
and the blame is its. A fault that breaks nothing but a nonlinear relation would be lost in the mean.

Blame is another question than the score: in notable rows it goes to the sensor whose fault explains the errors of all
(`sensorad.scoring.contributions`), and to each sensor by its own errors where no single one explains them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import PredictionErrors, SensorErrors
from sensorad.error_models.smoothing import memory_rows, smooth
from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring.contributions import Contributions
from sensorad.scoring.cross_evidence import CrossEvidence
from sensorad.scoring.evidence import RowEvidence, StepHistory, as_shares
from sensorad.scoring.tails import TailModel
from sensorad.scoring.window_evidence import WindowEvidence

__all__ = ["FusedScheme"]

FAST_SPAN = 5
SLOW_SPAN = 30
SLOW_WEIGHT = 0.5
WEIGHTS = {"total": 0.5, "few": 1.0, "step": 1.0}

CHANNEL_WEIGHT = 0.5
"""Of what the channels of a model say, which is the mean of their evidence."""

STEP_BLAME = 3.0
"""Weight of the one-step errors in the blame; the window's have 1."""

NOTABLE_SCORE = 1.0
"""Score from which on it is worth asking which sensor explains the errors: one normal row in fifteen, and the rows of
events (the lines of the plants and of all series of SMD and ASD lie above 1.25, and events end at 0.8 of them)."""


@dataclass(frozen=True, slots=True)
class FusedScheme:
    """Mean evidence of windows and steps, and the slow channel.

    Attributes
    ----------
    window : WindowEvidence
        Of the model's own window errors.
    linear : WindowEvidence or None
        Of its linear part's, where that is something else.
    step_size : (C,) float64
        Usual (root mean square) one-step error, in deviations; all 0 for a network without a linear part, which
        predicts no step.
    tails : dict of str to TailModel
        "step" where there are one-step errors, and "row" for the newest row alone.
    members : tuple of WindowEvidence
        Of the members of an ensemble; then ``window`` serves blame alone.
    channels : tuple of TailModel
        Of the channels of the model.
    cross : CrossEvidence or None
        Of sensors as all others tell them, where a model judges some so.
    """

    window: WindowEvidence
    linear: WindowEvidence | None
    step_size: NDArray[np.float64]
    tails: Mapping[str, TailModel]
    members: tuple[WindowEvidence, ...] = ()
    channels: tuple[TailModel, ...] = ()
    cross: CrossEvidence | None = None
    name: ClassVar[str] = "fused"
    _contributions: list[tuple[RidgeAutoregression, Contributions]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @property
    def memory_rows(self) -> int:
        return memory_rows(SLOW_SPAN) if self.has_steps else 1

    @property
    def has_steps(self) -> bool:
        """There is an autoregression, so there are one-step errors."""
        return bool(self.step_size.any())

    @classmethod
    def fit(cls, errors: Sequence[SensorErrors], noise: NDArray[np.float64]) -> Self:
        window = WindowEvidence.fit([part.window for part in errors], noise)
        has_second = any(not _equal(part) for part in errors)
        linear = WindowEvidence.fit([part.linear for part in errors], noise) if has_second else None
        step = np.concatenate([part.step for part in errors])
        has_steps = bool(np.isfinite(step).any())
        step_size = np.sqrt(np.nanmean(step**2, axis=0) + noise**2) if has_steps else np.zeros_like(noise)
        blank = cls(window, linear, step_size, {})
        found = [blank._step_values(part) for part in errors]
        names = ("step", "row") if has_steps else ("row",)
        tails = {name: TailModel.fit(np.concatenate([part[name] for part in found])) for name in names}
        members = tuple(WindowEvidence.fit(parts, noise) for parts in _columns([part.members for part in errors]))
        channels = tuple(TailModel.fit(np.concatenate(parts)) for parts in _columns([part.channels for part in errors]))
        cross = CrossEvidence.fit([part.cross for part in errors], noise)
        return cls(window, linear, step_size, tails, members, channels, cross)

    def evidence(self, errors: SensorErrors, history: StepHistory | None = None) -> RowEvidence:
        """Scores, surprises and blame of consecutive rows of one segment.

        With a ``history`` the rows may be of several segments; it holds the one-step errors of the rows before them as
        well, `memory_rows` - 1 of each segment or as many as there are.
        """
        steps = StepHistory(errors.step) if history is None else history
        parts = self._window_evidence(errors)
        if self.linear is not None:
            second = self.linear.evidence(errors.linear)
            parts = {name: np.maximum(own, second[name]) for name, own in parts.items()}
        if not self.has_steps:
            score = self._with_channels(_weighted_mean(parts), errors)
            surprise = self.tails["row"].evidence(self._row_values(errors))
            return RowEvidence(score, surprise, as_shares(self._window_amount(errors)))
        total = self._step_total(steps.step)  # (S,)
        parts["step"] = self.tails["step"].evidence(np.log(steps.judged(smooth(total, FAST_SPAN, steps.age))))
        slow = self.tails["step"].evidence(np.log(steps.judged(smooth(total, SLOW_SPAN, steps.age))))
        fast = _weighted_mean(parts)
        score = np.where(np.isnan(fast), np.nan, np.fmax(fast, SLOW_WEIGHT * slow))
        score = self._with_channels(score, errors)
        surprise = self.tails["row"].evidence(np.log(steps.judged(total)))
        return self._with_cross(RowEvidence(score, surprise, self._blame(errors, steps, score)), errors)

    def _with_channels(self, score: NDArray[np.float64], errors: SensorErrors) -> NDArray[np.float64]:
        """(T,) raised where the channels have more to say; one that has read nothing yet, or not lately, is silent."""
        if errors.channels is None or not self.channels:
            return score
        said = np.stack([tail.evidence(errors.channels[:, at]) for at, tail in enumerate(self.channels)])  # (E, T)
        is_known = np.isfinite(said)
        mean = np.where(is_known, said, 0.0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
        raised: NDArray[np.float64] = np.maximum(score, CHANNEL_WEIGHT * mean)  # NaN where there is no score
        return np.where(is_known.any(axis=0), raised, score)

    def _with_cross(self, found: RowEvidence, errors: SensorErrors) -> RowEvidence:
        """Score and blame of the second opinion in the rows where it is the stronger one."""
        if self.cross is None or errors.cross is None:
            return found
        own = self.cross.evidence(errors.cross)
        rows = np.flatnonzero(own > found.score)  # never where either is unknown
        score, blame = found.score.copy(), found.blame.copy()
        score[rows], blame[rows] = own[rows], self.cross.shares(errors.cross[rows])
        return RowEvidence(score, found.surprise, blame)

    def _window_evidence(self, errors: SensorErrors) -> dict[str, NDArray[np.float64]]:
        """Of the model, or the median of what its members say."""
        if errors.members is None:
            return self.window.evidence(errors.window)
        found = [member.evidence(errors.members[:, at]) for at, member in enumerate(self.members)]
        return {name: np.median([parts[name] for parts in found], axis=0) for name in found[0]}

    def _step_values(self, errors: SensorErrors) -> dict[str, NDArray[np.float64]]:
        """Logs of the one-step errors at two speeds, (T,) each; NaN where a row has too little past."""
        if not self.has_steps:
            return {"row": self._row_values(errors)}
        total = self._step_total(errors.step)
        return {"step": np.log(smooth(total, FAST_SPAN)), "row": np.log(total)}

    def _step_total(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T,) sums over sensors of one-step errors (T, C), half standardised; NaN where a row has too little past."""
        amount = step**2
        amount += self.window.noise**2
        amount /= self.step_size
        total: NDArray[np.float64] = amount.sum(axis=1)
        return total

    def _row_values(self, errors: SensorErrors) -> NDArray[np.float64]:
        """(T,) the same log for the newest row of a window, where there are no one-step errors."""
        row = np.nan_to_num(errors.newest) ** 2 + self.window.noise**2
        is_ready = np.isfinite(errors.newest).any(axis=1)
        return np.where(is_ready, np.log((row / self.window.size).sum(axis=1)), np.nan)

    def _blame(self, errors: SensorErrors, steps: StepHistory, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares (T, C); in notable rows those of the sensors whose fault would explain the errors of all."""
        own = self._own_blame(errors, steps)
        if not isinstance(errors, PredictionErrors):
            return own
        rows = np.flatnonzero(score >= NOTABLE_SCORE)
        if len(rows) == 0:
            return own
        places = rows if steps.at is None else steps.at[rows]
        relative = steps.step / self.step_size
        own[rows] = self._contributions_of(errors.autoregression).shares(relative, places, own[rows], steps.age)
        return own

    def _own_blame(self, errors: SensorErrors, steps: StepHistory) -> NDArray[np.float64]:
        """Shares (T, C): squared errors relative to each sensor's usual ones, of the window and of the last steps.

        Here full standardisation is right, other than in the score: the question is no longer whether anything is
        wrong but whose error is out of proportion.
        """
        last = steps.recent(memory_rows(FAST_SPAN) - 1)
        by_step = as_shares(last.judged(smooth(last.step**2 / self.step_size**2, FAST_SPAN, last.age)))
        by_step *= STEP_BLAME
        by_step += as_shares(self._window_amount(errors))
        return as_shares(by_step)

    def _window_amount(self, errors: SensorErrors) -> NDArray[np.float64]:
        """(T, C) by how much window errors exceed usual ones."""
        amount = errors.window / self.window.size**2
        amount -= 1.0
        return amount

    def _contributions_of(self, model: RidgeAutoregression) -> Contributions:
        """Worked out once: a detector scores with one model."""
        if not self._contributions or self._contributions[0][0] is not model:
            self._contributions[:] = [(model, Contributions.of(model, self.step_size, self.memory_rows))]
        return self._contributions[0][1]

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        arrays = {"fused.step_size": self.step_size, **self.window.to_arrays("fused.window")}
        if self.linear is not None:
            arrays |= self.linear.to_arrays("fused.linear")
        for name, tail in self.tails.items():
            arrays |= tail.to_arrays(f"fused.tail.{name}")
        for at, member in enumerate(self.members):
            arrays |= member.to_arrays(f"fused.member.{at}")
        for at, tail in enumerate(self.channels):
            arrays |= tail.to_arrays(f"fused.channel.{at}")
        if self.cross is not None:
            arrays |= self.cross.to_arrays("fused.cross")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        step_size = arrays["fused.step_size"]
        has_second = "fused.linear.size" in arrays
        names = ("step", "row") if step_size.any() else ("row",)
        return cls(
            window=WindowEvidence.from_arrays(arrays, "fused.window"),
            linear=WindowEvidence.from_arrays(arrays, "fused.linear") if has_second else None,
            step_size=step_size,
            tails={name: TailModel.from_arrays(arrays, f"fused.tail.{name}") for name in names},
            members=tuple(WindowEvidence.from_arrays(arrays, name) for name in _numbered(arrays, "fused.member")),
            channels=tuple(TailModel.from_arrays(arrays, name) for name in _numbered(arrays, "fused.channel")),
            cross=CrossEvidence.from_arrays(arrays, "fused.cross"),
        )


def _weighted_mean(parts: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """(T,) mean of the evidence by `WEIGHTS`."""
    first, *others = parts
    total = WEIGHTS[first] * parts[first]
    for name in others:
        total = total + WEIGHTS[name] * parts[name]
    mean: NDArray[np.float64] = total / sum(WEIGHTS[name] for name in parts)
    return mean


def _columns(parts: Sequence[NDArray[np.float64] | None]) -> list[list[NDArray[np.float64]]]:
    """Of arrays (T, M, ...) the M lists of their columns; none where there are no arrays."""
    known = [part for part in parts if part is not None]
    return [[part[:, at] for part in known] for at in range(known[0].shape[1])] if known else []


def _numbered(arrays: Mapping[str, NDArray[np.float64]], name: str) -> list[str]:
    """Names "name.0", "name.1" ... that begin names of arrays."""
    found: list[str] = []
    while any(key.startswith(f"{name}.{len(found)}.") for key in arrays):
        found.append(f"{name}.{len(found)}")
    return found


def _equal(errors: SensorErrors) -> bool:
    """The model's own errors are those of its linear part (out-of-fold errors are copies)."""
    return bool(np.array_equal(errors.window, errors.linear, equal_nan=True))
