"""Values of single rows, by name or in the order of the schema, as cells: a number each, or what is wrong with it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import SchemaError
from sensorad.types import FLAWS

__all__ = ["CellReader", "Cells", "Values"]

Values = Mapping[str, Any] | Sequence[Any] | NDArray[Any]
"""One row: sensor name -> number or None, or numbers in the order of the schema."""

Cells = tuple[NDArray[np.float32], NDArray[np.uint8] | None]
"""Values (..., C), 0 wherever the flaw is not 0, and flaws (..., C) as positions in `FLAWS`; None = no flaw at all."""

MISSING, INFINITE, OVERFLOW = (FLAWS.index(word) for word in ("missing", "infinite", "overflow"))
SMALLEST_NORMAL, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
NAMED = 5


class CellReader:
    """Reads rows as a log is read: the nearest float32; NaN and None are missing, denormal numbers and -0.0 are 0.

    Examples
    --------
    >>> cells = CellReader(("TI-101", "PI-7"))
    >>> cells.row({"PI-7": 1.5, "TI-101": 71.25})[0].tolist()
    [71.25, 1.5]
    >>> values, flaw = cells.row({"TI-101": float("inf")})
    >>> values.tolist(), [FLAWS[code] for code in flaw]
    ([0.0, 0.0], ['infinite', 'missing'])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.unknown: list[str] = []
        self.n_with_unknown = 0
        self._known = frozenset(names)
        self._n_sensors = len(self.names)
        picked = itemgetter(*self.names)
        self._pick = picked if len(self.names) > 1 else lambda values: (picked(values),)
        self._pack = struct.Struct(f"{len(self.names)}f").pack

    def row(self, values: Values) -> Cells:
        """Cells (C,) of one row.

        Raises
        ------
        SchemaError
            A value is no number, or there are not as many as sensors; nothing else about a value is an error.
        """
        cells: Sequence[Any]
        if type(values) is dict:
            if len(values) != self._n_sensors:
                return self._named(values)
            try:
                cells = self._pick(values)
            except KeyError:
                return self._named(values)
        elif isinstance(values, np.ndarray):
            cells = values.tolist() if values.ndim == 1 else self._refuse_shape(values.shape)
        elif hasattr(values, "keys"):
            return self._named(values if isinstance(values, Mapping) else dict(values))
        elif isinstance(values, str | bytes) or not (hasattr(values, "__len__") and hasattr(values, "__iter__")):
            raise SchemaError(f"expected the values of one row, got a {type(values).__name__}")
        else:
            cells = values if isinstance(values, list | tuple) else list(values)
        # `struct` rounds as NumPy does and refuses what is no number, at a third of the cost.
        try:
            packed = self._pack(*cells)
            sizes = list(map(abs, cells))
            is_plain = sum(sizes) < LARGEST and min(sizes) >= SMALLEST_NORMAL
        except (struct.error, OverflowError, TypeError, ArithmeticError):
            return self._one_by_one(cells)
        return (np.frombuffer(packed, np.float32), None) if is_plain else self._one_by_one(cells)

    def rows(self, values: NDArray[Any] | Sequence[Values]) -> Cells:
        """Cells (N, C) of several rows."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
            if values.ndim != 2 or values.shape[1] != self._n_sensors:
                self._refuse_shape(values.shape)
            return _cells_of_array(values)
        found = [self.row(row) for row in values]
        if all(flaw is None for _, flaw in found):
            return _stacked([row for row, _ in found], self._n_sensors, np.float32), None
        flaws = [np.zeros(self._n_sensors, np.uint8) if flaw is None else flaw for _, flaw in found]
        return (
            _stacked([row for row, _ in found], self._n_sensors, np.float32),
            _stacked(flaws, self._n_sensors, np.uint8),
        )

    def _named(self, values: Mapping[str, Any]) -> Cells:
        if not values.keys() <= self._known:
            self.n_with_unknown += 1
            fresh = [str(name) for name in values if name not in self._known]
            self.unknown += [name for name in fresh if name not in self.unknown][: NAMED - len(self.unknown)]
        return self._one_by_one([values.get(name) for name in self.names])

    def _one_by_one(self, cells: Sequence[Any]) -> Cells:
        if len(cells) != self._n_sensors:
            self._refuse_shape((len(cells),))
        numbers = [_number(value, name) for value, name in zip(cells, self.names, strict=True)]
        return _cells_of_array(np.array(numbers, np.float64))

    def _refuse_shape(self, shape: tuple[int, ...]) -> Sequence[Any]:
        raise SchemaError(
            f"expected values of {self._n_sensors} sensors in each row, got {' x '.join(map(str, shape))}",
            hint=f"in this order: {', '.join(self.names[:NAMED])}{', ...' if self._n_sensors > NAMED else ''}",
        )


def _number(value: Any, sensor: str) -> float:
    """Any real number as a float; None is NaN."""
    if value is None or type(value).__name__ == "NAType":  # pandas has a word of its own for missing
        return np.nan
    if not isinstance(value, str | bytes | bytearray):
        try:
            return float(value)
        except OverflowError:  # a whole number of hundreds of digits: too large for float32 too
            return float(np.finfo(np.float64).max)
        except (TypeError, ValueError):
            pass
    sample = value if isinstance(value, str) and len(value) <= 40 else f"{str(value)[:40]}..."
    raise SchemaError(f"expected a number, got {sample!r}", where=f"sensor {sensor!r}", hint="give numbers or None")


def _cells_of_array(wide: NDArray[Any]) -> Cells:
    with np.errstate(over="ignore", under="ignore"):
        values = wide.astype(np.float32)
    values[np.abs(values) < SMALLEST_NORMAL] = 0
    is_bad = ~np.isfinite(values)
    if not is_bad.any():
        return values, None
    flaw = np.zeros(values.shape, np.uint8)
    bad = wide[is_bad]
    flaw[is_bad] = np.where(np.isnan(bad), MISSING, np.where(np.isinf(bad), INFINITE, OVERFLOW))
    values[is_bad] = 0
    return values, flaw


def _stacked(rows: list[NDArray[Any]], n_sensors: int, dtype: type) -> NDArray[Any]:
    return np.array(rows, dtype) if rows else np.zeros((0, n_sensors), dtype)
