"""Point or interval: what kind of abnormality an event shows."""

from __future__ import annotations

from sensorad.events.rule import EventRule
from sensorad.types import EventKind

__all__ = ["event_kind"]


def event_kind(n_positions: int, n_surprising: int, rule: EventRule) -> EventKind:
    """Kind of a scored event: "point" where a few rows explain all of it, otherwise "interval".

    The rule: an event is a **point** if all three hold,

    1. it contains rows that are abnormal in themselves (``row_surprise >= rule.surprise_level``);
    2. these rows lie, first to last, within ``rule.point_rows + rule.echo_rows`` rows: a disturbance of
       ``point_rows`` rows spoils the one-step forecasts of ``echo_rows`` more;
    3. the event is no longer than ``rule.point_rows + rule.window_rows`` rows, the longest that the windows
       containing such a disturbance can last.

    Everything else is an **interval**: a stretch that is abnormal as a whole, also where every single row
    looks normal. Kind "quality" (missing, stuck or saturated sensors) is found on the rows themselves and
    never from scores, so it does not come from here.

    Parameters
    ----------
    n_positions
        Length of the event in rows, first to last.
    n_surprising
        Rows from the first surprising row to the last, both included; 0 = there is none.

    Examples
    --------
    >>> event_kind(n_positions=25, n_surprising=4, rule=EventRule())
    'point'
    >>> event_kind(n_positions=25, n_surprising=0, rule=EventRule())
    'interval'
    """
    is_short_cause = 1 <= n_surprising <= rule.point_rows + rule.echo_rows
    is_short_echo = n_positions <= rule.point_rows + rule.window_rows
    return "point" if is_short_cause and is_short_echo else "interval"
