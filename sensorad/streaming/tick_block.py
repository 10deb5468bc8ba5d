"""Scores of a tick, with the blame of a row worked out when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from sensorad.types import ScoreBlock

__all__ = ["TickBlock"]

COLUMNS = ("top_sensors", "top_shares", "top_expected", "top_actual")


class TickBlock(ScoreBlock):
    """A block of scores that need not know who is to blame in rows that nobody looks at.

    Parameters
    ----------
    block
        Everything else; its ``top_*`` columns are filled as far as they are asked for.
    fill
        Writes these columns of ``block`` in the rows (n,) it is called with.
    """

    __slots__ = ("_block", "_fill", "_is_filled")

    def __init__(self, block: ScoreBlock, fill: Callable[[ScoreBlock, NDArray[np.intp]], None]) -> None:
        for name in ScoreBlock.__slots__:
            if name not in COLUMNS:
                setattr(self, name, getattr(block, name))
        self._block, self._fill = block, fill
        self._is_filled = np.zeros(len(block), np.bool_)

    def filled(self, name: str, rows: Any = slice(None)) -> NDArray[np.generic]:
        """Rows of one of the ``top_*`` columns."""
        at = np.atleast_1d(np.arange(len(self._is_filled))[rows])
        missing = at[~self._is_filled[at]]
        if len(missing):
            self._fill(self._block, missing)
            self._is_filled[missing] = True
        column: NDArray[np.generic] = getattr(self._block, name)
        return column

    def take(self, rows: Any) -> ScoreBlock:
        """The rows chosen by a slice, a mask or positions, with everything that belongs to them."""
        self.filled(COLUMNS[0], rows)
        self._block.mode, self._block.mode_names = self.mode, self.mode_names
        return self._block.take(rows)

    @property
    def top_sensors(self) -> NDArray[np.int16]:  # type: ignore[override]
        return cast(NDArray[np.int16], _Column(self, "top_sensors"))

    @property
    def top_shares(self) -> NDArray[np.float32]:  # type: ignore[override]
        return cast(NDArray[np.float32], _Column(self, "top_shares"))

    @property
    def top_expected(self) -> NDArray[np.float32]:  # type: ignore[override]
        return cast(NDArray[np.float32], _Column(self, "top_expected"))

    @property
    def top_actual(self) -> NDArray[np.float32]:  # type: ignore[override]
        return cast(NDArray[np.float32], _Column(self, "top_actual"))


class _Column(NDArrayOperatorsMixin):
    """An array (N, K) of which rows are worked out when they are read; in all else it is the whole array."""

    __slots__ = ("_name", "_tick")

    def __init__(self, tick: TickBlock, name: str) -> None:
        self._tick, self._name = tick, name

    def __getitem__(self, rows: Any) -> Any:
        first = rows[0] if isinstance(rows, tuple) else rows
        return self._tick.filled(self._name, first)[rows]

    def __len__(self) -> int:
        return len(self._tick)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._tick.filled(self._name), dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(given) if isinstance(given, _Column) else given for given in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tick.filled(self._name), name)
