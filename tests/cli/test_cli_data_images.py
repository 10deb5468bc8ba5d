"""``sensorad data`` for sets of images: listed by parts, fetched without being taken for series."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import cli

import sensorad_datasets.images
from sensorad_cli.commands.data import command
from sensorad_cli.output import Output


def test_sets_of_images_are_listed_by_parts_or_refused_in_one_line(tmp_path: Path) -> None:
    assert json.loads(cli("data", "list", "digits", "--json").ok().out) == {"train": 1198, "test": 599}
    cards = {card["name"]: card for card in json.loads(cli("data", "list", "--json").ok().out)}
    assert (cards["mnist"]["n_images"], cards["mnist"]["n_series"]) == (70_000, 0)
    words = ("'mnist' is not in the data folder", "sensorad data fetch mnist -o DIR", "--data digits")
    cli("data", "list", "mnist", "--root", tmp_path).refused(5, "E_IO", *words)


@pytest.mark.parametrize("set_name", ["mnist", "fashion_mnist"])
def test_a_fetched_set_of_images_ends_in_its_parts(
    set_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def fetched(name: str, root: str, **_: object) -> Path:
        asked.append((name, root))
        return Path(root) / name

    monkeypatch.setattr("sensorad_datasets.fetch_set", fetched)
    digits = sensorad_datasets.images.load_images("digits")
    monkeypatch.setattr(sensorad_datasets.images, "load_images", lambda name, root: digits)
    command.main(["fetch", set_name, "-o", str(tmp_path)], obj=Output(as_json=True), standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    assert asked == [(set_name, str(tmp_path))]
    assert said == {"set": set_name, "folder": str(tmp_path / set_name), "images": {"train": 1198, "test": 599}}
