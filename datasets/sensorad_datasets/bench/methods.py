"""All detectors of the benchmark by name, behind one interface: the product's, their controls, the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.detector import Detector
from sensorad.errors import UsageError, unknown_name
from sensorad.logs import LogFormat

from ..series import BenchmarkSeries
from .baselines import BASELINES, Baseline
from .stretches import Stretch, ZScore, row_groups, row_times_ns, stretches_of

if TYPE_CHECKING:
    from sensorad.types import Event, ScoreBlock

__all__ = [
    "CLOCK",
    "DEFAULT_METHODS",
    "LSTM_TRAININGS",
    "METHODS",
    "BaselineRunner",
    "DetectorRunner",
    "Method",
    "Runner",
    "Scored",
    "method_named",
    "row_alarms",
]

CLOCK = "clock"
"""The one method that looks at test labels, those of the other series: it shows how much position alone tells."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a method says of a test log.

    Attributes
    ----------
    score : (T,) float64
        NaN where the method gives none.
    seconds
        Time that scoring took.
    blame : (T, C) float32, optional
        Weight of each sensor in each row; None where the method blames nobody or nobody asked.
    alarm : (T,) bool, optional
        Rows inside alarm events at the method's own line; None where it has no line.
    openings : (E,) int64, optional
        First row of each alarm event.
    """

    score: NDArray[np.float64]
    seconds: float
    blame: NDArray[np.float32] | None = None
    alarm: NDArray[np.bool_] | None = None
    openings: NDArray[np.int64] | None = None


class Runner(Protocol):
    """A method at work on one series."""

    fit_seconds: float

    def fit(self, series: BenchmarkSeries) -> None:
        """Learn from the training part."""

    def score(self, series: BenchmarkSeries, *, with_blame: bool = False) -> Scored:
        """Score the whole test part, in its order; ``series`` may have another test part than the one of `fit`."""


@dataclass(slots=True)
class DetectorRunner:
    """A detector of the product, with whatever line its fit has set."""

    detector: Detector
    fit_seconds: float = 0.0

    def fit(self, series: BenchmarkSeries) -> None:
        began = process_time()
        form = LogFormat(time=series.time_column, sensors=series.sensors, group=series.group_column)
        self.detector.fit(series.train, format=form)
        self.fit_seconds = process_time() - began

    def score(self, series: BenchmarkSeries, *, with_blame: bool = False) -> Scored:
        began = process_time()
        builder = self.detector.event_builder()
        blocks: list[ScoreBlock] = []
        events: list[Event] = []
        for block in self.detector.score_blocks(self.detector.open_log(series.test)):
            blocks.append(block)
            events += builder.update(block)
        events += builder.finish()
        seconds = process_time() - began
        score = np.full(series.test.num_rows, np.nan)
        for block in blocks:
            score[block.index] = block.score
        alarm, openings = row_alarms(events, series)
        blame = _dense_blame(blocks, series) if with_blame else None
        return Scored(score, seconds, blame, alarm, openings)


@dataclass(slots=True)
class BaselineRunner:
    """A baseline on z-scored stretches."""

    baseline: Baseline
    fit_seconds: float = 0.0
    _scaler: ZScore | None = field(default=None, init=False)

    def fit(self, series: BenchmarkSeries) -> None:
        began = process_time()
        stretches = stretches_of(series.train, series)
        self._scaler = ZScore.fit(stretches)
        self.baseline.fit([self._scaled(stretch) for stretch in stretches])
        self.fit_seconds = process_time() - began

    def score(self, series: BenchmarkSeries, *, with_blame: bool = False) -> Scored:
        began = process_time()
        score = np.full(series.test.num_rows, np.nan)
        blame: NDArray[np.float32] | None = None
        for stretch in stretches_of(series.test, series):
            score[stretch.rows], shares = self.baseline.score(self._scaled(stretch))
            if with_blame and shares is not None:
                if blame is None:
                    blame = np.full((len(score), len(series.sensors)), np.nan, np.float32)
                blame[stretch.rows] = shares
        return Scored(score, process_time() - began, blame)

    def _scaled(self, stretch: Stretch) -> Stretch:
        if self._scaler is None:
            raise UsageError("the baseline has not been fitted", hint="call fit first")
        return Stretch(stretch.rows, self._scaler.transform(stretch.values))


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the benchmark.

    Attributes
    ----------
    name, what
        Name on the command line, and one line for the legend.
    is_random
        Depends on a seed, so that several are run.
    detector
        seed -> fresh detector, for methods of the product.
    baseline
        seed -> fresh baseline.
    """

    name: str
    what: str
    is_random: bool = False
    detector: Callable[[int], Detector] | None = None
    baseline: Callable[[int], Baseline] | None = None

    def runner(self, seed: int) -> Runner:
        """A fresh runner."""
        if self.detector is not None:
            return DetectorRunner(self.detector(seed))
        if self.baseline is not None:
            return BaselineRunner(self.baseline(seed))
        raise UsageError(f"{self.name} does not run on a single series")


def method_named(name: str) -> Method:
    """The method of that name.

    Raises
    ------
    UsageError
        No such method; names the closest one.

    Examples
    --------
    >>> method_named("linear").is_random
    False
    """
    if name not in METHODS:
        raise unknown_name("benchmark method", name, METHODS)
    return METHODS[name]


