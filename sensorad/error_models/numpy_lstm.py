"""The LSTM encoder-decoder in NumPy alone: the weights of `sensorad.models.lstm`, without torch.

For one row a call of torch costs more than its arithmetic. Here everything is allocated once and every operation
writes in place; a step of one layer is one product and seven passes over short vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.models.checks import check_weights
from sensorad.models.lstm_config import LSTMConfig

__all__ = ["NumpyLSTM"]

MICRO_BATCH = 256
"""Windows read side by side: their steps still lie in the cache."""

Array = NDArray[np.float32]

_Layer = tuple[Array, Array, Array, Array, Array, Array, Array, list[tuple[Array, Array]]]
"""Weights; the parts of the cells: all before tanh, gates, in and forget, out, candidate and cell, cell; the steps."""


class NumpyLSTM:
    """Rebuilds windows (N, L, C), or follows a log row by row with a carried state.

    Not for several threads at once: the buffers are its own.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> config = LSTMConfig(width=8, code=2)
    >>> arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in config.shapes(3).items()}
    >>> network = NumpyLSTM.from_arrays(arrays, config)
    >>> network(np.ones((5, 30, 3), np.float32)).shape
    (5, 30, 3)

    With a carried state, of one machine or of several at once:

    >>> state = network.start(1)[0]
    >>> for row in np.ones((30, 3), np.float32):
    ...     network.step(row, state)
    >>> bool(np.allclose(network.newest(state), network(np.ones((1, 30, 3), np.float32))[0, -1], atol=1e-5))
    True
    """

    def __init__(self, arrays: Mapping[str, Array], config: LSTMConfig) -> None:
        width, layers = config.width, config.layers
        self.config = config
        self.n_sensors = arrays["output.weight"].shape[0]
        self._arrays = {name: array.copy() for name, array in arrays.items()}
        self._encoder = [_joined_weights(arrays, "encoder", layer) for layer in range(layers)]
        self._decoder = [_joined_weights(arrays, "decoder", layer) for layer in range(layers)]
        self._output = np.ascontiguousarray(arrays["output.weight"] / 2)  # hidden values are kept doubled
        self._bias = arrays["output.bias"].copy()
        self._narrow = self._widen = None
        if config.code is not None:
            n_hidden = layers * width
            narrow, widen = arrays["narrow.weight"].copy(), arrays["widen.weight"].copy()
            widen_bias = arrays["widen.bias"].copy()
            narrow[:, :n_hidden] /= 2
            widen[:n_hidden] *= 2
            widen_bias[:n_hidden] *= 2
            self._narrow = np.asfortranarray(narrow), arrays["narrow.bias"].copy()
            self._widen = np.asfortranarray(widen), widen_bias
        self._first_step = self._joined_first_step() if layers == 1 else None
        self._runs: dict[tuple[str, int, int], _Run] = {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], config: LSTMConfig | Mapping[str, Any]) -> Self:
        """The network with these weights, named as in torch; ``config`` as settings or as their JSON.

        Raises
        ------
        ArtefactError
            Names, shapes, dtypes or values do not fit.
        UsageError
            ``config`` has unknown or impossible options.
        """
        settings = config if isinstance(config, LSTMConfig) else LSTMConfig.from_json(dict(config))
        n_sensors = len(arrays["output.bias"]) if "output.bias" in arrays else 1
        check_weights(arrays, settings.shapes(n_sensors))
        return cls(arrays, settings)

    def to_arrays(self) -> dict[str, Array]:
        """The weights of `from_arrays`."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def __call__(self, residual: Array) -> Array:
        """(N, L, C) windows -> what the network rebuilds of them, same shape."""
        result = np.empty(residual.shape, np.float32)
        for first in range(0, len(residual), MICRO_BATCH):
            part = residual[first : first + MICRO_BATCH]
            result[first : first + MICRO_BATCH] = self._rebuilt(part)
        return result

    def start(self, n: int) -> Array:
        """(n, S) states of encoders that have read nothing."""
        return np.zeros((n, self.state_size), np.float32)

    @property
    def state_size(self) -> int:
        """S, numbers of a carried state."""
        return 2 * self.config.layers * self.config.width

    def step(self, rows: Array, state: Array) -> None:
        """Read the next row (C,) of a machine, or of n machines (n, C), and change ``state`` (S,) or (n, S)."""
        if len(state) == 1:
            rows, state = rows[0], state[0]
        run = self._run("encoder", 1 if state.ndim == 1 else len(state), 1)
        columns = state.T
        run.set_state(columns)
        run.inputs[0] = rows.T
        run.advance()
        run.get_state(columns)

    def newest(self, state: Array) -> Array:
        """The newest row that ``state`` (S,) or (n, S) describes: (C,) or (n, C)."""
        if state.ndim == 2 and len(state) == 1:
            return self.newest(state[0])[None]
        run = self._run("decoder", 1 if state.ndim == 1 else len(state), 1)
        if self._narrow is None or self._first_step is None:
            self._decode(state.T, run)
        else:
            weights, bias = self._first_step
            code = _affine(*self._narrow, state.T)
            np.dot(weights, code, run.parts)
            np.add(run.parts, bias if code.ndim == 1 else bias[:, None], run.parts)
            run.advance(has_products=True)
        rows: Array = self._output.dot(run.newest_hidden).T
        rows += self._bias
        return rows

    def _rebuilt(self, windows: Array) -> Array:
        n, length, _ = windows.shape
        encoder = self._run("encoder", n, length)
        decoder = self._run("decoder", n, length)
        encoder.set_state(None)
        windows = windows.transpose(1, 2, 0)  # (L, C, N)
        encoder.inputs[...] = windows[:, :, 0] if n == 1 else windows
        encoder.advance()
        state = np.empty((self.state_size,) if n == 1 else (self.state_size, n), np.float32)
        encoder.get_state(state)
        self._decode(state, decoder)
        rows: Array
        if n == 1:
            rows = decoder.hidden.dot(self._output.T)[None]  # (1, L, C)
        else:
            rows = np.matmul(self._output, decoder.hidden).transpose(2, 0, 1)  # (N, L, C)
        rows += self._bias
        return rows[:, ::-1]  # the first row decoded is the newest

    def _decode(self, state: Array, run: _Run) -> None:
        """All steps of ``run`` from encoder states (S,) or (S, n)."""
        if self._narrow is None or self._widen is None:
            run.inputs[...] = 0.0
            run.set_state(state)
        else:
            code = _affine(*self._narrow, state)
            run.inputs[...] = code
            run.set_state(_affine(*self._widen, code))
        run.advance()

    def _joined_first_step(self) -> tuple[Array, Array] | None:
        """Weights (5 D, code) and bias that give from a code all that the decoder's only layer needs in its first step.

        One product instead of those from the code to the state and from the state to the gates.
        """
        if self._widen is None:
            return None
        joined, (widen, bias) = self._decoder[0].astype(np.float64), self._widen
        width = self.config.width
        from_hidden, from_code = joined[:, :width], joined[:, width:-1]
        weights = np.concatenate([from_hidden @ widen[:width] + from_code, widen[width:]])
        first_bias = np.concatenate([from_hidden @ bias[:width] + joined[:, -1], bias[width:]])
        return np.asfortranarray(weights, np.float32), first_bias.astype(np.float32)

    def _run(self, part: str, n: int, length: int) -> _Run:
        """Buffers for n windows side by side; those for one window stay, of other sizes only the last one."""
        key = part, n, length
        if key not in self._runs:
            self._runs = {known: run for known, run in self._runs.items() if known[1] == 1 or known[1:] == key[1:]}
            weights = self._encoder if part == "encoder" else self._decoder
            self._runs[key] = _Run(weights, self.config.width, n, length)
        return self._runs[key]


