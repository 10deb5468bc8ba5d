"""The mildest severity that is found often enough, by bisection: all sensors and kinds side by side, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sensorad.detectability.trials import Outcome

__all__ = ["HALF", "MOST", "Search", "mildest_found"]

HALF, MOST = 0.5, 0.9
"""Shares of the places at which a fault must be found."""


@dataclass(slots=True)
class Search:
    """What is known of one kind at one sensor.

    Attributes
    ----------
    n_severities
        Length of the grid.
    least
        Places at which a fault must change something for its share to count.
    outcomes
        By position in the grid, mildest first.
    """

    n_severities: int
    least: int
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def next(self) -> int | None:
        """The severity to try next; None once both limits are known."""
        for share in (HALF, MOST):
            high = mildest_found(self.outcomes, share, self.least)
            high = self.n_severities if high is None else high
            low = max((position for position in self.outcomes if position < high), default=-1)
            if high - low > 1:
                return (low + high) // 2
        return None


def mildest_found(outcomes: Mapping[int, Outcome], share: float, least: int) -> int | None:
    """The mildest that was found in that share of at least so many places, as every worse one that was tried.

    Examples
    --------
    >>> mildest_found({4: Outcome(10, 2), 6: Outcome(10, 9), 8: Outcome(10, 10)}, share=0.5, least=3)
    6
    """
    found = None
    for position in sorted(outcomes, reverse=True):
        if outcomes[position].n < least or outcomes[position].share < share:
            break
        found = position
    return found
