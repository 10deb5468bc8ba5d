"""Means, spreads, paired differences, and the tables that show them."""

from __future__ import annotations

import numpy as np
import pytest

from sensorad_datasets.bench.campaign import summary_values
from sensorad_datasets.bench.environment import code_hash, machine, versions
from sensorad_datasets.bench.methods import DEFAULT_METHODS, METHODS
from sensorad_datasets.bench.summary import by_method, paired_difference, paired_differences, split_faults
from sensorad_datasets.bench.tables import document, markdown, set_table, sets_of


def row(set_name: str, series: str, method: str, seed: int, **values: object) -> dict[str, object]:
    usual = {"base_rate": 0.1, "fit_seconds": 1.0, "score_seconds": 0.1, "n_events": 4, "n_causes": None}
    return {"set": set_name, "series": series, "method": method, "seed": seed, **usual, **values}


ROWS = [
    row("asd", "x", "linear", 0, vus_pr=0.5, n_found=1, n_false=3, normal_days=1.5),
    row("asd", "y", "linear", 0, vus_pr=0.7, n_found=4, n_false=0, normal_days=0.5),
    row("asd", "x", "lstm", 0, vus_pr=0.6),
    row("asd", "y", "lstm", 0, vus_pr=0.6),
    row("asd", "x", "lstm", 1, vus_pr=0.8),
    row("asd", "y", "lstm", 1, vus_pr=0.9),
    row("asd", "x", "pca", 0, vus_pr=0.2),
]


def test_a_mean_is_over_series_and_its_spread_over_seeds() -> None:
    linear, lstm, pca = by_method(ROWS, "asd")
    assert [linear.method, lstm.method, pca.method] == ["linear", "lstm", "pca"]
    figure = lstm.figure("vus_pr")
    assert figure is not None
    assert figure.mean == pytest.approx((0.6 + 0.85) / 2)
    assert figure.spread == pytest.approx(np.std([0.6, 0.85], ddof=1))
    figure = linear.figure("vus_pr")
    assert figure is not None
    assert (figure.mean, figure.spread) == (pytest.approx(0.6), None)
    assert pca.figure("n_found") is None


def test_rates_are_pooled_over_series() -> None:
    linear = by_method(ROWS, "asd")[0]
    rate = linear.ratio("n_false", "normal_days")
    assert rate is not None
    assert rate.mean == 3 / 2.0
    assert linear.total("n_found") == 5


def test_methods_are_compared_on_the_same_series_with_seeds_averaged() -> None:
    (found,) = paired_differences(by_method(ROWS, "asd"), "vus_pr")
    assert (found.method, found.other, found.n_series) == ("lstm", "linear", 2)
    assert found.mean == pytest.approx(np.mean([0.7 - 0.5, 0.75 - 0.7]))
    assert found.n_wins == 2
    assert found.low == pytest.approx(0.05)
    assert found.high == pytest.approx(0.2)


def test_the_bootstrap_interval_is_that_of_a_plain_loop() -> None:
    differences = np.random.default_rng(5).normal(0.02, 0.1, 30)
    found = paired_difference("a", "b", differences)
    generator = np.random.default_rng(9)
    means = [generator.choice(differences, 30).mean() for _ in range(10_000)]
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.004)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.004)
    assert found.n_wins == sum(difference > 0 for difference in differences)
    assert paired_difference("a", "b", differences) == found


def test_tables_say_what_is_in_the_rows() -> None:
    text = set_table(ROWS, "asd")
    assert "2 series, mean base rate 0.100" in text
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "0.600" in lines["linear"]
    assert "5 / 8" in lines["linear"]
    assert "1.50" in lines["linear"]
    assert "0.725 ± 0.177" in lines["lstm"]
    assert "+0.125" in lines["lstm - linear"]
    assert "2 of 2" in lines["lstm - linear"]
    assert "not comparable: pca (1)" in text


def test_a_set_that_position_alone_wins_carries_a_warning() -> None:
    biased = [*ROWS, *(row("asd", name, "clock", 0, vus_pr=0.9) for name in "xy")]
    assert "**Position alone** (`clock`) reaches 0.900" in set_table(biased, "asd")
    fair = [*ROWS, *(row("asd", name, "clock", 0, vus_pr=0.2) for name in "xy")]
    assert "Position alone" not in set_table(fair, "asd")


