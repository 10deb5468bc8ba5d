"""Training to predict hidden sensors: rows with their lags as items, whole sensors hidden anew in every batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.cross_config import LAGS
from sensorad.models.losses import weighted_square
from sensorad.training.batches import Batch

__all__ = ["HiddenSensors", "LaggedSource"]


class LaggedSource:
    """Rows with the rows at all lags before them; no item is put together before it is asked for.

    Parameters
    ----------
    rows : (T, C) float32
        Filled rows of segments, one after another.
    usable : (T, C) bool
        False in filled cells.
    targets : (T, C) float32
        What to predict in each row.
    at : (N,) int64
        Rows that are items; the rows at all lags before them are of the same segment.

    Examples
    --------
    >>> rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    >>> source = LaggedSource(rows, np.isfinite(rows), rows, np.array([8, 9]))
    >>> source.take(torch.tensor([1])).inputs
    tensor([[18., 19., 16., 17., 14., 15., 10., 11.,  2.,  3.,  0.,  0.]])
    """

    def __init__(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        targets: NDArray[np.float32],
        at: NDArray[np.int64],
    ) -> None:
        if len(at) and (at.min() < max(LAGS) or at.max() >= len(rows)):
            raise UsageError(f"rows {max(LAGS)} to {len(rows) - 1} can be items, got {at.min()} to {at.max()}")
        self._rows = torch.from_numpy(np.require(rows, requirements=["C", "W"]))
        self._usable = None if usable.all() else torch.from_numpy(np.require(usable, requirements=["C", "W"]))
        self._targets = torch.from_numpy(np.require(targets, requirements=["C", "W"]))
        self._at = torch.from_numpy(np.array(at, np.int64))
        self._lags = torch.tensor(LAGS)

    def __len__(self) -> int:
        return len(self._at)

    def take(self, indices: Tensor) -> Batch:
        """Inputs (N, lags C + C): readings, 0 in missing sensors, then 1 for each sensor that is missing at a lag."""
        at = self._at[indices]
        places = (at[:, None] - self._lags).reshape(-1)
        readings = self._rows[places].view(len(at), len(LAGS), -1)  # (N, lags, C)
        targets = self._targets[at]
        if self._usable is None:
            missing, mask = torch.zeros_like(targets), None
        else:
            usable = self._usable[places].view(readings.shape)
            mask = usable[:, 0]
            missing = (~usable.all(dim=1)).float()  # (N, C)
            readings = readings * (1.0 - missing)[:, None]
        return Batch(torch.cat([readings.flatten(1), missing], dim=1), targets, mask)


@dataclass(frozen=True, slots=True)
class HiddenSensors:
    """Mean squared error of hidden sensors alone, as the others tell them.

    Attributes
    ----------
    most_hidden
        Each sensor is hidden with a probability drawn for each item from 0 to this, and one in any case.
    """

    most_hidden: float = 0.2
    name: ClassVar[str] = "hidden sensors"

    def __post_init__(self) -> None:
        if not 0.0 <= self.most_hidden < 1.0:
            raise UsageError(f"most_hidden must be in [0, 1), got {self.most_hidden!r}", where="objective")

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        if batch.targets is None:
            raise TypeError("hidden sensors need targets")
        targets, n_sensors = batch.targets, batch.targets.shape[1]
        readings, missing = batch.inputs[:, :-n_sensors], batch.inputs[:, -n_sensors:]
        drawn = self.hide(len(targets), n_sensors, generator).to(targets.device)  # (N, C)
        weight = drawn if batch.mask is None else drawn * batch.mask
        return weighted_square(model(readings, torch.maximum(missing, drawn)), targets, weight)

    def hide(self, n_items: int, n_sensors: int, generator: torch.Generator) -> Tensor:
        """(N, C) 1 for each sensor to hide."""
        share = self.most_hidden * torch.rand((n_items, 1), generator=generator)
        drawn = (torch.rand((n_items, n_sensors), generator=generator) < share).float()
        drawn[torch.arange(n_items), torch.randint(n_sensors, (n_items,), generator=generator)] = 1.0
        return drawn

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name} | asdict(self)
