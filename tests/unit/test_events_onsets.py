"""Onsets: which sensor took part from when on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import cut, make_block, naive_onset

from sensorad.events import EventBuilder, EventRule
from sensorad.events.draft import ONSET_SHARE
from sensorad.types import Event, ScoreBlock

NAMES = ("S0", "S1", "S2", "S3")
SECOND = 10**9


def _block(score: list[float], named: list[dict[int, float]]) -> ScoreBlock:
    """Scores with the shares of the sensors that each row names."""
    block = make_block(score)
    for row, shares in enumerate(named):
        for k, (sensor, share) in enumerate(sorted(shares.items(), key=lambda pair: -pair[1])):
            block.top_sensors[row, k], block.top_shares[row, k] = sensor, share
            block.top_expected[row, k], block.top_actual[row, k] = row, k
    return block


def _events(blocks: list[ScoreBlock], **settings_: object) -> list[Event]:
    builder = EventBuilder(NAMES, 1.0, EventRule(**settings_))
    return [event for block in blocks for event in builder.update(block)] + builder.finish()


def _onsets(event: Event) -> dict[str, int]:
    return {name: onset // SECOND for name, onset in zip(event.sensors, event.onsets, strict=True)}


def test_a_fault_that_spreads_shows_the_order_in_which_it_did():
    named = [{0: 0.9, 1: 0.05}, {0: 0.7, 1: 0.2}, {1: 0.7, 0: 0.2}, {1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.5}]
    [event] = _events([_block([2.0, 2.0, 3.0, 9.0, 9.0], named)])
    assert event.sensors == ("S1", "S2", "S0")  # by blame
    assert _onsets(event) == {"S0": 0, "S1": 1, "S2": 3}  # by time


def test_a_share_counts_from_a_fifth_on():
    assert ONSET_SHARE == 0.2
    below = float(np.nextafter(np.float32(ONSET_SHARE), np.float32(0)))
    [event] = _events([_block([2.0] * 3, [{0: 0.6, 1: below}, {0: 0.6, 1: ONSET_SHARE}, {0: 1.0}])])
    assert _onsets(event) == {"S0": 0, "S1": 1}


def test_a_sensor_that_never_has_such_a_share_begins_where_it_is_first_named():
    [event] = _events([_block([2.0] * 4, [{0: 1.0}, {0: 0.9, 3: 0.04}, {0: 0.9, 3: 0.1}, {0: 1.0}])])
    assert _onsets(event) == {"S0": 0, "S3": 1}


def test_only_rows_of_the_event_count():
    named = [{1: 1.0}, {0: 1.0}, {2: 1.0}, {1: 1.0}]
    [event] = _events([_block([0.9, 2.0, 0.1, 2.0], named)], merge_gap_rows=1)
    assert _onsets(event) == {"S0": 1, "S1": 3}


def test_every_event_has_its_own():
    named = [{0: 1.0}, {}, {1: 1.0}, {0: 1.0}]
    first, second = _events([_block([2.0, 0.1, 2.0, 2.0], named)], merge_gap_rows=0)
    assert (_onsets(first), _onsets(second)) == ({"S0": 0}, {"S0": 3, "S1": 2})


def test_an_event_without_blame_has_none():
    [event] = _events([make_block([2.0, 2.0])])
    assert event.onsets == event.sensors == ()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 30), st.lists(st.integers(1, 29), max_size=6))
def test_cuts_change_nothing_and_the_slow_twin_agrees(seed, n_rows, cuts):
    rng = np.random.default_rng(seed)
    named = [
        dict(zip(rng.permutation(4)[: rng.integers(0, 5)].tolist(), rng.uniform(0, 0.4, 4).tolist(), strict=False))
        for _ in range(n_rows)
    ]
    block = _block(rng.choice([0.9, 2.0, 3.0], n_rows).tolist(), named)
    whole = _events([block])
    assert _events(cut(block, [c for c in cuts if c < n_rows])) == whole
    assert _events([block.take(slice(i, i + 1)) for i in range(n_rows)]) == whole
    for event in whole:
        rows = [i for i in range(n_rows) if event.start <= block.time[i] <= event.end]
        assert list(event.onsets) == [naive_onset(block, rows, NAMES.index(name)) for name in event.sensors]
        assert all(event.start <= onset <= event.end for onset in event.onsets)


@pytest.mark.parametrize("n_machines", [1, 3])
def test_machines_do_not_mix(n_machines):
    group = list(np.arange(12) % n_machines)
    block = make_block([2.0] * 12, group=group, group_names=tuple("abc"[:n_machines]))
    block.top_sensors[:, 0], block.top_shares[:, 0] = group, 1.0
    events = _events([block])
    assert [event.onsets for event in events] == [(machine * SECOND,) for machine in range(n_machines)]
