"""Makes cards: of a detector and a log, or of anything that scores and alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.augment.faults import SensorStatistics, amount_of, fault_kind
from sensorad.detectability.card import LEAST_SHARE, Baseline, CardCell, DetectabilityCard, TriedSeverity
from sensorad.detectability.config import CardConfig
from sensorad.detectability.judge import Judge
from sensorad.detectability.places import NormalLog, read_normal_log, spread_places
from sensorad.detectability.search import Search
from sensorad.detectability.trials import Request, Trials, rows_before
from sensorad.errors import unknown_name
from sensorad.types import RowBlock

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.logs import LogFormat

__all__ = ["detectability_card", "measure"]

Progress = Callable[[str, float], None]

BASELINE_PLACES = 200
"""Places without a fault that tell how often an alarm opens by chance."""


def detectability_card(
    detector: Detector,
    log: Any,
    *,
    held_back: float = 0.0,
    config: CardConfig | None = None,
    kinds: Sequence[str] | None = None,
    sensors: Sequence[str] | None = None,
    random_state: int = 0,
    format: LogFormat | None = None,
    init: Detector | None = None,
    progress: Progress | None = None,
) -> DetectabilityCard:
    """The smallest fault that the detector finds at each sensor, by its own alarm line, in rows it did not learn from.

    Parameters
    ----------
    detector
        Fitted.
    log
        Normal rows, as for `Detector.score`: other ones than those of the fit, or those of the fit with ``held_back``.
    held_back
        0: ``log`` is new to the detector. Else that share of each machine's rows, the newest, is held back: a second
        detector with the same settings and budget is fitted on the earlier rows, and the card is that of the second.
    config
        All settings at once, instead of the three that follow.
    kinds, sensors
        Names; None takes all 14 kinds of faults, and all sensors.
    random_state
        Seed.
    format
        How the log is to be read; None as the detector has learned.
    init
        What the fit started from, if anything: with ``held_back`` the second fit does so too.
    progress
        Called with (what, share done).

    Raises
    ------
    UsageError
        The log is the one that the detector was fitted on, and nothing is held back; or a name is unknown.
    TooLittleDataError
        The log is too short for the places, or what is left of it for a fit.

    Examples
    --------
    >>> import pandas as pd
    >>> import sensorad
    >>> rng = np.random.default_rng(0)
    >>> load_ = np.sin(np.arange(5000) / 40) + 0.1 * rng.normal(size=5000)
    >>> log = pd.DataFrame({
    ...     "time": pd.date_range("2024-05-01", periods=5000, freq="min", tz="UTC"),
    ...     "flow": load_ + 0.05 * rng.normal(size=5000),
    ...     "power": 2 * load_ + 0.05 * rng.normal(size=5000),
    ... })
    >>> detector = sensorad.Detector().fit(log.iloc[:4000])
    >>> card = sensorad.detectability_card(detector, log.iloc[4000:], kinds=["bias"])
    >>> bias = card.cell("power", "bias").half
    >>> 0.05 < bias.severity < 1.0, round(bias.outcome.share, 1) >= 0.5
    (True, True)
    """
    from sensorad.detectability.held_back import opened_log, second_detector

    if config is None:
        window = detector.config_.length
        config = CardConfig(rows=max(4, 2 * window), random_state=random_state)
        config = config if kinds is None else replace(config, kinds=tuple(kinds))
        config = config if sensors is None else replace(config, sensors=tuple(sensors))
    source = opened_log(detector, log, held_back=held_back, format=format)
    about: dict[str, Any] = {
        "model": detector.config_.model,
        "score": detector.config_.score,
        "weights": detector.weights_hash_,
    }
    notes: list[str] = []
    judge, since = detector, None
    if held_back:
        judge, since = second_detector(detector, source, held_back, init=init, progress=progress)
        about["held_back"] = held_back
        notes.append(
            f"made with a second detector of the same settings, fitted without the newest {held_back:.0%} of the rows: "
            "the one in use has learned from all of them, and should find about as much"
        )
        notes += [note for note in judge.notes_ if note not in detector.notes_]
    if "budget" in judge.threshold_result_.parameters:
        about["budget"] = judge.threshold_result_.parameters["budget"]
    about["alarm_line"] = judge.threshold_result_.statement()
    return measure(
        judge,
        source.blocks(),
        config,
        since=since,
        unused=judge.training_["unused_sensors"],
        about=about,
        notes=notes,
        progress=progress,
    )


def measure(
    judge: Judge,
    blocks: Iterable[RowBlock],
    config: CardConfig | None = None,
    *,
    since: Mapping[int, int] | None = None,
    unused: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> DetectabilityCard:
    """The card of anything that scores and alarms.

    Parameters
    ----------
    judge
        Scores and alarms.
    blocks
        Normal rows that the judge has not learned from, each machine's in order of time.
    since
        Machine -> time in nanoseconds from which on faults may be put in; earlier rows count for the statistics alone.
    unused
        Sensors that the judge does not look at; no fault is tried there.
    about, notes
        For the card.

    Raises
    ------
    UsageError
        A sensor of the settings is not one of the judge's.
    TooLittleDataError
        Too few rows without a gap.

    Examples
    --------
    A judge that alarms at 5 standard deviations finds a bias of about 5 - 2.4: the largest of 60 rows of noise is 2.4.

    >>> from sensorad.detectability import FunctionJudge
    >>> from sensorad.types import Sensor, SensorSchema
    >>> noise = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
    >>> rows = RowBlock(np.arange(4000), np.arange(4000) * 10**9, noise, np.zeros((4000, 1), np.uint8),
    ...                 np.zeros(4000, np.int32))
    >>> judge = FunctionJudge(SensorSchema((Sensor("x"),)), lambda cells: np.abs(cells[:, 0]), threshold=5.0)
    >>> card = measure(judge, [rows], CardConfig(kinds=("bias",), n_severities=40))
    >>> 2.2 < card.cell("x", "bias").half.severity < 3.2
    True
    """
    config = config or CardConfig()
    names = judge.schema_.names
    for name in config.sensors:
        if name not in names:
            raise unknown_name("sensor", name, names)
    log = read_normal_log(blocks, since)
    generator = np.random.default_rng([config.random_state, config.n_placements])
    before = max(rows_before(judge), config.rows_before)
    after = config.longest + judge.rule_.min_rows - 1
    places = spread_places(log.passages, config.n_placements, before, after, generator)
    trials = Trials(
        judge,
        log.passages,
        places,
        log.statistics,
        longest=config.longest,
        random_state=config.random_state,
    )
    cells = _searched(trials, names, config, unused, log, progress)
    first, last = log.span
    made_of = {"rows": log.n_rows, "from": _utc(first), "to": _utc(last)}
    return DetectabilityCard(
        cells=tuple(cells),
        config=config,
        schema=judge.schema_,
        baseline=_baseline(judge, log, config, before, after),
        step_seconds=log.step_seconds,
        about={**made_of, **(about or {})},
        notes=(*notes, *_remarks(log, config, before, after)),
    )


def _searched(
    trials: Trials,
    names: Sequence[str],
    config: CardConfig,
    unused: Sequence[str],
    log: NormalLog,
    progress: Progress | None,
) -> list[CardCell]:
    """All cells, searched side by side: a round asks each for one severity."""
    grids = {kind: config.grid(kind) for kind in config.kinds}
    least = max(1, ceil(LEAST_SHARE * config.n_placements))
    wanted = [name for name in names if not config.sensors or name in config.sensors]
    keys = [(name, kind) for name in wanted for kind in config.kinds]
    searches = {key: Search(len(grids[key[1]]), least) for key in keys if key[0] not in unused}
    usual = sum(len(grids[kind]).bit_length() + 1 for _, kind in searches)  # about as many severities are tried
    n_done = 0

    def count(n: int) -> None:
        nonlocal n_done
        n_done += n
        if progress is not None:
            progress("putting faults in", min(1.0, n_done / max(1, usual)))

    while asked := [(key, at) for key, search in searches.items() if (at := search.next()) is not None]:
        requests = []
        for (name, kind), at in asked:
            severity = grids[kind][at]
            requests.append(Request(kind, names.index(name), severity, config.length(kind, severity)))
        for (key, at), outcome in zip(asked, trials.run(requests, count), strict=True):
            searches[key].outcomes[at] = outcome
    cells = []
    for name, kind in keys:
        if (name, kind) not in searches:
            cells.append(CardCell(name, kind, least=least, is_used=False))
            continue
        outcomes = searches[name, kind].outcomes
        amounts = {at: _amount(kind, grids[kind][at], log.statistics, names.index(name)) for at in outcomes}
        tried = tuple(TriedSeverity(grids[kind][at], amounts[at], outcomes[at]) for at in sorted(outcomes))
        cells.append(CardCell(name, kind, tried, least))
    return cells


def _amount(kind: str, severity: float, statistics: SensorStatistics, sensor: int) -> float | None:
    if not fault_kind(kind).in_engineering_units or statistics.sigma[sensor] <= 0:
        return None
    unit = statistics.residual_sigma if fault_kind(kind).unit_of_severity == "noise sigma" else statistics.reach
    return amount_of(kind, severity, statistics, sensor) if unit[sensor] > 0 else None


def _baseline(judge: Judge, log: NormalLog, config: CardConfig, before: int, after: int) -> Baseline:
    """Chance alarms, at more places than faults are tried at."""
    room = sum(max(0, len(passage) - before - after + 1) for passage in log.passages)
    n = min(room, BASELINE_PLACES)
    generator = np.random.default_rng([config.random_state, 1])
    places = spread_places(log.passages, n, before, after, generator)
    seed = config.random_state
    trials = Trials(judge, log.passages, places, log.statistics, longest=config.longest, random_state=seed)
    return Baseline(n, trials.n_false(config.rows), config.rows)


def _remarks(log: NormalLog, config: CardConfig, before: int, after: int) -> list[str]:
    room = sum(len(passage) - before for passage in log.passages if len(passage) >= before + after)
    n_apart = room // config.rows
    if n_apart >= config.n_placements:
        return []
    return [
        f"the places overlap: {log.n_rows:,} rows have room for {n_apart} faults of {config.rows} rows side by side, "
        f"and {config.n_placements} are tried"
    ]


def _utc(time: int) -> str:
    return f"{np.datetime64(time, 'ns').astype('datetime64[s]')}Z"
