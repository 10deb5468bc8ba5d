"""`fit --card`: the card beside the detector, and what `inspect` and `report` make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import START, STEP, cli, left_in, make_log

from sensorad.detectability import read_card

CHOSEN = ("--card-kinds", "bias,stuck", "--card-sensors", "power,lamp")


@pytest.fixture(scope="module")
def carded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with normal.parquet, pump.sensorad, card.json and card.svg."""
    folder = tmp_path_factory.mktemp("carded")
    make_log(5000, seed=0).to_parquet(folder / "normal.parquet")
    args = ("fit", "normal.parquet", "-o", "pump.sensorad", "--budget", "3/day", "--card", "card.json")
    run = cli(*args, "--card-figure", "card.svg", *CHOSEN, cwd=folder).ok()
    assert run.out == ""
    (folder / "fit.txt").write_text(run.err)
    return folder


def test_the_files_and_what_fit_says(carded: Path) -> None:
    assert left_in(carded) == {"normal.parquet", "pump.sensorad", "card.json", "card.svg", "fit.txt"}
    card = read_card(carded / "card.json")
    assert card.sensors == ("power", "lamp")
    assert card.kinds == ("bias", "stuck")
    assert card.about["held_back"] == 0.2
    assert card.about["rows"] == 1000
    bias = card.cell("power", "bias")
    assert bias.state == "found"
    assert bias.half is not None
    assert bias.half.amount is not None
    assert 0.05 < bias.half.amount < 4.0, "power rises and falls by 4; its own noise is 0.1"
    assert card.cell("lamp", "bias").state == "no fault", "it never moved, so nothing measures a bias"
    said = (carded / "fit.txt").read_text()
    assert "would find" in said
    assert "pump.sensorad, card.json, card.svg" in said
    assert (carded / "card.svg").read_text().startswith("<svg ")


def test_inspect_and_report_show_it(carded: Path) -> None:
    run = cli("inspect", "pump.sensorad", "--card", "card.json", cwd=carded).ok()
    assert "Would find" in run.out
    assert "sigma at power" in run.out
    assert "second detector" in run.out
    shown = json.loads(cli("inspect", "pump.sensorad", "--card", "card.json", "--json", cwd=carded).ok().out)
    assert shown["detectability"] == json.loads((carded / "card.json").read_text())
    assert "detectability" not in json.loads(cli("inspect", "pump.sensorad", "--json", cwd=carded).ok().out)
    cli("report", "pump.sensorad", "-o", "page.html", "--card", "card.json", cwd=carded).ok()
    assert '"baseline":{"n":200' in (carded / "page.html").read_text()
    (carded / "page.html").unlink()


def test_a_card_of_another_detector_is_refused(carded: Path, workshop: Path) -> None:
    run = cli("inspect", workshop / "pump.sensorad", "--card", "card.json", cwd=carded)
    run.refused(3, "E_DATA", "another detector", "card.json")


def test_a_log_of_its_own(carded: Path, tmp_path: Path) -> None:
    """No second fit: the detector in use is the one that is judged."""
    make_log(1500, seed=9, start=START + 5000 * STEP).to_parquet(tmp_path / "later.parquet")
    args = ("fit", carded / "normal.parquet", "-o", "pump.sensorad", "--budget", "3/day", "--card", "card.json")
    run = cli(*args, "--card-log", "later.parquet", *CHOSEN, "--json", cwd=tmp_path).ok()
    assert json.loads(run.out)["outputs"]["card"] == "card.json"
    card = read_card(tmp_path / "card.json")
    assert "held_back" not in card.about
    assert card.about["rows"] == 1500
    assert card.about["alarm_line"] == json.loads(run.out)["threshold"]["statement"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--card-kinds", "bias"), ("--card-kinds", "--card FILE.json")),
        (("--card", "c.json", "--card-kinds", "bios"), ("bios", "bias")),
        (("--card", "c.json", "--card-sensors", "powr"), ("powr", "power")),
        (("--card", "-"), ("--card writes a file",)),
        (("--card", "normal.parquet"), ("--card normal.parquet", "input")),
    ],
)
def test_what_cannot_be_is_refused_before_the_fit(args: tuple[str, ...], words: tuple[str, ...], carded: Path) -> None:
    before = left_in(carded)
    cli("fit", "normal.parquet", "-o", "other.sensorad", *args, cwd=carded).refused(2, "E_USAGE", *words)
    assert left_in(carded) == before


def test_a_card_that_exists_is_kept(carded: Path) -> None:
    before = (carded / "card.json").read_bytes()
    run = cli("fit", "normal.parquet", "-o", "other.sensorad", "--card", "card.json", cwd=carded)
    run.refused(5, "E_IO", "card.json", "--force")
    assert (carded / "card.json").read_bytes() == before
    assert not (carded / "other.sensorad").exists()


def test_where_there_is_too_little_for_a_card_the_detector_is_there(tmp_path: Path) -> None:
    make_log(200, seed=0).to_parquet(tmp_path / "short.parquet")
    run = cli("fit", "short.parquet", "-o", "pump.sensorad", "--card", "card.json", cwd=tmp_path).ok(3)
    assert "the detector is written, pump.sensorad, but there is no card" in run.err
    assert left_in(tmp_path) == {"short.parquet", "pump.sensorad"}
    cli("inspect", "pump.sensorad", cwd=tmp_path).ok()
