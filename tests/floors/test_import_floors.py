"""Imports point downwards: a folder imports only from lower floors, and on its own floor only from itself.

The floors are drawn in CONTRIBUTING.md. A new folder or top-level module gets its place in FLOORS here.
"""

from __future__ import annotations

from fnmatch import fnmatch

import pytest
import sources

# Within F5 the order is part of the design: `Detector` assembles the others, and the artefact knows none of them.
# The command line stands above the data sets because the demonstration and `sensorad data` use them.
FLOORS: dict[str, float] = {
    "sensorad.errors": 0,
    "sensorad.types": 0,
    "sensorad.alarm_line": 0.1,
    "sensorad.data": 1,
    "sensorad.logs": 1,
    "sensorad.augment": 1,
    "sensorad.events": 1,
    "sensorad.metrics": 1,
    "sensorad.thresholds": 2,
    "sensorad.models": 2,
    "sensorad.monitoring": 3,
    "sensorad.training": 3,
    "sensorad.error_models": 4,
    "sensorad.scoring": 4.5,
    "sensorad.artefact": 5.0,
    "sensorad.config": 5.1,
    "sensorad.members": 5.05,
    "sensorad.pretrained": 5.05,
    "sensorad.normal_rows": 5.1,
    "sensorad.families": 5.15,
    "sensorad.calibration": 5.1,
    "sensorad.card": 5.2,
    "sensorad.learning": 5.2,
    "sensorad.model_parts": 5.2,
    "sensorad.streaming": 5.2,
    "sensorad.export": 5.2,
    "sensorad.findings": 5.2,
    "sensorad.recalibration": 5.25,
    "sensorad.streams": 5.25,
    "sensorad.log_scoring": 5.25,
    "sensorad.starting": 5.25,
    "sensorad.detector": 5.3,
    "sensorad.detectability": 5.4,
    "sensorad.io": 6,
    "sensorad.connectors": 6,
    "sensorad.report": 6,
    "sensorad.distributed": 6,
    "sensorad.testing": 6,
    "sensorad_datasets": 7,
    "sensorad_cli": 7.1,
}
# The front door re-exports from all floors, lazily; only the packages above the library may come in through it.
FRONT_DOOR = 6.9
BELOW_FRONT_DOOR = {"__version__"}

# Where networks are defined, trained and run. Everything else starts, streams and reports without torch.
TORCH_ALLOWED = (
    "sensorad.augment.image",
    "sensorad.models.*",
    "sensorad.training",
    "sensorad.training.*",
    "sensorad.error_models.*torch*",
    "sensorad.error_models.confidence",
    "sensorad.error_models.head_training",
    "sensorad.error_models.network*",
    "sensorad_datasets.recipes.*",
)
TORCH_FREE_MODELS = ("sensorad.models", "sensorad.models.linear*", "sensorad.models.registry*")


def unit_of(module: str) -> str | None:
    """The folder or top-level module that has a floor; None for other people's modules."""
    parts = module.split(".")
    if parts[0] == "sensorad":
        return ".".join(parts[:2])
    return parts[0] if parts[0] in sources.PACKAGES else None


def floor_of(unit: str) -> float:
    return FRONT_DOOR if unit == "sensorad" else FLOORS[unit]


def target_of(found: sources.Import) -> str:
    """``from sensorad import logs`` means sensorad.logs; ``from sensorad import Detector`` means the front door."""
    candidate = f"{found.target}.{found.name}"
    return candidate if found.name and candidate in sources.modules() else found.target


def violations(found: list[sources.Import]) -> list[str]:
    wrong = []
    for item in found:
        own, other = unit_of(item.module), unit_of(target_of(item))
        if own is None or other is None or own == other or own == "sensorad":
            continue
        if other == "sensorad" and item.name in BELOW_FRONT_DOOR:
            continue
        if floor_of(other) >= floor_of(own):
            wrong.append(f"{item.module}:{item.line} (F{floor_of(own)}) imports {target_of(item)} (F{floor_of(other)})")
    return wrong


def may_import_torch(module: str) -> bool:
    if any(fnmatch(module, pattern) for pattern in TORCH_FREE_MODELS):
        return False
    return any(fnmatch(module, pattern) for pattern in TORCH_ALLOWED)


@pytest.fixture(scope="module")
def all_imports() -> list[sources.Import]:
    return [found for module in sources.modules() for found in sources.imports_of(module)]


def test_every_module_has_a_floor() -> None:
    units = {unit_of(module) for module in sources.modules()} - {"sensorad"}
    assert units <= FLOORS.keys(), "give the new folder a place in FLOORS"


def test_imports_point_downwards(all_imports: list[sources.Import]) -> None:
    assert len(all_imports) > 50, "the sources were not found"
    assert violations(all_imports) == []


def test_torch_is_imported_only_where_networks_live(all_imports: list[sources.Import]) -> None:
    wrong = [
        f"{found.module}:{found.line}"
        for found in all_imports
        if found.target.split(".")[0] == "torch" and not may_import_torch(found.module)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "target", "name", "is_wrong"),
    [
        ("sensorad.errors", "sensorad.types", None, True),
        ("sensorad.logs.read", "sensorad.types", "Sensor", False),
        ("sensorad.logs.read", "sensorad.data.schema", "x", True),
        ("sensorad.logs.read", "sensorad.logs.times", "x", False),
        ("sensorad.events.build", "sensorad.thresholds", "Budget", True),
        ("sensorad.thresholds.budget", "sensorad.events", "EventRule", False),
        ("sensorad.models.lstm", "sensorad.thresholds", None, True),
        ("sensorad.artefact.read", "sensorad.detector", None, True),
        ("sensorad.detector", "sensorad.artefact", "read_artefact", False),
        ("sensorad.calibration", "sensorad.detector", None, True),
        ("sensorad.report.page", "sensorad", "Detector", True),
        ("sensorad.report.page", "sensorad", "__version__", False),
        ("sensorad.report.page", "sensorad", "errors", False),
        ("sensorad_datasets.plant", "sensorad_cli.main", "main", True),
        ("sensorad_cli.main", "sensorad", "load", False),
        ("sensorad_cli.main", "sensorad_datasets", "plant", False),
        ("sensorad.types", "numpy", None, False),
        ("sensorad", "sensorad.detector", "Detector", False),
    ],
)
def test_the_rule_itself(module: str, target: str, name: str | None, is_wrong: bool) -> None:
    assert bool(violations([sources.Import(module, target, name, 1)])) == is_wrong


def test_imports_are_found_wherever_they_hide(tmp_path, monkeypatch) -> None:
    path = tmp_path / "inner.py"
    path.write_text(
        "import a\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from b.c import d\n"
        "def f():\n    from . import g\n    from ..h import i\n    import importlib\n    importlib.import_module('j')\n"
    )
    monkeypatch.setattr(sources, "modules", lambda: {"top.folder.inner": path})
    found = {(item.target, item.name) for item in sources.imports_of("top.folder.inner")}
    assert found >= {("a", None), ("b.c", "d"), ("top.folder", "g"), ("top.h", "i"), ("j", None)}
