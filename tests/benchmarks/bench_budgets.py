"""Alarm events realised and asked for, on logs: simulated plants, and every set with enough normal data.

Each log is split by time: learn, calibrate, count. Nothing of the counted part was seen before. Run with
``SENSORAD_DATA=... python tests/benchmarks/bench_budgets.py -o DIR``; it prints Markdown tables, and writes
``budgets.json`` and the figure ``budgets.svg``. Without data only the plants are run; ``--seeds 3`` is a quick look.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sensorad import Detector
from sensorad.errors import SensoradError, TooLittleDataError
from sensorad.logs import LogFormat
from sensorad_datasets import PlantConfig, list_series, load_series, simulate_plant

PLANT_DAYS = {"learn": 28, "calibrate": 14, "count": 60}
PLANT_BUDGET = "1/day"
SHARES = {"learn": 0.5, "calibrate": 0.3, "count": 0.2}
"""Of the normal rows of a benchmark series."""

ALLOWED = 8.0
"""A benchmark series is asked for so many events in its calibration time: what 14 days are for one in two days."""

SETS = ("skab", "smd", "asd", "batadal", "msl", "smap", "tep", "nab", "hydraulic", "ucr_sample")
LEAST_ROWS = 2_000
SKAB_NORMAL = "anomaly-free/anomaly-free"
"""Its other files are a few minutes long."""

Row = dict[str, Any]


def plant(seed: int, *, is_pooled: bool = False) -> Row:
    """One simulated plant: events a day on sixty fresh days, asked for one."""
    days = sum(PLANT_DAYS.values())
    table = simulate_plant(PlantConfig(days=days), np.random.default_rng([seed, 60])).table
    per_day = table.num_rows // days
    learn, calibrate, count = _cut(table, [per_day * n for n in PLANT_DAYS.values()])
    form = LogFormat(time="time", mode=None if is_pooled else "mode", exclude=("mode",) if is_pooled else ())
    detector = Detector().fit(learn, format=form)
    result = detector.calibrate(calibrate, budget=PLANT_BUDGET)
    events, n_days = _counted(detector, count)
    return _row("plant, one line" if is_pooled else "plant, by mode", str(seed), 1.0, events, n_days, result)


def series(item: tuple[str, str]) -> Row | None:
    """One benchmark series, its normal part cut in three; None where that is too short."""
    set_name, name = item
    loaded = load_series(set_name, name)
    table = loaded.train
    if set_name == "skab":
        table = pa.concat_tables([loaded.train, loaded.test])
    if table.num_rows < LEAST_ROWS:
        return None
    learn, calibrate, count = _cut(table, [round(table.num_rows * share) for share in SHARES.values()])
    form = LogFormat(time=loaded.time_column, sensors=loaded.sensors, group=loaded.group_column)
    try:
        detector = Detector().fit(learn, format=form)
        scores = detector.calibration_scores(detector.open_log(calibrate))
        asked = ALLOWED / scores.days
        result = detector.calibrate_scores(scores, budget=f"{asked:.6f}/day")
    except TooLittleDataError as refusal:
        print(f"{set_name} {name}: {refusal.what}")
        return None
    except SensoradError as refusal:
        return {"set": set_name, "series": name, "refused": str(refusal)}
    events, n_days = _counted(detector, count)
    return _row(set_name, name, asked, events, n_days, result)


def _row(set_name: str, name: str, asked: float, n_events: int, days: float, result: Any) -> Row:
    return {
        "set": set_name,
        "series": name,
        "asked_per_day": asked,
        "events": n_events,
        "days": days,
        "ratio": n_events / days / asked,
        "expected_per_day": result.expected_events_per_day,
        "threshold": result.threshold,
        "modes": {mode: own.threshold for mode, own in result.modes.items()},
    }


def _cut(table: pa.Table, lengths: list[int]) -> Iterator[pa.Table]:
    first = 0
    for length in lengths:
        yield table.slice(first, length)
        first += length


def _counted(detector: Detector, table: pa.Table) -> tuple[int, float]:
    """Process events, and the machine-days of scored rows that they were counted on."""
    log = detector.open_log(table)
    scores = detector.calibration_scores(log)
    events = [event for event in detector.find_events(log) if event.kind != "quality"]
    return len(events), scores.days


def tables(rows: list[Row]) -> list[str]:
    """One line for each set."""
    lines = [
        "| log | series | asked events | counted | realised / asked | series within [0.3, 1.5] | series above 1.5 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = [row for row in rows if row["set"] == name and "ratio" in row]
        if not of_set:
            continue
        asked = sum(row["asked_per_day"] * row["days"] for row in of_set)
        n_events = sum(row["events"] for row in of_set)
        within = np.mean([0.3 <= row["ratio"] <= 1.5 for row in of_set])
        above = np.mean([row["ratio"] > 1.5 for row in of_set])
        lines.append(
            f"| {name} | {len(of_set)} | {asked:.0f} | {n_events} | {n_events / asked:.2f} "
            f"| {within:.0%} | {above:.0%} |"
        )
    return lines


def figure(rows: list[Row]) -> str:
    """Realised over asked for every series, one column for each set, on a log scale from 0.1 to 10; 0 at the bottom."""
    names = list(dict.fromkeys(row["set"] for row in rows if "ratio" in row))
    width, height, left, top = 90 * len(names) + 70, 330, 60, 20

    def y_of(ratio: float) -> float:
        return top + (1 - (np.log10(np.clip(ratio, 0.08, 12.0)) + 1.1) / 2.2) * (height - 70)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<rect x="{left}" y="{y_of(1.5):.1f}" width="{width - left - 10}"'
        f' height="{y_of(0.3) - y_of(1.5):.1f}" fill="#e3f1e6"/>',
    ]
    for tick in (0.1, 0.3, 1.0, 1.5, 3.0, 10.0):
        dash = "" if tick == 1.0 else ' stroke-dasharray="2 4"'
        parts.append(
            f'<line x1="{left}" x2="{width - 10}" y1="{y_of(tick):.1f}" y2="{y_of(tick):.1f}" stroke="#777"{dash}/>'
            f'<text x="{left - 6}" y="{y_of(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for column, name in enumerate(names):
        ratios = [row["ratio"] for row in rows if row["set"] == name and "ratio" in row]
        centre = left + 45 + 90 * column
        for place, ratio in enumerate(sorted(ratios)):
            offset = (place % 7 - 3) * 7
            parts.append(
                f'<circle cx="{centre + offset}" cy="{y_of(ratio):.1f}" r="3" fill="#1f6fb2" fill-opacity="0.6"/>'
            )
        parts.append(f'<text x="{centre}" y="{height - 28}" text-anchor="middle">{escape(name)}</text>')
        parts.append(f'<text x="{centre}" y="{height - 14}" text-anchor="middle" fill="#555">{len(ratios)} logs</text>')
    parts.append(f'<text x="{left}" y="{top - 7}">alarm events realised / asked for, each dot one log</text></svg>')
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        rows: list[Row] = list(pool.map(plant, range(options.seeds)))
        rows += pool.map(partial(plant, is_pooled=True), range(options.seeds))
        if "SENSORAD_DATA" in os.environ:
            items = [(name, one) for name in SETS for one in (list_series(name) if name != "skab" else [SKAB_NORMAL])]
            rows += [row for row in pool.map(series, items) if row is not None]
        else:
            print("SENSORAD_DATA is not set: plants only\n")
    for row in rows:
        if "refused" in row:
            print(f"{row['set']} {row['series']}: {row['refused']}")
    print("\n".join(tables(rows)))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "budgets.json").write_text(json.dumps(rows, indent=1) + "\n")
        (options.output / "budgets.svg").write_text(figure(rows) + "\n")


if __name__ == "__main__":
    main()
