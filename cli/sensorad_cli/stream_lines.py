"""Bytes as they come to whole lines, from a pipe or from a file that may still grow; memory is bounded."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sensorad.errors import StorageError
from sensorad_cli.stream_stop import Stop

__all__ = ["FileBytes", "Line", "LineCutter", "PipeBytes", "open_bytes"]

CHUNK = 1 << 16
LONGEST_LINE = 1 << 20
PRINT_BYTES = 4096
POLL_SECONDS = 0.1
"""How often a file is looked at for more: growth of a file wakes nobody up."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its end, or ``why`` it is none; ``end`` is the offset behind it, ``number`` counts from 1."""

    text: str
    why: str
    end: int
    number: int


class LineCutter:
    """Cuts bytes into lines; keeps no more than one line.

    Parameters
    ----------
    offset, number
        Bytes and lines before the first byte.
    is_within_line
        The first byte is the middle of a line of which a part was taken for the whole.

    Examples
    --------
    >>> cutter = LineCutter()
    >>> [line.text for line in cutter.feed(b"a\\r\\nb")], [line.text for line in cutter.rest()]
    (['a'], ['b'])
    """

    def __init__(self, offset: int = 0, number: int = 0, *, is_within_line: bool = False) -> None:
        self.offset = offset
        self.number = number
        self._carry = b""
        self._is_tail = is_within_line
        self._spoilt = ""
        self._n_dropped = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """Lines that these bytes complete."""
        pieces = (self._carry + chunk).split(b"\n")
        self._carry = pieces.pop()
        lines = [self._line(piece, 1) for piece in pieces]
        if len(self._carry) > LONGEST_LINE:
            self._spoilt = f"is longer than {LONGEST_LINE:,} bytes"
            self._n_dropped += len(self._carry)
            self._carry = b""
        return lines

    def rest(self) -> list[Line]:
        """The last line, where it has no end."""
        return [self._line(self._carry, 0)] if self._carry or self._n_dropped else []

    def _line(self, piece: bytes, n_end: int) -> Line:
        if self.offset == 0 and piece.startswith(BYTE_ORDER_MARK):
            self.offset += len(BYTE_ORDER_MARK)
            piece = piece[len(BYTE_ORDER_MARK) :]
        self.offset += self._n_dropped + len(piece) + n_end
        why, text = self._spoilt, ""
        if self._is_tail:
            self._is_tail = False
            why = "goes on after its beginning was taken for a whole line" if piece.rstrip(b"\r") else ""
        else:
            self.number += 1
        self._spoilt, self._n_dropped, self._carry = "", 0, self._carry if n_end else b""
        if len(piece) > LONGEST_LINE:
            why = why or f"is longer than {LONGEST_LINE:,} bytes"
        if not why:
            try:
                text = piece.decode().removesuffix("\r")
            except UnicodeDecodeError as err:
                why = f"is no UTF-8: byte {err.start}"
        return Line(text, why, self.offset, self.number)


class PipeBytes:
    """Bytes from a pipe, socket or terminal: what has been read is gone."""

    is_seekable = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, stop: Stop, seconds: float | None) -> bytes | None:
        """The next bytes; empty if none came within ``seconds``, None at the end."""
        if not stop.wait(seconds, readable=self._descriptor):
            return b""
        return os.read(self._descriptor, CHUNK) or None


class FileBytes:
    """Bytes of a file, and with ``follows`` what is added to it later, also after it was rotated away or emptied.

    Attributes
    ----------
    was_replaced : bool
        The next byte is the first of another file.
    """

    is_seekable = True

    def __init__(self, path: str, *, follows: bool = False) -> None:
        self.path = path
        self.was_replaced = False
        self._follows = follows
        self._descriptor = _opened(path)
        self._is_over = False

    def seek(self, offset: int) -> None:
        """Go on at this byte."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)

    def head(self) -> Iterator[Line]:
        """The first lines, whatever is read next."""
        here = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        self.seek(0)
        cutter = LineCutter()
        while chunk := os.read(self._descriptor, CHUNK):
            yield from cutter.feed(chunk)
        yield from cutter.rest()
        self.seek(here)

    def fingerprint(self, offset: int) -> dict[str, Any]:
        """What tells whether a file is this one, grown: the bytes at its start and those before ``offset``."""
        n_head = min(offset, PRINT_BYTES)
        digest = hashlib.sha256(os.pread(self._descriptor, n_head, 0))
        digest.update(os.pread(self._descriptor, n_head, offset - n_head))
        return {"offset": offset, "sha256": digest.hexdigest()}

    def is_within_line(self, offset: int) -> bool:
        """Whether what stands before ``offset`` is no whole line."""
        return offset > 0 and os.pread(self._descriptor, 1, offset - 1) != b"\n"

    def is_beyond(self, offset: int) -> bool:
        """Whether the file has this many bytes."""
        return os.fstat(self._descriptor).st_size >= offset

    def read(self, stop: Stop, seconds: float | None) -> bytes | None:
        """The next bytes; empty if none came within ``seconds``, None at the end or where `was_replaced` is set."""
        if self.was_replaced:
            os.close(self._descriptor)
            self._descriptor = _opened(self.path)
            self.was_replaced = self._is_over = False
        chunk = os.read(self._descriptor, CHUNK)
        if chunk:
            self._is_over = False
            return chunk
        if not self._follows:
            return None
        if self._is_over:  # seen replaced before, and nothing was added in between
            self.was_replaced = True
            return None
        self._is_over = self._another_file()
        if not self._is_over:
            stop.wait(POLL_SECONDS if seconds is None else min(seconds, POLL_SECONDS))
        return b""

    def _another_file(self) -> bool:
        """Whether the path leads to another file now, or this one was cut."""
        mine = os.fstat(self._descriptor)
        if mine.st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
            return True
        try:
            now = Path(self.path).stat()
        except OSError:  # between two files
            return False
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)


def open_bytes(path: str, *, follows: bool) -> PipeBytes | FileBytes:
    """A path as bytes: a named pipe is read like stdin."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as err:
        raise StorageError(f"cannot be read: {err.strerror}", where=path, hint="check the path") from err
    if stat.S_ISDIR(mode):
        raise StorageError("expected a file, found a directory", where=path)
    return FileBytes(path, follows=follows) if stat.S_ISREG(mode) else PipeBytes(_opened(path))


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as err:
        raise StorageError(f"cannot be read: {err.strerror}", where=path, hint="check the path") from err
