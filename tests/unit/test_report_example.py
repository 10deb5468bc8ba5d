"""A made-up but lifelike plant for the report tests: 14 sensors, three weeks of minutes, a dozen events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from test_report_calibration import sample_calibration, sample_stale

from sensorad.report import LabelInterval, ReportData, SnippetSampler, TimelineSampler, TraceSampler
from sensorad.types import REASONS, STATUSES, TOP_SENSORS, Event, RowBlock, ScoreBlock, Sensor, SensorSchema

MINUTE = 60 * 10**9
DAY = 1440 * MINUTE
START = 1_709_251_200 * 10**9  # 2024-03-01T00:00Z
THRESHOLD = 4.2
SCHEMA = SensorSchema(
    (
        Sensor("TI-101 feed temperature", "degC", 10, 40, "measurement"),
        Sensor("TI-102 outlet temperature", "degC", 40, 90, "measurement"),
        Sensor("TI-103 bearing temperature", "degC", 20, 110, "measurement"),
        Sensor("PI-101 suction pressure", "bar", 0, 6, "measurement"),
        Sensor("PI-102 discharge pressure", "bar", 0, 25, "measurement"),
        Sensor("FI-101 feed flow", "m3/h", 0, 180, "measurement"),
        Sensor("FI-102 cooling water flow", "m3/h", 0, 60, "measurement"),
        Sensor("LI-101 tank level", "%", 0, 100, "measurement"),
        Sensor("VI-101 pump vibration", "mm/s", 0, 12, "measurement"),
        Sensor("JI-101 motor power", "kW", 0, 160, "measurement"),
        Sensor("II-101 motor current", "A", 0, 280, "measurement"),
        Sensor("ZI-101 valve position", "%", 0, 100, "measurement"),
        Sensor("AI-101 conductivity", "uS/cm", 0, 1500, "measurement"),
        Sensor("XS-101 pump running", None, 0, 1, "state"),
    )
)
SIGMA = np.array([0.3, 0.5, 0.7, 0.03, 0.16, 1.6, 0.5, 0.6, 0.11, 1.2, 2.0, 0.9, 5.0, 0.0])
FAULTS = (  # day, minutes, sensor positions, size in standard deviations
    (1.31, 95, (2, 8), 6.0),
    (3.02, 2, (4,), 14.0),
    (4.55, 340, (6, 1), 5.0),
    (6.20, 45, (11, 5), 7.5),
    (8.71, 1, (3,), 22.0),
    (10.85, 610, (2, 8, 9), 9.0),
    (12.40, 30, (10,), 5.5),
    (14.13, 180, (7, 11), 6.5),
    (15.66, 3, (0,), 11.0),
    (17.25, 150, (12,), 8.0),
    (19.05, 75, (9, 10), 5.0),
)


@dataclass
class Plant:
    """Rows and scores of one machine, as a scoring run would hand them over."""

    rows: RowBlock
    scores: ScoreBlock
    clean: np.ndarray


def make_plant(n_rows: int = 21 * 1440, seed: int = 0, group: str = "") -> Plant:
    """``n_rows`` minutes of a pumped heating loop with FAULTS, a five-hour gap and a failing analyser."""
    rng = np.random.default_rng(seed)
    minute = np.arange(n_rows)
    minute = minute + np.where(minute > 9.3 * 1440, 300, 0)
    day = minute / 1440
    load = 0.7 + 0.15 * np.sin(2 * np.pi * (day - 0.3)) + 0.05 * _slow_noise(rng, n_rows, 400)
    running = np.where((day % 7 > 5.9) & (day % 7 < 6.15), 0.0, 1.0)
    load = load * running
    centre = np.stack(
        [
            22 + 4 * np.sin(2 * np.pi * (day - 0.4)),
            72 - 9 * load + 3 * running,
            38 + 24 * load,
            2.4 - 0.5 * load,
            3 + 14 * load,
            150 * load,
            42 * load,
            61 + 6 * np.sin(2 * np.pi * day / 2.7),
            0.4 + 2.6 * load,
            18 + 108 * load,
            30 + 190 * load,
            4 + 78 * load,
            640 + 40 * np.sin(2 * np.pi * day / 5),
            running,
        ],
        axis=1,
    )
    noise = np.stack([_slow_noise(rng, n_rows, 6) for _ in range(len(SCHEMA))], axis=1)
    clean = centre + SIGMA * noise
    values = clean.copy()
    z = np.abs(noise) * (SIGMA > 0)
    severity = 0.3 * np.exp(0.35 * _slow_noise(rng, n_rows, 25))
    for start_day, length, sensors, size in FAULTS:
        inside = (day >= start_day) & (day < start_day + length / 1440)
        ramp = np.clip(np.cumsum(inside) / max(1, length / 4), 0, 1) * inside
        for rank, sensor in enumerate(sensors):
            shift = ramp * size / (1 + 0.6 * rank) * (-1 if sensor in (3, 6) else 1)
            values[:, sensor] += shift * SIGMA[sensor] * 2
            z[:, sensor] += np.abs(shift)
        severity += ramp * size / 4
    values[(day >= 5.1) & (day <= 5.1 + 7.5 / 24), 7] = 58.3  # a stuck level transmitter
    flaw = np.zeros(values.shape, np.uint8)
    flaw[:, 12][(day > 17.6) & (day < 18.15)] = 1
    flaw[:, 6][rng.random(n_rows) < 0.004] = 1
    flaw[(day > 20.1) & (day < 20.12)] = 1
    values[flaw > 0] = 0

    n = len(SCHEMA)
    rows = RowBlock(
        index=np.arange(n_rows),
        time=START + minute * MINUTE,
        values=values.astype(np.float32),
        flaw=flaw,
        group=np.zeros(n_rows, np.int32),
        group_names=(group,),
    )
    status = np.full(n_rows, STATUSES.index("scored"), np.uint8)
    reason = np.zeros(n_rows, np.uint8)
    for first in (0, *(np.flatnonzero(np.diff(minute) > 1) + 1).tolist()):
        status[first : first + 30] = STATUSES.index("warmup")
        reason[first : first + 30] = REASONS.index("segment_start")
    some, every = flaw.any(axis=1), flaw.all(axis=1)
    status[some] = STATUSES.index("degraded")
    status[every] = STATUSES.index("unscorable")
    reason[some] = REASONS.index("missing")
    scores = ScoreBlock.empty_for(rows)
    scores.status, scores.reason = status, reason
    has_score = (status == STATUSES.index("scored")) | (status == STATUSES.index("degraded"))
    scores.score = np.where(has_score, severity * THRESHOLD, np.nan)
    top = np.argsort(-z, axis=1)[:, :TOP_SENSORS]
    blame = np.take_along_axis(z, top, axis=1) ** 2
    scores.top_sensors = top.astype(np.int16)
    scores.top_shares = (blame / (z**2).sum(axis=1, keepdims=True)).astype(np.float32)
    expected = centre + 0.4 * SIGMA * noise
    scores.top_expected = np.take_along_axis(expected, top, axis=1).astype(np.float32)
    scores.top_actual = np.take_along_axis(values, top, axis=1).astype(np.float32)
    assert n == values.shape[1]
    return Plant(rows, scores, clean)


def naive_events(plant: Plant, merge_rows: int = 30) -> list[Event]:
    """Runs of score > threshold, close ones merged, as plain loops; and what is wrong with the data."""
    group = plant.rows.group_names[0]
    scores = plant.scores
    runs: list[list[int]] = []
    for row in range(len(scores)):
        if scores.score[row] > THRESHOLD:
            if runs and row - runs[-1][1] <= merge_rows:
                runs[-1][1] = row
            else:
                runs.append([row, row])
    events = []
    for first, last in runs:
        peak = first + int(np.nanargmax(scores.score[first : last + 1]))
        top = scores.top_sensors[peak]
        severity = float(scores.score[peak] / THRESHOLD)
        events.append(
            Event(
                event_id=f"{group}{'-' if group else ''}{scores.time[first] // MINUTE:x}",
                group=group,
                start=int(scores.time[first]),
                end=int(scores.time[last]),
                peak=int(scores.time[peak]),
                kind="point" if last - first < 3 else "interval",
                severity=severity,
                score=float(scores.score[peak]),
                n_rows=last - first + 1,
                sensors=tuple(SCHEMA.names[i] for i in top),
                shares=tuple(scores.top_shares[peak].tolist()),
                expected=tuple(scores.top_expected[peak].tolist()),
                actual=tuple(scores.top_actual[peak].tolist()),
                return_days=1.6 * severity**6.5,
                onsets=tuple(_onset(scores, sensor, first, last) for sensor in top.tolist()),
            )
        )
    return events + quality_events(plant)


def _onset(scores: ScoreBlock, sensor: int, first: int, last: int) -> int:
    for row in range(first, last + 1):
        if sensor in scores.top_sensors[row] and scores.score[row] > THRESHOLD:
            return int(scores.time[row])
    return int(scores.time[last])


def quality_events(plant: Plant) -> list[Event]:
    """One finding of each reason: the analyser's gap as it is in the data, four more at fixed times."""
    group, time = plant.rows.group_names[0], plant.rows.time
    found = [
        ("flat", 5.1, 7.5, (7,), "58.3 % for 7 h 30 min, where 4 min are usual"),
        ("out_of_range", 13.02, 0.4, (3, 4), ""),
        ("overflow", 8.3, 0.02, (10,), "3.4e38"),
        ("clock", 9.31, 0.0, (), "the clock jumped back by 60 min"),
    ]
    bad = np.flatnonzero(plant.rows.flaw[:, 12] & ~plant.rows.flaw[:, 0])
    if len(bad):
        hours = (time[bad[-1]] - time[bad[0]]) / (60 * MINUTE)
        found.append(("missing", (time[bad[0]] - START) / DAY, hours, (12,), "no value from the analyser"))
    events = []
    for reason, day, hours, sensors, note in found:
        start = START + round(day * 1440) * MINUTE
        end = start + round(hours * 60) * MINUTE
        if end > time[-1]:
            continue
        blank = (float("nan"),) * len(sensors)
        name = f"{group}q-{reason}"
        events.append(
            Event(
                *(name, group, start, end, start, "quality", float("nan"), float("nan"), 1 + round(hours * 60)),
                sensors=tuple(SCHEMA.names[i] for i in sensors),
                shares=(1.0 / max(1, len(sensors)),) * len(sensors),
                expected=blank,
                actual=blank,
                note=note,
                reason=reason,
            )
        )
    return events


