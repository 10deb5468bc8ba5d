"""``export_onnx``: a fitted detector, or its network alone, as one ONNX file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad import __version__
from sensorad.config import DetectorConfig
from sensorad.error_models.onnx_windows import ONNX_EXTRA, OnnxFacts, onnx_session
from sensorad.errors import ArtefactError, UsageError
from sensorad.export.parity import TOLERANCE, Parity, complete_windows, random_windows
from sensorad.export.reference import Reference
from sensorad.logs.atomic import NewFile
from sensorad.scoring import ScoringEngine
from sensorad.types import RowBlock, SensorSchema

__all__ = ["OPSET", "PARTS", "Exportable", "OnnxExport", "export_onnx"]

PARTS = ("detector", "network")

OPSET = 20
"""Of the graph; ONNX Runtime reads it since 1.17 (2024)."""

PARITY_BATCHES = (1, 33)
"""Windows in the batches that every file is compared on: one exporter writes files that run for one size only."""

EXTRA = ("onnx", "onnxscript", "onnxruntime")

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class Exportable(Protocol):
    """What of a fitted `Detector` is needed."""

    @property
    def config_(self) -> DetectorConfig: ...

    @property
    def schema_(self) -> SensorSchema: ...

    @property
    def weights_hash_(self) -> str: ...

    def engine(self, *, network: str) -> ScoringEngine: ...


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """What was written, and how closely it follows the detector.

    Attributes
    ----------
    facts
        What the file says about itself.
    inputs, outputs : dict of str to str
        Name -> type and shape.
    parity
        Over two sizes of random batches, and all complete windows of the logs that were given.
    """

    facts: OnnxFacts
    opset: int
    n_bytes: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    parity: Parity


def export_onnx(
    detector: Exportable,
    path: str | os.PathLike[str],
    *,
    part: str = "detector",
    opset: int = OPSET,
    check: Iterable[RowBlock] = (),
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> OnnxExport:
    """Write an ONNX file that takes any number of windows, after comparing what it computes with the detector.

    ``part="detector"`` takes windows ``values`` (N, L, C) float32 of the used sensors in their units, oldest row first,
    and gives in float64 ``expected`` (N, C), the newest rows in the sensors' units; ``reconstruction`` (N, L, C) in
    deviations; and ``window_errors`` (N, C), the sensors' mean square errors. Cells must be present: a NaN makes all
    of its window NaN. ``part="network"`` is what `OnnxWindows` runs.

    Parameters
    ----------
    check
        Rows of logs, every complete window of which is compared as well.
    progress
        Called with the number of windows compared so far.

    Raises
    ------
    UsageError
        There is no such part, the model has none, or the extra ``onnx`` is not installed.
    ArtefactError
        The file would differ from the detector; nothing is written.
    StorageError
        The file exists and ``force`` is off, or cannot be written.
    """
    if part not in PARTS:
        raise UsageError(f"there is no part {part!r}", hint=f"choose one of {', '.join(PARTS)}")
    target, where = NewFile(path, force), os.fspath(path)
    _need_extra()
    engine = detector.engine(network="torch")
    own = Reference(engine)
    if part == "network" and own.network is None:
        raise UsageError("the linear model has no network", hint="leave --part out: it exports the whole detector")
    facts = _facts(detector, engine, part)
    data = _serialised(own, facts, opset)
    session = onnx_session(data, where)
    parity = Parity()
    for seed, n_windows in enumerate(PARITY_BATCHES):
        _compare(session, own, part, random_windows(engine.scaler, engine.length, n_windows, seed), parity, where)
    for windows in complete_windows(check, engine.scaler.used_positions, engine.length):
        _compare(session, own, part, windows, parity, where)
        if progress is not None:
            progress(parity.n_windows)
    with target as temporary:
        temporary.write_bytes(data)
    inputs, outputs = _described(session.get_inputs()), _described(session.get_outputs())
    return OnnxExport(facts, opset, len(data), inputs, outputs, parity)


def _need_extra() -> None:
    for package in EXTRA:
        try:
            import_module(package)
        except ImportError as error:
            raise UsageError(f"export needs {package}, which is not installed", hint=ONNX_EXTRA) from error


def _facts(detector: Exportable, engine: ScoringEngine, part: str) -> OnnxFacts:
    used = [detector.schema_.sensors[position] for position in engine.scaler.used_positions]
    return OnnxFacts(
        part=part,
        model=detector.config_.model,
        window=engine.length,
        sensors=tuple(sensor.name for sensor in used),
        units=tuple(sensor.unit for sensor in used),
        step_seconds=engine.timing.step_seconds,
        weights=detector.weights_hash_,
    )


def _serialised(own: Reference, facts: OnnxFacts, opset: int) -> bytes:
    """The graph with its facts, as the bytes of a file."""
    from sensorad.error_models.network_onnx import (
        DETECTOR_OUTPUTS,
        NETWORK_OUTPUTS,
        DetectorGraph,
        module_of,
        onnx_model,
    )

    shape = (facts.window, len(facts.sensors))
    module = None if own.network is None else module_of(own.network)
    if module is not None and facts.part == "network":
        model = onnx_model(module, shape, "residual", NETWORK_OUTPUTS, opset)
    else:
        graph = DetectorGraph(own.scaler, own.pca, module, own.gate)
        model = onnx_model(graph, shape, "values", DETECTOR_OUTPUTS, opset)
    model.producer_name, model.producer_version = "sensorad", __version__
    model.graph.name = facts.part
    entry = model.metadata_props.add()
    entry.key, entry.value = "sensorad", facts.to_text()
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _compare(session: Any, own: Reference, part: str, windows: NDArray[np.float32], parity: Parity, where: str) -> None:
    """Take the differences on ``windows`` into ``parity``; too large ones raise."""
    if part == "network" and own.network is not None:
        residual = own.residual(windows)
        given = {"residual": residual}
        expected: dict[str, NDArray[Any]] = {"output": own.network(residual)}
    else:
        given, expected = {"values": windows}, own.outputs(windows)
    exported = dict(zip(expected, session.run(list(expected), given), strict=True))
    if "expected" in expected:  # sensors in their own units cannot be compared with each other
        exported["expected"], expected["expected"] = map(own.deviations, (exported["expected"], expected["expected"]))
    parity.add({name: (exported[name], expected[name]) for name in expected})
    if not parity.is_kept:
        worst = max(parity.largest, key=lambda name: parity.largest[name])
        raise ArtefactError(
            f"{worst!r} of the export differs from the detector's own by {parity.worst:.2g} deviations, "
            f"at most {TOLERANCE:g} are allowed",
            where=where,
            hint="nothing was written; other versions of torch or onnxruntime may do better",
        )


def _described(values: Any) -> dict[str, str]:
    return {value.name: f"{TYPES[value.type]} ({', '.join(map(str, value.shape))})" for value in values}