def row_alarms(events: Sequence[Event], series: BenchmarkSeries) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Rows of ``series.test`` inside alarm events, (T,), and the first row of each, (E,); quality events say
    something of the data and not of the plant, and are left out."""
    times, groups = row_times_ns(series.test, series), row_groups(series.test, series)
    alarm = np.zeros(len(times), bool)
    openings = []
    for event in events:
        if event.kind != "quality":
            inside = (times >= event.start) & (times <= event.end) & (groups == event.group)
            alarm |= inside
            openings.append(int(np.argmax(inside)))
    return alarm, np.array(sorted(openings), np.int64)


def _dense_blame(blocks: Sequence[ScoreBlock], series: BenchmarkSeries) -> NDArray[np.float32]:
    """Blame (T, C) of the product: share of the row's score for each named sensor, times the row's score."""
    blame = np.zeros((series.test.num_rows, len(series.sensors)), np.float32)
    for block in blocks:
        rows, places = np.nonzero(block.top_sensors >= 0)
        shares = block.top_shares[rows, places] * np.maximum(block.score[rows], 0.0)
        blame[block.index[rows], block.top_sensors[rows, places]] = shares
    return blame


def _product(model: str, **options: Any) -> Callable[[int], Detector]:
    return lambda seed: Detector(model, random_state=seed, **options)


def _ablations() -> list[Method]:
    """LSTMs without a linear part, where the training has all the say; `lstm-alone` is the masked one."""
    return [
        Method(f"lstm-{name}-alone", f"an LSTM alone, {what}", True, _product("lstm", linear_part=None, **options))
        for name, (what, options) in LSTM_TRAININGS.items()
    ]


def _all_methods() -> dict[str, Method]:
    networks = ("lstm", "transformer", "variational", "adversarial")
    methods = [
        Method("linear", "the product's default", detector=_product("linear")),
        Method("auto", "linear, or cross where the training part asks for it", True, _product("auto")),
        Method("ensemble", "unlike models of long and short windows together", True, _product("ensemble")),
        Method("shape", "nearest of typical windows, beside the linear part", True, _product("shape")),
        Method("shape-alone", "nearest of typical windows", True, _product("shape", linear_part=None)),
        Method("cross", "each sensor by a network from all others, beside the linear part", True, _product("cross")),
        Method("cross-alone", "each sensor by a network from all others", True, _product("cross", linear_part=None)),
        *(Method(name, f"{name} on what the linear part leaves", True, _product(name)) for name in networks),
        *(
            Method(f"{name}-alone", f"the {name} network without a linear part", True, _product(name, linear_part=None))
            for name in networks
        ),
        Method("randnet", "dense network of random connections beside the linear part", True, _product("randnet")),
        Method(
            "classifier", "doubt of a classifier of transforms beside the linear part", True, _product("classifier")
        ),
        Method(
            "head", "the linear part, and a head trained on synthetic faults", True, _product("linear", exposure="head")
        ),
        *_ablations(),
        *(
            Method(
                f"{name}-untrained-alone",
                f"the {name} network without a linear part, never trained",
                True,
                _product(name, linear_part=None, epochs=0),
            )
            for name in networks
        ),
    ]
    whats = {
        "random": "uniform random numbers",
        "row-index": "the position in the log",
        "max-z": "largest |z| of the row",
        "pca": "PCA of rows, 90 % of the variance, squared error",
        "window-pca": "PCA of windows of 30 rows, 90 % of the variance, squared error",
        "nearest-window": "distance to the nearest of 2,000 training windows of 30 rows",
        "autoregression": "ridge regression on 10 rows, Ledoit-Wolf Mahalanobis distance of its error",
    }
    methods += [Method(name, whats[name], name == "random", baseline=make) for name, make in BASELINES.items()]
    clock = "share of the OTHER series of the set that are anomalous at this row: sees no sensor, but labels"
    return {method.name: method for method in [*methods, Method(CLOCK, clock)]}


LSTM_TRAININGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "plain": ("trained to rebuild windows as they are", {"objective": "plain"}),
        "denoising": ("trained to take noise off", {"objective": "denoising"}),
        "dropout": ("trained to fill in cells dropped at random", {"objective": "dropout"}),
        "augment": ("trained on jittered, scaled and shifted windows", {"augment": ("jitter", "scaling", "shift")}),
        **{f"mixup-{alpha:g}": (f"trained with mixup, alpha {alpha:g}", {"mixup": alpha}) for alpha in (0.2, 0.4, 1.0)},
        "repair": ("trained to undo synthetic faults", {"exposure": "repair"}),
        "hinge": ("trained to rebuild synthetic faults worse", {"exposure": "hinge"}),
    }
)
"""Ways to train that are compared with one another: what each does, and the options of `Detector` that ask for it.

What does not name an objective keeps the default, which is masked."""

METHODS: Mapping[str, Method] = MappingProxyType(_all_methods())
"""All methods by name, in the order of the tables."""

DEFAULT_METHODS: tuple[str, ...] = ("linear", *BASELINES, CLOCK)
"""What runs where nothing is named: everything that takes seconds."""
