"""Arrow arrays as NumPy arrays without copies, and without the import of pandas that pyarrow's own way costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["first_null", "null_mask", "numpy_of"]


def numpy_of(array: pa.Array) -> NDArray[Any]:
    """Numbers or booleans (T,) of an array without nulls; read-only, on Arrow's own memory where possible.

    ``Array.to_numpy`` makes pyarrow import pandas: 40 MB and 0.4 s that reading a log does not need.
    """
    import pyarrow as pa

    if pa.types.is_boolean(array.type):
        return np.from_dlpack(array.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(array)


def null_mask(array: pa.Array) -> NDArray[np.bool_]:
    """(T,) True where null."""
    return numpy_of(array.is_null())


def first_null(array: pa.Array) -> int | None:
    """Row of the first null, if there is one."""
    return int(np.flatnonzero(null_mask(array))[0]) if array.null_count else None
