"""Every code block of the README and of docs/ runs, in order, as a reader would run it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fenced_blocks import blocks_of, run_blocks

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SECONDS_PER_BLOCK = 900.0  # a fit takes seconds on an idle machine and minutes on a busy one
# Raising it is a decision: each such block is a promise that nobody checks.
MAX_NOT_RUN = 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    left_out = run_blocks(blocks_of(path), tmp_path, seconds=SECONDS_PER_BLOCK)
    if left_out:
        names = sorted({name for block in left_out for name in block.missing})
        pytest.skip(f"all ran but {len(left_out)} blocks that need {', '.join(names)}")


def test_blocks_that_do_not_run_are_few_and_say_why() -> None:
    blocks = [block for path in DOCUMENTS for block in blocks_of(path)]
    skipped = [f"{block.place}: {block.norun}" for block in blocks if block.norun is not None]
    assert len(skipped) <= MAX_NOT_RUN, "\n".join(skipped)
