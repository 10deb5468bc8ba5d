"""The card as an object: what it says, JSON and back, table, figure, words; and rows held back for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad.augment.faults import FAULTS
from sensorad.detectability import CardConfig, DetectabilityCard, card_svg, card_table, read_card, summary_lines
from sensorad.detectability.card import Baseline, CardCell, TriedSeverity
from sensorad.detectability.config import severity_grid
from sensorad.detectability.figure import level_of
from sensorad.detectability.trials import Outcome
from sensorad.detectability.words import cell_text
from sensorad.errors import DataError, StorageError, TooLittleDataError, UsageError
from sensorad.thresholds import QuantileThreshold
from sensorad.types import Sensor, SensorSchema

NASTY = 'a|b`<script>"&\n'


def tried_at(severity: float, n_found: int, n: int = 20, amount: float | None = None) -> TriedSeverity:
    delay = 4.0 if n_found else None
    return TriedSeverity(severity, amount, Outcome(n, n_found, delay, 60.0 * delay if delay else None, severity))


def made_card() -> DetectabilityCard:
    """One cell of each state."""
    schema = SensorSchema((Sensor("power", unit="kW"), Sensor(NASTY), Sensor("flag")))
    cells = (
        CardCell("power", "bias", (tried_at(0.5, 3, amount=5.0), tried_at(1.0, 11, amount=10.0), tried_at(2.0, 19)), 5),
        CardCell("power", "saturation", (tried_at(0.95, 18), tried_at(0.9, 20)), 5),
        CardCell(NASTY, "bias", (tried_at(1.0, 1), tried_at(6.0, 3)), 5),
        CardCell(NASTY, "saturation", (tried_at(0.5, 1, n=1), tried_at(0.4, 2, n=2)), 5),
        CardCell("flag", "bias", (), 5, is_used=False),
        CardCell("flag", "saturation", (), 5, is_used=False),
    )
    config = CardConfig(kinds=("bias", "saturation"), n_placements=20)
    about = {"rows": 4000, "alarm_line": "Alarm line 2.", "weights": "ab12"}
    return DetectabilityCard(cells, config, schema, Baseline(200, 3, 60), 60.0, about, ("a note",))


def test_what_cells_say() -> None:
    card = made_card()
    bias = card.cell("power", "bias")
    assert bias.half is not None
    assert bias.most is not None
    assert (bias.half.severity, bias.half.amount, bias.most.severity) == (1.0, 10.0, 2.0)
    assert [cell.state for cell in card.cells] == ["found", "found", "never", "no fault", *2 * ["not looked at"]]
    assert [cell.is_mildest for cell in card.cells] == [False, True, False, False, False, False]
    texts = [cell_text(cell) for cell in card.cells]
    assert texts == ["1, 4 rows", "at least 0.95, 4 rows", "never", "-", "not looked at", "not looked at"]
    with pytest.raises(UsageError, match="no 'drift' at sensor 'power'"):
        card.cell("power", "drift")


def test_a_severity_counts_only_if_all_worse_ones_do() -> None:
    cell = CardCell("x", "bias", (tried_at(1.0, 15), tried_at(2.0, 9), tried_at(3.0, 20)))
    assert cell.half is not None
    assert cell.half.severity == 3.0


def test_json_and_back(tmp_path: Path) -> None:
    card = made_card()
    text = json.dumps(card.to_json(), allow_nan=False)
    assert DetectabilityCard.from_json(json.loads(text)) == card
    (tmp_path / "card.json").write_text(text)
    assert read_card(tmp_path / "card.json") == card
    values = json.loads(text)
    assert values["units"]["severity"] == {"bias": "sigma", "saturation": "range"}
    assert values["cells"][0]["half"]["amount"] == 10.0
    assert values["cells"][0]["amount_unit"] == "kW"
    assert values["baseline"]["share"] == 0.015


def broken(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(made_card().to_json())) | changes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "no detectability card"),
        ({}, "no detectability card"),
        (broken(format="other"), "no detectability card"),
        (broken(version=2), "version 2"),
        (broken(cells=[{"sensor": "x"}]), "incomplete"),
        (broken(cells=7), "incomplete"),
        (broken(sensors=[{"colour": "red"}]), "incomplete"),
        (broken(config={"kinds": ["bios"]}), "incomplete"),
        (broken(baseline=None), "incomplete"),
    ],
)
def test_cards_that_are_none(values: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        DetectabilityCard.from_json(values)


def test_files_that_are_no_cards(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_card(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="JSON"):
        read_card(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(DataError, match=r"b\.json"):
        read_card(tmp_path / "b.json")


def test_table_and_words() -> None:
    lines = card_table(made_card()).splitlines()
    assert lines[0] == "| sensor | bias (sigma) | saturation (range) |"
    assert lines[2] == "| `power` | 1, 4 rows | at least 0.95, 4 rows |"
    assert all(line.count("|") == 4 for line in lines), "names cannot make columns"
    words = dict(summary_lines(made_card()))
    assert words["bias"] == "1 sigma at power; never at 1 of 2 sensors"
    assert words["saturation"] == "at least 0.95 range at power"
    assert words["by chance"] == "1.5% of 200 places without a fault alarm within 60 rows"


def test_figure_is_well_formed_and_marks_what_is_never_found() -> None:
    root = ElementTree.fromstring(card_svg(made_card()))  # noqa: S314
    texts = [node.text for node in root.iter() if node.text]
    assert "never" in texts
    assert "\u22650.95" in texts
    assert texts.count("unused") == 2
    fills = [node.get("fill") for node in root.iter() if node.get("width") == "76"]
    assert fills.count("url(#never)") == 1
    assert len(fills) == 6
    assert not list(root.iter("script"))


def test_darker_means_larger() -> None:
    levels = [level_of(change) for change in (0.01, 0.07, 0.15, 0.3, 0.6, 1.0, 2.0, 5.0)]
    assert levels == list(range(8))


@pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)
def test_grids_run_from_mild_to_worse_and_hold_the_usual_severities(kind: Any) -> None:
    grid = severity_grid(kind, 9, 120)
    steps = np.diff(grid) * (-1 if kind.grows_with == "down" else 1)
    assert (steps > 0).all()
    low, high = min(grid), max(grid)
    assert low <= kind.low
    assert high >= kind.high
    if kind.unit_of_severity == "share":
        assert high <= 1.0
    config = CardConfig(kinds=(kind.name,))
    assert config.grid(kind.name) == grid
    assert config.longest >= (3 if kind.name == "spike" else 60)


def plant(n_rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    load = np.sin(np.arange(n_rows) / 40) + 0.2 * rng.normal(size=n_rows)
    values = np.stack([load, 2 * load], axis=1) + 0.1 * rng.normal(size=(n_rows, 2))
    frame = pd.DataFrame(values, columns=["flow", "power"])
    frame.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return frame


SMALL = CardConfig(kinds=("bias",), rows=20, n_placements=10, n_severities=5)


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return plant(5000, 0)


@pytest.fixture(scope="module")
def detector(log: pd.DataFrame) -> sensorad.Detector:
    return sensorad.Detector(window=16).fit(log, budget="3/day")


def test_the_log_of_the_fit_is_refused(detector: sensorad.Detector, log: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="held_back"):
        sensorad.detectability_card(detector, log, config=SMALL)
    with pytest.raises(UsageError, match="below 1"):
        sensorad.detectability_card(detector, log, config=SMALL, held_back=1.0)


def test_held_back_rows_are_seen_by_nobody_before_the_card(
    detector: sensorad.Detector, log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card equals that of a detector fitted by hand on the first part, tried on the rest."""
    whole = sensorad.detectability_card(detector, log, config=SMALL, held_back=0.3)
    by_hand = sensorad.Detector(config=detector.config_).fit(log.iloc[:3500], budget="3/day")
    rest = sensorad.detectability_card(by_hand, log.iloc[3500:], config=SMALL)
    assert whole.about["rows"] == rest.about["rows"] == 1500
    assert whole.about["from"] == rest.about["from"] == "2024-05-03T10:20:00Z"
    assert whole.about["alarm_line"] == rest.about["alarm_line"]
    assert "3 alarm events a day" in str(whole.about["alarm_line"])
    assert whole.baseline == rest.baseline
    assert whole.about["weights"] == detector.weights_hash_ != by_hand.weights_hash_
    assert "second detector" in whole.notes[0]
    assert not any("second" in note for note in rest.notes)
    for one, other in zip(whole.cells, rest.cells, strict=True):  # sigma is that of another part of the log
        assert one.state == other.state == "found"
        assert one.half is not None
        assert other.half is not None
        assert one.half.severity == pytest.approx(other.half.severity, rel=1.0)


