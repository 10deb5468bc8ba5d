"""What scored rows give rise to, collected in one pass: events, quality events, a word on the calibration."""

from __future__ import annotations

from typing import Any

from sensorad.events import EventBuilder, QualityMonitor
from sensorad.events.state_parts import misfit, part_in
from sensorad.monitoring import CalibrationMonitor, StaleVerdict
from sensorad.types import Event, RowBlock, ScoreBlock

__all__ = ["Findings"]


class Findings:
    """Feeds blocks of scores, and of the rows behind them, to all that look at them.

    What comes out does not depend on how the rows are cut into blocks. Stored scores come without rows: there are no
    quality events then.

    Parameters
    ----------
    builder
        Of process events.
    quality
        Of events about the data; None = nobody asks.
    monitor
        Whether the calibration still describes normal operation; None where the calibration keeps no baseline.

    Attributes
    ----------
    stale : StaleVerdict or None
        After `finish`.
    """

    def __init__(
        self, builder: EventBuilder, quality: QualityMonitor | None = None, monitor: CalibrationMonitor | None = None
    ) -> None:
        self._builder = builder
        self._quality = quality
        self._monitor = monitor
        self.stale: StaleVerdict | None = None

    def update(self, scores: ScoreBlock, rows: RowBlock | None = None) -> list[Event]:
        """Events that this block closes; each machine's rows in time order."""
        events = self._builder.update(scores)
        if self._monitor is not None:
            level = self._builder.line.comparable(scores.score, scores.mode, scores.mode_names)
            self._monitor.update(scores, level, events)
        if self._quality is not None and rows is not None:
            events = [*events, *self._quality.update(rows, scores)]
        return events

    def finish(self) -> list[Event]:
        """Events still open at the end of the log, which is over after this."""
        events = self._builder.finish()
        if self._monitor is not None:
            self.stale = self._monitor.finish(events)
        return [*events, *([] if self._quality is None else self._quality.finish())]

    def state(self) -> dict[str, Any]:
        """What all parts remember, for a run that goes on later: plain values and NumPy arrays."""
        return {
            "builder": self._builder.state(),
            "quality": None if self._quality is None else self._quality.state(),
            "monitor": None if self._monitor is None else self._monitor.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, with parts of the same settings.

        Raises
        ------
        ArtefactError
            The state is damaged, or its parts are others than those here.
        """
        for name, part in (("quality", self._quality), ("monitor", self._monitor)):
            if name not in state or (state[name] is None) != (part is None):
                raise misfit(f"the part {name!r} is {'there' if state.get(name) is not None else 'missing'}")
        self._builder.restore(part_in(state, "builder"))
        if self._quality is not None:
            self._quality.restore(part_in(state, "quality"))
        if self._monitor is not None:
            self._monitor.restore(part_in(state, "monitor"))
