"""What a saved state may hold, a trip to bytes and back, and all the ways to leave a part of it out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sensorad.errors import ArtefactError


def reread(state: dict[str, Any]) -> dict[str, Any]:
    """The state after a trip through JSON text and raw bytes; fails where a leaf cannot make it."""
    arrays: list[np.ndarray] = []

    def plain(value: object) -> object:
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "biuf", value.dtype
            arrays.append(np.frombuffer(value.tobytes(), value.dtype).reshape(value.shape))
            return {"array": len(arrays) - 1}
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, list):
            return [plain(part) for part in value]
        assert value is None or isinstance(value, (bool, int, float, str)), type(value)
        return value

    def full(value: Any) -> Any:
        if isinstance(value, dict):
            return arrays[value["array"]] if "array" in value else {key: full(part) for key, part in value.items()}
        return [full(part) for part in value] if isinstance(value, list) else value

    read = full(json.loads(json.dumps(plain(state), allow_nan=False)))
    assert isinstance(read, dict)
    return read


def damaged(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Copies with one part left out, of another kind, or of another shape."""
    for path in _paths(state):
        for change in (None, lambda old: "x", _reshaped, _longer):
            broken = copy.deepcopy(state)
            parent = broken
            for key in path[:-1]:
                parent = parent[key]
            if change is None:
                del parent[path[-1]]
            elif (other := change(parent[path[-1]])) is not None:
                parent[path[-1]] = other
            else:
                continue
            yield broken


def assert_refuses_damage(make: Callable[[], Any], state: dict[str, Any]) -> None:
    """A fresh object takes the state, and refuses it by name with any part damaged."""
    make().restore(state)
    n_tried = 0
    for broken in damaged(state):
        with pytest.raises(ArtefactError, match="does not fit"):
            make().restore(broken)
        n_tried += 1
    assert n_tried > 3


def _paths(state: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in state.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))


def _reshaped(value: object) -> object:
    return value[None] if isinstance(value, np.ndarray) else None


def _longer(value: object) -> object:
    return [*value, 3] if isinstance(value, list) else None
