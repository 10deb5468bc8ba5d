"""Windows laid over each other where they agree best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.checks import Windows

__all__ = ["best_shift"]

TIE = 1e-5
"""Correlations closer than this are alike, and the smaller shift is taken: rounding must not choose among periods."""


def best_shift(windows: Windows, partners: Windows) -> NDArray[np.int64]:
    """By how many rows to roll each partner so that it agrees best with its window, all sensors together.

    The circular correlation is summed over sensors, so the shift found has the least squared distance between the two.
    Nothing is rolled where nothing is gained.

    Parameters
    ----------
    windows, partners : (N, L, C)
        Pairs of windows.

    Returns
    -------
    (N,) int64
        Shifts from -L/2 to L/2, as `numpy.roll` takes them.

    Examples
    --------
    >>> wave = np.sin(2 * np.pi * np.arange(20) / 20).astype(np.float32).reshape(1, 20, 1)
    >>> best_shift(wave, np.roll(wave, -3, axis=1))
    array([3])
    """
    length = windows.shape[1]
    # The mean of a sensor adds the same to all shifts, and would only cost digits.
    own = windows - windows.mean(axis=1, keepdims=True)
    other = partners - partners.mean(axis=1, keepdims=True)
    spectrum = np.vecdot(np.fft.rfft(other, axis=1), np.fft.rfft(own, axis=1))  # (N, F), summed over sensors
    gain = np.fft.irfft(spectrum, n=length, axis=1)  # (N, L), by shift
    shifts = np.arange(length) - length // 2
    shifts = shifts[np.argsort(np.abs(shifts), kind="stable")]
    gain = gain[:, shifts % length]  # smallest shift first
    scale = np.sqrt(np.einsum("nlc,nlc->n", own, own) * np.einsum("nlc,nlc->n", other, other))
    is_best = gain >= (gain.max(axis=1) - TIE * scale)[:, None]
    return np.asarray(shifts[is_best.argmax(axis=1)], np.int64)
