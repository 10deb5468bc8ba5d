"""What a command that computes for long settles for its own process, before NumPy is loaded."""

from __future__ import annotations

import os
import sys

__all__ = ["settle"]

KEPT_BYTES = 2**26
"""Memory that is freed is kept for the next block up to so much, instead of going back and forth to the system."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of the GNU C library's mallopt


def settle() -> None:
    """One thread for matrix products, unless the environment says otherwise, and freed memory kept for reuse.

    Products of a block are small: on a machine that does other things as well, threads that wait for each other cost
    many times what they gain. Blocks of one size come and go: giving their memory back takes a fifth of the time.
    """
    if "numpy" not in sys.modules:  # whose libraries read the environment once, when they are loaded
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import ctypes

    try:
        tune = getattr(ctypes.CDLL(None), "mallopt", None)
    except (OSError, TypeError):  # no such library by that name
        return
    if tune is not None:
        tune(TRIM_THRESHOLD, KEPT_BYTES)
        tune(MMAP_THRESHOLD, KEPT_BYTES)
