"""What a figure depends on besides its data: versions, the code itself, the kind of machine."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sensorad

__all__ = ["code_hash", "machine", "versions"]

WITHOUT_INFLUENCE = ("report", "artefact", "card.py", "__init__.py")
PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow", "torch")


def versions() -> dict[str, str]:
    """Versions of Python, sensorad and what it computes with."""
    found = {"python": platform.python_version(), "sensorad": sensorad.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def code_hash() -> str:
    """Twelve hex digits over the code of the library: rows with different ones may not compare.

    Comments, docstrings and what only presents or stores results do not count.
    """
    folder = Path(sensorad.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if name.parts[0] not in WITHOUT_INFLUENCE:
            digest.update(name.as_posix().encode())
            digest.update(ast.dump(_without_docstrings(path.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:12]


def machine() -> dict[str, Any]:
    """Kind of machine, without names of hosts, users or paths."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads_per_process": 1,
    }


def _processor() -> str:
    """The processor's model name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else "unknown"


def _without_docstrings(source: str) -> ast.Module:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return tree
