"""`Detector`: the user's object. Learns from normal logs, scores new ones, finds events, keeps its budget."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.alarm_line import AlarmLine
from sensorad.artefact import ArtefactContents, check_target, read_artefact, weights_hash, write_artefact
from sensorad.calibration import Calibration, choose_threshold
from sensorad.card import card_text, describe, left_out_notes
from sensorad.config import DetectorConfig
from sensorad.data import Timing
from sensorad.errors import ArtefactError, SchemaError, UsageError
from sensorad.events import EventBuilder, EventRule, QualityLimits, QualityMonitor
from sensorad.findings import Findings
from sensorad.learning import default_rule, learn
from sensorad.log_scoring import LogScoring
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.model_parts import ModelParts, model_arrays
from sensorad.models import ReadyNetwork, plain_model
from sensorad.monitoring import CalibrationMonitor
from sensorad.normal_rows import read_normal_rows
from sensorad.pretrained import Pretrained
from sensorad.recalibration import Recalibration
from sensorad.scoring import FusedScheme, ScoringEngine, context_rows
from sensorad.starting import started
from sensorad.streams import Streams
from sensorad.thresholds import Budget, BudgetThreshold, ReturnPeriods, ThresholdMethod, ThresholdResult
from sensorad.training.settings import Described, plain_exposure, plain_names, plain_objective, plain_steps
from sensorad.types import SensorSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sensorad.augment import Augmentation
    from sensorad.error_models.torch_windows import Precision

__all__ = ["Detector", "load"]

QUANTILE_99 = 2.576
"""Standard deviations either side of the mean within which 99 % of a Gaussian lie."""


class Detector(LogScoring, Recalibration, Streams):
    """Learns normal operation from a multi-sensor log and scores others against it.

    Parameters
    ----------
    model
        "linear" (default), "auto" (linear, or cross where the log asks for it), "lstm", "transformer", "variational",
        "adversarial", "ensemble", "shape", "cross", "classifier" or "randnet"; see docs/models.md.
        Or a network of `sensorad.models`, such as ``LSTMAutoencoder(3, LSTMConfig(width=32))``: its kind and sizes.
    score
        "fused" (default), "mahalanobis" (the published encoder-decoder rule), "sse", "topk" or "max".
    objective
        Networks: "plain", "denoising", "dropout" or "masked", or a ready one, such as ``Denoising(sigma=0.2)``; None
        takes the model's default.
    linear_part
        Networks: None runs the network alone, as published.
    augment, augment_exclude
        Networks: augmentations of training windows, by name or as ready `Augmentation` objects, and sensors that they
        leave alone.
    mixup
        Networks: alpha of the mixup of training windows; 0 = off.
    exposure, exposure_kinds
        Exposure to synthetic faults: "repair" or "hinge" (networks), "head" (any model), or a ready one, such as
        ``Repair(share=0.3)``; the families of faults, all unless named.
    labels, class_score, label_smoothing
        Classifiers: what they tell apart ("machine", "mode" or "transform"), how their doubt is measured ("msp",
        "entropy", "energy" or "max_logit"; "log_probability" or "circular"), and the share of each label that is spread
        over all classes.
    window
        Rows per window.
    epochs, time_limit_seconds
        Networks: limits of each of the three training runs.
    device
        "cpu" or "cuda".
    threshold
        Method for the alarm line of `fit`, a ready object; None as said there.
    events
        Rule for events; None derives one from the window length.
    config
        All settings at once, instead of the ones above.
    random_state
        Seed.

    Attributes
    ----------
    config_ : DetectorConfig
        The settings with the window length settled, and the model where "auto" chose it.
    schema_ : SensorSchema
    format_ : LogFormat
        How the training log was read; later logs are read the same way unless told otherwise.
    rule_ : EventRule
    threshold_result_ : ThresholdResult
    notes_ : list of str
        What a user should know of the fit.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> load_ = np.sin(np.arange(4000) / 40) + 0.1 * rng.normal(size=4000)
    >>> log = pd.DataFrame({
    ...     "time": pd.date_range("2024-05-01", periods=4000, freq="min", tz="UTC"),
    ...     "flow": load_ + 0.05 * rng.normal(size=4000),
    ...     "power": 2 * load_ + 0.05 * rng.normal(size=4000),
    ... })
    >>> detector = Detector().fit(log.iloc[:3000])
    >>> new = log.iloc[3000:].copy()
    >>> new.loc[new.index[600:700], "power"] += 3.0
    >>> events = detector.detect(new)
    >>> [str(name) for name in events["sensors"].iloc[0][:1]]
    ['power']
    """

    def __init__(
        self,
        model: str | ReadyNetwork = "linear",
        *,
        score: str = "fused",
        objective: str | Mapping[str, Any] | Described | None = None,
        linear_part: str | None = "default",
        augment: Sequence[str | Mapping[str, Any] | Augmentation] = (),
        augment_exclude: Sequence[str] = (),
        mixup: float = 0.0,
        exposure: str | Mapping[str, Any] | Described | None = None,
        exposure_kinds: Sequence[str] = (),
        labels: str | None = None,
        class_score: str | None = None,
        label_smoothing: float = 0.0,
        window: int | None = None,
        epochs: int | None = None,
        time_limit_seconds: float | None = None,
        device: str = "cpu",
        threshold: ThresholdMethod | None = None,
        events: EventRule | None = None,
        config: DetectorConfig | None = None,
        random_state: int = 0,
    ) -> None:
        if linear_part not in ("default", None):
            raise UsageError(f"linear_part is 'default' or None, got {linear_part!r}")
        name, network = plain_model(model)
        exposure_name, kinds, exposure_settings = plain_exposure(exposure, exposure_kinds)
        said = DetectorConfig(
            model=name,
            network=network,
            score=score,
            objective=plain_objective(objective),
            has_linear_part=linear_part is not None,
            augment=plain_steps(augment),
            augment_exclude=plain_names("augment_exclude", augment_exclude),
            mixup=mixup,
            exposure=exposure_name,
            exposure_kinds=kinds,
            exposure_settings=exposure_settings,
            labels=labels,
            class_score=class_score,
            label_smoothing=label_smoothing,
            window=window,
            epochs=epochs,
            time_limit_seconds=time_limit_seconds,
            device=device,
            random_state=random_state,
        )
        if config is not None and said != DetectorConfig():
            raise UsageError("settings were given both in config and beside it", hint="put all of them into config")
        self.config = config or said
        self.threshold = threshold
        self.events = events
        self.notes_: list[str] = []
        self._context_rows: int | None = None
        self._calibration: Calibration | None = None

    def fit(
        self,
        log: Any,
        time: str | None = None,
        sensors: Iterable[str] | None = None,
        group: str | None = None,
        mode: str | None = None,
        *,
        format: LogFormat | None = None,
        threshold: ThresholdMethod | None = None,
        budget: str | None = None,
        confidence: float = 0.9,
        init: Detector | str | os.PathLike[str] | None = None,
        checkpoint: Path | None = None,
        progress: Callable[[str, float], None] | None = None,
    ) -> Detector:
        """Learn from a log of normal operation and set the alarm line from out-of-fold scores.

        Parameters
        ----------
        log
            Pandas, Polars or Arrow table, or paths of Parquet or CSV files and directories.
        time, sensors, group, mode
            Columns; the usual short form of ``format``.
        format
            Everything about how the log is to be read.
        threshold
            Method for the alarm line; None takes the detector's own, or promises ``budget`` events.
        budget
            Such as "2/week". None promises one event a day where the log is long enough, and otherwise takes a
            quantile and says in `notes_` that nothing is promised.
        confidence
            Of the promise.
        init
            Detector of other machines with the same sensors to start from, where this log is short.
        checkpoint
            Directory from which a killed fit of a network resumes.
        progress
            Called with (what, share done).

        Raises
        ------
        DataError
            The log cannot be used, is too short for a fit, or for the ``budget`` that was asked for.
        """
        if isinstance(sensors, str):
            raise UsageError(f"sensors is a list of names, got the text {sensors!r}", hint=f"write [{sensors!r}]")
        if format is not None and any(said is not None for said in (time, sensors, group, mode)):
            raise UsageError("columns were named both in format and beside it", hint="name all of them in format")
        if threshold is not None and budget is not None:
            raise UsageError("both a threshold method and a budget were given", hint="BudgetThreshold holds a budget")
        wanted = format or LogFormat(
            time=time, sensors=None if sensors is None else tuple(sensors), group=group, mode=mode
        )
        start = started(self.config, load(init) if isinstance(init, str | os.PathLike) else init, wanted)
        source = log if isinstance(log, SortedLog) else SortedLog(SensorLog(log, wanted, schema=start.schema))
        if start.schema is not None and source.schema.names != start.schema.names:
            raise SchemaError(f"expected a log opened for the sensors {start.schema.names}, got {source.schema.names}")
        self.config.check_sensors(source.schema.names)
        rows = read_normal_rows(source.blocks(), source.schema, start.config.length, start.pretrained)
        config = start.config.fitted_to(rows.n_rows, len(rows.scaler.used_positions))
        learned = learn(rows, config, checkpoint=checkpoint, progress=progress)
        config = learned.config
        looks_back = context_rows(learned.model, learned.scheme, config.length)
        rule = self.events or default_rule(config, rows.timing, looks_back)
        if budget is not None:
            threshold = BudgetThreshold(Budget.parse(budget), confidence)
        threshold = threshold or self.threshold
        calibration, refusal = choose_threshold(learned.scheme, learned.scores, rule, threshold)
        # Nothing is refused from here on: a fit that fails leaves what was learned before as it was.
        self.config_, self._calibration = config, calibration
        self.schema_ = source.schema
        self.format_ = _settled_format(source)
        known = rows.autocovariance(max(config.length, config.lags + 1))
        arrays = model_arrays(config, rows.scaler, rows.imputer, learned.model, known)
        self._parts = ModelParts(config, len(self.schema_), arrays, rows.timing.step_seconds)
        self._timing, self._context_rows = rows.timing, None
        self.quality_limits_ = rows.quality
        constant = [name for name, flag in zip(self.schema_.names, rows.scaler.is_constant, strict=True) if flag]
        unused = [name for name, used in zip(self.schema_.names, rows.scaler.is_used, strict=True) if not used]
        self.notes_ = [*source.notes, *left_out_notes(unused), *learned.notes, *([refusal] if refusal else [])]
        self.training_: dict[str, Any] = {
            "rows": rows.counts,
            "usable_rows": rows.n_rows,
            "stretches": len(rows.stretches),
            "roles": learned.roles,
            "fingerprint": rows.fingerprint,
            "constant_sensors": constant,
            "unused_sensors": unused,
            "records": [record.to_json() for record in learned.records],
        }
        return self

    def pretrained(self) -> Pretrained:
        """What a fit of another detector may start from; `fit` asks for it with ``init``."""
        self._fitted()
        return self._parts.pretrained()

    def engine(
        self, *, on_conflict: str = "first", network: str | os.PathLike[str] = "torch", precision: Precision = "float32"
    ) -> ScoringEngine:
        """A fresh scoring engine: the same rows give the same scores in any cut into blocks.

        ``network`` and ``precision`` say what runs a network, as for `ModelParts.built`.
        """
        scheme = self._fitted().scheme
        scaler, imputer, model = self._parts.built(network, precision)
        return ScoringEngine(scaler, imputer, self._timing, model, scheme, self.config_.length, on_conflict)

    def event_builder(self, line: float | AlarmLine | None = None, rule: EventRule | None = None) -> EventBuilder:
        """A builder of process events with the calibrated line and rule, or others."""
        calibration = self._fitted()
        return EventBuilder(
            self.schema_.names,
            self.line_ if line is None else line,
            rule or self.rule_,
            None if line is not None or calibration.returns is None else calibration.returns.days_of,
        )

    def findings(self) -> Findings:
        """A fresh collector of everything that can be said of scored rows: events, quality events, the calibration."""
        quality = QualityMonitor(self.schema_, self.quality_limits_, self.rule_)
        return Findings(self.event_builder(), quality, self.calibration_monitor())

    def calibration_monitor(self) -> CalibrationMonitor | None:
        """A fresh monitor of whether the calibration still describes normal operation; None without a baseline."""
        baseline = self._fitted().baseline
        return None if baseline is None else CalibrationMonitor(baseline, self._timing.step_seconds)

    @property
    def threshold_(self) -> float:
        """The alarm line of rows whose operating mode has none of its own."""
        return self._fitted().threshold.threshold

    @property
    def line_(self) -> AlarmLine:
        """The alarm line with those of operating modes that have their own."""
        return self._fitted().threshold.line

    @property
    def threshold_result_(self) -> ThresholdResult:
        """The alarm line with what it means and rests on."""
        return self._fitted().threshold

    @property
    def rule_(self) -> EventRule:
        """How scores above the line make events."""
        return self._fitted().rule

    @property
    def normal_quantiles_(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Quantiles of the normal scores behind the alarm line."""
        return self._fitted().normal_quantiles

    @property
    def returns_(self) -> ReturnPeriods | None:
        """How rarely normal operation reaches a score; None where the calibration could not tell."""
        return self._fitted().returns

    @property
    def bands_(self) -> dict[str, float]:
        """Half-width, in each sensor's unit, of the band around its expectation that holds 99 % of Gaussian errors.

        From the usual window errors on normal rows that the weights had not seen; only score "fused" keeps them.
        """
        scheme, scaler = self._fitted().scheme, self._parts.scaler
        if not isinstance(scheme, FusedScheme):
            return {}
        widths = QUANTILE_99 * scheme.window.size * scaler.scale[scaler.used_positions]
        names = [self.schema_.names[position] for position in scaler.used_positions]
        return dict(zip(names, widths.tolist(), strict=True))

    @property
    def weights_hash_(self) -> str:
        """SHA-256 of all weights: unchanged by any calibration."""
        self._fitted()
        return weights_hash(self._parts.arrays)

    @property
    def scorer_(self) -> dict[str, str]:
        """What decides a score: weights, scheme, and what a network reads. A new alarm line changes none of it."""
        return {"weights": self.weights_hash_, "score": self.config.score, **self.config_.reads}

    @property
    def context_rows_(self) -> int:
        """Rows before a row that its score depends on."""
        self._fitted()
        return self._context_rows or self.engine().context_rows

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, as scikit-learn has it."""
        return {"config": self.config, "threshold": self.threshold, "events": self.events}

    def describe(self) -> dict[str, Any]:
        """The model card as plain values."""
        self._fitted()
        return describe(
            self.config_,
            self.schema_,
            self.training_,
            context_rows=self.context_rows_,
            step_seconds=self._timing.step_seconds,
            weights=self.weights_hash_,
        )

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the detector as a directory, whole or not at all.

        Raises
        ------
        StorageError
            The path exists and ``force`` is not given, or cannot be written.
        """
        check_target(path, force=force)
        settings, arrays = self._fitted().to_parts()
        timing = self._timing
        write_artefact(
            path,
            detector={
                "config": self.config_.to_json(),
                "schema": self.schema_.to_json(),
                "log_format": self.format_.to_json(),
                "timing": {"step_seconds": timing.step_seconds, "mean_step_seconds": timing.mean_step_seconds},
                "training": self.training_,
                "quality_limits": self.quality_limits_.to_json(),
                "context_rows": self.context_rows_,
                "notes": self.notes_,
            },
            weights=self._parts.arrays,
            calibration=settings,
            calibration_arrays=arrays,
            card=card_text(self.describe(), self.threshold_result_),
            force=force,
        )

    @classmethod
    def _from_artefact(cls, contents: ArtefactContents, where: str, *, has_model: bool) -> Detector:
        try:
            stored = contents.detector
            config = DetectorConfig.from_json(stored["config"])
            schema = SensorSchema.from_json(stored["schema"])
            detector = cls(config=config)
            detector.config_ = config
            detector.schema_ = schema
            detector.format_ = LogFormat.from_json(stored["log_format"])
            detector.training_ = dict(stored["training"])
            detector.notes_ = list(stored["notes"])
            detector._timing = Timing(
                *(float(stored["timing"][name]) for name in ("step_seconds", "mean_step_seconds"))
            )
            limits = stored.get("quality_limits")  # detectors of earlier versions have none
            unknown = QualityLimits.unknown(len(schema))
            detector.quality_limits_ = unknown if limits is None else QualityLimits.from_json(limits)
            detector._context_rows = stored.get("context_rows")
        except (KeyError, TypeError, ValueError, UsageError) as err:
            raise ArtefactError(f"detector.json is incomplete: {err}", where=where, hint="fit again") from err
        detector._parts = ModelParts(config, len(schema), contents.weights, detector._timing.step_seconds)
        if has_model:
            detector._parts.built()
        detector._calibration = Calibration.from_parts(contents.calibration, contents.calibration_arrays)
        return detector

    def _fitted(self) -> Calibration:
        if self._calibration is None:
            raise UsageError("the detector has not been fitted", hint="call fit first, or sensorad.load")
        return self._calibration


def _settled_format(source: SortedLog) -> LogFormat:
    """The format with the time column that was found."""
    form = source.log.format
    has_column = form.time is None and form.time_step_seconds is None
    return replace(form, time=source.log.time_name) if has_column else form


def load(path: str | os.PathLike[str], *, has_model: bool = True) -> Detector:
    """Read a saved detector; everything is checked before it is used, and nothing in it is ever executed.

    Parameters
    ----------
    has_model
        False: the model is put together only if it is asked for. Stored scores need none: they can be calibrated and
        turned into events without torch.

    Raises
    ------
    ArtefactError
        Damaged, incomplete, made by a newer version, or not a detector.
    StorageError
        There is no such directory.
    """
    return Detector._from_artefact(read_artefact(path), os.fspath(path), has_model=has_model)
