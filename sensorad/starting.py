"""A fit that starts from a detector of other machines of the same kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from sensorad.config import DetectorConfig
from sensorad.errors import UsageError
from sensorad.logs import LogFormat
from sensorad.pretrained import Pretrained
from sensorad.types import SensorSchema

__all__ = ["Start", "Startable", "started"]


class Startable(Protocol):
    """A fitted detector, as far as it matters here."""

    config_: DetectorConfig
    schema_: SensorSchema

    def pretrained(self) -> Pretrained:
        """What it knows."""


class Start:
    """What a fit takes over from a detector, nothing without one.

    Attributes
    ----------
    config
        Settings of the new detector, in line with those of the old one where its weights need it.
    schema
        Sensors to look for in the log; None = all there are.
    pretrained
        What the old detector knows.
    """

    def __init__(
        self, config: DetectorConfig, schema: SensorSchema | None = None, pretrained: Pretrained | None = None
    ) -> None:
        self.config, self.schema, self.pretrained = config, schema, pretrained


def started(config: DetectorConfig, init: Startable | None, wanted: LogFormat) -> Start:
    """How a detector of ``config`` is fitted when it starts from ``init``.

    Windows are as long as those of ``init``, sensors are its sensors, found by name. The weights of a network are
    taken over by the same kind of network, of the same sizes; of a detector with another network only what is linear.

    Raises
    ------
    UsageError
        ``init`` comes from an earlier version, or the settings do not fit it.
    """
    if init is None:
        return Start(config)
    if wanted.sensors is not None and set(wanted.sensors) != set(init.schema_.names):
        raise UsageError(
            f"the sensors named are not those of the detector to start from: {', '.join(init.schema_.names)}",
            hint="leave the sensors out",
        )
    old, pretrained = init.config_, init.pretrained()
    if config.window not in (None, old.length):
        raise UsageError(f"windows of {config.window} rows cannot start from windows of {old.length} rows")
    if config.lags >= pretrained.autocovariance.n_lags:
        raise UsageError(f"{config.lags} lags cannot start from {pretrained.autocovariance.n_lags - 1} lags")
    config = replace(config, window=old.length)
    if config.model != old.model:
        return Start(config, init.schema_, replace(pretrained, network={}))
    if config.network and dict(config.network) != dict(old.network):
        raise UsageError("the network has other sizes than the one to start from", hint="leave its settings out")
    return Start(replace(config, network=old.network, members=old.members), init.schema_, pretrained)
