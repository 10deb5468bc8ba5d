"""A network run by ONNX Runtime: the same windows as with torch, without torch. Imports onnxruntime late.

The file comes from ``sensorad export --part network``. Unlike a detector, an ONNX file is a program: its size, its
form and the weights that it says it was made from are checked, but only one that was exported by somebody trusted
should be run.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError, StorageError, UsageError

__all__ = ["ONNX_EXTRA", "OnnxFacts", "OnnxWindows", "onnx_session", "read_onnx"]

ONNX_EXTRA = "pip install 'sensorad[onnx]'"
"""What installs everything that writing and running ONNX files needs."""

FORMAT = "sensorad-onnx"
FORMAT_VERSION = 1

MOST_BYTES = 2**30
"""Of a file; as much as the weights of a detector may have."""

MOST_FACTS = 2**20
"""Characters of the facts inside a file."""

BATCH_WINDOWS = 512
"""Windows in one run: memory does not grow with their number."""

_EXPORT_AGAIN = "export it again from the detector"


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """What an ONNX file of sensorad says about itself, in its metadata under the key ``sensorad``.

    Attributes
    ----------
    part
        "detector" or "network".
    model
        Kind of model, such as "lstm".
    window
        L, rows in a window.
    sensors
        Names of the C sensors that enter the model, in the order of the last axis of the input.
    units
        Their units, None where unknown.
    step_seconds
        Time between two rows.
    weights
        `Detector.weights_hash_` of the detector that was exported.

    Examples
    --------
    >>> facts = OnnxFacts("network", "lstm", 30, ("TI-101", "PI-7"), ("degC", None), 60.0, "ab" * 32)
    >>> OnnxFacts.from_text(facts.to_text(), "pump.onnx") == facts
    True
    """

    part: str
    model: str
    window: int
    sensors: tuple[str, ...]
    units: tuple[str | None, ...]
    step_seconds: float
    weights: str

    def to_text(self) -> str:
        """JSON in plain ASCII."""
        return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str | None, where: str) -> OnnxFacts:
        """The facts of `to_text`.

        Raises
        ------
        ArtefactError
            There are none, they are damaged, or a newer sensorad wrote them.
        """
        if text is None or len(text) > MOST_FACTS:
            raise ArtefactError("not an ONNX file that sensorad wrote", where=where, hint=_EXPORT_AGAIN)
        try:
            said = json.loads(text)
            version = said.pop("format_version")
            if said.pop("format") != FORMAT or type(version) is not int:
                raise ValueError("another format")
            if version > FORMAT_VERSION:
                raise ArtefactError(
                    f"made by a newer sensorad (format {version})", where=where, hint="upgrade sensorad"
                )
            if said.keys() != {known.name for known in fields(cls)}:
                raise ValueError("other names")
            facts = cls(**{**said, "sensors": tuple(said["sensors"]), "units": tuple(said["units"])})
            texts = (facts.part, facts.model, facts.weights, *facts.sensors)
            if not all(isinstance(item, str) for item in texts) or type(facts.window) is not int:
                raise ValueError("other types")
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtefactError(
                "what the file says about itself is damaged", where=where, hint=_EXPORT_AGAIN
            ) from error
        return facts


class OnnxWindows:
    """Maps windows (N, L, C) float32 to windows of the same shape: a network alone, without gate and linear part.

    Parameters
    ----------
    path
        File written by ``sensorad export --part network``.
    weights
        Hash of the weights that the file must have been made from; None takes any.

    Attributes
    ----------
    facts : OnnxFacts

    Raises
    ------
    UsageError
        ONNX Runtime is not installed.
    ArtefactError
        The file is not the network of that detector.
    StorageError
        It cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], weights: str | None = None) -> None:
        where = os.fspath(path)
        self._session = onnx_session(read_onnx(path), where)
        self.facts = OnnxFacts.from_text(self._session.get_modelmeta().custom_metadata_map.get("sensorad"), where)
        if self.facts.part != "network":
            raise ArtefactError(
                f"holds the {self.facts.part!r} part, expected the network alone",
                where=where,
                hint="export it with --part network",
            )
        if weights is not None and self.facts.weights != weights:
            raise ArtefactError(
                f"was made from other weights ({self.facts.weights[:12]}) than this detector's ({weights[:12]})",
                where=where,
                hint=_EXPORT_AGAIN,
            )
        self._shape = (self.facts.window, len(self.facts.sensors))
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or not all(map(self._fits, (*inputs, *outputs))):
            raise ArtefactError(
                f"expected one input and one output of float32 windows of {self._shape[0]} x {self._shape[1]}",
                where=where,
                hint=_EXPORT_AGAIN,
            )
        self._input = inputs[0].name

    def __call__(self, residual: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, L, C) -> (N, L, C)."""
        if residual.shape[1:] != self._shape:
            raise UsageError(f"windows of {self._shape} expected, got {residual.shape[1:]}")
        windows = np.ascontiguousarray(residual, np.float32)
        output = np.empty_like(windows)
        for first in range(0, len(windows), BATCH_WINDOWS):
            batch = windows[first : first + BATCH_WINDOWS]
            output[first : first + BATCH_WINDOWS] = self._session.run(None, {self._input: batch})[0]
        return output

    def _fits(self, value: Any) -> bool:
        return (
            value.type == "tensor(float)" and isinstance(value.shape[0], str) and tuple(value.shape[1:]) == self._shape
        )


def read_onnx(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file of bounded size.

    Raises
    ------
    ArtefactError
        It is no regular file, empty, or too large.
    StorageError
        It cannot be read.
    """
    where = os.fspath(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not block
    try:
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ArtefactError("is not a regular file", where=where)
            if not 0 < status.st_size <= MOST_BYTES:
                raise ArtefactError(
                    f"has {status.st_size} bytes, expected 1 to {MOST_BYTES}", where=where, hint=_EXPORT_AGAIN
                )
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(MOST_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot read: {error.strerror}", where=where) from error


def onnx_session(data: bytes, where: str) -> Any:
    """An ONNX Runtime session on the CPU, with one thread: windows are too small to be shared out.

    Raises
    ------
    UsageError
        ONNX Runtime is not installed.
    ArtefactError
        The bytes are no ONNX model that it can run, or one that keeps arrays in other files.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("ONNX Runtime is not installed", hint=ONNX_EXTRA) from error
    # A model may name other files to read arrays from. The key of such a reference is "location" after its length,
    # a byte that no sensor name can put there: the facts are printable ASCII.
    if b"\x08location" in data:
        raise ArtefactError("keeps arrays in other files", where=where, hint=_EXPORT_AGAIN)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong comes back as an exception
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class of their own
        raise ArtefactError(
            f"not an ONNX model that can be run: {str(error)[:200]}", where=where, hint=_EXPORT_AGAIN
        ) from error
