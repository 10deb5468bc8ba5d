"""The public surface is a list, and the list is true."""

from __future__ import annotations

import ast
import importlib
import re
import types

import pytest
import sources

import sensorad

MODULES = sorted(sources.modules())
PACKAGES = [module for module in MODULES if sources.modules()[module].name == "__init__.py"]


def isort_key(name: str) -> tuple[int, list[str | int]]:
    """Constants, then classes, then functions; numbers by value: the order in which the linter keeps the lists."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def listed(module: str) -> list[str] | None:
    """The literal ``__all__`` of a module, read without importing it."""
    for node in sources.tree_of(module).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return None


def defined(module: str) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in sources.tree_of(module).body if isinstance(node, kinds) and node.name[0] != "_"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_lists_its_public_names(module: str) -> None:
    names = listed(module)
    assert names is not None, f"{module} has no __all__"
    assert names == sorted(names, key=isort_key)
    assert len(names) == len(set(names))
    missing = [name for name in defined(module) if name not in names]
    assert missing == [], "list it in __all__, or give it a leading underscore"
    assert [name for name in names if name.startswith("_")] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_listed_name_exists(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in listed(module) or []:
        assert getattr(loaded, name, None) is not None, f"{module}.{name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_expose_nothing_beside_the_list(package: str) -> None:
    loaded = importlib.import_module(package)
    extra = [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_")
        and name not in (listed(package) or [])
        and not isinstance(value, types.ModuleType)
        and getattr(value, "__module__", "").split(".")[0] in sources.PACKAGES
    ]
    assert extra == []


def test_the_front_door() -> None:
    assert set(sensorad.__all__) >= {"Budget", "Detector", "EventRule", "LogFormat", "SensorLog", "load"}
    from sensorad.detector import Detector
    from sensorad.logs import SensorLog

    assert sensorad.Detector is Detector
    assert sensorad.SensorLog is SensorLog
    assert set(sensorad.__all__) <= set(dir(sensorad))
    with pytest.raises(AttributeError, match="no attribute 'Detecter'"):
        sensorad.Detecter  # noqa: B018


def test_all_errors_are_at_the_front_door() -> None:
    from sensorad import errors

    classes = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    assert len(classes) >= 9
    for name in classes:
        assert getattr(sensorad, name) is getattr(errors, name)