def tep_row(fault: str, rate: float, delay: int | None) -> dict[str, object]:
    values = {"detection_rate": rate, "delay_rows": delay, "n_false_rows": 2, "n_normal_rows": 100}
    return row("tep", fault, "linear", 0, **values)


def test_tep_keeps_the_undetectable_faults_apart() -> None:
    rows = [tep_row("d01", 1.0, 3), tep_row("d03", 0.1, None), tep_row("d05", 0.5, 9)]
    easy, hard = split_faults(by_method(rows, "tep")[0])
    assert [item["series"] for item in easy.rows] == ["d01", "d05"]
    assert [item["series"] for item in hard.rows] == ["d03"]
    text = set_table(rows, "tep")
    assert "mean over the 2 detectable" in text
    cells = [cell.strip() for cell in text.splitlines()[-1].split("|")]
    assert cells[1:9] == ["linear", "0.750", "0.100", "2.0 %", "9", "1.00", "0.10", "0.50"]


def test_the_plant_table_adds_up_all_plants() -> None:
    values = {"normal_days": 28, "n_faults": 28, "n_blamed": 20, "n_false": 5, "false_days": 20.0}
    rows = [
        row(
            "plant", "plant-0", "linear", 0, n_normal_alarms=14, n_found=25, missed=["stuck", "bias", "stuck"], **values
        ),
        row("plant", "plant-1", "linear", 1, n_normal_alarms=28, n_found=28, missed=[], **values),
    ]
    text = set_table(rows, "plant")
    line = next(line for line in text.splitlines() if line.startswith("| linear"))
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[1:10] == ["linear", "2", "42", "56", "0.75 ± 0.35", "53 / 56", "40 / 53", "10", "0.25"]
    assert "linear missed: bias 1, stuck 2." in text


def test_a_document_explains_its_measures_and_methods() -> None:
    text = document(ROWS, ["asd"], ["take care"])
    assert "> take care" in text
    assert "- `lstm`: " in text
    assert "- `transformer`: " not in text
    assert "point-adjusted" not in text
    assert sets_of([*ROWS, row("plant", "plant-0", "linear", 0)]) == ["asd", "plant"]


def test_columns_line_up() -> None:
    lines = markdown(["method", "x"], [["a", "1.25"], ["longer-name", "-"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| a           | 1.25 |"


def test_the_summary_has_all_digits() -> None:
    values = summary_values(ROWS)
    assert values["asd"]["methods"]["linear"]["vus_pr"] == {"mean": pytest.approx(0.6), "spread": None}
    assert values["asd"]["methods"]["lstm"]["seeds"] == [0, 1]
    assert values["asd"]["differences"][0]["n_wins"] == 2


def test_networks_run_only_when_named() -> None:
    trained = {name for name, method in METHODS.items() if method.detector is not None} - {"linear"}
    assert set(METHODS) - set(DEFAULT_METHODS) == trained
    assert {"auto", "ensemble", "cross-alone", "head", "lstm-mixup-0.4-alone", "lstm-repair-alone"} <= trained
    for name in ("lstm", "transformer", "variational", "adversarial"):
        assert {name, f"{name}-alone", f"{name}-untrained-alone"} <= trained


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_controls_differ_from_the_product_in_one_thing_each(name: str) -> None:
    whole, alone, untrained = (METHODS[f"{name}{end}"].detector for end in ("", "-alone", "-untrained-alone"))
    assert whole is not None
    assert alone is not None
    assert untrained is not None
    assert whole(7).config.random_state == 7
    assert whole(7).config.has_linear_part
    assert not alone(7).config.has_linear_part
    assert alone(7).config.epochs is None
    assert not untrained(7).config.has_linear_part
    assert untrained(7).config.epochs == 0


def test_what_a_figure_depends_on_is_told_without_names() -> None:
    assert versions()["numpy"] == np.__version__
    assert len(code_hash()) == 12
    assert code_hash() == code_hash()
    assert set(machine()) == {"system", "architecture", "processor", "cores", "threads_per_process"}
