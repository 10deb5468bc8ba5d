"""A scoring run that can go on after it was killed: what is finished lies in a hidden directory beside the target.

::

    .SCORES.unfinished/plan.json   of which input and detector, with which settings
                       blocks      scores of all rows so far, one array after another
                       state       how much of ``blocks`` counts, and all that the next block depends on
                       lock        held by the process that writes
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sensorad.errors import ArtefactError, StorageError
from sensorad.logs.failures import writing

if TYPE_CHECKING:
    from sensorad.types import ScoreBlock

__all__ = ["UnfinishedRun", "fingerprints"]

ARRAYS = (
    "index", "time", "group", "score", "row_surprise", "status", "reason",
    "top_sensors", "top_shares", "top_expected", "top_actual",
)  # fmt: skip
FORMAT = 1


class UnfinishedRun:
    """Finished blocks of one run, and the state after the last checkpoint; a context manager that holds the lock.

    Parameters
    ----------
    target
        Where the scores will be.
    plan
        Everything that decides them, as plain values: a run goes on with the same plan only.

    Attributes
    ----------
    n_blocks, n_rows : int
        Blocks that are finished, and the rows in them.
    state : dict or None
        As it was given to the last `checkpoint`; None where there was none.

    Raises
    ------
    StorageError
        Another plan, another process at work, or a directory that cannot be used.
    ArtefactError
        What was kept is damaged.
    """

    def __init__(self, target: Path, plan: Mapping[str, Any]) -> None:
        self.path = target.with_name(f".{target.name[:100]}.unfinished")
        self._plan = json.dumps({"version": FORMAT, **plan}, sort_keys=True, indent=1)
        self._digest = hashlib.sha256(self._plan.encode()).hexdigest()
        self._names: dict[str, list[str]] = {"group": [""], "mode": []}
        self._has_mode = False
        self._length = 0
        self._hash = hashlib.sha256()
        self.n_blocks = self.n_rows = 0
        self.state: dict[str, Any] | None = None

    def __enter__(self) -> UnfinishedRun:
        with writing(str(self.path)):
            self.path.mkdir(exist_ok=True)
            self._lock = _locked(self.path / "lock")
            try:
                self._check_plan()
                self._recall()
                self._file = (self.path / "blocks").open("ab")
                self._file.truncate(self._length)
            except BaseException:
                os.close(self._lock)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        os.close(self._lock)
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)

    def add(self, block: ScoreBlock) -> None:
        """Add the next finished block."""
        import numpy as np

        buffer = io.BytesIO()
        has_mode = block.mode is not None
        for array in (*(getattr(block, name) for name in ARRAYS), *([block.mode] if has_mode else [])):
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
        data = buffer.getbuffer()
        with writing(str(self.path)):
            self._file.write(data)
        self._hash.update(data)
        self._length += len(data)
        self._names = {"group": list(block.group_names), "mode": list(block.mode_names)}
        self._has_mode = has_mode
        self.n_blocks += 1
        self.n_rows += len(block)

    def checkpoint(self, state: dict[str, Any]) -> None:
        """From here on a killed run goes on behind the last block added."""
        from sensorad.streaming.state_file import pack, write_state

        with writing(str(self.path)):
            self._file.flush()
            os.fsync(self._file.fileno())
        whole = {
            "n_blocks": self.n_blocks,
            "n_rows": self.n_rows,
            "length": self._length,
            "sha256": self._hash.hexdigest(),
            "names": self._names,
            "has_mode": self._has_mode,
            "state": state,
        }
        write_state(self.path / "state", pack(whole, self._owner))

    def blocks(self) -> Iterator[ScoreBlock]:
        """All finished blocks, as they were added."""
        import numpy as np

        from sensorad.types import ScoreBlock

        self._file.flush()
        group_names, mode_names = self._names["group"], self._names["mode"]
        with (self.path / "blocks").open("rb") as file:
            for _ in range(self.n_blocks):
                arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name in ARRAYS}
                mode = np.lib.format.read_array(file, allow_pickle=False) if self._has_mode else None
                yield ScoreBlock(group_names=group_names, mode=mode, mode_names=mode_names, **arrays)

    @property
    def _owner(self) -> dict[str, str]:
        return {"model": self._digest, "calibration": self._digest}

    def _check_plan(self) -> None:
        from sensorad.streaming.state_file import write_state

        path = self.path / "plan.json"
        if not path.exists():
            write_state(path, self._plan.encode())
            return
        stored = path.read_text(encoding="utf-8", errors="replace")
        if stored != self._plan:
            raise StorageError(
                f"an unfinished run is kept here with {_difference(stored, self._plan)}",
                where=str(self.path),
                hint="repeat the command that began it, or remove this directory",
            )

    def _recall(self) -> None:
        """What the last checkpoint says, once the blocks that it counts are found whole."""
        from sensorad.streaming.state_file import read_state, unpack

        path = self.path / "state"
        if not path.exists():
            return
        whole = unpack(read_state(path), self._owner, where=str(path))
        with (self.path / "blocks").open("rb") as file:
            left = self._length = int(whole["length"])
            while left and (data := file.read(min(left, 1 << 20))):
                self._hash.update(data)
                left -= len(data)
        if left or self._hash.hexdigest() != whole["sha256"]:
            raise ArtefactError(
                "the finished part of the run is damaged", where=str(self.path), hint="remove this directory"
            )
        self._names, self._has_mode, self.n_blocks = whole["names"], bool(whole["has_mode"]), int(whole["n_blocks"])
        self.n_rows = int(whole["n_rows"])
        self.state = whole["state"]


def fingerprints(paths: list[str] | tuple[str, ...]) -> list[list[Any]]:
    """Path, size and time of last change of each file."""
    found = []
    for path in paths:
        with writing(str(path)):
            status = Path(path).stat()
        found.append([str(path), status.st_size, status.st_mtime_ns])
    return found


def _difference(stored: str, own: str) -> str:
    """In which settings two plans differ, in words."""
    try:
        before, now = json.loads(stored), json.loads(own)
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    except (ValueError, AttributeError):
        names = []
    return f"other {', '.join(names)}" if names else "a plan that cannot be read"


def _locked(path: Path) -> int:
    import fcntl

    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(lock)
        raise StorageError("locked: another process scores into it", where=str(path.parent)) from err
    return lock