class _Run:
    """Buffers of ``length`` steps of stacked layers over n windows; vectors without a second axis where n is 1.

    Hidden values are kept doubled and gates halved on the way in, since sigmoid(x) = (1 + tanh(x / 2)) / 2: so all four
    parts of a cell take one call of tanh.
    """

    def __init__(self, weights: Sequence[Array], width: int, n: int, length: int) -> None:
        many = () if n == 1 else (n,)
        # One row of [hidden; inputs; 1] for each step of each layer; a step writes its hidden values into the next row.
        rows = [np.zeros((length + 1, joined.shape[1], *many), np.float32) for joined in weights]
        for layer in rows:
            layer[:, -1] = 1.0
        self.inputs = rows[0][:length, width:-1]
        self.hidden = rows[-1][1:, :width]
        self.newest_hidden = rows[-1][length, :width]
        self._handed_up = [(above[:length, width:-1], below[1:, :width]) for below, above in pairwise(rows)]
        self._pairs = np.zeros((2 * width, *many), np.float32)
        # Arrays beat scalars on short vectors, where converting a scalar costs more than the operation.
        self._one: Array = np.ones(3 * width, np.float32) if n == 1 else np.ones((), np.float32)
        self._half: Array = np.full(width, 0.5, np.float32) if n == 1 else np.full((), 0.5, np.float32)
        self._layers: list[_Layer] = []
        first: list[tuple[slice, Array]] = []
        last: list[tuple[slice, Array]] = []
        for number, (joined, own) in enumerate(zip(weights, rows, strict=True)):
            parts: Array = np.zeros((5 * width, *many), np.float32)  # in, forget, out, candidate | cell
            self.parts = parts
            cell = parts[4 * width :]
            hidden_part = slice(number * width, (number + 1) * width)
            cell_part = slice((len(rows) + number) * width, (len(rows) + number + 1) * width)
            first += [(hidden_part, own[0, :width]), (cell_part, cell)]
            last += [(hidden_part, own[length, :width]), (cell_part, cell)]
            steps = [(own[t], own[t + 1, :width]) for t in range(length)]
            out, candidate_cell = parts[2 * width : 3 * width], parts[3 * width :]
            self._layers.append(
                (joined, parts[: 4 * width], parts[: 3 * width], parts[: 2 * width], out, candidate_cell, cell, steps)
            )
        self._first, self._last = first, last

    def set_state(self, state: Array | None) -> None:
        """Hidden values and cells of all layers, (2 layers D,) or (2 layers D, n), before the first step; None = 0."""
        for part, own in self._first:
            own[...] = 0.0 if state is None else state[part]

    def get_state(self, state: Array) -> None:
        """Write the state after the last step."""
        for part, own in self._last:
            state[part] = own

    def advance(self, *, has_products: bool = False) -> None:
        """All steps of all layers; ``has_products``: of one layer, whose ``parts`` hold what its only step needs."""
        dot, tanh, add, multiply = np.dot, np.tanh, np.add, np.multiply
        pairs, one, half = self._pairs, self._one, self._half
        width = len(pairs) // 2
        added, kept = pairs[:width], pairs[width:]
        for number, (weights, before, gates, in_forget, out, candidate_cell, cell, steps) in enumerate(self._layers):
            if number:
                above, below = self._handed_up[number - 1]
                above[...] = below
            for row, hidden in steps:
                if not has_products:
                    dot(weights, row, before)
                tanh(before, before)
                add(gates, one, gates)  # twice the sigmoid
                multiply(in_forget, candidate_cell, pairs)
                add(added, kept, cell)
                multiply(cell, half, cell)
                tanh(cell, hidden)
                multiply(hidden, out, hidden)


def _joined_weights(arrays: Mapping[str, Array], part: str, layer: int) -> Array:
    """(4 D, D + inputs + 1) weights for [doubled hidden; inputs; 1] of one layer: halved in, forget, out; candidate."""
    hidden = arrays[f"{part}.weight_hh_l{layer}"] / 2
    inputs = arrays[f"{part}.weight_ih_l{layer}"] / (2 if layer else 1)  # a layer below gives doubled values
    bias = arrays[f"{part}.bias_ih_l{layer}"] + arrays[f"{part}.bias_hh_l{layer}"]
    width = hidden.shape[1]
    order = np.r_[0 : 2 * width, 3 * width : 4 * width, 2 * width : 3 * width]  # torch: in, forget, candidate, out
    joined = np.concatenate([hidden, inputs, bias[:, None]], axis=1)[order]
    joined[: 3 * width] /= 2
    return np.asfortranarray(joined, np.float32)


def _affine(weight: Array, bias: Array, x: Array) -> Array:
    """Of a vector (inputs,) or of columns (inputs, n)."""
    product: Array = weight @ x
    product += bias if x.ndim == 1 else bias[:, None]
    return product
