"""Point or interval: what kind of abnormality an event shows."""

from __future__ import annotations

from sensorad.events.rule import EventRule
from sensorad.types import EventKind

__all__ = ["event_kind"]


def event_kind(n_positions: int, surprising: tuple[int, int] | None, rule: EventRule) -> EventKind:
    """Kind of a scored event: "point" where a few rows explain all of it, otherwise "interval".

    The rule: an event is a **point** if all four hold,

    1. it contains rows that are abnormal in themselves (``row_surprise >= rule.surprise_level``);
    2. these rows lie, first to last, within ``rule.point_rows + rule.echo_rows`` rows: a disturbance of
       ``point_rows`` rows spoils the one-step forecasts of ``echo_rows`` more;
    3. at most ``rule.point_rows`` rows of the event come before the first of them: scores look back only, so what
       rises before the rows that should explain it is something else that builds up;
    4. the event is no longer than ``rule.point_rows + rule.window_rows`` rows, the longest that scores can remember
       such a disturbance.

    Everything else is an **interval**: a stretch that is abnormal as a whole, also where every single row
    looks normal. Kind "quality" (missing, flat or saturated sensors) is found on the rows themselves and
    never from scores, so it does not come from here.

    A fault of a few rows more than ``point_rows`` cannot be told from a point and its echo, and is called one.

    Parameters
    ----------
    n_positions
        Length of the event in rows, first to last.
    surprising
        Places of the first and the last surprising row, counted from 0 at the event's first row; None = there is none.

    Examples
    --------
    >>> event_kind(n_positions=25, surprising=(0, 3), rule=EventRule())
    'point'
    >>> event_kind(n_positions=25, surprising=(21, 24), rule=EventRule())
    'interval'
    >>> event_kind(n_positions=25, surprising=None, rule=EventRule())
    'interval'
    """
    if surprising is None:
        return "interval"
    first, last = surprising
    is_short_cause = last - first + 1 <= rule.point_rows + rule.echo_rows
    is_at_the_start = first <= rule.point_rows
    is_short_echo = n_positions <= rule.point_rows + rule.window_rows
    return "point" if is_short_cause and is_at_the_start and is_short_echo else "interval"
