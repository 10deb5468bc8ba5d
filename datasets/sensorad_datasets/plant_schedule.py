"""When the simulated plant runs in which mode, and what is asked of it: modes, set-points, demand, weather.

Everything here is drawn before the physics runs and knows nothing of faults, so that a faulty plant and its
normal twin of the same seed share every random number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MODES", "Surroundings", "ar1", "draw_surroundings", "nominal_modes"]

MODES = ("full", "eco", "standby", "cleaning")
"""Operating modes, as written in the log's ``mode`` column."""

_FULL, _ECO, _STANDBY, _CLEANING = range(4)

# Hour of the day -> mode. Every change happens on most days, so that four weeks show each of them about twenty times.
_WORKDAY = ((0.0, _ECO), (6.0, _FULL), (20.5, _CLEANING), (22.25, _STANDBY), (23.75, _ECO))
_SATURDAY = ((0.0, _ECO), (7.0, _FULL), (15.0, _CLEANING), (17.0, _STANDBY), (19.0, _ECO))
_SUNDAY = ((0.0, _ECO), (1.0, _STANDBY), (7.0, _ECO))
_WEEK = (_WORKDAY,) * 5 + (_SATURDAY, _SUNDAY)
_WEEKDAY_LOAD = np.array([1.0, 1.02, 1.03, 1.02, 0.98, 0.95, 0.94])

_JITTER_HOURS = 0.3  # operators change the mode up to this much earlier or later

