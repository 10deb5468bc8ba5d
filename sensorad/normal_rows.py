"""Normal rows for training: read once, cut into stretches without gaps, counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensorad.data import GaussianImputer, SensorScaler, Timing
from sensorad.error_models.crossfit import Stretch
from sensorad.errors import TooLittleDataError
from sensorad.events import QualityLimits
from sensorad.models.autocovariance import AutoCovariance, LinearPrior
from sensorad.pretrained import Pretrained
from sensorad.scoring.engine import LEAST_SENSORS
from sensorad.types import RowBlock, SensorSchema

__all__ = ["LEAST_WINDOWS", "NormalRows", "read_normal_rows"]

LEAST_WINDOWS = 5
"""A fit needs at least this many windows' worth of rows."""


@dataclass(slots=True)
class NormalRows:
    """Rows of a log that may be learned from.

    Attributes
    ----------
    scaler, imputer, timing
        Learned from these rows.
    stretches : list of Stretch
        Scaled, filled rows without gaps, at least one window long.
    machines : list of int
        Machine of each stretch.
    modes : list of (T,) int32, or None
        Operating mode of each row of each stretch, a position in ``mode_names``; None in a log without modes.
    sensors : tuple of str
        Names of the sensors in use, the columns of the stretches.
    quality : QualityLimits
        How long sensors stand still or lack values when all is well.
    counts : dict of str to int
        What was read, left out and why.
    fingerprint
        SHA-256 over times and values of all rows read.
    pretrained : Pretrained, optional
        What an earlier detector knows.
    """

    scaler: SensorScaler
    imputer: GaussianImputer
    timing: Timing
    stretches: list[Stretch]
    machines: list[int]
    modes: list[NDArray[np.int32]] | None = None
    mode_names: Sequence[str] = ()
    quality: QualityLimits = field(default_factory=lambda: QualityLimits.unknown(0))
    counts: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    pretrained: Pretrained | None = None
    sensors: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        return sum(len(stretch) for stretch in self.stretches)

    @property
    def prior(self) -> LinearPrior | None:
        """What linear models may start from."""
        return None if self.pretrained is None else self.pretrained.linear

    def autocovariance(self, n_lags: int) -> AutoCovariance:
        """Of all machines; with that of the detector started from, as much as it counts."""
        machines = dict.fromkeys(self.machines)
        segments = [
            [
                self.scaler.inverse(part.rows).astype(np.float32)
                for part, code in zip(self.stretches, self.machines, strict=True)
                if code == machine
            ]
            for machine in machines
        ]
        own = AutoCovariance.fit(segments, n_lags)
        return own if self.prior is None else own.blended(self.prior, self.n_rows)


