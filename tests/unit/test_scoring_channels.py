"""Networks that say more of a window than how they rebuild it, members of ensembles, and the evidence of both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.data import TimeGrid
from sensorad.error_models import SensorErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.scoring import FusedScheme

LENGTH, C = 6, 3


class Telling(nn.Module):
    """Rebuilds half of a window, measures absolute errors, and has the largest and the mean cell as channels."""

    n_channels = 2

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x

    def read(self, x: Tensor, gate: float) -> tuple[Tensor, Tensor, Tensor]:
        channels = torch.stack([x.abs().amax((1, 2)), x.mean((1, 2))], dim=1)
        return self(x), (x - gate * self(x)).abs(), channels


def _rows(n_rows: int = 80, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.sin(np.arange(n_rows)[:, None] / 5 + np.arange(C)) + 0.1 * rng.normal(size=(n_rows, C))).astype("f4")


def _errors(model: NetworkErrors, rows: np.ndarray) -> SensorErrors:
    return model.errors(rows, np.ones(rows.shape, bool), np.arange(len(rows)) * 10**9)


def _linear() -> tuple[WindowPCA, RidgeAutoregression]:
    return WindowPCA.fit([_rows()], LENGTH, 0.9), RidgeAutoregression.fit([_rows()], 2, 1.0)


def test_a_network_alone_is_scored_by_its_own_measure_and_channels() -> None:
    rows = _rows()
    found = _errors(NetworkErrors(TorchWindows(Telling()), 1.0, LENGTH, None, None), rows)
    for row in (LENGTH - 1, 40, 79):
        window = rows[row - LENGTH + 1 : row + 1]
        np.testing.assert_allclose(found.window[row], np.abs(0.5 * window).mean(axis=0), rtol=1e-6)
        assert found.channels is not None
        np.testing.assert_allclose(found.channels[row], [np.abs(window).max(), window.mean()], rtol=1e-5, atol=1e-7)
    assert np.isnan(found.channels[: LENGTH - 1]).all()


@pytest.mark.parametrize("gate", [0.0, 0.7])
def test_on_a_grid_channels_hold_until_the_next_reading(gate: float) -> None:
    rows = _rows()
    pca, autoregression = _linear()
    model = NetworkErrors(
        TorchWindows(Telling()), gate, LENGTH, pca, autoregression, TimeGrid.of_rows(4, 1.0), read_every=4
    )
    found = _errors(model, rows)
    assert found.channels is not None
    for row in range(8, 80):
        read = row - row % 4
        left = rows[read - LENGTH + 1 : read + 1] - pca.reconstruct(rows[None, read - LENGTH + 1 : read + 1])[0]
        np.testing.assert_allclose(found.channels[row, 0], np.abs(left).max(), rtol=1e-5)
        factor = (np.abs(left - gate * 0.5 * left).mean(axis=0) + 1e-8) / ((left**2).mean(axis=0) + 1e-8)
        np.testing.assert_allclose(found.window[row], found.linear[row] * factor, rtol=1e-4)


def _parts(seed: int, level: float = 1.0) -> SensorErrors:
    rng = np.random.default_rng(seed)
    size = (400, C)
    members = rng.exponential(size=(400, 3, C)) * level
    return SensorErrors(
        window=np.median(members, axis=1),
        newest=rng.normal(size=size),
        expected=np.zeros(size, np.float32),
        step=np.full(size, np.nan),
        linear=np.median(members, axis=1),
        members=members,
        channels=rng.normal(size=(400, 2)),
    )


def test_members_speak_by_the_median_of_their_evidence_and_channels_may_only_raise_it() -> None:
    scheme = FusedScheme.fit([_parts(0), _parts(1)], np.full(C, 1e-3))
    new = _parts(2, 2.0)
    assert new.channels is not None
    new.channels[50] += 4.0
    found = scheme.evidence(new).score
    assert new.members is not None
    own = [member.evidence(new.members[:, at]) for at, member in enumerate(scheme.members)]
    for row, is_raised in ((50, True), (399, False)):
        total, few = (float(np.median([part[name][row] for part in own])) for name in ("total", "few"))
        others = [float(tail.evidence(new.channels[row : row + 1, at])[0]) for at, tail in enumerate(scheme.channels)]
        mean, guarded = (0.5 * total + few) / 1.5, 0.5 * sum(others) / 2
        assert (guarded > mean) == is_raised
        assert found[row] == pytest.approx(max(mean, guarded), rel=1e-12)


def test_a_scheme_with_members_and_channels_comes_back_from_its_arrays() -> None:
    scheme = FusedScheme.fit([_parts(0)], np.full(C, 1e-3))
    again = FusedScheme.from_arrays(scheme.to_arrays())
    assert (len(again.members), len(again.channels)) == (3, 2)
    new = _parts(3, 1.5)
    np.testing.assert_array_equal(again.evidence(new).score, scheme.evidence(new).score)
    louder = SensorErrors(**{**new.parts(), "channels": new.channels + 9.0})
    assert (scheme.evidence(louder).score > scheme.evidence(new).score).mean() > 0.5


def test_a_channel_that_says_nothing_yet_leaves_the_row_to_the_others() -> None:
    scheme = FusedScheme.fit([_parts(0)], np.full(C, 1e-3))
    new = _parts(3, 1.5)
    assert new.channels is not None
    some = new.channels + 4.0
    some[:50, 0] = np.nan
    some[50:90] = np.nan
    found = scheme.evidence(SensorErrors(**{**new.parts(), "channels": some})).score
    own = [member.evidence(new.members[:, at]) for at, member in enumerate(scheme.members)]  # type: ignore[index]
    for row, spoken in ((10, [1]), (60, []), (200, [0, 1])):
        total, few = (float(np.median([part[name][row] for part in own])) for name in ("total", "few"))
        others = [float(scheme.channels[at].evidence(some[row : row + 1, at])[0]) for at in spoken]
        guarded = 0.5 * sum(others) / max(len(others), 1)
        assert (guarded > (0.5 * total + few) / 1.5) == bool(spoken), "else the channel is not put to the test"
        assert found[row] == pytest.approx(max((0.5 * total + few) / 1.5, guarded), rel=1e-12)
