"""Columns of any numeric type to float32 cells, exactly or not at all: never a silent NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import SchemaError
from sensorad.logs.arrays import null_mask, numpy_of
from sensorad.logs.columns import as_text, is_missing_text, is_number_text, kind_of_type
from sensorad.logs.failures import Place
from sensorad.types import FLAWS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["cells_of", "labels_of", "not_a_number"]

MISSING = FLAWS.index("missing")
INFINITE = FLAWS.index("infinite")
OVERFLOW = FLAWS.index("overflow")

SMALLEST_NORMAL = np.finfo(np.float32).tiny
MISSING_TOKENS = ("", "nan", "NaN", "NAN", "null", "NULL", "Null")


def cells_of(array: pa.Array, column: str, place: Place) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Values (T,) float32 and flaws (T,) uint8 of one sensor column; values are 0 where flawed.

    Integers, floats, decimals and booleans of any width, and text or categories that spell numbers, are
    rounded to the nearest float32. Denormal numbers and -0.0 become plain 0.

    Raises
    ------
    SchemaError
        If a cell is text that is not a number; the message has the text, the column and the row.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.float32), np.full(len(array), MISSING, np.uint8)
    kind = kind_of_type(array.type)
    if kind == "text":
        wide, is_overflow = _parse(array, column, place)
        values, flaw = _from_floats(wide)
        flaw[is_overflow] = OVERFLOW
        return values, flaw
    if kind != "number":
        raise SchemaError(f"expected numbers, got {array.type}", where=place.at(column), hint=f"--exclude {column}")
    if pa.types.is_floating(array.type):
        return _from_floats(_floats(array))
    if pa.types.is_decimal(array.type):
        return _from_floats(_floats(array.cast(pa.float64())))
    filled = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    values = numpy_of(filled).astype(np.float32)
    flaw = np.zeros(len(values), np.uint8)
    if array.null_count:
        flaw[null_mask(array)] = MISSING
    return values, flaw


def labels_of(array: pa.Array, column: str, place: Place) -> NDArray[np.bool_]:
    """True where the label is not 0; a label that is missing or not a number is an error."""
    values, flaw = cells_of(array, column, place)
    if flaw.any():
        row = int(np.flatnonzero(flaw)[0])
        raise SchemaError(
            f"expected a label of 0 or 1, got a value that is {FLAWS[flaw[row]]}", where=place.at(column, row)
        )
    return np.asarray(values != 0)


def _floats(array: pa.Array) -> NDArray[Any]:
    if array.null_count:
        array = array.fill_null(float("nan"))
    return numpy_of(array)


def _from_floats(wide: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    with np.errstate(over="ignore", under="ignore"):
        values = wide.astype(np.float32)
    # Denormals slow arithmetic down a hundredfold and -0.0 prints oddly; neither is a measurement.
    values[np.abs(values) < SMALLEST_NORMAL] = 0
    flaw = np.zeros(len(values), np.uint8)
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        bad = wide[is_bad]
        flaw[is_bad] = np.where(np.isnan(bad), MISSING, np.where(np.isinf(bad), INFINITE, OVERFLOW))
        values[is_bad] = 0
    return values, flaw


def _parse(array: pa.Array, column: str, place: Place) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Text as float64, and where finite text such as "1e400" is beyond float64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(as_text(array))
    is_missing = pc.is_in(text, value_set=pa.array(MISSING_TOKENS, pa.large_string()))
    try:
        values = _floats(pc.if_else(is_missing, pa.scalar(None, pa.large_string()), text).cast(pa.float64()))
    except pa.ArrowInvalid:
        words = text.to_pylist()
        values = np.array([_number(word, column, place, row) for row, word in enumerate(words)], np.float64)
    is_overflow = np.zeros(len(values), np.bool_)
    for row in np.flatnonzero(np.isinf(values)):
        is_overflow[row] = any(char.isdigit() for char in text[int(row)].as_py())
    return values, is_overflow


def _number(word: str | None, column: str, place: Place, row: int) -> float:
    if word is None or is_missing_text(word):
        return np.nan
    if is_number_text(word):
        lowered = word.lower()
        return float(lowered == "true") if lowered in ("true", "false") else float(word)
    raise not_a_number(word, place.at(column, row), column)


def not_a_number(word: str, where: str, column: str) -> SchemaError:
    """The error for a text cell in a sensor column."""
    sample = word if len(word) <= 40 else word[:40] + "..."
    hint = f"export numbers with a decimal point, or leave the column out with --exclude {column}"
    return SchemaError(f"expected a number, got the text {sample!r}", where=where, hint=hint)
