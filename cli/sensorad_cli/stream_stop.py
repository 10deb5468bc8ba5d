"""SIGTERM and SIGINT as a wish to end in good order: what was read is finished, saved and told."""

from __future__ import annotations

import os
import select
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from sensorad_cli.failures import Terminated

__all__ = ["Stop"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """While entered, the first such signal sets ``is_set`` and ends every `wait`; a second one ends the run at once.

    Outside the main thread, where Python delivers no signals, nothing is caught.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._reader, self._writer = -1, -1
        self._previous: list[tuple[signal.Signals, Any]] = []
        self._wakeup = -1

    def __enter__(self) -> Stop:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        if threading.current_thread() is threading.main_thread():
            self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            self._previous = [(number, signal.signal(number, self._caught)) for number in SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)
        if self._previous:
            signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float | None, *, readable: int | None = None, writable: int | None = None) -> bool:
        """Whether a descriptor became ready within ``seconds`` (None = for ever); False when the end is wished for.

        A wish that was there before does not end the wait: what is left to do then may take its time.
        """
        inputs = [] if self.is_set else [self._reader]
        inputs += [] if readable is None else [readable]
        outputs = [] if writable is None else [writable]
        ready, free, _ = select.select(inputs, outputs, [], seconds)
        return readable in ready or writable in free

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated
        self.is_set = True
