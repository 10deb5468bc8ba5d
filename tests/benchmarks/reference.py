"""What speed is measured against: the usual ways to score windows with an LSTM autoencoder, and logs to score.

The sizes are those of the floors: windows of 64 rows, 8 sensors, one layer of 64 units.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from torch import Tensor, nn

LENGTH, N_SENSORS, WIDTH = 64, 8, 64
ROW_GROUP = 65_536
START = 1_704_067_200
"""Seconds since 1970 of the first row of every log here, one row a second."""
N_CAUSES, DECAY, NOISE = 3, float(np.exp(-1 / 60)), 0.2


class PlainLSTM(nn.Module):
    """The published encoder-decoder, newest row first; decoded by its own output or in one fused call."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(N_SENSORS, WIDTH, batch_first=True)
        self.cell = nn.LSTMCell(N_SENSORS, WIDTH)
        self.decoder = nn.LSTM(N_SENSORS, WIDTH, batch_first=True)
        self.output = nn.Linear(WIDTH, N_SENSORS)

    def autoregressive(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C) by a Python loop over the rows of the window."""
        _, (hidden, cell) = self.encoder(x)
        h, c = hidden[0], cell[0]
        rows = [self.output(h)]
        for _ in range(x.shape[1] - 1):
            h, c = self.cell(rows[-1], (h, c))
            rows.append(self.output(h))
        return torch.stack(rows[::-1], 1)

    def fused(self, x: Tensor) -> Tensor:
        """The same shapes without a loop: the decoder is fed nothing but its state."""
        _, state = self.encoder(x)
        steps, _ = self.decoder(x.new_zeros(x.shape), state)
        rows: Tensor = self.output(steps).flip(1)
        return rows


class WindowLoop:
    """Scores a stream as most programs do: keep the last rows, rebuild the whole window for every new one."""

    def __init__(self) -> None:
        self.model = PlainLSTM().eval()
        self.rows: deque[NDArray[np.float32]] = deque(maxlen=LENGTH)

    def update(self, values: NDArray[np.float32]) -> float:
        self.rows.append((values - 0.1) / 2.0)
        if len(self.rows) < LENGTH:
            return float("nan")
        with torch.inference_mode():
            x = torch.from_numpy(np.stack(self.rows))[None]
            return float(((self.model.autoregressive(x) - x) ** 2).mean())


def fused_windows(source: Path, target: Path, model: PlainLSTM) -> None:
    """Parquet to Parquet: every window of the log through the fused network, 256 at a time."""
    table = pq.read_table(source)
    names = [name for name in table.column_names if name != "time"]
    rows = np.stack([table[name].to_numpy() for name in names], axis=1)
    rows = np.ascontiguousarray((rows - rows.mean(0)) / rows.std(0), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(rows, LENGTH, axis=0).transpose(0, 2, 1)  # (N, L, C)
    score = np.full(len(rows), np.nan)
    with torch.inference_mode():
        for first in range(0, len(windows), 256):
            x = torch.from_numpy(np.array(windows[first : first + 256], order="C"))
            error = ((model.fused(x) - x) ** 2).mean((1, 2))
            score[first + LENGTH - 1 : first + LENGTH - 1 + len(x)] = error.numpy()
    pq.write_table(pa.table({"time": table["time"], "score": score}), target)


def values_of(n_rows: int, n_sensors: int = N_SENSORS, seed: int = 0) -> NDArray[np.float32]:
    """Three shared causes with a memory of a minute, own noise for each sensor, (T, C)."""
    generator = np.random.default_rng(seed)
    shocks = np.sqrt(1.0 - DECAY**2) * generator.normal(size=(n_rows, N_CAUSES))
    shocks[0] /= np.sqrt(1.0 - DECAY**2)
    causes = lfilter([1.0], [1.0, -DECAY], shocks, axis=0)
    rows = causes @ mixing(n_sensors) + NOISE * generator.normal(size=(n_rows, n_sensors))
    return np.asarray(rows, np.float32)


def mixing(n_sensors: int) -> NDArray[np.float64]:
    """(causes, C) how the causes show in the sensors; the same in every log."""
    return np.random.default_rng(0).normal(size=(N_CAUSES, n_sensors))


def write_log(path: Path, n_rows: int, n_sensors: int = N_SENSORS, seed: int = 0) -> Path:
    """The same as a Parquet log, row group by row group."""
    names = [f"S{c}" for c in range(n_sensors)]
    schema = pa.schema([("time", pa.timestamp("us", tz="UTC")), *((name, pa.float32()) for name in names)])
    with pq.ParquetWriter(path, schema, use_dictionary=False, write_page_checksum=True) as writer:
        for number, first in enumerate(range(0, n_rows, ROW_GROUP)):
            rows = values_of(min(ROW_GROUP, n_rows - first), n_sensors, seed + number)
            stamps = (START + first + np.arange(len(rows))) * 1_000_000
            columns = [pa.array(stamps, schema.field("time").type), *(pa.array(rows[:, c]) for c in range(n_sensors))]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return path