def test_a_budget_that_the_earlier_rows_cannot_prove_is_extrapolated(log: pd.DataFrame) -> None:
    detector = sensorad.Detector(window=16).fit(log, budget="0.7/day", confidence=0.9)
    card = sensorad.detectability_card(detector, log, config=SMALL, held_back=0.2)
    assert "xtrapolated" in str(card.about["alarm_line"])
    assert card.about["budget"] == "0.7/day"


def test_another_method_of_the_line_is_used_again(log: pd.DataFrame) -> None:
    detector = sensorad.Detector(window=16, threshold=QuantileThreshold(0.99)).fit(log)
    card = sensorad.detectability_card(detector, log, config=SMALL, held_back=0.2)
    assert "method quantile" in str(card.about["alarm_line"])


def test_labelled_rows_are_neither_learned_nor_used(log: pd.DataFrame) -> None:
    marked = log.assign(fault=0)
    marked.loc[4400:4500, "fault"] = 1
    marked.loc[4400:4500, ["flow", "power"]] = 1e6
    detector = sensorad.Detector(window=16).fit(marked, format=sensorad.LogFormat(label="fault"), budget="3/day")
    card = sensorad.detectability_card(detector, marked, config=replace(SMALL, n_placements=4), held_back=0.2)
    assert card.about["rows"] == 1000 - 101
    half = card.cell("flow", "bias").half
    assert half is not None
    assert half.amount is not None
    assert half.amount < 5.0


