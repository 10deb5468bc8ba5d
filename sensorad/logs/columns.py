"""What a column holds, judged from its type and, for text, from its first rows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "SAMPLE_ROWS",
    "ColumnKind",
    "as_text",
    "closest",
    "first_bad_number",
    "is_missing_text",
    "is_named_like_time",
    "is_number_text",
    "kind_of_text",
    "kind_of_type",
    "listed",
]

ColumnKind = Literal["number", "text", "time", "empty", "other"]

SAMPLE_ROWS = 512
"""Rows of a text column that are looked at to tell numbers, times and words apart."""

MISSING_WORDS = frozenset(("", "nan", "null"))
NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|infinity)|true|false", re.ASCII | re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
TIME_NAME = re.compile(r"(^|[^a-z0-9])(time|timestamp|datetime|date|ts)([^a-z0-9]|$)", re.IGNORECASE)
TIME_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}|$)", re.ASCII)


def kind_of_type(arrow_type: pa.DataType) -> ColumnKind:
    """ "number", "text", "time", "empty" (null type) or "other"; categories count as what they are categories of."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(arrow_type):
        return kind_of_type(arrow_type.value_type)
    if types.is_null(arrow_type):
        return "empty"
    is_number = types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type)
    if is_number or types.is_boolean(arrow_type):
        return "number"
    if types.is_timestamp(arrow_type) or types.is_date(arrow_type):
        return "time"
    if types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type):
        return "text"
    return "other"


def kind_of_text(sample: Sequence[str | None]) -> ColumnKind:
    """What a column of text means: mostly numbers, mostly ISO times, words, or nothing at all.

    "Mostly", so that a sensor with a few cells such as "12,5" or "ERR" is a sensor with an error to
    report and not a column to pass over.
    """
    words = [word.strip() for word in sample if word is not None and not is_missing_text(word)]
    if not words:
        return "empty"
    n_numbers = sum(is_number_text(word) or DECIMAL_COMMA.fullmatch(word) is not None for word in words)
    if 2 * n_numbers > len(words):
        return "number"
    return "time" if 2 * sum(map(_is_iso_time, words)) > len(words) else "text"


def first_bad_number(sample: Sequence[str | None]) -> tuple[int, str] | None:
    """Position and text of the first cell that is neither a number nor missing."""
    for row, word in enumerate(sample):
        if word is not None and not is_missing_text(word) and not is_number_text(word.strip()):
            return row, word
    return None


def is_missing_text(word: str) -> bool:
    """Whether a text cell stands for a missing value: empty, NaN or null."""
    return word.strip().lower() in MISSING_WORDS


def is_number_text(word: str) -> bool:
    """Whether text without surrounding blanks is a number with a decimal point, an infinity, true or false."""
    return NUMBER.fullmatch(word) is not None


def is_named_like_time(name: str) -> bool:
    """Whether a name contains the word time, timestamp, datetime, date or ts.

    >>> [is_named_like_time(name) for name in ("Date Time", "event_time", "runtime", "TS1")]
    [True, True, False, False]
    """
    return TIME_NAME.search(name) is not None


def as_text(array: pa.Array) -> pa.Array:
    """The array as large_string, whatever kind of text or categories of text it was."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_string())


def closest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of ``names``, compared without regard to case; None if none is similar."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Names for a message, cut after ``limit``; control characters are shown escaped."""
    shown = [name if name.isprintable() else repr(name) for name in names]
    rest = len(shown) - limit
    return ", ".join(shown[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _is_iso_time(word: str) -> bool:
    if not TIME_SHAPE.match(word):
        return False
    try:
        datetime.fromisoformat(word)
    except ValueError:
        return False
    return True
