"""Settings of a detector: one frozen object, checked once, kept in the artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from typing import Any

from sensorad.errors import UsageError, unknown_name
from sensorad.models import model_kind
from sensorad.scoring import scheme_class
from sensorad.scoring.network_reading import Encoding, Reading

__all__ = ["EXPOSURES", "DetectorConfig"]

EXPOSURES = ("repair", "hinge", "head")
"""Ways in which synthetic faults enter the training."""

SHORTEST_WINDOW = 8
"""Rows of the shortest window that is chosen unasked."""

READINGS_PER_WINDOW = 4
"""Windows that a network reads in the time of one, unasked (docs/decisions/0010-reading-on-a-grid.md). Saved detectors
count on it: with another number they would need a step in `sensorad.artefact.migrations`."""


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Everything that decides a fit besides the log.

    Attributes
    ----------
    model, score
        Names in the registries of models and scoring schemes.
    has_linear_part
        Networks only: False runs the network alone, as published.
    window
        Rows per window; None takes the model's default, or less where the log is short for its width (`fitted_to`).
    variance
        Share of the variance that window-PCA keeps.
    lags, penalty
        Rows that the autoregression looks back, and its ridge penalty.
    folds
        Blocks of time for out-of-fold errors; halved where the log is short.
    objective
        Name of the training objective; None takes the model's default.
    augment
        Names of augmentations of training windows, in their order; see `sensorad.augment.AUGMENTATIONS`.
    augment_exclude
        Sensors that augmentations leave alone.
    mixup
        alpha of the mixup of training windows; 0 = off.
    exposure
        How synthetic faults enter the training: "repair", "hinge" or "head"; None = not at all.
    exposure_kinds
        Families of faults to train on; none named = all.
    members
        Settings of each member of an ensemble that differ from those of the whole; none given = the usual ones.
    epochs, time_limit_seconds
        Limits of each training run; epochs 0 leaves a network untrained.
    stride
        Rows between training windows; None = a quarter of a window at most, less where the log is short.
    network
        Settings of the network's own configuration that differ from its defaults.
    read_every
        Networks: rows between two windows that are read. None: a quarter of a window on a linear part, which speaks in
        every row; 1 where the network is alone, and for score "mahalanobis", which is about the newest row.
    encoding
        Networks: "windows" reads each window afresh. "carried" carries the state of an LSTM without a linear part from
        row to row and rebuilds the newest row alone: ten times as fast, and meant for score "mahalanobis"; scores of
        windows find far less so.
    device
        Where networks run: "cpu" or "cuda".
    random_state
        Seed of all random numbers.

    Examples
    --------
    >>> config = DetectorConfig(model="lstm", epochs=3)
    >>> DetectorConfig.from_json(config.to_json()) == config
    True
    >>> config.length
    30
    """

    model: str = "linear"
    score: str = "fused"
    has_linear_part: bool = True
    window: int | None = None
    variance: float = 0.95
    lags: int = 10
    penalty: float = 1.0
    folds: int = 4
    objective: str | None = None
    augment: tuple[str, ...] = ()
    augment_exclude: tuple[str, ...] = ()
    mixup: float = 0.0
    exposure: str | None = None
    exposure_kinds: tuple[str, ...] = ()
    members: tuple[Mapping[str, Any], ...] = ()
    epochs: int | None = None
    time_limit_seconds: float | None = None
    stride: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    read_every: int | None = None
    encoding: Encoding = "windows"
    device: str = "cpu"
    random_state: int = 0

    def __post_init__(self) -> None:
        model_kind(self.model)
        scheme_class(self.score)
        for name, least in (
            ("window", 2),
            ("lags", 1),
            ("folds", 2),
            ("epochs", 0),
            ("stride", 1),
            ("read_every", 1),
            ("random_state", 0),
        ):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if str(self.device).partition(":")[0] not in ("cpu", "cuda"):
            raise UsageError(f"device is 'cpu' or 'cuda', got {self.device!r}")
        if not 0.0 < self.variance < 1.0:
            raise UsageError(f"variance must lie between 0 and 1, got {self.variance!r}")
        if not self.penalty > 0.0:
            raise UsageError(f"penalty must be positive, got {self.penalty!r}")
        for name in ("augment", "augment_exclude", "exposure_kinds", "members"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise UsageError(f"{name} must be a list, got {value!r}")
            object.__setattr__(self, name, tuple(value))  # as JSON has it, lists come back
        self._check_training()
        if self.model == "linear" and not self.has_linear_part:
            raise UsageError("the linear model is nothing without its linear part", hint="choose a network")
        if self.model == "linear" and self.objective is not None:
            raise UsageError("the linear model has no training objective", hint="leave --objective out")
        self._check_reading()

    @property
    def length(self) -> int:
        """Rows per window."""
        return self.window if self.window is not None else model_kind(self.model).length

    @property
    def reading_rows(self) -> int:
        """Rows between two windows that a network reads."""
        if self.read_every is not None:
            return self.read_every
        return max(1, self.length // READINGS_PER_WINDOW) if self._may_skip_rows else 1

    @property
    def reads(self) -> dict[str, str]:
        """What a network reads, where that is not every window.

        Examples
        --------
        >>> DetectorConfig(model="lstm").reads
        {'reads': 'every 7 rows'}
        """
        if self.encoding == "carried":
            return {"reads": "carried"}
        return {"reads": f"every {self.reading_rows} rows"} if self.reading_rows > 1 else {}

    def reading(self, step_seconds: float) -> Reading:
        """How a network reads a log with rows that many seconds apart."""
        return Reading(self.length, step_seconds, self.reading_rows, self.encoding)

    def fitted_to(self, n_rows: int, n_sensors: int) -> DetectorConfig:
        """The same settings with the window length settled for a log of that size.

        By default a window has no more cells than the log has rows: the covariance of longer ones is mostly guess, and
        their errors on new normal rows then drift above all that calibration saw (TEP, 500 rows x 52 sensors).

        Examples
        --------
        >>> DetectorConfig().fitted_to(n_rows=500, n_sensors=52).length
        9
        """
        if self.window is not None:
            return self
        return replace(self, window=int(min(self.length, max(SHORTEST_WINDOW, n_rows // max(1, n_sensors)))))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lists = {name: list(getattr(self, name)) for name in ("augment", "augment_exclude", "exposure_kinds")}
        members = [dict(member) for member in self.members]
        return asdict(self) | lists | {"network": dict(self.network), "members": members}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DetectorConfig:
        """The settings of `to_json`; unknown names are refused."""
        unknown = sorted(set(values) - {known.name for known in fields(cls)})
        if unknown:
            raise UsageError(f"unknown settings {unknown}", where="detector configuration")
        found = cls(**values)
        # Detectors of earlier versions read every window.
        return replace(found, read_every=1) if "read_every" not in values and found.reading_rows > 1 else found

    @property
    def _is_network(self) -> bool:
        return model_kind(self.model).build is not None

    @property
    def _may_skip_rows(self) -> bool:
        """Something else than the network speaks in every row."""
        return self._is_network and self.has_linear_part and self.score != "mahalanobis" and self.encoding == "windows"

    def _check_training(self) -> None:
        if not isinstance(self.mixup, int | float) or isinstance(self.mixup, bool) or not 0.0 <= self.mixup < inf:
            raise UsageError(f"mixup is an alpha of at least 0, got {self.mixup!r}")
        if self.exposure not in (None, *EXPOSURES):
            raise unknown_name("exposure", str(self.exposure), EXPOSURES)
        if self.exposure_kinds and self.exposure is None:
            raise UsageError(
                "families of faults were named, but there is no exposure to them", hint="exposure='repair'"
            )
        if self.members and model_kind(self.model).family != "ensemble":
            raise UsageError(f"only an ensemble has members, not {self.model}", hint='model="ensemble"')

    def _check_reading(self) -> None:
        if self.encoding not in ("windows", "carried"):
            raise UsageError(f"encoding is 'windows' or 'carried', got {self.encoding!r}")
        if self.read_every is not None and not self._is_network:
            raise UsageError("the linear model reads every row", hint="leave read_every out")
        if self.encoding == "carried" and (self.model != "lstm" or self.has_linear_part):
            raise UsageError(
                "only the LSTM without a linear part can carry its state", hint='model="lstm", has_linear_part=False'
            )
        if (self.read_every or 1) > 1 and not self._may_skip_rows:
            raise UsageError(
                "a network that skips rows needs a linear part that scores them, and a score of windows",
                hint='leave read_every out, or use a linear part and another score than "mahalanobis"',
            )