def test_machines_hold_back_their_own_newest_rows(log: pd.DataFrame) -> None:
    late = plant(2500, 3).assign(time=lambda frame: frame["time"] + pd.Timedelta("30D"))
    fleet = pd.concat([log.assign(machine="a"), late.assign(machine="b")])
    detector = sensorad.Detector(window=16).fit(fleet, group="machine", budget="3/day")
    card = sensorad.detectability_card(detector, fleet, config=SMALL, held_back=0.2)
    assert card.about["rows"] == 1000 + 500
    assert card.about["from"] == "2024-05-03T18:40:00Z"


def test_too_little_is_left_for_a_fit() -> None:
    short = plant(130, 1)
    detector = sensorad.Detector(window=16).fit(short)
    with pytest.raises(TooLittleDataError, match="without the newest 60%"):
        sensorad.detectability_card(detector, short, config=SMALL, held_back=0.6)


def test_a_sensor_that_no_model_looks_at_is_said_to_be_so(log: pd.DataFrame) -> None:
    flags = {f"flag{i}": (np.arange(5000) // (700 + 100 * i)) % 2 for i in range(4)}
    detector = sensorad.Detector(window=16).fit(log.assign(**flags).iloc[:4000], budget="3/day")
    card = sensorad.detectability_card(detector, log.assign(**flags).iloc[4000:], config=SMALL)
    assert card.cell("flag0", "bias").state == "not looked at"
    assert card.cell("flow", "bias").state == "found"


def test_larger_faults_are_found_sooner_and_more_often(detector: sensorad.Detector) -> None:
    found = []
    for severity in (0.05, 0.8, 8.0):
        settings = replace(SMALL, n_placements=20, severities={"bias": (severity,)})
        card = sensorad.detectability_card(detector, plant(3000, 5), config=settings)
        (tried,) = card.cell("power", "bias").tried
        assert tried.amount == pytest.approx(severity * plant(3000, 5)["power"].std(ddof=0), rel=1e-3)
        assert tried.outcome.change == pytest.approx(severity, rel=1e-3)
        found.append(tried.outcome)
    small, middle, large = found
    assert small.share < 0.3 < middle.share <= large.share == 1.0
    assert middle.delay_rows is not None
    assert large.delay_rows is not None
    assert large.delay_rows < middle.delay_rows
