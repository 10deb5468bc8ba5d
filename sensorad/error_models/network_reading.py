"""How a network reads a log: which windows, or with which carried state. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sensorad.data import TimeGrid
from sensorad.error_models.carried_errors import SLOT_ROWS, CarriedErrors
from sensorad.error_models.network_errors import NetworkErrors, WindowNetwork
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.errors import UsageError
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["Encoding", "Reading"]

Encoding = Literal["windows", "carried"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that decides the errors of a network besides its weights.

    Attributes
    ----------
    length
        Rows per window.
    step_seconds
        Usual time between rows.
    read_every
        Rows between two windows that are read.
    encoding
        "windows" reads each window afresh, "carried" carries the encoder's state from row to row.

    Examples
    --------
    >>> Reading(length=30, step_seconds=60.0, read_every=7).grid
    TimeGrid(slot_ns=420000000000)
    """

    length: int
    step_seconds: float
    read_every: int = 1
    encoding: Encoding = "windows"

    @property
    def grid(self) -> TimeGrid | None:
        """Where readings begin; None where every window is read."""
        if self.encoding == "carried":
            return TimeGrid.of_rows(SLOT_ROWS, self.step_seconds)
        return None if self.read_every == 1 else TimeGrid.of_rows(self.read_every, self.step_seconds)

    def errors(
        self,
        network: WindowNetwork,
        gate: float,
        pca: WindowPCA | None,
        autoregression: RidgeAutoregression | None,
    ) -> NetworkErrors | CarriedErrors:
        """The errors of ``network`` read so.

        Raises
        ------
        UsageError
            This network cannot be read so.
        """
        if self.encoding == "windows":
            return NetworkErrors(network, gate, self.length, pca, autoregression, self.grid, self.read_every)
        if not isinstance(network, NumpyLSTM) or pca is not None or self.grid is None:
            raise UsageError(
                "only an LSTM in NumPy and without a linear part can carry its state",
                hint='encoding "carried" needs model "lstm" with linear_part None',
            )
        return CarriedErrors(network, self.length, self.grid)
