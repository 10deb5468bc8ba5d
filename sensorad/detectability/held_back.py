"""A detector that has not seen the newest rows: fitted a second time, on the earlier ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.detector import Detector
from sensorad.errors import TooLittleDataError, UsageError
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.thresholds import Budget, BudgetThreshold, ThresholdMethod
from sensorad.types import RowBlock

__all__ = ["EarlierRows", "opened_log", "second_detector"]


class EarlierRows(SortedLog):
    """The rows of a log before a time that each machine has of its own.

    Parameters
    ----------
    whole
        The log.
    until
        Machine -> time in nanoseconds; it and later ones are left out.
    """

    def __init__(self, whole: SortedLog, until: Mapping[int, int]) -> None:
        # The whole log has been looked through for its order: no second pass for that.
        self.log, self.strict, self.n_unsorted = whole.log, whole.strict, whole.n_unsorted
        self._until = until

    def blocks(self, rows: int = 16_384) -> Iterator[RowBlock]:
        """Blocks of at most ``rows`` rows in time order; each call starts again."""
        for block in super().blocks(rows):
            until = np.array([self._until[code] for code in range(len(block.group_names))], np.int64)
            is_kept = block.time < until[block.group]
            if is_kept.any():
                yield block if is_kept.all() else block.take(is_kept)


def opened_log(detector: Detector, log: Any, *, held_back: float, format: LogFormat | None) -> SortedLog:
    """The log of a card; with rows to hold back it is read as for the fit, labels and modes included.

    Raises
    ------
    UsageError
        Nothing is held back of the log that the detector was fitted on; or no share of it is meant.
    """
    if not 0.0 <= held_back < 1.0:
        raise UsageError(f"held_back is a share of the log below 1, got {held_back!r}")
    if held_back:
        if not isinstance(log, SortedLog):
            form = replace(detector.format_, sensors=None) if format is None else format
            log = SortedLog(SensorLog(log, form, schema=detector.schema_))
        return detector.open_log(log)
    source = detector.open_log(log, format=format)
    if _fingerprint(source) == detector.training_["fingerprint"]:
        raise UsageError(
            "the detector was fitted on this very log, so it knows these rows by heart",
            hint="give another log of normal rows, or hold back a share of this one: held_back=0.2",
        )
    return source


def second_detector(
    detector: Detector,
    log: SortedLog,
    share: float,
    *,
    init: Detector | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Detector, dict[int, int]]:
    """A detector with the same settings, event rule and budget, fitted without the newest rows, and where these begin.

    A budget that the earlier rows cannot prove is extrapolated, which its statement then says.

    Raises
    ------
    TooLittleDataError
        Too few rows are left for a fit.
    """
    times: dict[int, list[NDArray[np.int64]]] = {}
    for block in log.log.key_blocks():
        for code in np.unique(block.group).tolist():
            times.setdefault(code, []).append(block.time[block.group == code])
    since = {code: _cut(np.concatenate(parts), share) for code, parts in times.items()}
    second = Detector(config=detector.config_ if init is None else detector.config, events=detector.rule_)
    report = None if progress is None else _renamed(progress)
    try:
        second.fit(EarlierRows(log, since), threshold=_same_threshold(detector), init=init, progress=report)
    except TooLittleDataError as err:
        raise TooLittleDataError(
            f"without the newest {share:.0%} of its rows the log is too short for a detectability card: {err.what}",
            where=err.where,
            hint="give a log of its own for the card, of normal rows that the fit does not see",
        ) from err
    return second, since


def _renamed(progress: Callable[[str, float], None]) -> Callable[[str, float], None]:
    return lambda what, share: progress(f"for the card: {what}", share)


def _cut(time: NDArray[np.int64], share: float) -> int:
    """The time from which on that share of the rows lies."""
    ordered = np.sort(time)
    return int(ordered[min(len(ordered) - 1, round((1.0 - share) * len(ordered)))])


def _same_threshold(detector: Detector) -> ThresholdMethod | None:
    """The method behind the detector's line, as far as a fit can repeat it; None = that of a fit without wishes."""
    result = detector.threshold_result_
    if result.method != BudgetThreshold.name:
        return detector.threshold
    text = str(result.parameters["budget"])
    budget = Budget.parse(text, "log") if result.parameters["per"] == "log" else Budget.parse(text)
    return BudgetThreshold(budget, result.confidence, is_extrapolated_if_short=True)


def _fingerprint(log: SortedLog) -> str:
    """As `sensorad.normal_rows.read_normal_rows` takes it of the rows of a fit."""
    digest = hashlib.sha256()
    for block in log.blocks():
        for array in (block.time, block.values, block.flaw):
            digest.update(array.tobytes())
    return digest.hexdigest()
