"""What a command that computes for long settles for its own process, before NumPy is loaded."""

from __future__ import annotations

import os
import sys

__all__ = ["settle"]


def settle() -> None:
    """One thread for matrix products, unless the environment says otherwise.

    Products of a block are small: on a machine that does other things as well, threads that wait for each other cost
    many times what they gain.
    """
    if "numpy" not in sys.modules:  # whose libraries read the environment once, when they are loaded
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