def read_normal_rows(
    blocks: Iterable[RowBlock], schema: SensorSchema, length: int, pretrained: Pretrained | None = None
) -> NormalRows:
    """Read and prepare training rows; each machine's rows must be in time order.

    Rows labelled anomalous, rows with a time already seen and rows in which most sensors are missing are left out,
    and no window spans them.

    Raises
    ------
    TooLittleDataError
        Fewer rows than a fit needs; the message says how many.
    """
    digest = hashlib.sha256()
    kept: dict[int, list[RowBlock]] = {}
    counts = dict.fromkeys(("read", "anomalous", "equal_times", "missing_cells", "blind", "gaps", "short"), 0)
    for block in blocks:
        digest.update(block.time.tobytes())
        digest.update(block.values.tobytes())
        digest.update(block.flaw.tobytes())
        counts["read"] += len(block)
        for code in np.unique(block.group):
            kept.setdefault(int(code), []).append(block.take(block.group == code))
    needed = LEAST_WINDOWS * length
    if counts["read"] < needed:
        raise _too_little(counts["read"], needed, length)

    machines = {code: _joined(parts, counts) for code, parts in kept.items()}
    timing = Timing.fit([rows.time for rows in machines.values()])
    values = np.concatenate([rows.values for rows in machines.values()])
    usable = np.concatenate([rows.flaw == 0 for rows in machines.values()])
    counts["missing_cells"] = int((~usable).sum())
    labelled = [rows.label for rows in machines.values() if rows.label is not None]
    is_normal = ~np.concatenate(labelled) if labelled else np.ones(len(values), bool)
    scaler = SensorScaler.fit(values, usable & is_normal[:, None], schema)
    if pretrained is not None:
        scaler = pretrained.scaler_of(scaler, int(is_normal.sum()))

    pieces: list[tuple[int, NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]] = []
    modes: list[NDArray[np.int32]] = []
    for code, rows in machines.items():
        present = rows.flaw[:, scaler.used_positions] == 0
        is_blind = present.mean(axis=1) < LEAST_SENSORS
        is_labelled = np.zeros(len(rows), bool) if rows.label is None else rows.label
        starts = timing.segment_starts(rows.time)
        counts["gaps"] += int(starts.sum())
        counts["blind"] += int((is_blind & ~is_labelled).sum())
        counts["anomalous"] += int(is_labelled.sum())
        scaled = scaler.transform(rows.values)
        for first, stop in _runs(~(is_blind | is_labelled), starts):
            if stop - first < length:
                counts["short"] += stop - first
                continue
            pieces.append((code, rows.time[first:stop], scaled[first:stop], present[first:stop]))
            if rows.mode is not None:
                modes.append(rows.mode[first:stop])
    n_rows = sum(len(time) for _, time, _, _ in pieces)
    if n_rows < needed:
        raise _too_little(n_rows, needed, length)
    imputer = GaussianImputer.fit([rows for _, _, rows, _ in pieces], [present for _, _, _, present in pieces])
    has_modes = len(modes) == len(pieces)
    return NormalRows(
        scaler=scaler,
        imputer=imputer,
        timing=timing,
        stretches=[
            Stretch(imputer.fill(rows, present), present, time, mode)
            for (_, time, rows, present), mode in zip(pieces, modes if has_modes else [None] * len(pieces), strict=True)
        ],
        machines=[code for code, _, _, _ in pieces],
        modes=modes if has_modes else None,
        mode_names=max((rows.mode_names for rows in machines.values()), key=len),
        quality=QualityLimits.fit(machines.values(), schema, timing.step_seconds),
        counts=counts,
        fingerprint=digest.hexdigest(),
        pretrained=pretrained,
        sensors=tuple(schema.names[position] for position in scaler.used_positions),
    )


def _joined(parts: list[RowBlock], counts: dict[str, int]) -> RowBlock:
    """All rows of one machine as one block, the first of each time only."""
    first = parts[0]
    whole = RowBlock(
        index=np.concatenate([part.index for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        flaw=np.concatenate([part.flaw for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        group_names=parts[-1].group_names,
        mode=None if first.mode is None else np.concatenate([p.mode for p in parts if p.mode is not None]),
        mode_names=parts[-1].mode_names,
        label=None if first.label is None else np.concatenate([p.label for p in parts if p.label is not None]),
    )
    is_new = np.diff(whole.time, prepend=whole.time[0] - 1) > 0
    counts["equal_times"] += int((~is_new).sum())
    return whole if is_new.all() else whole.take(is_new)


def _runs(is_kept: NDArray[np.bool_], starts: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open ranges of kept rows that contain no start but their first row."""
    row = np.arange(len(is_kept))
    before = np.concatenate([[False], is_kept[:-1]])
    opens = row[is_kept & (~before | starts)]
    after = np.concatenate([is_kept[1:] & ~starts[1:], [False]])
    closes = row[is_kept & ~after] + 1
    return [(int(a), int(b)) for a, b in zip(opens, closes, strict=True)]


def _too_little(n_rows: int, needed: int, length: int) -> TooLittleDataError:
    return TooLittleDataError(
        f"fit needs at least {needed:,} usable normal rows ({LEAST_WINDOWS} windows of {length}), got {n_rows:,}",
        hint=f"add {needed - n_rows:,} rows or choose a shorter --window",
    )
