"""Random faults for a log: apart from each other, of all kinds, and each of them changes something."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from naive_faults import plant_rows

from sensorad.augment.faults import FAULTS, SensorStatistics, inject, inject_random, random_faults
from sensorad.errors import TooLittleDataError, UsageError

ROWS = plant_rows(20_000, 4)
ROWS[:, 3] = 7.0
STATISTICS = SensorStatistics.fit(ROWS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_faults_do_not_touch_and_kinds_come_equally_often() -> None:
    faults = random_faults(42, 20_000, 4, STATISTICS, rng(1), gap_rows=50)
    assert len(faults) == 42
    assert faults[0].start >= 50
    assert faults[-1].start + faults[-1].length <= 20_000 - 50
    assert all(one.start + one.length + 50 <= two.start for one, two in pairwise(faults))
    assert sorted(fault.kind for fault in faults) == sorted([*FAULTS] * 3)
    assert not any(3 in fault.sensors for fault in faults), "a sensor that never moves has no fault"
    assert {fault.sign for fault in faults} == {1, -1}
    for fault in faults:
        kind = FAULTS[fault.kind]
        assert kind.low <= fault.severity <= kind.high
        assert len(fault.sensors) == (2 if fault.form == "swap" else 1)
    assert random_faults(42, 20_000, 4, STATISTICS, rng(1), gap_rows=50) == faults
    assert random_faults(42, 20_000, 4, STATISTICS, rng(2), gap_rows=50) != faults
    assert random_faults(0, 20_000, 4, STATISTICS, rng(1)) == []


def test_injected_at_random_each_fault_changes_its_sensors() -> None:
    for seed in range(4):
        faults, injected = inject_random(ROWS, 42, STATISTICS, rng(seed))
        assert len(faults) == 42
        np.testing.assert_array_equal(injected.mask, ~(injected.rows == ROWS))
        seen = np.zeros(ROWS.shape, bool)
        for fault in faults:
            rows = slice(fault.start, fault.start + fault.length)
            assert injected.mask[rows, list(fault.sensors)].any(axis=0).all(), fault
            seen[rows, list(fault.sensors)] = True
        assert not injected.mask[~seen].any()
        assert sum(fault.kind == "saturation" for fault in faults) >= 2, "drawn again rather than replaced"


def test_what_is_asked_for_is_kept() -> None:
    faults, injected = inject_random(
        ROWS, 9, STATISTICS, rng(), ("bias", "drift"), lengths=(20, 30), severities=(1.0, 2.0), sensors=[2]
    )
    assert {fault.kind for fault in faults} == {"bias", "drift"}
    assert all(20 <= fault.length <= 30 and 1 <= fault.severity <= 2 and fault.sensors == (2,) for fault in faults)
    assert not injected.mask[:, :2].any()
    again = inject(ROWS, faults, STATISTICS, rng())
    np.testing.assert_array_equal(again.rows, injected.rows)
    swaps = random_faults(30, 20_000, 4, STATISTICS, rng(), ("correlation",), sensors=[2], lengths=(10, 20))
    assert {fault.form for fault in swaps} == {"donor"}, "one sensor has no other to be swapped with"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"n": 200}, TooLittleDataError, "there are 2,000"),
        ({"n": -1}, UsageError, "not be negative"),
        ({"kinds": ()}, UsageError, "one or several"),
        ({"kinds": ("bais",)}, UsageError, "did you mean"),
        ({"lengths": (9, 3)}, UsageError, "ascending"),
        ({"severities": (0.0, 3.0)}, UsageError, "positive"),
        ({"sensors": [4]}, UsageError, "below 4"),
        ({"sensors": []}, UsageError, "no sensor"),
        ({"gap_rows": -1}, UsageError, "not be negative"),
        ({"kinds": ("stuck", "lag"), "sensors": [3]}, UsageError, "no fault of stuck, lag changes anything"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], error: type[Exception], words: str) -> None:
    settings = {"rows": ROWS[:2000], "n": 3, "statistics": STATISTICS, "generator": rng()} | change
    with pytest.raises(error, match=words):
        inject_random(**settings)


def test_short_logs_are_no_trap() -> None:
    rows = plant_rows(150, 4)
    for seed in range(20):
        faults, injected = inject_random(rows, 2, SensorStatistics.fit(rows), rng(seed), gap_rows=0, lengths=(2, 60))
        assert len(faults) == 2
        assert injected.mask.any()
