"""Where words go: results to stdout, everything else to stderr, progress only to a terminal.

A run ends in one `Output.summary`: lines for people on stderr, or with ``--json`` one object on stdout.
A command whose answer is text (``inspect``, ``data list``) ends in `Output.result`, which is stdout both ways.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sensorad_cli.failures import OutputClosed, one_line

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output", "Progress", "plain"]

STEP_WIDTH = 11  # characters; the steps of a story stand in one column although they are written one by one

Progress = Callable[[str, float | None], None]
"""Called with the stage in words and the fraction done of it, in [0, 1]; None where the end is not known."""


@dataclass
class Output:
    """How one run of the program speaks.

    ``verbosity`` is negative for ``-q`` (errors only), 0 by default, positive for ``-v``. ``stdout_is_data`` is
    set by a command that writes a table to stdout, so that a JSON summary then goes to stderr.
    """

    verbosity: int = 0
    as_json: bool = False
    config: str | None = None
    stdout_is_data: bool = False
    _live: Console | None = field(default=None, init=False, repr=False)

    def note(self, text: str) -> None:
        """One line for people, on stderr."""
        if self.verbosity >= 0:
            self._console().print(one_line(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that starts with ``warning:``, on stderr."""
        if self.verbosity >= 0:
            self._console().print(f"warning: {one_line(text)}", style="yellow")

    def detail(self, text: str) -> None:
        """One line on stderr for those who asked for more with ``-v``."""
        if self.verbosity > 0:
            self._console().print(one_line(text), style="dim")

    def trace(self, error: BaseException) -> None:
        """The traceback, for those who asked for more with ``-v``."""
        if self.verbosity > 0:
            sys.stderr.write("".join(traceback.format_exception(error)))

    def step(self, headline: str, text: str) -> None:
        """One step of a story on stderr: a short headline, then what came of it."""
        if self.verbosity >= 0:
            self.lines("", [(headline, text)], width=STEP_WIDTH)

    def summary(self, title: str, rows: Sequence[tuple[str, str]], data: Mapping[str, Any]) -> None:
        """The end of a run: aligned lines on stderr, or one JSON object on stdout."""
        if self.as_json:
            self._write(_dump(data), sys.stderr if self.stdout_is_data else sys.stdout)
        elif self.verbosity >= 0:
            self.lines(title, rows, console=self._console())

    def result(self, title: str, rows: Sequence[tuple[str, str]], data: Any) -> None:
        """The answer itself, on stdout: aligned lines, or JSON."""
        if self.as_json:
            self._write(_dump(data), sys.stdout)
        else:
            self.lines(title, rows, console=self._console(stderr=False))

    def lines(
        self, title: str, rows: Sequence[tuple[str, str]], *, console: Console | None = None, width: int = 0
    ) -> None:
        """A bold title and one aligned line for each (label, value); wrapped in columns on a terminal only."""
        from rich.table import Table
        from rich.text import Text

        console = console or self._console()
        width = max([width, *(len(one_line(label)) for label, _ in rows)])
        try:
            if title:
                console.print(Text(one_line(title), style="bold"))
            if console.is_terminal:
                grid = Table.grid(padding=(0, 2))
                grid.add_column(min_width=width + 2, style="dim", no_wrap=True)
                for label, value in rows:
                    grid.add_row(f"  {one_line(label)}", Text(one_line(value)))
                console.print(grid, soft_wrap=False)
                return
            for label, value in rows:
                console.print(f"  {one_line(label):<{width}}  {one_line(value)}")
        except BrokenPipeError as error:
            raise OutputClosed from error

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A callable that draws a bar on stderr, and draws nothing where stderr is no terminal."""
        if self.verbosity < 0 or not sys.stderr.isatty():
            yield lambda stage, fraction: None
            return
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
        )
        self._live = self._console()  # lines written meanwhile must go above the bar, not through it
        with Bar(*columns, console=self._live, transient=True) as bar:
            tasks: dict[str, Any] = {}

            def advance(stage: str, fraction: float | None) -> None:
                if stage not in tasks:
                    for done in tasks.values():
                        bar.update(done, visible=False)
                    tasks[stage] = bar.add_task(one_line(stage), total=None if fraction is None else 1.0)
                if fraction is not None:
                    bar.update(tasks[stage], total=1.0, completed=min(max(fraction, 0.0), 1.0))

            try:
                yield advance
            finally:
                self._live = None

    def _write(self, text: str, stream: Any) -> None:
        try:
            stream.write(text + "\n")
            stream.flush()
        except BrokenPipeError as error:
            raise OutputClosed from error

    def _console(self, *, stderr: bool = True) -> Console:
        if stderr and self._live is not None:
            return self._live
        from rich.console import Console

        return Console(stderr=stderr, soft_wrap=True, markup=False, highlight=False, emoji=False)


def plain(value: Any) -> Any:
    """The value as strict JSON knows it: no NaN, no infinity (both null), no numpy types, keys as text.

    Examples
    --------
    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)


def _dump(data: Any) -> str:
    return json.dumps(plain(data), indent=2, allow_nan=False)
