"""``sensorad bench``: detectors beside simple baselines, on public sets and the simulated plant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sensorad.errors import SensoradError, StorageError
from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output
from sensorad_cli.params import names

if TYPE_CHECKING:
    from sensorad_datasets.bench import Task
    from sensorad_datasets.bench.pool import Outcome

__all__ = ["command"]

DEFAULT_SEEDS = 5

_MODELS: Callable[[Callable[..., Any]], Callable[..., Any]] = names(
    "--models", help="Methods to run.  [default: linear and all baselines; networks when named]"
)


@make_command("bench")
@click.argument("sets", metavar="[SET]...", nargs=-1)
@click.option(
    "-o", "--output", "directory", default="sensorad-bench", show_default=True, metavar="DIR", help="Keeps all results."
)
@_MODELS
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=DEFAULT_SEEDS,
    show_default=True,
    help="Runs of each method that draws random numbers, and plants to simulate.",
)
@click.option("--root", metavar="DIR", help="Data folder with one folder for each set.  [default: $SENSORAD_DATA]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes of one thread each.")
@click.option("--quick", is_flag=True, help="Three series of each set and one seed: for a look, not for a result.")
@click.option("--force", is_flag=True, help="Run again what has a result already.")
@click.pass_obj
def command(
    output: Output,
    sets: tuple[str, ...],
    directory: str,
    models: tuple[str, ...],
    seeds: int,
    root: str | None,
    jobs: int,
    quick: bool,
    force: bool,
) -> None:
    """Measure detectors on benchmark sets, and print tables.

    SET is a set of 'sensorad data list', 'plant', the simulated one, or 'nonlinear', one made for curves and products;
    without any, all that are there but the last. A run that was stopped goes on where it stood; DIR/bench.md and
    DIR/bench.json hold all results of the directory.

    \b
    sensorad bench                                         everything there is, linear and baselines
    sensorad bench plant -o results                        needs no data
    sensorad bench smd skab --models linear,lstm,transformer --jobs 2 -o results
    """
    from sensorad_datasets.bench import DEFAULT_METHODS, Campaign, plan_tasks
    from sensorad_datasets.bench.campaign import summary_values

    chosen = list(sets) or _all_sets(output, root)
    tasks = plan_tasks(chosen, models or DEFAULT_METHODS, seeds, root, quick=quick)
    campaign = Campaign(directory, root)
    missing = campaign.missing(tasks, force=force)
    stale = 0 if force else campaign.n_stale(tasks)
    if stale:
        output.warn(f"{stale:,} of the kept results came from other code; --force runs them again")
    output.note(f"{len(tasks):,} fits, {len(tasks) - len(missing):,} of them kept from before")

    with output.progress() as progress:

        def done(outcome: Outcome, number: int) -> None:
            output.note(f"[{number}/{len(missing)}] {_name(outcome.task)}: {_in_words(outcome)}")
            progress("measuring", number / len(missing))

        campaign.run(missing, jobs, done)
    paths = campaign.write()
    if output.as_json:
        kept = [row for row in campaign.store.rows if row["set"] in chosen]
        output.result("", [], {"sets": summary_values(kept), "outputs": [str(path) for path in paths]})
    else:
        click.echo(campaign.text(chosen))
    output.note(f"All results of {directory}: {paths[1]} and {paths[0]}")
    if campaign.failures:
        first = campaign.failures[0]
        raise SensoradError(
            f"{len(campaign.failures)} of {len(missing)} fits gave no result, the first: {first.failure}",
            where=_name(first.task),
            hint="the tables lack them; the next run tries them again",
        )


def _all_sets(output: Output, root: str | None) -> list[str]:
    from sensorad_datasets.bench import available_sets
    from sensorad_datasets.bench.tasks import PLANT

    try:
        return available_sets(root)
    except StorageError as error:
        if root is not None:
            raise
        output.warn(f"only the simulated plant: {error}")
        return [PLANT]


def _name(task: Task) -> str:
    series = task.series[0] if len(task.series) == 1 else f"{len(task.series)} series"
    return f"{task.set_name} {series} {task.method} seed {task.seed}"


def _in_words(outcome: Outcome) -> str:
    """The figure of the set's table that says most."""
    if outcome.failure:
        return f"FAILED {outcome.failure}"
    row = outcome.rows[0]
    if "vus_pr" in row:
        text = f"VUS-PR {row['vus_pr']:.3f}"
    elif "detection_rate" in row:
        rates = [float(item["detection_rate"]) for item in outcome.rows]
        text = f"mean detection rate {sum(rates) / len(rates):.3f}"
    else:
        text = f"{row['n_found']} of {row['n_faults']} faults, {row['n_normal_alarms']} alarms on normal days"
    return f"{text}, fit {row['fit_seconds']:.1f} s"
