"""One line for all rows or one for each mode: scores on one scale, and never above it by rounding."""

from __future__ import annotations

import numpy as np
import pytest

from sensorad.alarm_line import AlarmLine
from sensorad.errors import UsageError


def test_scores_alarm_exactly_where_they_exceed_the_line_of_their_mode() -> None:
    draws = np.random.default_rng(0)
    lines = draws.uniform(0.1, 50.0, size=200)
    names = [f"m{i}" for i in range(200)]
    line = AlarmLine(float(draws.uniform(1, 5)), dict(zip(names, lines.tolist(), strict=True)))
    mode = np.arange(200, dtype=np.int32)
    assert not (line.comparable(lines, mode, names) > line.threshold).any(), "on the line is not above it"
    assert (line.comparable(np.nextafter(lines, np.inf), mode, names) > line.threshold).all()
    np.testing.assert_allclose(line.comparable(3 * lines, mode, names), 3 * line.threshold, rtol=1e-15)
    assert np.isnan(line.comparable(np.array([np.nan]), mode[:1], names)).all()


def test_modes_without_a_line_and_logs_without_modes_keep_their_scores() -> None:
    score = np.array([1.0, 2.5, np.nan])
    line = AlarmLine(2.0, {"idle": 4.0})
    mode = np.array([1, 1, 0], np.int32)
    np.testing.assert_array_equal(line.comparable(score, mode, ("idle", "new")), score)
    assert line.comparable(score, None, ()) is score
    assert AlarmLine(2.0).comparable(score, mode, ("idle", "new")) is score


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_lines_must_be_positive_and_finite(bad: float) -> None:
    with pytest.raises(UsageError, match="positive and finite"):
        AlarmLine(bad)
    with pytest.raises(UsageError, match="positive and finite"):
        AlarmLine(1.0, {"idle": bad})
