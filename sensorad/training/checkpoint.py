"""A training run on disk: one safetensors file, absent or complete, that runs no code when read.

Tensors (weights, best weights, optimiser and generator state) are stored as such; everything else as JSON in
the header, with a SHA-256 over both. A resumed run therefore continues with exactly the same bits, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sensorad.errors import ArtefactError, StorageError

__all__ = ["digest", "load_checkpoint", "refuse_other_run", "save_checkpoint"]

FORMAT = 1


def digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 of names, shapes, dtypes and bytes of tensors, and of a text."""
    sums = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sums.update(f"\0{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        sums.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sums.hexdigest()


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint so that ``path`` holds either the old one or the new one, whatever happens.

    Raises
    ------
    StorageError
        If the file cannot be written; the old one is left as it was.
    """
    from safetensors.torch import save

    text = json.dumps({"format": FORMAT} | dict(state), allow_nan=False)
    # Copies: safetensors refuses tensors that share memory, such as tied weights.
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    payload = save(copies, metadata={"sensorad": text, "sha256": digest(copies, text)})
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"checkpoint cannot be written: {error.strerror or error}",
            where=str(path),
            hint="free some space or choose another directory; the previous checkpoint is intact",
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state of a checkpoint.

    Raises
    ------
    StorageError
        If the file cannot be read.
    ArtefactError
        If it is no checkpoint, damaged in any bit, or of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    hint = "delete it to start training anew"
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except OSError as error:
        raise StorageError(f"checkpoint cannot be read: {error}", where=str(path)) from error
    except SafetensorError as error:
        raise ArtefactError("not a checkpoint, or cut short", where=str(path), hint=hint) from error
    text = header.get("sensorad", "")
    if header.get("sha256") != digest(tensors, text):
        raise ArtefactError("the checkpoint's SHA-256 does not match its content", where=str(path), hint=hint)
    state: dict[str, Any] = json.loads(text)
    if state["format"] > FORMAT:
        raise ArtefactError(
            f"checkpoint format {state['format']} is newer than this program's {FORMAT}", where=str(path), hint=hint
        )
    return tensors, state


def refuse_other_run(path: Path, stored: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raise unless the checkpoint belongs to the very run that wants to resume it.

    Raises
    ------
    ArtefactError
        Naming everything that differs, such as "config.learning_rate" or "fingerprint".
    """
    before, now = _flat(stored), _flat(current)
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if names:
        changes = "; ".join(f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names[:5])
        raise ArtefactError(
            f"the checkpoint belongs to another training run: {changes}",
            where=str(path),
            hint="delete it to start anew, or restore the settings and data it was made with",
        )


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def _sync_directory(directory: Path) -> None:
    # Without this the rename itself can be lost when the machine fails.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
