"""The fenced blocks of a Markdown file, and how each of them is run.

``python`` blocks of one file share one namespace and run in order; ``bash`` blocks are scripts; ``console`` blocks are
sessions, of which the lines after ``$ `` (and ``> `` for their continuation) are run and the printed ones are not.
All run in one directory, so a later block finds what an earlier one wrote. Two comments, on the line above a block,
change that::

    <!-- norun: builds the environment that is already there -->
    <!-- needs: SENSORAD_DATA -->
"""

from __future__ import annotations

import doctest
import os
import re
import signal
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = ("python", "bash", "console")
SHOWN = ("text", "json", "toml", "csv", "ini", "html", "mermaid", "makefile", "markdown")

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})[ \t]*(?P<language>[^`\s]*)[^`]*$")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<key>[a-z]+)\s*:(?P<value>.*?)-->\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block: ``line`` is that of its first line of text, counted from 1."""

    path: Path
    line: int
    language: str
    text: str
    norun: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return f"{self.path.name}:{self.line}"

    @property
    def missing(self) -> list[str]:
        """The environment variables that the block needs and that are not set."""
        return [name for name in self.needs if not os.environ.get(name)]


def blocks_of(path: Path) -> list[Block]:
    """All fenced blocks of a file; raises ValueError where a fence or a comment above it is not understood."""
    return list(_blocks(path, path.read_text(encoding="utf-8").splitlines()))


def _blocks(path: Path, lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        first = number
        closing = re.compile(rf"^[ \t]*{re.escape(fence['ticks'][0])}{{{len(fence['ticks'])},}}[ \t]*$")
        while number < len(lines) and not closing.match(lines[number]):
            number += 1
        if number == len(lines):
            raise ValueError(f"{path.name}:{first}: the block is never closed")
        language = fence["language"]
        if language not in RUN + SHOWN:
            raise ValueError(f"{path.name}:{first}: {language!r} is none of {', '.join(RUN + SHOWN)}")
        text = textwrap.dedent("\n".join(lines[first:number])) + "\n"
        yield Block(path, first + 1, language, text, **_comments_above(path, lines, first - 1))
        number += 1


def _comments_above(path: Path, lines: list[str], fence: int) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    while fence > 0 and (comment := _COMMENT.match(lines[fence - 1])):
        fence -= 1
        key, value = comment["key"], comment["value"].strip()
        if key not in ("norun", "needs") or not value or key in marks:
            raise ValueError(f"{path.name}:{fence + 1}: expected one 'norun: reason' or 'needs: VARIABLE'")
        marks[key] = value if key == "norun" else tuple(value.replace(",", " ").split())
    return marks


def run_blocks(blocks: list[Block], folder: Path, *, seconds: float) -> list[Block]:
    """Run the blocks of one file in ``folder``; returns those left out because a variable is not set."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    left_out = []
    for block in blocks:
        if block.norun is not None or block.language in SHOWN:
            continue
        if block.missing:
            left_out.append(block)
        elif block.language == "python":
            _run_python(block, namespace, seconds)
        else:
            _run_shell(block, folder, seconds)
    return left_out


def _run_python(block: Block, namespace: dict[str, Any], seconds: float) -> None:
    with _alarm(block, seconds):
        if block.text.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block.text, namespace, block.place, str(block.path), block.line)
            runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
            runner.run(test, clear_globs=False)
            namespace.update(test.globs)
            return
        # empty lines in front make the line numbers of a traceback those of the document
        code = compile("\n" * (block.line - 1) + block.text, str(block.path), "exec", dont_inherit=True)
        exec(code, namespace)  # noqa: S102 - running the documents is what this is for


def _run_shell(block: Block, folder: Path, seconds: float) -> None:
    script = block.text if block.language == "bash" else console_script(block.text)
    if not script.strip():
        raise AssertionError(f"{block.place}: no line starts with '$ ', so there is nothing to run")
    environment = dict(os.environ)
    # not resolved: the link in the environment's folder is the one beside the command `sensorad`
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{block.place}: exit code {done.returncode}\n{script}\n{done.stdout[-4000:]}")


def console_script(text: str) -> str:
    """The commands of a console session, without prompts and without what they printed.

    >>> console_script("$ ls \\\\\\n>   -l\\ntotal 0\\n$ pwd\\n/tmp\\n")
    'ls \\\\\\n  -l\\npwd\\n'
    """
    commands = []
    is_command = False
    for line in text.splitlines():
        is_command = line.startswith("$ ") or (is_command and line.startswith("> "))
        if is_command:
            commands.append(line[2:] + "\n")
    return "".join(commands)


@contextmanager
def _alarm(block: Block, seconds: float) -> Iterator[None]:
    def on_alarm(number: int, frame: types.FrameType | None) -> None:
        raise TimeoutError(f"{block.place}: still running after {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
