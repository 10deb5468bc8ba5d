"""Tasks spread over worker processes, each with one thread of its own, so that times can be compared."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sensorad.errors import SensoradError

from .tasks import Task

__all__ = ["Outcome", "run_tasks"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task: its rows, or one line on why there are none."""

    task: Task
    rows: tuple[dict[str, Any], ...] = ()
    failure: str = ""


_Waiting = queue.SimpleQueue[Task]
_Outcomes = queue.SimpleQueue[Outcome | Exception]


class _Worker:
    """One worker process, owned by one thread; started when it is needed and again if it dies."""

    def __init__(self, is_over: threading.Event) -> None:
        self._is_over = is_over
        self._lock = threading.Lock()  # between starting a process here and killing it from the main thread
        self._process: subprocess.Popen[str] | None = None

    def serve(self, waiting: _Waiting, outcomes: _Outcomes, root: str | None) -> None:
        """Work off what is waiting; the process is gone when this returns."""
        try:
            while not self._is_over.is_set():
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    return
                outcomes.put(self._run(task, root))
        except Exception as error:  # the main thread would wait for ever
            outcomes.put(error)
        finally:
            self._end()

    def interrupt(self) -> None:
        """Kill the process at once; called after ``is_over`` is set, so that no new one starts."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _run(self, task: Task, root: str | None) -> Outcome:
        process = self._started()
        if process is None:
            return Outcome(task, failure="stopped")
        reply = ""
        with suppress(OSError):  # the process died before it could be asked
            _pipe(process.stdin).write(json.dumps({"task": task.to_json(), "root": root}) + "\n")
            _pipe(process.stdin).flush()
            reply = _pipe(process.stdout).readline()
        if not reply.endswith("\n"):
            return Outcome(task, failure=f"the worker process ended with code {self._end()}, perhaps out of memory")
        said = json.loads(reply)
        return Outcome(task, tuple(said.get("rows", ())), said.get("failure", ""))

    def _started(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._process is None and not self._is_over.is_set():
                # A session of its own: an interrupt from the keyboard reaches the parent only, which stops the worker.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "sensorad_datasets.bench.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},
                    start_new_session=True,
                )
            return self._process

    def _end(self) -> int | None:
        """End the process if there is one, and tell how it ended."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        _pipe(process.stdout).close()
        with suppress(OSError):  # a request that was never read
            _pipe(process.stdin).close()
        return code


def run_tasks(tasks: Sequence[Task], root: str | Path | None, n_jobs: int = 1) -> Generator[Outcome]:
    """Outcomes as they come; all workers are gone when the iterator ends, is closed or fails.

    Parameters
    ----------
    n_jobs
        Worker processes.
    """
    waiting, outcomes = _Waiting(), _Outcomes()
    for task in tasks:
        waiting.put(task)
    is_over = threading.Event()
    where = None if root is None else os.fspath(root)
    workers = [_Worker(is_over) for _ in range(min(n_jobs, len(tasks)))]
    threads = [threading.Thread(target=worker.serve, args=(waiting, outcomes, where)) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            outcome = outcomes.get()
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome
    finally:
        is_over.set()
        for worker in workers:
            worker.interrupt()
        for thread in threads:
            thread.join()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise SensoradError("the worker process has no pipe")
    return stream
