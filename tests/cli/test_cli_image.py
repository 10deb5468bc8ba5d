"""``sensorad image`` as a user runs it: tables, files, a second run, a killed one, and what is refused."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from cli_process import cli, command_line, environment

from sensorad_datasets.images.parts import write_parts
from sensorad_datasets.recipes.states.ensemble import StateEnsemble

QUICK = ("--quick", "--seeds", "2")


def test_the_list_names_every_recipe_and_its_sets() -> None:
    told = json.loads(cli("image", "list", "--json").ok().out)
    names = [row["recipe"] for row in told]
    assert names[:16] == [f"I{number}" for number in range(1, 17)]
    assert "mnist" in told[0]["sets"]
    assert "Label smoothing" in cli("image", "list").ok().out


def test_a_run_prints_tables_and_keeps_everything_and_a_second_one_runs_nothing(tmp_path: Path) -> None:
    first = cli("image", "run", "i3", *QUICK, "-o", tmp_path / "out").ok()
    assert "### I3. Temperature scaling" in first.out
    assert "±" in first.out
    assert "[2/2] I3 on digits" in first.err
    kept = json.loads((tmp_path / "out" / "images.json").read_text())
    assert kept[0]["seeds"] == [0, 1]
    assert (tmp_path / "out" / "images.md").read_text() == first.out
    for name in kept[0]["pictures"]:
        assert (tmp_path / "out" / "I3-digits-quick" / name).read_text().startswith("<?xml")
    second = cli("image", "run", "I3", *QUICK, "-o", tmp_path / "out").ok()
    assert second.out == first.out
    assert "on digits, seed" not in second.err
    assert f"{sum(sum(row['seconds']) for row in kept):,.0f} s of processor time in all" in second.err
    told = json.loads(cli("image", "run", "I3", *QUICK, "-o", tmp_path / "out", "--json").ok().out)
    assert told["recipes"] == kept


def test_two_processes_give_what_one_gives_and_no_figures_are_drawn_where_none_are_wanted(tmp_path: Path) -> None:
    one = json.loads(cli("image", "run", "I1", *QUICK, "--no-figures", "--json", "-o", tmp_path / "one").ok().out)
    two = json.loads(
        cli("image", "run", "I1", *QUICK, "--no-figures", "--json", "--jobs", 2, "-o", tmp_path / "two").ok().out
    )
    assert [row["seeds"] for row in one["recipes"][0]["rows"]] == [row["seeds"] for row in two["recipes"][0]["rows"]]
    assert not list(tmp_path.rglob("*.svg"))


def test_a_killed_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    arguments = ("image", "run", "I1", "--quick", "--seeds", "40", "--no-figures", "-o", tmp_path / "out")
    process = subprocess.Popen(
        command_line(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    kept = tmp_path / "out" / "I1-digits-quick"
    deadline = time.monotonic() + 120
    while len(list(kept.glob("seed-*.json"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in kept.glob("seed-*.json")}
    assert 2 <= len(done) < 40
    cli(*arguments[:5], len(done) + 1, *arguments[6:]).ok()
    assert {name: (kept / name).stat().st_mtime_ns for name in done} == done
    assert len(list(kept.glob("seed-*.json"))) == len(done) + 1


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few small images of two products."""
    counts = {("bracket", "good"): 5, ("bracket", "flipped"): 4, ("tile", "good"): 6, ("tile", "cracked"): 1}
    return write_parts(tmp_path_factory.mktemp("parts") / "set", np.random.default_rng(0), counts, size=16)


def test_products_and_states_of_a_folder_are_learned_judged_and_kept(parts: Path, tmp_path: Path) -> None:
    short = ("--size", 16, "--epochs", 2, "--folds", 2, "--no-flip", "bracket", "-o", tmp_path / "out")
    done = cli("image", "states", parts, *short).ok()
    assert "macro-F1" in done.out + done.err
    assert "one image is too few to be judged by: tile-cracked" in done.err
    kept = json.loads((tmp_path / "out" / "result.json").read_text())
    assert kept["counts"] == {"bracket-good": 5, "bracket-flipped": 4, "tile-good": 6, "tile-cracked": 1}
    found = StateEnsemble.load(tmp_path / "out")
    said = found.probabilities(np.zeros((1, 3, 16, 16), np.float32))
    assert said.sum() == pytest.approx(1.0)
    cli("image", "states", parts, *short).refused(5, "E_IO", "exists", "--force")
    again = json.loads(cli("image", "states", parts, *short, "--force", "--json").ok().out)
    assert again["macro_f1"] == kept["macro_f1"], "the same seed, the same networks"


def test_folders_that_cannot_be_learned_from_are_refused_in_one_line(parts: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "out")
    cli("image", "states", tmp_path / "nowhere", *out).refused(5, "E_IO", "does not exist")
    cli("image", "states", tmp_path, *out).refused(3, "E_DATA", "<product>")
    cli("image", "states", parts, "--no-flip", "nut", *out).refused(3, "E_DATA", "'nut'", "bracket, tile")
    cli("image", "states", parts, "--backbone", "resnet", *out).refused(2, "E_USAGE", "resnet")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_run_is_refused_in_one_line(tmp_path: Path) -> None:
    cli("image", "run", "I77", cwd=tmp_path).refused(2, "E_USAGE", "there is no recipe 'I77'")
    cli("image", "run", "I7", "--data", "wafers", cwd=tmp_path).refused(
        2, "E_USAGE", "I7 does not run on 'wafers'", "digits"
    )
    cli("image", "run", "I7", "--data", "mnist", cwd=tmp_path).refused(5, "E_IO", "SENSORAD_DATA")
    (tmp_path / "file").write_text("")
    cli("image", "run", "I1", *QUICK, "-o", tmp_path / "file", cwd=tmp_path).refused(5, "E_IO", "file")
    cli("image", "run", "I1", *QUICK, "--page", tmp_path / "no.md", "-o", tmp_path / "o").ok(5)
    assert not (tmp_path / "no.md").exists()
