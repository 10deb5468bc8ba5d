"""Any model with a head of exposure beside it: the same errors, and one channel more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sensorad.error_models.errors import AskedRows, SensorErrors, StackedErrorModel, StackedErrors
from sensorad.error_models.fault_head import FaultHead
from sensorad.models.linear import RidgeAutoregression

__all__ = ["ExposedErrors"]


@dataclass(frozen=True, slots=True)
class ExposedErrors(StackedErrors):
    """Errors of ``base``, and how faulty the last rows look to ``head`` as its last channel.

    Attributes
    ----------
    base
        The model beside which the head was trained.
    head
    """

    base: StackedErrorModel
    head: FaultHead

    @property
    def autoregression(self) -> RidgeAutoregression | None:
        """That of ``base``."""
        found: RidgeAutoregression | None = getattr(self.base, "autoregression", None)
        return found

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        return max(self.base.context_rows, self.head.features.context_rows)

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it; the channel is NaN where a row has no whole window behind it."""
        found = self.base.errors_at(asked)
        logit = self.head.logit(asked, found.window)
        logit = np.where(asked.has_window(self.head.features.length), logit, np.nan)[:, None]
        channels = logit if found.channels is None else np.concatenate([found.channels, logit], axis=1)
        return replace(found, channels=channels)