# Set-points by mode: pump speed (rpm), demand (m3/h), outlet temperature (degC), tank level (m).
_SETPOINTS = np.array(
    [
        [2550.0, 42.0, 65.0, 2.4],
        [1950.0, 24.0, 58.0, 2.4],
        [1350.0, 9.0, 48.0, 2.4],
        [2150.0, 30.0, 75.0, 2.1],
    ]
)
# A change runs the pump up first, then takes load, then moves the other set-points: (delay, length) in minutes.
_RAMPS = ((0.0, 15.0), (5.0, 20.0), (5.0, 30.0), (5.0, 30.0))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the plant is asked and exposed to, one value a row; all arrays (T,) float64.

    ``mode`` is the position in `MODES` (int8); ``speed`` rpm, ``demand`` m3/h, ``temperature_setpoint`` degC,
    ``level_setpoint`` m, ``ambient`` degC, ``feed_temperature`` degC, ``hot_inlet`` degC, ``suction`` bar.
    """

    mode: NDArray[np.int8]
    speed: NDArray[np.float64]
    demand: NDArray[np.float64]
    temperature_setpoint: NDArray[np.float64]
    level_setpoint: NDArray[np.float64]
    ambient: NDArray[np.float64]
    feed_temperature: NDArray[np.float64]
    hot_inlet: NDArray[np.float64]
    suction: NDArray[np.float64]


def ar1(
    generator: np.random.Generator, n_rows: int, step_seconds: float, hours: float, spread: float
) -> NDArray[np.float64]:
    """A stationary first-order autoregression (T,) with time constant ``hours`` and standard deviation ``spread``."""
    keep = float(np.exp(-step_seconds / (3600.0 * hours)))
    draws = generator.standard_normal(n_rows) * spread
    draws[1:] *= np.sqrt(1.0 - keep * keep)
    state = 0.0
    out = []
    for draw in draws.tolist():
        state = keep * state + draw
        out.append(state)
    return np.array(out)


def nominal_modes(start: datetime, n_rows: int, step_seconds: float) -> NDArray[np.int8]:
    """The mode of every row (T,) if all changes happened on the planned minute: positions in `MODES`."""
    hours, modes = _changes(start, n_rows, step_seconds, None)
    return _modes_at(hours, modes, np.arange(n_rows, dtype=np.float64) * (step_seconds / 3600.0))


def draw_surroundings(
    generator: np.random.Generator, start: datetime, n_rows: int, step_seconds: float
) -> Surroundings:
    """Draw modes, set-points, demand and weather of ``n_rows`` rows from ``start`` on; local time is UTC."""
    hours, modes = _changes(start, n_rows, step_seconds, generator)
    now = np.arange(n_rows, dtype=np.float64) * (step_seconds / 3600.0)
    setpoints = [
        _ramped(hours, _SETPOINTS[modes, column], delay / 60.0, length / 60.0, now)
        for column, (delay, length) in enumerate(_RAMPS)
    ]
    hour_of_day = (start.hour + start.minute / 60.0 + start.second / 3600.0) + now
    day = np.floor(hour_of_day / 24.0)
    # Load follows the working day with its peak in the early afternoon; the weekday factor changes at midnight.
    cycle = 0.10 * np.cos(2.0 * np.pi * (hour_of_day - 13.5) / 24.0)
    weekday = _WEEKDAY_LOAD[(start.weekday() + day.astype(np.int64)) % 7]
    load = weekday + cycle + _load_steps(generator, now) + ar1(generator, n_rows, step_seconds, hours=2.0, spread=0.015)
    load = np.clip(load, 0.6, 1.35)
    ambient = (
        15.0
        + 5.0 * np.cos(2.0 * np.pi * (hour_of_day - 15.0) / 24.0)
        + ar1(generator, n_rows, step_seconds, hours=10.0, spread=1.5)
    )
    return Surroundings(
        mode=_modes_at(hours, modes, now),
        speed=setpoints[0] * (0.8 + 0.2 * load) * (1.0 + ar1(generator, n_rows, step_seconds, hours=0.5, spread=0.002)),
        demand=setpoints[1] * load * (1.0 + ar1(generator, n_rows, step_seconds, hours=0.1, spread=0.006)),
        temperature_setpoint=setpoints[2],
        level_setpoint=setpoints[3],
        ambient=ambient,
        feed_temperature=14.0 + 0.35 * (ambient - 15.0) + ar1(generator, n_rows, step_seconds, hours=6.0, spread=0.5),
        hot_inlet=92.0 + ar1(generator, n_rows, step_seconds, hours=3.0, spread=0.8),
        suction=0.8 + ar1(generator, n_rows, step_seconds, hours=4.0, spread=0.03),
    )


def _changes(
    start: datetime, n_rows: int, step_seconds: float, generator: np.random.Generator | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Hours after ``start`` at which the mode changes (from the day before on) and the new modes."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    n_days = int(np.ceil((n_rows * step_seconds) / 86400.0)) + 1
    hours: list[float] = []
    modes: list[int] = []
    for day in range(-1, n_days):
        date = midnight + timedelta(days=day)
        offset = (date - start).total_seconds() / 3600.0
        for hour, mode in _WEEK[date.weekday()]:
            if modes and modes[-1] == mode:
                continue
            jitter = 0.0 if generator is None else float(generator.uniform(-_JITTER_HOURS, _JITTER_HOURS))
            hours.append(offset + hour + jitter)
            modes.append(mode)
    return np.array(hours), np.array(modes)


def _modes_at(hours: NDArray[np.float64], modes: NDArray[np.int64], now: NDArray[np.float64]) -> NDArray[np.int8]:
    return modes[np.maximum(np.searchsorted(hours, now, side="right") - 1, 0)].astype(np.int8)


def _ramped(
    hours: NDArray[np.float64],
    values: NDArray[np.float64],
    delay: float,
    length: float,
    now: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A set-point (T,) that glides to its new value, ``delay`` hours after each change within ``length`` hours.

    The S-curve is what drives and recipe controllers do, and keeps ordinary changes of mode from looking like steps.
    """
    position = np.searchsorted(hours, now - delay, side="right") - 1
    before, after = values[np.maximum(position - 1, 0)], values[np.maximum(position, 0)]
    share = np.clip((now - delay - hours[np.maximum(position, 0)]) / length, 0.0, 1.0)
    return before + (after - before) * share * share * (3.0 - 2.0 * share)


def _load_steps(generator: np.random.Generator, now: NDArray[np.float64]) -> NDArray[np.float64]:
    """Customers switching on and off: a level held for about two hours, then another, reached within ten minutes."""
    end = float(now[-1]) + 1.0
    waits: Sequence[float] = generator.exponential(2.0, size=int(end) + 50).tolist()
    levels = generator.normal(0.0, 0.05, size=len(waits)).clip(-0.12, 0.12)
    changes = np.concatenate([[-1.0], np.cumsum(np.maximum(waits, 0.5))[:-1]])
    return _ramped(changes, levels, 0.0, 1.0 / 6.0, now)
