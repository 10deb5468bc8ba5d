"""Files that are absent or complete: a temporary name beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType

from sensorad.errors import StorageError
from sensorad.logs.failures import writing

__all__ = ["NewFile"]


class NewFile:
    """Context manager that gives a temporary path to write to, and puts it in place on success.

    Parameters
    ----------
    path
        Where the file is to be.
    force
        Replace an existing file; without it that is an error, found before anything is written.

    Raises
    ------
    StorageError
        If the target exists, is a directory, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "note.txt"
    ...     with NewFile(target) as temporary:
    ...         _ = temporary.write_text("done")
    ...     target.read_text()
    'done'
    """

    def __init__(self, path: str | os.PathLike[str], force: bool = False) -> None:
        self.path = Path(path)
        self.force = force
        self._refuse_existing()
        # Same directory: a rename is atomic only within one file system.
        self._temporary = self.path.with_name(f".{self.path.name[:100]}.{secrets.token_hex(6)}.tmp")

    def __enter__(self) -> Path:
        with writing(str(self.path)):
            os.close(os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        return self._temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._put_in_place()
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()

    def _put_in_place(self) -> None:
        self._refuse_existing()
        with writing(str(self.path)):
            _sync(self._temporary)
            self._temporary.replace(self.path)
            _sync(self.path.parent)

    def _refuse_existing(self) -> None:
        with writing(str(self.path)):
            is_folder, exists = self.path.is_dir(), self.path.exists()
        if is_folder:
            raise StorageError("expected a file name, found a directory", where=str(self.path))
        if exists and not self.force:
            raise StorageError("file exists", where=str(self.path), hint="choose another name or add --force")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
