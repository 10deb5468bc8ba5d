"""The main job on a simulated plant, step by step; each step can be called alone.

>>> files = DemoFiles.within("sensorad-demo")
>>> files.report.name
'report.html'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sensorad.errors import StorageError
from sensorad_cli.scoring import ScoringRun, score_to_files
from sensorad_cli.verdict import KnownFault, Verdict, judge

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.thresholds import ThresholdResult
    from sensorad_cli.output import Progress

__all__ = [
    "DemoFiles",
    "DemoResult",
    "commands_by_hand",
    "examples_in_words",
    "fit_detector",
    "judge_run",
    "known_faults",
    "make_plant",
    "run_demo",
    "score_faulty",
    "verdict_in_words",
    "write_page",
]

LEARNING_DAYS = 21
CALIBRATION_DAYS = 14
FAULTY_DAYS = 28
N_FAULTS = 28
BUDGET = "1/day"
SECONDS_PER_DAY = 86_400.0

Say = Callable[[str, str], None]
"""Called with the headline of a step and what came of it."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Everything that the demo writes, in one directory."""

    directory: Path
    learning: Path
    calibration: Path
    faulty: Path
    labels: Path
    model: Path
    scores: Path
    events: Path
    report: Path

    @classmethod
    def within(cls, directory: str | Path) -> DemoFiles:
        folder = Path(directory)
        names = ("normal-learning", "normal-calibration", "faulty", "labels")
        data = (folder / f"{name}.parquet" for name in names)
        results = (folder / name for name in ("plant.sensorad", "scores.parquet", "events.parquet", "report.html"))
        return cls(folder, *data, *results)

    def refuse_existing(self) -> None:
        for path in (self.learning, self.calibration, self.faulty, self.labels, self.model, self.scores, self.report):
            if path.exists():
                hint = "choose another directory with -o, or replace the earlier demo with --force"
                raise StorageError("the output exists already", where=str(path), hint=hint)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found, and where it lies."""

    files: DemoFiles
    verdict: Verdict
    threshold: float
    seconds: float
    by_hand: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "faults": len(verdict.faults),
            "found": verdict.n_found,
            "blamed": verdict.n_blamed,
            "false_alarms": len(verdict.false_alarms),
            "normal_days": verdict.days,
            "false_alarms_per_day": verdict.false_per_day,
            "threshold": self.threshold,
            "seconds": round(self.seconds, 1),
            "model": str(self.files.model),
            "report": str(self.files.report),
            "by_hand": list(self.by_hand),
        }


def run_demo(
    directory: str | Path,
    *,
    model: str = "linear",
    seed: int = 0,
    force: bool = False,
    say: Say,
    progress: Progress,
) -> DemoResult:
    """All steps in order.

    Raises
    ------
    StorageError
        Files of an earlier demo are there and ``force`` is off, or the directory cannot be written.
    """
    began = perf_counter()
    files = DemoFiles.within(directory)
    if not force:
        files.refuse_existing()

    progress("simulating a plant", None)
    make_plant(files, seed)
    say(
        "A plant",
        f"simulated: feed pump, valve, tank, heat exchanger; 16 sensors, 4 operating modes, one row a minute. "
        f"{LEARNING_DAYS + CALIBRATION_DAYS} normal days, then {FAULTY_DAYS} days with {N_FAULTS} hidden faults.",
    )
    detector = fit_detector(files, model, seed, progress)
    say("Learning", _learning_in_words(detector))
    progress("calibrating", None)
    result = detector.calibrate(str(files.calibration), budget=BUDGET)
    say("Alarm line", _line_in_words(result))
    detector.save(files.model, force=force)

    run, rows_per_second = score_faulty(files, detector, force, progress)
    say(
        "Scoring",
        f"{run.tally.n_rows:,} new rows at {rows_per_second:,.0f} rows a second: {len(run.alarms)} alarm events, "
        f"and {len(run.events) - len(run.alarms)} findings about the data.",
    )
    faults = known_faults(files.labels)
    verdict = judge_run(run, faults, detector)
    say("Verdict", verdict_in_words(verdict))
    for text in examples_in_words(verdict, detector):
        say("For example", text)
    write_page(files, detector, run, faults, verdict, force, progress)
    by_hand = tuple(commands_by_hand(files, model, seed))
    return DemoResult(files, verdict, detector.threshold_, perf_counter() - began, by_hand)


def make_plant(files: DemoFiles, seed: int) -> None:
    """Normal days in two files, one to learn from and one to calibrate on; faulty days and their labels."""
    import pyarrow.parquet as pq

    from sensorad_datasets import write_plant

    days = LEARNING_DAYS + CALIBRATION_DAYS
    plant = write_plant(files.directory, seed, normal_days=days, faulty_days=FAULTY_DAYS, n_faults=N_FAULTS, force=True)
    normal = pq.read_table(plant.normal)
    n_learning = normal.num_rows * LEARNING_DAYS // days
    for path, part in ((files.learning, normal.slice(0, n_learning)), (files.calibration, normal.slice(n_learning))):
        pq.write_table(part, path, compression="zstd", use_dictionary=["mode"], write_page_checksum=True)
    plant.normal.unlink()


def fit_detector(files: DemoFiles, model: str, seed: int, progress: Progress) -> Detector:
    """A detector from the first normal weeks."""
    import sensorad

    detector = sensorad.Detector(model=model, random_state=seed, time_limit_seconds=_time_limit(model))
    return detector.fit(str(files.learning), mode="mode", progress=progress)


def score_faulty(files: DemoFiles, detector: Detector, force: bool, progress: Progress) -> tuple[ScoringRun, float]:
    """Scores and events of the faulty weeks, and how many rows a second that took."""
    began = perf_counter()
    log = detector.open_log(str(files.faulty))
    run = score_to_files(detector, log, files.scores, files.events, force=force, progress=progress)
    return run, run.tally.n_rows / max(1e-9, perf_counter() - began)


def known_faults(labels: Path) -> list[KnownFault]:
    """The faults that the simulation hid, from its label table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(labels)
    start, end = (table[name].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist() for name in ("start", "end"))
    kind, fault, sensors = (table[name].to_pylist() for name in ("kind", "fault", "sensors"))
    rows = zip(start, end, kind, fault, map(tuple, sensors), strict=True)
    return [KnownFault(*row) for row in rows]


