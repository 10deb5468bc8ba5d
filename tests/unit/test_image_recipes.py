"""Recipes run from end to end, what they give is kept and used again, and tables and pages say it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sensorad.errors import DataError, UsageError
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.training.classification import Classification
from sensorad_datasets.recipes import RECIPE_HOMES, Plan, Recipe, RecipeRun, SeedOutcome, recipe, run_recipes, runner
from sensorad_datasets.recipes.base import Cell, Difference
from sensorad_datasets.recipes.page import filled, write_page
from sensorad_datasets.recipes.runner import KeptSeed
from sensorad_datasets.recipes.splits import split_of
from sensorad_datasets.recipes.tables import recipe_text, recipe_values
from sensorad_datasets.recipes.training import answers, seeded, train_living

OTHER_COLUMNS = {"I14"}
"""Recipes whose columns are numbers of images, which are smaller on the small set."""


@pytest.mark.parametrize("name", RECIPE_HOMES)
def test_each_recipe_runs_on_what_needs_no_data_and_says_the_same_again(name: str) -> None:
    found = recipe(name)
    assert found.name == name
    plan = found.plan(None, None, is_quick=True)
    outcome = found.run(plan, 0)
    assert outcome.cells
    assert all(np.isfinite(cell.value) for cell in outcome.cells)
    rows = {(cell.table, cell.variant) for cell in outcome.cells}
    for asked in found.differences:
        assert (asked.table, asked.variant) in rows, asked
        assert (asked.table, asked.beside) in rows, asked
    known = {(cell.variant, cell.measure.replace("_", " ")) for cell in outcome.cells}
    if name not in OTHER_COLUMNS:
        assert set(found.published) <= known, set(found.published) - known
    else:
        assert not set(found.published) <= known, "the exception is no longer needed"
    assert len({picture.name for picture in outcome.pictures}) == len(outcome.pictures) > 0


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    found = recipe("I1")
    plan = found.plan(None, None, is_quick=True)
    first, again, other = (found.run(plan, seed).cells for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_recipes_draw_nothing_from_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    found = recipe("I7")
    found.run(found.plan(None, None, is_quick=True), 0)
    assert bool((torch.random.get_rng_state() == before).all())


def test_a_set_on_which_a_recipe_does_not_run_is_refused() -> None:
    with pytest.raises(UsageError, match=r"I7 does not run on 'wafers'.*digits"):
        recipe("I7").plan("wafers", None)
    with pytest.raises(UsageError, match="there is no recipe 'I77'"):
        recipe("I77")


def _dead(generator: torch.Generator) -> nn.Module:
    """A network whose last rectifiers answer 0 to every image."""
    network = ImageClassifier((1, 8, 8), ImageClassifierConfig(), generator)
    with torch.no_grad():
        for layer in network.encoder:
            if isinstance(layer, nn.Conv2d):
                layer.bias -= 10.0
    return network


def _dead_once() -> Callable[[torch.Generator], nn.Module]:
    drawn = []

    def build(generator: torch.Generator) -> nn.Module:
        drawn.append(0)
        return _dead(generator) if len(drawn) == 1 else ImageClassifier((1, 8, 8), ImageClassifierConfig(), generator)

    return build


def _images() -> tuple[Tensor, Tensor]:
    split = split_of(Plan())
    return split.train, split.labels


def test_a_network_that_was_born_dead_is_counted_and_with_the_guard_replaced() -> None:
    images, labels = _images()
    left = train_living(_dead, Classification(), images, labels, 0, is_guarded=False)
    assert left.is_collapsed
    assert left.n_restarted == 0
    replaced = train_living(_dead_once(), Classification(), images, labels, 0, is_guarded=True)
    assert not replaced.is_collapsed
    assert replaced.n_restarted == 1
    assert float(answers(replaced.network, images).std(0).max()) > 0.0
    with pytest.raises(RuntimeError, match="none that answers"):
        train_living(_dead, Classification(), images, labels, 0, most_restarts=2)


def test_seeds_and_streams_have_generators_of_their_own() -> None:
    drawn = {float(torch.rand((), generator=seeded(*key))) for key in ((0,), (1,), (0, 0), (0, 1), (1, 0))}
    assert len(drawn) == 5


def _counting(ran: list[int]) -> Recipe:
    def run(plan: Plan, seed: int) -> SeedOutcome:
        ran.append(seed)
        outcome = SeedOutcome()
        outcome.put("a", "", error=1.0 + seed)
        outcome.put("b", "", error=2.0 + 2.0 * seed)
        outcome.count("a: collapsed", seed)
        return outcome

    return Recipe("I1", "Counted", run, differences=(Difference("b", "a", "error"),))


def test_what_a_seed_gave_is_kept_and_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    counted = _counting(ran)
    monkeypatch.setattr(runner, "recipe", lambda name: counted)
    run_recipes([counted], None, 2, tmp_path, has_pictures=False)
    [run] = run_recipes([counted], None, 3, tmp_path, has_pictures=False)
    assert ran == [0, 1, 2]
    assert [cell.value for seed in run.seeds for cell in seed.cells if cell.variant == "a"] == [1.0, 2.0, 3.0]
    run_recipes([counted], None, 1, tmp_path, has_pictures=False, is_fresh=True)
    assert ran == [0, 1, 2, 0]
    run_recipes([counted], "digits", 1, tmp_path, has_pictures=False, is_quick=True)
    assert ran == [0, 1, 2, 0, 0], "a shortened run is not a result"


def test_a_recipe_runs_its_own_number_of_seeds_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    counted = replace(_counting(ran), n_seeds=4)
    monkeypatch.setattr(runner, "recipe", lambda name: counted)
    [run] = run_recipes([counted], None, None, tmp_path, has_pictures=False)
    assert ran == [seed.seed for seed in run.seeds] == [0, 1, 2, 3]
    assert recipe("I1").n_seeds >= 5
    assert recipe("I14").n_seeds >= 6


def test_a_damaged_outcome_is_refused_and_one_of_another_format_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    counted = _counting(ran)
    monkeypatch.setattr(runner, "recipe", lambda name: counted)
    run_recipes([counted], None, 1, tmp_path, has_pictures=False)
    kept = tmp_path / "I1-digits" / "seed-0.json"
    whole = json.loads(kept.read_text())
    kept.write_text(json.dumps(whole | {"format": 0}))
    run_recipes([counted], None, 1, tmp_path, has_pictures=False)
    assert ran == [0, 0]
    kept.write_text(kept.read_text()[:40])
    with pytest.raises(DataError, match="not what a recipe kept"):
        run_recipes([counted], None, 1, tmp_path, has_pictures=False)


def test_a_figure_that_is_not_a_number_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: Plan, seed: int) -> SeedOutcome:
        return SeedOutcome([Cell("a", "error", float("nan"))])

    broken = Recipe("I1", "Broken", run)
    monkeypatch.setattr(runner, "recipe", lambda name: broken)
    with pytest.raises(DataError, match=r"a, error is not a number.*I1, seed 0"):
        run_recipes([broken], None, 1, tmp_path, has_pictures=False)
    assert not list(tmp_path.rglob("*.json"))


def _run(*values: tuple[float, float], set_name: str = "mnist") -> RecipeRun:
    counted = Recipe(
        "I1",
        "T",
        lambda plan, seed: SeedOutcome(),
        published={("a", "error"): "0.5"},
        differences=(Difference("b", "a", "error"),),
    )
    seeds = tuple(
        KeptSeed(seed, (Cell("a", "error", one), Cell("b", "error", other)), {"a: collapsed": seed}, (), 2.0)
        for seed, (one, other) in enumerate(values)
    )
    return RecipeRun(counted, Plan(set_name), seeds)


def test_tables_have_means_spreads_differences_and_the_published_figure_of_its_own_set() -> None:
    text = recipe_text(_run((0.1, 0.3), (0.2, 0.6)))
    assert "0.150 ± 0.071" in text
    assert "- b - a, error: +0.3000, 95 % interval +0.200 to +0.400, higher in 2 of 2" in text
    assert "Counted over all seeds: a: collapsed 1." in text
    assert "error 0.5" in text
    assert "error 0.5" not in recipe_text(_run((0.1, 0.3), set_name="digits"))
    assert "±" not in recipe_text(_run((0.1, 0.3)))
    values = recipe_values(_run((0.1, 0.3), (0.2, 0.6)))
    assert values["rows"][0]["seeds"] == [0.1, 0.2]
    assert values["rows"][0]["mean"] == pytest.approx(0.15)


def test_a_published_figure_is_found_by_its_measure_as_it_is_shown() -> None:
    told = Recipe("I1", "T", lambda plan, seed: SeedOutcome(), published={("a", "last epoch"): "0.5"})
    run = RecipeRun(told, Plan("mnist"), (KeptSeed(0, (Cell("a", "last_epoch", 0.1),), {}, (), 1.0),))
    assert "last epoch 0.5" in recipe_text(run)
    assert recipe_values(run)["rows"][0]["published"] == "0.5"


def test_a_page_gets_figures_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n<!-- I1 -->\nold\n<!-- end -->\ntext ![roc](figures/I1-roc.svg)\n<!-- I2 -->\nkept\n<!-- end -->\n"
    )
    run = _run((0.1, 0.3), (0.2, 0.6))
    folder = run.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    (folder / "roc.svg").write_text("<svg/>")
    written = write_page(page, [run], tmp_path / "runs")
    text = page.read_text()
    assert "old" not in text
    assert "kept" in text
    assert "0.150 ± 0.071" in text
    assert [path.name for path in written] == ["page.md", "I1-roc.svg"]
    assert (tmp_path / "figures" / "I1-roc.svg").read_text() == "<svg/>"
    write_page(page, [run], tmp_path / "runs")
    assert page.read_text() == text, "filling twice changes nothing"
    with pytest.raises(DataError, match="has no <!-- end -->"):
        filled("<!-- I1 -->\n", [run])
