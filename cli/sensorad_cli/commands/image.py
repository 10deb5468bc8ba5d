"""``sensorad image``: published image experiments on the trainer, objectives and scores that sensors use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensorad_cli.group import COMMANDS, Command, CommandGroup
from sensorad_cli.image_states import states
from sensorad_cli.output import Output

if TYPE_CHECKING:
    from sensorad_datasets.recipes import RecipeRun

__all__ = ["command", "list_recipes", "run"]

ALL = "all"


@click.group("image", cls=CommandGroup, short_help=COMMANDS["image"], invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Run published image experiments on the trainer, objectives and scores that sensors use.

    \b
    sensorad image list                                    every recipe, and the sets on which it runs
    sensorad image run I2                                  label smoothing, on digits that need no data folder
    sensorad image run I7 --data mnist --seeds 5 --jobs 2  outlier exposure, as published
    sensorad image states mvtec --no-flip metal_nut -o out products and their states, from a folder of images
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


command.add_command(states)


@command.command("list", cls=Command)
@click.pass_obj
def list_recipes(output: Output) -> None:
    """List all recipes: what they show, and on which sets; the first is that of the published protocol."""
    from sensorad_datasets.recipes import RECIPE_HOMES, recipe

    found = [recipe(name) for name in RECIPE_HOMES]
    rows = [(each.name, f"{each.title}  [{', '.join(each.sets)}]") for each in found]
    output.result("", rows, [{"recipe": each.name, "title": each.title, "sets": list(each.sets)} for each in found])


@command.command("run", cls=Command)
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True)
@click.option(
    "--data",
    "set_name",
    metavar="SET",
    help="digits (needs no data folder), mnist, fashion_mnist, or 'protocol': those of each published experiment.  "
    "[default: digits]",
)
@click.option("--root", metavar="DIR", help="Data folder with one folder for each set.  [default: $SENSORAD_DATA]")
@click.option("--seeds", type=click.IntRange(min=1), help="Runs of each recipe.  [default: its own number, 5 of most]")
@click.option(
    "-o",
    "--output",
    "directory",
    default="sensorad-images",
    show_default=True,
    metavar="DIR",
    help="Keeps all results.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes of one thread each.")
@click.option("--guard", is_flag=True, help="Restart classifiers that answer a constant with the next draw of weights.")
@click.option("--quick", is_flag=True, help="As short as can be: for a look, not for a result.")
@click.option("--figures/--no-figures", default=True, help="Draw the figures of the first seed.  [default: figures]")
@click.option("--page", metavar="FILE", help="Markdown page whose marked places are filled with the tables.")
@click.option("--force", is_flag=True, help="Run again what has a result already.")
@click.pass_obj
def run(
    output: Output,
    recipes: tuple[str, ...],
    set_name: str | None,
    root: str | None,
    seeds: int | None,
    directory: str,
    jobs: int,
    guard: bool,
    quick: bool,
    figures: bool,
    page: str | None,
    force: bool,
) -> None:
    """Run recipes by name, or 'all', and print their tables.

    A run that was stopped goes on where it stood. DIR gets images.md and images.json with the results of this call,
    and a folder for each recipe and set with what each seed gave and the figures of the first.

    \b
    sensorad image run I1 I2 --data mnist --jobs 2
    sensorad image run all --data protocol --jobs 2 --page docs/results/images.md
    """
    import json

    from sensorad.logs.atomic import NewFile
    from sensorad_datasets.recipes import RECIPE_HOMES, recipe, recipe_text, recipe_values, run_recipes
    from sensorad_datasets.recipes.page import write_page

    names = RECIPE_HOMES if ALL in map(str.lower, recipes) else recipes
    chosen = list({found.name: found for found in map(recipe, names)}.values())
    target = Path(directory)
    with output.progress() as progress:

        def report(done: RecipeRun, seed: int, n_done: int, n_all: int) -> None:
            output.note(
                f"[{n_done}/{n_all}] {done.recipe.name} on {done.plan.set_name}, seed {seed}: {done.seconds:.0f} s"
            )
            progress("running", n_done / n_all)

        runs = run_recipes(
            chosen,
            set_name,
            seeds,
            target,
            root=root,
            jobs=jobs,
            is_quick=quick,
            is_guarded=guard,
            has_pictures=figures,
            is_fresh=force,
            report=report,
        )
    text = "\n\n".join(recipe_text(each) for each in runs) + "\n"
    values = [recipe_values(each) for each in runs]
    for name, content in (("images.md", text), ("images.json", json.dumps(values, indent=1) + "\n")):
        with NewFile(target / name, force=True) as temporary:
            temporary.write_text(content, "utf-8")
    written = [str(target / "images.md"), str(target / "images.json")]
    if page is not None:
        written += [str(path) for path in write_page(Path(page), runs, target)]
    if output.as_json:
        output.result("", [], {"recipes": values, "outputs": written})
    else:
        click.echo(text, nl=False)
    output.note(f"{sum(each.seconds for each in runs):,.0f} s of processor time in all, earlier calls included.")
    output.note(f"Results: {', '.join(written)}")
