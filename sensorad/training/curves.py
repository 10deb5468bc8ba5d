"""The loss curve as a picture: plain SVG text that stands in a report or alone, in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sensorad.training.record import TrainingRecord

__all__ = ["loss_curve_svg"]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 44
LOG_FROM_RATIO = 10.0
"""Losses that span more than this are drawn on a logarithmic axis; else the last epochs look flat."""

STYLE = """
.loss-curve{--lc-ink:#1f2933;--lc-faint:#d5dbe1;--lc-train:#2a6fdb;--lc-validation:#c2570c;max-width:100%;height:auto;
font:13px system-ui,sans-serif}
@media (prefers-color-scheme:dark){
.loss-curve{--lc-ink:#e6e9ec;--lc-faint:#4a5560;--lc-train:#7fb0ff;--lc-validation:#ffa65c}}
.loss-curve text{fill:var(--lc-ink)}.loss-curve .grid{stroke:var(--lc-faint)}
.loss-curve polyline{fill:none;stroke-width:2}.loss-curve .end{text-anchor:end}.loss-curve .middle{text-anchor:middle}
.loss-curve .train{stroke:var(--lc-train)}.loss-curve .validation{stroke:var(--lc-validation)}
.loss-curve circle{stroke-width:2;fill:none}
"""


def loss_curve_svg(record: TrainingRecord) -> str:
    """Training and validation loss over the epochs, the kept epoch marked; one self-contained ``<svg>``.

    Examples
    --------
    >>> record = TrainingRecord((0.9, 0.5), (1.0, 0.7), (0.1, 0.1), 2, "epochs", 640, 128, 10, 474)
    >>> loss_curve_svg(record).startswith("<svg")
    True
    """
    curves = {"train": record.train_losses, "validation": record.validation_losses}
    losses = [loss for curve in curves.values() for loss in curve]
    axis = _Axis(min(losses), max(losses))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="loss-curve" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">',
        f"<title>Loss per epoch</title><desc>{escape(_summary(record))}</desc><style>{STYLE}</style>",
    ]
    for tick in axis.ticks():
        y = axis.position(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 8}" y="{y + 4:.1f}">{tick:.3g}</text>')
    for epoch in _epoch_ticks(record.n_epochs):
        x = _across(epoch, record.n_epochs)
        parts.append(f'<text class="middle" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}">{epoch}</text>')
    parts.append(f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">epoch</text>')
    x = LEFT
    for name, curve in curves.items():
        if curve:
            points = [(_across(at, len(curve)), axis.position(loss)) for at, loss in enumerate(curve, 1)]
            parts.append(_line(name, points))
            parts.append(f'<line class="{name}" stroke-width="3" x1="{x}" x2="{x + 22}" y1="20" y2="20"/>')
            parts.append(f'<text x="{x + 28}" y="24">{name} loss</text>')
            x += 130
    kept = "validation" if record.validation_losses else "train"
    x_kept = _across(record.best_epoch, record.n_epochs)
    y_kept = axis.position(curves[kept][record.best_epoch - 1])
    parts.append(f'<circle class="{kept}" cx="{x_kept:.1f}" cy="{y_kept:.1f}" r="5"/>')
    parts.append(f'<text class="end" x="{WIDTH - RIGHT}" y="24">kept: epoch {record.best_epoch}</text></svg>')
    return "\n".join(parts)


class _Axis:
    """The vertical axis: a loss to a height in the picture, linear or logarithmic."""

    def __init__(self, low: float, high: float) -> None:
        self._is_log = low > 0.0 and high / low > LOG_FROM_RATIO
        if high <= low:
            low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
        margin = 0.04 * (self._scale(high) - self._scale(low))
        self._low, self._high = self._scale(low) - margin, self._scale(high) + margin

    def _scale(self, loss: float) -> float:
        return math.log10(loss) if self._is_log else loss

    def position(self, loss: float) -> float:
        share = (self._scale(loss) - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    def ticks(self) -> Sequence[float]:
        """Round losses inside the axis: 1-2-5 steps, or 1-2-5 of each power of ten."""
        if self._is_log:
            powers = range(math.floor(self._low), math.ceil(self._high) + 1)
            steps = (1, 2, 5) if self._high - self._low < 3 else (1,)
            rounds = [step * 10.0**power for power in powers for step in steps]
            return [tick for tick in rounds if self._low <= math.log10(tick) <= self._high]
        step = _round_step((self._high - self._low) / 6)
        return [at * step for at in range(math.ceil(self._low / step), math.floor(self._high / step) + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1.0, 2.0, 5.0) if factor * power >= rough), 10.0 * power)


def _epoch_ticks(n_epochs: int) -> list[int]:
    step = max(1, int(_round_step(n_epochs / 10))) if n_epochs > 10 else 1
    return sorted({1, *range(step, n_epochs + 1, step)})


def _across(epoch: int, n_epochs: int) -> float:
    share = 0.5 if n_epochs == 1 else (epoch - 1) / (n_epochs - 1)
    return LEFT + 12 + share * (WIDTH - RIGHT - LEFT - 24)


def _line(name: str, points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:
        return f'<circle class="{name}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>'
    return f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _summary(record: TrainingRecord) -> str:
    text = f"{record.n_epochs} epochs, training loss {record.train_losses[0]:.4g} to {record.train_losses[-1]:.4g}"
    if record.validation_losses:
        text += f", validation loss {record.validation_losses[record.best_epoch - 1]:.4g} at the kept epoch"
    return f"{text}; weights of epoch {record.best_epoch} kept; stopped because: {record.stopped_because}"
