"""Artefacts of every released format keep loading: one step per old version, applied in order.

To change the format: raise ``FORMAT_VERSION`` in `sensorad.artefact.contents`, add the step from the old version to
`STEPS`, and keep a small artefact of the old version among the golden ones of the tests. A step gets contents that
were verified as they lie on the disk and returns contents in the next version's meaning; the files stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from sensorad.artefact.contents import FORMAT_VERSION, ArtefactContents
from sensorad.errors import ArtefactError

__all__ = ["STEPS", "migrate"]

STEPS: dict[int, Callable[[ArtefactContents], ArtefactContents]] = {}
"""Old version -> the step to the version after it. Empty while there has been only one format."""


def migrate(contents: ArtefactContents, *, where: str) -> ArtefactContents:
    """Bring contents of an older format to the meaning of the current one.

    Raises
    ------
    ArtefactError
        No release ever wrote that version.
    """
    for version in range(contents.format_version, FORMAT_VERSION):
        step = STEPS.get(version)
        if step is None:
            raise ArtefactError(f"format {version} was never released", where=where, hint="the file is damaged")
        contents = step(contents)
    return contents
