"""A process that runs tasks: ``python -m sensorad_datasets.bench.worker``, one JSON line in, one out, for each.

Its thread counts come from the environment that it is started with, which is the only place from which the linear
algebra below numpy and torch reads them in time.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, TextIO

from sensorad.errors import SensoradError

from .store import plain
from .tasks import Task, run_task

__all__ = ["answer", "serve"]


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until they end."""
    for line in requests:
        replies.write(json.dumps(plain(answer(json.loads(line))), allow_nan=False) + "\n")
        replies.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The rows of the requested task, or in one line why there are none."""
    try:
        return {"rows": run_task(Task.from_json(request["task"]), request["root"])}
    except SensoradError as error:
        return {"failure": f"[{error.code}] {error}"}
    except Exception as error:  # a fault in one method must not end the others; it is reported and counted
        return {"failure": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    replies = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # whatever prints must not end up among the replies
        serve(sys.stdin, replies)
