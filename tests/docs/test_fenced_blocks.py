"""The runner of the documents itself: a document that does not work must fail."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import TimeoutExpired
from textwrap import dedent

import pytest
from fenced_blocks import Block, blocks_of, console_script, run_blocks


def document(folder: Path, text: str) -> list[Block]:
    path = folder / "guide.md"
    path.write_text(dedent(text))
    return blocks_of(path)


def run(folder: Path, text: str, seconds: float = 60) -> list[Block]:
    return run_blocks(document(folder, text), folder, seconds=seconds)


def test_blocks_share_namespace_and_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(
        tmp_path,
        """
        ```python
        from pathlib import Path
        x = 6
        ```
        - in a list:
          ```bash
          echo 7 > seven
          ```
        ~~~python
        y = x * int(Path("seven").read_text())
        ~~~
        ```python
        >>> y
        42
        ```
        ```console
        $ test "$(cat seven)" = 7 && \\
        >   echo fine | tee said
        fine
        ```
        ```python
        assert Path("said").read_text() == "fine\\n"
        ```
        """,
    )


def test_commands_of_the_environment_are_found(tmp_path: Path) -> None:
    run(tmp_path, "```bash\ncommand -v pytest\npython -c 'import pytest'\n```\n")


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("```python\n1 / 0\n```", ZeroDivisionError),
        ("```python\n>>> 1 + 1\n3\n```", Exception),
        ("```bash\nfalse\ntrue\n```", AssertionError),
        ("```bash\nfalse | true\n```", AssertionError),
        ("```console\n$ false\n$ true\n```", AssertionError),
        ("```console\nsensorad demo\n```", AssertionError),
        ("```bash\nread -r line\n```", AssertionError),
    ],
)
def test_failures_are_failures(tmp_path: Path, block: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(tmp_path, block + "\n")


def test_errors_carry_the_line_of_the_document(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run(tmp_path, "text\n\n```python\nx = 1\nx / 0\n```\n")
    assert caught.traceback[-1].lineno + 1 == 5


@pytest.mark.parametrize(
    ("block", "error"),
    [("```python\nwhile True: pass\n```", TimeoutError), ("```bash\nsleep 60\n```", TimeoutExpired)],
)
def test_endless_blocks_are_stopped(tmp_path: Path, block: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(tmp_path, block + "\n", seconds=0.3)


def test_norun_needs_a_reason(tmp_path: Path) -> None:
    text = "<!-- norun: {} -->\n```bash\nexit 1\n```\n"
    (block,) = document(tmp_path, text.format("asks for a broker"))
    assert block.norun == "asks for a broker"
    assert run_blocks([block], tmp_path, seconds=5) == []
    for comment in ("norun: ", "norun", "skip: because"):
        broken = text.replace("norun: {}", comment)
        if comment == "norun":  # not a mark at all: the block runs
            with pytest.raises(AssertionError):
                run(tmp_path, broken)
        else:
            with pytest.raises(ValueError, match=r"guide\.md:1"):
                document(tmp_path, broken)


def test_needs_runs_only_where_the_variable_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "<!-- needs: SENSORAD_TEST_ONLY -->\n```bash\ntouch $SENSORAD_TEST_ONLY\n```\n"
    monkeypatch.delenv("SENSORAD_TEST_ONLY", raising=False)
    (left,) = run(tmp_path, text)
    assert left.missing == ["SENSORAD_TEST_ONLY"]
    monkeypatch.setenv("SENSORAD_TEST_ONLY", str(tmp_path / "made"))
    assert run(tmp_path, text) == []
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ["```\nls\n```\n", "```sh\nls\n```\n", "```python\nx = 1\n"])
def test_blocks_that_would_be_overlooked_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="guide"):
        document(tmp_path, text)


def test_shown_blocks_and_nested_fences_are_not_run(tmp_path: Path) -> None:
    blocks = document(tmp_path, "````markdown\n```bash\nexit 1\n```\n````\n```json\n{}\n```\n")
    assert [block.language for block in blocks] == ["markdown", "json"]
    run_blocks(blocks, tmp_path, seconds=5)


def test_console_output_is_not_run() -> None:
    session = "$ one\nprinted\n> printed too\n$ two \\\n> more\n"
    assert console_script(session) == "one\ntwo \\\nmore\n"


def test_child_processes_are_strict_about_our_own_warnings(tmp_path: Path) -> None:
    """The shell blocks and the command-line tests inherit tests/strict/sitecustomize.py."""
    assert "strict" in os.environ["PYTHONPATH"]
    script = "import warnings\nwarnings.warn_explicit('old', DeprecationWarning, 'x.py', 1, module='{}')\n"
    for module, fails in (("sensorad_cli.main", True), ("sensorad", True), ("sensorad_like", False), ("pandas", False)):
        (tmp_path / "warn.py").write_text(script.format(module))
        block = "```bash\npython warn.py\n```\n"
        if fails:
            with pytest.raises(AssertionError, match="DeprecationWarning: old"):
                run(tmp_path, block)
        else:
            run(tmp_path, block)
