"""Values as JSON takes them: milliseconds for times, five significant digits for numbers, null for what is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["differences", "milliseconds", "number", "numbers", "plain", "to_ms"]

DIGITS = 5


def plain(value: Any) -> Any:
    """Plain JSON values for anything: numpy scalars and arrays unpacked, non-finite numbers null, the rest text.

    Examples
    --------
    >>> plain({"interval": (np.float32(0.5), float("inf")), "rows": np.int64(7)})
    {'interval': [0.5, None], 'rows': 7}
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


def number(value: float | None) -> float | int | None:
    """The number with five significant digits; None where there is no finite one."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def numbers(values: Any) -> list[float | int | None]:
    """`number` of each value of an array or sequence; None counts as no number."""
    return [number(value) for value in np.asarray(values, np.float64).tolist()]


def to_ms(ns: int) -> float | int:
    """Nanoseconds in milliseconds, whole where they are whole."""
    whole, rest = divmod(int(ns), 1_000_000)
    return whole if rest == 0 else round(whole + rest / 1e6, 3)


def differences(time: NDArray[np.int64]) -> list[float | int]:
    """Times in milliseconds, the first absolute and the rest as steps, which take fewer characters."""
    if len(time) == 0:
        return []
    return [to_ms(int(time[0])), *milliseconds(np.diff(time))]


def milliseconds(ns: NDArray[np.int64]) -> list[float | int]:
    """Durations in milliseconds."""
    is_whole = not (ns % 1_000_000).any()
    values: list[float | int] = (ns // 1_000_000 if is_whole else np.round(ns / 1e6, 4)).tolist()
    return values
