"""Settings of a detector: one frozen object, checked once, kept in the artefact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from types import MappingProxyType
from typing import Any

from sensorad.error_models.network_reading import Encoding, Reading
from sensorad.errors import UsageError, unknown_name
from sensorad.members import MOST_MEMBERS, longest_window, member_settings, usual_members
from sensorad.models import model_kind
from sensorad.scoring import scheme_class
from sensorad.training.settings import LEAST_EXPOSED_ROWS, check_augment, check_fault_kinds, named_sensors

__all__ = ["CLASS_SCORES", "EXPOSURES", "LABELS", "TRANSFORM_SCORES", "DetectorConfig"]

EXPOSURES = ("repair", "hinge", "head", "uniform")
"""Ways in which synthetic faults enter the training."""

EXPOSURE_SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"repair": ("share", "faulty_weight"), "hinge": ("weight", "margin")}
)
"""Settings of exposures, besides the kinds of faults."""

LABELS = ("machine", "mode", "transform")
"""Where the labels of a classifier come from."""

CLASS_SCORES = ("msp", "entropy", "energy", "max_logit")
"""How a classifier is scored that was trained on labels of the log; the first is the default."""

TRANSFORM_SCORES = ("log_probability", "circular")
"""The same where labels are transforms of windows."""

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
        Name of the training objective, or the plain values of one with settings of its own; None takes the model's
        default.
    augment
        Augmentations of training windows, in their order: names of `sensorad.augment.AUGMENTATIONS`, or the plain
        values of one with settings of its own.
    augment_exclude
        Sensors that augmentations leave alone, besides those with no more than two values.
    mixup
        alpha of the mixup of training windows of one operating mode; 0 = off.
    exposure
        How synthetic faults enter the training: "repair" (networks learn to undo them), "hinge" (networks learn to
        rebuild them worse), "head" (beside any model, something of its own learns to tell them from normal windows),
        of a classifier "uniform"; None = not at all. Faults need windows of 8 rows: members of an ensemble with shorter
        ones learn without.
    exposure_kinds
        Families of faults to train on; none named = all.
    exposure_settings
        Settings of "repair" (share, faulty_weight) or "hinge" (weight, margin) that differ from their defaults.
    members
        Settings of each member of an ensemble that differ from those of the whole (`MEMBER_SETTINGS`), "model" among
        them; none given = the usual ones (`sensorad.members`).
    labels
        Classifiers: what they tell apart, "machine", "mode" or "transform" (which transform was applied to a window);
        None takes modes where the log has some, else machines, else transforms.
    class_score
        Classifiers: how unsure they are, "msp", "entropy", "energy" or "max_logit", with transforms "log_probability"
        or "circular" (of windows that were rolled by quarters); None takes the first that fits.
    label_smoothing
        Classifiers: share of each label that is spread evenly over all classes.
    epochs, time_limit_seconds
        Limits of each training run; epochs 0 leaves a network untrained. The networks of an ensemble share the time.
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
    objective: str | Mapping[str, Any] | None = None
    augment: tuple[str | Mapping[str, Any], ...] = ()
    augment_exclude: tuple[str, ...] = ()
    mixup: float = 0.0
    exposure: str | None = None
    exposure_kinds: tuple[str, ...] = ()
    exposure_settings: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Mapping[str, Any], ...] = ()
    labels: str | None = None
    class_score: str | None = None
    label_smoothing: float = 0.0
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
        if self.model == "auto" and not self.has_linear_part:
            raise UsageError("auto chooses between the linear model and one beside it", hint="name another model")
        if self.model == "linear" and self.objective is not None:
            raise UsageError("the linear model has no training objective", hint="leave --objective out")
        if self.objective is not None and not model_kind(self.model).reads_windows:
            raise UsageError(f"the {self.model} model has one training objective only", hint="leave --objective out")
        self._check_reading()
        self._check_classes()

    @property
    def length(self) -> int:
        """Rows per window; the longest of an ensemble."""
        usual = max(model_kind(self.model).length, longest_window(self.members))
        return self.window if self.window is not None else usual

    @property
    def each_member(self) -> tuple[DetectorConfig, ...]:
        """The whole settings of each member of an ensemble, with a seed of its own."""
        members = self.members or usual_members(self.length, self.has_linear_part)
        if len(members) > MOST_MEMBERS:
            raise UsageError(f"an ensemble has at most {MOST_MEMBERS} members, got {len(members)}")
        said = [member_settings(member, at, self.length, self.random_state) for at, member in enumerate(members)]
        n_trained = sum(model_kind(settings["model"]).is_trained for settings in said)
        seconds = None if self.time_limit_seconds is None else self.time_limit_seconds / max(1, n_trained)
        return tuple(self._member(settings, seconds) for settings in said)

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
        length = self.length
        if self.window is None:
            shortest = max(SHORTEST_WINDOW, longest_window(self.members))
            length = int(min(length, max(shortest, n_rows // max(1, n_sensors))))
        members = self.members
        if model_kind(self.model).family == "ensemble":
            members = members or usual_members(length, self.has_linear_part)
        return replace(self, window=length, members=members)

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
        return model_kind(self.model).is_trained

    @property
    def _may_skip_rows(self) -> bool:
        """Something else than the network speaks in every row."""
        reads = self._is_network and model_kind(self.model).reads_windows
        return reads and self.has_linear_part and self.score != "mahalanobis" and self.encoding == "windows"

    def _check_training(self) -> None:
        if not isinstance(self.mixup, int | float) or isinstance(self.mixup, bool) or not 0.0 <= self.mixup < inf:
            raise UsageError(f"mixup is an alpha of at least 0, got {self.mixup!r}")
        if self.exposure not in (None, *EXPOSURES):
            raise unknown_name("exposure", str(self.exposure), EXPOSURES)
        if self.exposure_kinds and self.exposure is None:
            raise UsageError(
                "families of faults were named, but there is no exposure to them", hint="exposure='repair'"
            )
        check_augment(self.augment)
        check_fault_kinds(self.exposure_kinds)
        if self.augment_exclude and not self.augment:
            raise UsageError("sensors were excluded from augmentations, but there are none", hint="set augment as well")
        self._check_exposure()
        if self.members and model_kind(self.model).family != "ensemble":
            raise UsageError(f"only an ensemble has members, not {self.model}", hint='model="ensemble"')
        if model_kind(self.model).family == "ensemble":
            if self.network:
                raise UsageError("an ensemble has no network of its own", hint="give the settings in its members")
            _ = self.each_member  # each is checked as a whole

    def _member(self, settings: Mapping[str, Any], seconds: float | None) -> DetectorConfig:
        """These settings with those of a member."""
        changes: dict[str, Any] = {"members": (), "time_limit_seconds": seconds}
        if self.exposure == "head" or settings["window"] < LEAST_EXPOSED_ROWS:  # a head is that of the whole
            changes |= {"exposure": None, "exposure_kinds": ()}
        if {**changes, **settings}.get("exposure", self.exposure) != self.exposure:
            changes["exposure_settings"] = {}
        return replace(self, **(changes | dict(settings)))

    def check_sensors(self, names: Sequence[str]) -> None:
        """Raise `UsageError` for a sensor that is named here and is none of those of a log."""
        for name in (*self.augment_exclude, *named_sensors(self.augment)):
            if name not in names:
                raise unknown_name("sensor", name, names)

    def _check_exposure(self) -> None:
        unknown = sorted(set(self.exposure_settings) - set(EXPOSURE_SETTINGS.get(str(self.exposure), ())))
        if unknown:
            raise UsageError(f"exposure {self.exposure!r} has no settings {', '.join(unknown)}", where="exposure")
        kind = model_kind(self.model)
        learns_windows = kind.is_trained and kind.reads_windows
        if not learns_windows and (self.augment or self.mixup or self.exposure in ("repair", "hinge")):
            raise UsageError(
                f"a {self.model} model is not trained on batches of windows: it has no augmentation, mixup, repair or "
                "hinge",
                hint="choose a network, or exposure='head', which goes with any model",
            )
        if self.exposure and (self.window or LEAST_EXPOSED_ROWS) < LEAST_EXPOSED_ROWS:
            raise UsageError(f"faults need windows of {LEAST_EXPOSED_ROWS} rows or more, got {self.window}")
        if self.exposure == "head" and self.score != "fused":
            raise UsageError(f"score {self.score!r} does not listen to a head", hint="leave score at 'fused'")
        if any(isinstance(member, Mapping) and member.get("exposure") == "head" for member in self.members):
            raise UsageError("a head is that of the whole ensemble", hint="say exposure='head' outside of members")

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

    def _check_classes(self) -> None:
        is_classifier = model_kind(self.model).family == "classifier"
        for name, known in (("labels", LABELS), ("class_score", (*CLASS_SCORES, *TRANSFORM_SCORES))):
            value = getattr(self, name)
            if value not in (None, *known):
                raise unknown_name(name, str(value), known)
        smoothing = self.label_smoothing
        if not isinstance(smoothing, int | float) or isinstance(smoothing, bool) or not 0.0 <= smoothing < 1.0:
            raise UsageError(f"label_smoothing must be in [0, 1), got {smoothing!r}")
        if not is_classifier:
            if self.labels or self.class_score or self.label_smoothing or self.exposure == "uniform":
                raise UsageError(
                    f"labels, class_score, label_smoothing and exposure 'uniform' are of classifiers, not {self.model}",
                    hint='model="classifier"',
                )
            return
        if self.exposure in ("repair", "hinge"):
            raise UsageError(f"a classifier rebuilds nothing: there is no {self.exposure}", hint="exposure='uniform'")
        if self.augment:
            raise UsageError("a classifier is trained without augmentations", hint="leave augment out")
        if self.objective not in (None, "classification", "consistency"):
            raise unknown_name("objective of a classifier", str(self.objective), ("classification", "consistency"))
        if self.objective == "consistency" and not self.mixup:
            raise UsageError("consistency is about mixtures", hint="set mixup as well")
        if self.labels is not None and self.class_score is not None:
            is_made = self.labels == "transform"
            fitting = TRANSFORM_SCORES if is_made else CLASS_SCORES
            if self.class_score not in fitting:
                raise UsageError(
                    f"class_score {self.class_score!r} does not go with labels {self.labels!r}",
                    hint=f"one of {', '.join(fitting)}",
                )