def sample_report(plants: list[Plant], chunk: int = 4096, **more: object) -> ReportData:
    """The report that a run over ``plants`` would give, sampled chunk by chunk in two passes."""
    timeline, traces = TimelineSampler(), TraceSampler(SCHEMA)
    events = [event for plant in plants for event in naive_events(plant)]
    names = tuple(plant.rows.group_names[0] for plant in plants)
    snippets = SnippetSampler(SCHEMA, events, row_seconds=60)
    for number, plant in enumerate(plants):
        plant.rows.group_names = plant.scores.group_names = names
        plant.rows.group[:] = number
        plant.scores.group = plant.rows.group
        for first in range(0, len(plant.rows), chunk):
            rows = slice(first, first + chunk)
            block, scores = plant.rows.take(rows), plant.scores.take(rows)
            timeline.add(scores)
            traces.add(block)
            snippets.add(block, scores)
    return ReportData(
        **{
            "title": "Heating loop 2, feed pump and exchanger",
            "subtitle": "Scored with feed-pump.sensorad",
            "card": _card(),
            "threshold": _threshold(),
            "timeline": timeline.result(),
            "events": events,
            "sensor_traces": traces.result(),
            "snippets": snippets.result(),
            "event_scores": snippets.scores(),
            "status_counts": timeline.status_counts,
            "reason_counts": timeline.reason_counts,
            "labels": [
                LabelInterval(
                    START + int(day * DAY),
                    START + int(day * DAY) + length * MINUTE,
                    f"injected on {SCHEMA.names[sensors[0]]}",
                    names[0],
                )
                for day, length, sensors, _ in FAULTS
            ],
            "bands": {name: 2.6 * SIGMA[i] for i, name in enumerate(SCHEMA.names) if SIGMA[i]},
            "normal_ranges": {
                name: tuple(np.quantile(plants[0].clean[:, i], [0.005, 0.995])) for i, name in enumerate(SCHEMA.names)
            },
            "calibration": sample_calibration(),
            "stale": sample_stale((START - 42 * DAY) // 10**6, is_stale=False),
            "calibration_scores": np.random.default_rng(1).lognormal(0.3, 0.38, 20_000),
            "runtime": {
                "wall_seconds": 4.31,
                "rows_per_second": 7016.2,
                "peak_memory_bytes": 131_000_000,
                "workers": 1,
            },
            "notes": ["The log has no operating-mode column; one threshold serves all modes."],
            "warnings": [
                "feed-pump-march.parquet was written without page checksums, so damage could not be ruled out."
            ],
            **more,
        }
    )


def _card() -> dict[str, object]:
    epochs = np.arange(1, 31)
    return {
        "model": "lstm",
        "sensors": SCHEMA.to_json(),
        "training": {
            "epochs": epochs,
            "train_losses": 0.21 + 0.75 * np.exp(-epochs / 5.0),
            "validation_losses": 0.25 + 0.72 * np.exp(-epochs / 5.2) + 0.0006 * np.maximum(0, epochs - 20),
            "best_epoch": 22,
            "seconds": 48.2,
        },
        "fit": {"window_rows": 30, "row_seconds": 60.0, "parameters": 48_210, "random_state": 0, "score": "fused"},
        "roles": {"fit": 40_320, "early stopping": 4_320, "calibration": 20_160},
        "versions": {"sensorad": "0.1.0", "numpy": "2.4.0", "torch": "2.13.0"},
    }


def _threshold() -> dict[str, object]:
    return {
        "threshold": THRESHOLD,
        "method": "budget",
        "budget": "1/day",
        "statement": "At most 1 alarm event a day on normal operation, with 90 % confidence, from 14 days of data.",
        "expected_events_per_day": 0.64,
        "interval": (0.37, 0.98),
        "confidence": 0.9,
        "calibration_days": 14.0,
        "is_promised": True,
        "assumptions": [
            "The plant runs as in the calibration period: same operating modes, same sensors, same sampling rate.",
            "Alarm peaks that belong together are counted as one event.",
        ],
    }


def test_example_counts_balance() -> None:
    data = sample_report([make_plant()])
    assert data.n_rows == 21 * 1440
    assert sum(int(line.n_rows.sum()) for line in data.timeline) == data.n_rows
    assert 10 <= len(data.alarms) <= 14
    assert {event.kind for event in data.alarms} == {"point", "interval"}
    assert {event.reason for event in data.findings} == {"missing", "flat", "out_of_range", "overflow", "clock"}


def _slow_noise(rng: np.random.Generator, n: int, span: int) -> np.ndarray:
    """Unit-variance noise with a memory of about ``span`` rows."""
    kernel = np.exp(-np.arange(4 * span) / span)
    raw = np.convolve(rng.standard_normal(n + len(kernel)), kernel / np.sqrt((kernel**2).sum()), mode="same")
    return raw[:n]
