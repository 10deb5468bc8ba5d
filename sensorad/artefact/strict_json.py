"""JSON without surprises: no NaN, no duplicate keys, no overflow, nothing that changes on the way."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from sensorad.errors import ArtefactError

__all__ = ["dump_object", "encode_text", "parse_object"]

_MAX_DEPTH = 64  # far below the recursion limit, far above any configuration


def dump_object(value: dict[str, Any], *, where: str) -> bytes:
    """Readable UTF-8 JSON that parses back to the same object; tuples become lists.

    Raises
    ------
    ArtefactError
        A value is not finite, or is not plain JSON; the message gives its path.

    Examples
    --------
    >>> parse_object(dump_object({"window": {"length": 30}}, where="detector.json"), where="detector.json")
    {'window': {'length': 30}}
    >>> dump_object({"threshold": {"value": float("nan")}}, where="calibration.json")
    Traceback (most recent call last):
    ...
    sensorad.errors.ArtefactError: threshold.value is nan, expected a finite number (calibration.json)
    """
    plain = _plain(value, path="", where=where, depth=0)
    return (json.dumps(plain, allow_nan=False, ensure_ascii=False, indent=2) + "\n").encode()


def parse_object(data: bytes, *, where: str) -> dict[str, Any]:
    """Parse one JSON object.

    Raises
    ------
    ArtefactError
        The bytes are not UTF-8, not JSON, not an object, or hold NaN, an infinity, a number beyond float64,
        a duplicate key, a lone surrogate, or more than 64 levels.

    Examples
    --------
    >>> parse_object(b'{"a": 1, "a": 2}', where="detector.json")
    Traceback (most recent call last):
    ...
    sensorad.errors.ArtefactError: duplicate key 'a' (detector.json)
    """

    def refuse_constant(text: str) -> NoReturn:
        raise ArtefactError(f"{text} is not a number in strict JSON", where=where)

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ArtefactError(f"number {text[:40]} is beyond float64", where=where)
        return number

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in pairs:
            if key in members:
                raise ArtefactError(f"duplicate key {key[:80]!r}", where=where)
            members[key] = value
        return members

    try:
        value = json.loads(
            data.decode("utf-8"), parse_constant=refuse_constant, parse_float=finite, object_pairs_hook=unique
        )
    # RecursionError: "[[[[..." a hundred thousand deep; ValueError also covers integers of thousands of digits
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"not valid JSON: {str(error)[:200]}", where=where, hint="the file is damaged") from None
    if not isinstance(value, dict):
        raise ArtefactError(f"expected a JSON object, came a {type(value).__name__}", where=where)
    plain: dict[str, Any] = _plain(value, path="", where=where, depth=0)
    return plain


def _plain(value: Any, *, path: str, where: str, depth: int) -> Any:
    """The same value as dicts, lists, strings, numbers, booleans and None; anything else is refused by its path."""
    if depth > _MAX_DEPTH:
        raise ArtefactError(f"more than {_MAX_DEPTH} levels of JSON at {path[:80]}", where=where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        encode_text(value, where=where)
        return value
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise ArtefactError(f"{path} is {value}, expected a finite number", where=where)
        return value
    if isinstance(value, list | tuple):
        return [_plain(v, path=f"{path}[{i}]", where=where, depth=depth + 1) for i, v in enumerate(value)]
    if isinstance(value, dict):
        members = {}
        for key, member in value.items():
            if not isinstance(key, str):
                raise ArtefactError(f"key {key!r} under {path or 'the top'} is not a string", where=where)
            inner = f"{path}.{key}" if path else key
            encode_text(key, where=where)
            members[key] = _plain(member, path=inner, where=where, depth=depth + 1)
        return members
    # numpy scalars land here on purpose: json would refuse some of them and round others
    raise ArtefactError(f"{path} is a {type(value).__name__}, expected plain JSON", where=where)


def encode_text(text: str, *, where: str) -> bytes:
    """UTF-8, or an `ArtefactError` where the text has none: a lone surrogate, as undecodable file names leave them."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ArtefactError(f"text {text[:40]!r} holds a lone surrogate", where=where) from None
