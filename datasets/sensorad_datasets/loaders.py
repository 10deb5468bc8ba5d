"""All benchmark sets by name: which series they have, and each series in one common shape."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sensorad.errors import StorageError, UsageError

from . import sets_process, sets_rigs, sets_small, sets_telemetry
from .images.sets import IMAGE_SETS
from .series import BenchmarkSeries
from .storage import SetFolder

__all__ = ["SET_NAMES", "list_series", "load_series"]


@dataclass(frozen=True, slots=True)
class _Loader:
    series: Callable[[SetFolder], list[str]]
    load: Callable[[SetFolder, str], BenchmarkSeries]
    unlisted: tuple[str, ...] = ()  # can be loaded but has nothing to detect


_LOADERS = {
    "skab": _Loader(sets_rigs.skab_series, sets_rigs.load_skab, ("anomaly-free/anomaly-free",)),
    "tep": _Loader(sets_process.tep_series, sets_process.load_tep),
    "batadal": _Loader(sets_process.batadal_series, sets_process.load_batadal),
    "hydraulic": _Loader(sets_rigs.hydraulic_series, sets_rigs.load_hydraulic),
    "smd": _Loader(sets_telemetry.split_series, sets_telemetry.load_smd),
    "asd": _Loader(sets_telemetry.split_series, sets_telemetry.load_asd),
    "msl": _Loader(sets_telemetry.split_series, sets_telemetry.load_msl),
    "smap": _Loader(sets_telemetry.split_series, sets_telemetry.load_smap),
    "nab": _Loader(sets_small.nab_series, sets_small.load_nab),
    "ucr_sample": _Loader(sets_small.ucr_series, sets_small.load_ucr),
    "cmapss_fd001": _Loader(sets_process.cmapss_series, sets_process.load_cmapss),
    "cwru": _Loader(sets_rigs.cwru_series, sets_rigs.load_cwru),
    "ai4i2020": _Loader(sets_small.ai4i_series, sets_small.load_ai4i),
}

SET_NAMES: tuple[str, ...] = tuple(_LOADERS)
"""Sets that can be loaded; each is a folder of this name below the data root."""


def list_series(set_name: str, root: str | Path | None = None) -> list[str]:
    """The series of a set that are in the data folder, in natural order.

    Raises
    ------
    UsageError
        Where no set has that name.
    StorageError
        Where no data folder is known or the set is not in it.
    """
    loader, folder = _open(set_name, root)
    return loader.series(folder)


def load_series(set_name: str, series: str, root: str | Path | None = None) -> BenchmarkSeries:
    """One series, split into training and test part as the set's protocol says (see its loader and ``notes``).

    Parameters
    ----------
    set_name
        One of `SET_NAMES`.
    series
        One of `list_series`.
    root
        Folder with one sub-folder a set; by default what the variable SENSORAD_DATA names.

    Raises
    ------
    UsageError
        Where no set has that name.
    StorageError
        Where the data folder, the set or the series is missing.
    DataError
        Where a file's sha256 differs from the one in the set's SHA256SUMS.
    """
    loader, folder = _open(set_name, root)
    known = loader.series(folder)
    if series not in known and series not in loader.unlisted:
        close = difflib.get_close_matches(series, known, n=3) or known[:3]
        raise StorageError(
            f"{set_name} has no series {series!r} here",
            where=str(folder.path),
            hint=f"there is {', '.join(close)}, ...",
        )
    return loader.load(folder, series)


def _open(set_name: str, root: str | Path | None) -> tuple[_Loader, SetFolder]:
    if set_name in IMAGE_SETS:
        raise UsageError(
            f"{set_name!r} is a set of images and has no series",
            hint=f"sensorad_datasets.images.load_images({set_name!r})",
        )
    if set_name not in _LOADERS:
        close = difflib.get_close_matches(set_name, SET_NAMES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(SET_NAMES)}"
        raise UsageError(f"unknown data set {set_name!r}", hint=hint)
    return _LOADERS[set_name], SetFolder.open(set_name, root)
