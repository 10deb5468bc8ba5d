"""Puts what recipes gave into a page between its marks, so that the text around is written once and the figures never.

A page has ``<!-- I7 -->`` where the text of I7 begins and ``<!-- end -->`` where it ends, and ``<!-- I15 fashion_mnist
-->`` for a run on another set than the first of its protocol. Links to pictures of recipes,
such as ``../figures/images/I7-roc.svg``, get the picture ``roc.svg`` of the run put where they point.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sensorad.errors import DataError, StorageError
from sensorad.logs.atomic import NewFile

from .runner import RecipeRun
from .tables import recipe_text

__all__ = ["filled", "write_page"]

END = "<!-- end -->"


def filled(text: str, runs: Sequence[RecipeRun]) -> str:
    """The page with the text of each run between its marks; recipes that it has no mark for are left out.

    Raises
    ------
    DataError
        A mark without an end.

    Examples
    --------
    >>> filled("# Page", [])
    '# Page'
    """
    for run in runs:
        begin = f"<!-- {_mark(run)} -->\n"
        if begin not in text:
            continue
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(END)
        if not mark:
            raise DataError(f"{begin.strip()} has no {END} after it", where="page")
        text = f"{before}{begin}\n{recipe_text(run)}\n\n{END}{after}"
    return text


def write_page(path: Path, runs: Sequence[RecipeRun], directory: Path) -> list[Path]:
    """Fill a page in place, and copy the pictures that it links to; returns what was written."""
    try:
        text = filled(path.read_text("utf-8"), runs)
    except OSError as error:
        raise StorageError(f"cannot read the page: {error.strerror}", where=str(path)) from error
    with NewFile(path, force=True) as temporary:
        temporary.write_text(text, "utf-8")
    written = [path]
    for run in runs:
        if run.plan.set_name != run.recipe.sets[0]:
            continue
        for link in dict.fromkeys(re.findall(rf"\]\(([^)]*/{run.recipe.name}-[^)/]+\.svg)\)", text)):
            target = (path.parent / link).resolve()
            source = run.folder(directory) / target.name.removeprefix(f"{run.recipe.name}-")
            try:
                content = source.read_bytes()
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            except OSError as error:
                raise StorageError(f"cannot put a picture of the page: {error.strerror}", where=str(source)) from error
            written.append(target)
    return written


def _mark(run: RecipeRun) -> str:
    is_first = run.plan.set_name == run.recipe.sets[0]
    return run.recipe.name if is_first else f"{run.recipe.name} {run.plan.set_name}"