def judge_run(run: ScoringRun, faults: Sequence[KnownFault], detector: Detector) -> Verdict:
    """Events against faults; alarm events only, since a data-quality event is no claim about the plant."""
    step = detector.rule_.step_seconds or 60.0
    faulty_days = sum(fault.end - fault.start for fault in faults) / 1e9 / SECONDS_PER_DAY
    days = run.tally.n_rows * step / SECONDS_PER_DAY - faulty_days
    alarms = [event for event in run.events if event.kind != "quality"]
    return judge(alarms, faults, days=days, echo_seconds=(detector.config_.length + detector.config_.lags) * step)


def verdict_in_words(verdict: Verdict) -> str:
    """What a plant manager wants to know, in three sentences."""
    missed = ", ".join(f"{fault.family} on {fault.sensors[0]}" for fault in verdict.missed)
    n_false = len(verdict.false_alarms)
    delays = sorted(found.delay_seconds for found in verdict.faults if found.delay_seconds is not None)
    minutes = max(1, ceil(delays[len(delays) // 2] / 60)) if delays else 0
    typical = f", half of them within {minutes} minute{'s' if minutes > 1 else ''}" if delays else ""
    return (
        f"Found {verdict.n_found} of {len(verdict.faults)} faults{typical}{f' (missed: {missed})' if missed else ''}. "
        f"The right sensor was among the first three blamed for {verdict.n_blamed} of them. "
        f"{n_false} false alarm{'' if n_false == 1 else 's'} in {verdict.days:.0f} days of normal operation, "
        f"{verdict.false_per_day:.2f} a day, against a budget of {BUDGET}."
    )


def examples_in_words(verdict: Verdict, detector: Detector, n_examples: int = 3) -> list[str]:
    """The most severe finds of different families, each with what the blamed sensor read and should have read."""
    units = {sensor.name: sensor.unit or "" for sensor in detector.schema_.sensors}
    found = [(max(item.events, key=lambda event: event.severity), item) for item in verdict.faults if item.events]
    texts: dict[str, str] = {}
    for event, item in sorted(found, key=lambda pair: -pair[0].severity):
        if not event.sensors or item.fault.family in texts:
            continue
        name = event.sensors[0]
        when = datetime.fromtimestamp(event.start // 10**9, UTC)
        texts[item.fault.family] = (
            f"{when:%d %b %H:%M}, {item.fault.family}: {name} read {event.actual[0]:.4g} {units.get(name, '')} where "
            f"{event.expected[0]:.4g} was expected, {event.severity:.1f} x the alarm line, "
            f"alarm after {(item.delay_seconds or 0) / 60:.0f} min"
        )
    return list(texts.values())[:n_examples]


def _time_limit(model: str) -> float | None:
    """Seconds for each of the three runs of a network, so that the demo stays within a minute and a half."""
    return None if model == "linear" else 20.0


def commands_by_hand(files: DemoFiles, model: str, seed: int) -> list[str]:
    """The commands that do the same."""
    limit = _time_limit(model)
    within = "" if limit is None else f" --time-limit {limit:g}s"
    return [
        f"sensorad fit {files.learning} -o {files.model} --mode mode --model {model} --seed {seed}{within} --force",
        f"sensorad calibrate {files.calibration} -m {files.model} --budget {BUDGET} --force",
        f"sensorad score {files.faulty} -m {files.model} -o {files.scores} --events {files.events} --force",
        f"sensorad report {files.scores} -m {files.model} --log {files.faulty} --labels {files.labels} "
        f"-o {files.report} --force",
    ]


def _line_in_words(result: ThresholdResult) -> str:
    low, high = result.interval
    return (
        f"set on {result.calibration_days:.0f} further normal days for a budget of {BUDGET}: {result.threshold:.3g}, "
        f"{result.expected_events_per_day:.2f} false alarms a day expected "
        f"({low:.2f} to {high:.2f} at {result.confidence:.0%} confidence)."
    )


def _learning_in_words(detector: Detector) -> str:
    card = detector.describe()
    return (
        f"{card['model']} model from {card['fit']['usable_rows']:,} normal rows ({LEARNING_DAYS} days) of "
        f"{len(card['sensors'])} sensors; its scores judged on rows that it was not fitted on."
    )


def write_page(
    files: DemoFiles,
    detector: Detector,
    run: ScoringRun,
    faults: Sequence[KnownFault],
    verdict: Verdict,
    force: bool,
    progress: Progress,
) -> None:
    """The report: scores, events with their sensors, the hidden faults, the detector."""
    from sensorad.logs import read_scores
    from sensorad.report import LabelInterval, write_report
    from sensorad_cli.pages import report_on_scores

    intervals = [LabelInterval(f.start, f.end, f"{f.family}: {', '.join(f.sensors)}") for f in faults]
    log = detector.open_log(str(files.faulty)).log
    data = report_on_scores(
        read_scores(files.scores),
        run.events,
        title="Simulated plant: four weeks with hidden faults",
        detector=detector,
        log=log,
        labels=intervals,
        notes=[verdict_in_words(verdict)],
        progress=progress,
    )
    write_report(files.report, data, force=force)
