"""The source files of the three packages, and every import statement in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "sensorad": ROOT / "sensorad",
    "sensorad_cli": ROOT / "cli" / "sensorad_cli",
    "sensorad_datasets": ROOT / "datasets" / "sensorad_datasets",
}


@dataclass(frozen=True)
class Import:
    """``module`` imports ``target``; ``name`` is what it takes from there, if anything."""

    module: str
    target: str
    name: str | None
    line: int


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, for all modules of all packages."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(), filename=str(modules()[module]))


def imports_of(module: str) -> Iterator[Import]:
    """All imports, also those inside functions, under TYPE_CHECKING, relative ones, and import_module("...")."""
    is_package = modules()[module].name == "__init__.py"
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, None, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield Import(module, base, alias.name, node.lineno)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__", "importorskip"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Import(module, argument.value, None, node.lineno)


def _name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None
