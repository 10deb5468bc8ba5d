"""What the head of exposure shares between torch, where it is trained, and NumPy, where it works."""

from __future__ import annotations

__all__ = ["LARGEST_NUMBERS", "PULL"]

LARGEST_NUMBERS = 3
"""A sensor is as odd as the mean of so many of its largest numbers: one alone is often chance."""

PULL = 3.0
"""How strongly weights are held at 1. Of 0, 0.03, 0.3 and 3 the last is best on kinds of faults that were left out."""
