"""Killed, out of space, or replaced under a reader: either the old or the new artefact is there, never a part."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorad.artefact import atomic, read_artefact, write_artefact
from sensorad.artefact.contents import FILES
from sensorad.errors import StorageError

# Kills itself just before its n-th step on the file system, for n = 0, 1, 2, ... until a write gets through.
KILL_AT_EVERY_STEP = """
import os, pathlib, shutil, signal, sys
import numpy as np
import sensorad.artefact.atomic as atomic
from sensorad.artefact import read_artefact, write_artefact
from sensorad.errors import StorageError

def save(value, force):
    write_artefact("m", detector={"value": value}, weights={"w": np.full(1000, float(value))},
                   calibration={"value": value}, calibration_arrays={}, card=str(value), force=force)

def die_at(n):
    steps = 0
    def before(owner, name):
        real = getattr(owner, name)
        def step(*args, **kwargs):
            nonlocal steps
            if steps == n:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
            return real(*args, **kwargs)
        setattr(owner, name, step)
    for owner, name in ((os, "fsync"), (os, "open"), (os, "close"), (os, "mkdir"), (os, "unlink"), (os, "rmdir"),
                        (pathlib.Path, "open"), (pathlib.Path, "rename"), (atomic, "_exchange")):
        before(owner, name)

exchange = sys.argv[1] == "exchange"
is_replacement = sys.argv[2] == "replace"
if not exchange:
    atomic._exchange = lambda one, other: False
outcomes = []
for n in range(500):
    shutil.rmtree("m", ignore_errors=True)
    if is_replacement:
        save(1, False)
    child = os.fork()
    if child == 0:
        die_at(n)
        save(2, is_replacement)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    try:
        found = read_artefact("m")
        value = found.detector["value"]
        assert found.calibration == {"value": value} and (found.weights["w"] == value).all(), found
        outcomes.append(value)
    except StorageError as error:
        outcomes.append("interrupted" if "rename .m.old-" in str(error) else "absent")
    if status == 0:
        break
    assert os.WIFSIGNALED(status), status
else:
    sys.exit("never finished")
save(3, True)  # a rerun clears up
assert os.listdir(".") == ["m"], os.listdir(".")
print(*outcomes)
"""


def run(script: str, *args: str, cwd: Path) -> str:
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="fork and the exchange of names are Linux's")
@pytest.mark.parametrize("how", ["exchange", "two renames"])
def test_kill_at_every_step_of_a_replacement_leaves_old_or_new(tmp_path: Path, how: str) -> None:
    outcomes = run(KILL_AT_EVERY_STEP, how, "replace", cwd=tmp_path).split()
    assert len(outcomes) > 20
    assert outcomes[0] == "1"
    assert outcomes[-1] == "2"
    gap = [outcome for outcome in outcomes if outcome not in ("1", "2")]
    # without the exchange one step lies between the renames, and the reader is told where the old artefact is
    assert gap == ([] if how == "exchange" else ["interrupted"])
    whole = [outcome for outcome in outcomes if outcome not in gap]
    assert whole == sorted(whole), "once the new artefact is there, the old one never comes back"


@pytest.mark.skipif(sys.platform != "linux", reason="fork and the exchange of names are Linux's")
def test_kill_at_every_step_of_a_first_write_leaves_nothing_or_all(tmp_path: Path) -> None:
    outcomes = run(KILL_AT_EVERY_STEP, "exchange", "first", cwd=tmp_path).split()
    assert len(outcomes) > 15
    assert set(outcomes) == {"absent", "2"}
    assert outcomes[0] == "absent"
    assert outcomes[-1] == "2"


def save(path: Path, value: int, *, force: bool = False, size: int = 1000) -> None:
    write_artefact(
        path,
        detector={"value": value},
        weights={"w": np.full(size, float(value))},
        calibration={"value": value},
        calibration_arrays={},
        card=str(value),
        force=force,
    )


def fail_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, n: int, error: BaseException) -> Callable[[], int]:
    real, calls = getattr(owner, name), 0

    def step(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == n + 1:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, step)
    return lambda: calls


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (atomic, "write_durably"), (Path, "rename"), (Path, "mkdir")]
)
def test_a_full_disk_at_any_step_leaves_the_old_artefact_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, exchange: bool
) -> None:
    if name == "write_durably":  # imported by name
        from sensorad.artefact import write as owner
    for n in range(30):
        with monkeypatch.context() as patch:
            save(tmp_path / "m", 1, force=True)
            if not exchange:
                patch.setattr(atomic, "_exchange", lambda one, other: False)
            calls = fail_at(patch, owner, name, n, OSError(errno.ENOSPC, "No space left on device"))
            outcome = None
            try:
                save(tmp_path / "m", 2, force=True)
            except StorageError as error:
                outcome = str(error)
        failed = calls() > n
        assert (outcome is not None and "No space left on device" in outcome) == failed
        # only the very last flush, that of the parent's names, can fail when the new artefact is already in place
        is_last_flush = name == "fsync" and n == len(FILES) + 2
        assert read_artefact(tmp_path / "m").detector["value"] == (1 if failed and not is_last_flush else 2)
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        if not failed:
            break
    else:
        pytest.fail("never finished")


def test_an_interrupt_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, os, "fsync", 3, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "m", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("limit", [0, 100, 4096, 20_000])
def test_a_real_limit_on_file_size_is_a_storage_error(tmp_path: Path, limit: int) -> None:
    script = f"""
import resource, signal, sys
import numpy as np
from sensorad.artefact import write_artefact
from sensorad.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    weights = {{"w": np.zeros(10_000)}}
    write_artefact("m", detector={{}}, weights=weights, calibration={{}}, calibration_arrays={{}}, card="")
except StorageError as error:
    print(error)
"""
    assert "cannot write the artefact: File too large (m)" in run(script, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_a_storage_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="no permission"):
        save(tmp_path / "m", 1)


@pytest.mark.parametrize(
    "exchange", [pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="")), False]
)
def test_readers_see_whole_artefacts_while_a_writer_replaces_them(tmp_path: Path, exchange: bool) -> None:
    save(tmp_path / "m", 0, size=200_000)
    script = """
import sys
import numpy as np
import sensorad.artefact.atomic as atomic
from sensorad.artefact import write_artefact
if sys.argv[1] == "False":
    atomic._exchange = lambda one, other: False
for value in range(1, 41):
    write_artefact("m", detector={"value": value}, weights={"w": np.full(200_000, float(value))},
                   calibration={"value": value}, calibration_arrays={}, card="", force=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", script, str(exchange)], cwd=tmp_path)
    seen = []
    try:
        while writer.poll() is None:
            found = read_artefact(tmp_path / "m")
            value = found.detector["value"]
            assert found.calibration == {"value": value}
            assert (found.weights["w"] == value).all()
            seen.append(value)
    finally:
        writer.wait(timeout=60)
    assert writer.returncode == 0
    assert len(set(seen)) > 3, "the reader must have met several versions"
    assert seen == sorted(seen)
    assert read_artefact(tmp_path / "m").detector == {"value": 40}
