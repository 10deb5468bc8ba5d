"""``sensorad data``: what data sets there are, downloads, and the simulated plant as files."""

from __future__ import annotations

from pathlib import Path

import click

from sensorad_cli.group import COMMANDS, Command, CommandGroup
from sensorad_cli.output import Output

__all__ = ["command", "fetch", "list_sets", "make"]


@click.group("data", cls=CommandGroup, short_help=COMMANDS["data"], invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, fetch or make data sets.

    \b
    sensorad data list                     every set with its licence and how to obtain it
    sensorad data list smd                 its series in the data folder
    sensorad data fetch skab -o data       the only command that uses the network
    sensorad data make -o plant            five normal weeks, four weeks with 28 known faults, their labels
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("list", cls=Command)
@click.argument("set_name", metavar="[SET]", required=False)
@click.option("--root", metavar="DIR", help="Data folder with one folder for each set.  [default: $SENSORAD_DATA]")
@click.pass_obj
def list_sets(output: Output, set_name: str | None, root: str | None) -> None:
    """List all sets, or the series of one set that are in the data folder (of a set of images: its parts)."""
    from dataclasses import asdict

    from sensorad_datasets import list_series, set_cards
    from sensorad_datasets.images import IMAGE_SETS

    if set_name in IMAGE_SETS:
        parts = _image_parts(set_name, root)
        output.result(f"images of {set_name}", [(name, f"{n:,}") for name, n in parts.items()], parts)
        return
    if set_name:
        series = list_series(set_name, root)
        output.result(f"{len(series)} series of {set_name}", [("", name) for name in series], series)
        return
    cards = set_cards()
    rows: list[tuple[str, str]] = []
    for card in cards:
        rows += [(card.name, card.what), ("", card.size)]
        rows += [("", f"licence: {card.licence}"), ("", f"obtain: {card.obtain}")]
    output.result("", rows, [asdict(card) for card in cards])


@command.command("fetch", cls=Command)
@click.argument("set_name", metavar="SET")
@click.option("-o", "--output", "root", required=True, metavar="DIR", help="Data folder; the set gets a folder in it.")
@click.option("--force", is_flag=True, help="Replace a set that is there already.")
@click.pass_obj
def fetch(output: Output, set_name: str, root: str, force: bool) -> None:
    """Download one set from its publishers into the layout that the loaders read."""
    from sensorad_datasets import fetch_set, fetch_urls, list_series
    from sensorad_datasets.images import IMAGE_SETS

    n_files = len(fetch_urls(set_name))
    n_read = 0
    with output.progress() as progress:

        def report(url: str) -> None:
            nonlocal n_read
            output.detail(url)
            progress(f"{set_name}: file {n_read + 1} of {n_files}", n_read / n_files)
            n_read += 1

        folder = fetch_set(set_name, root, report=report, force=force)
    rows = [("folder", str(folder))]
    found: dict[str, object] = {"set": set_name, "folder": str(folder)}
    if set_name in IMAGE_SETS:
        parts = _image_parts(set_name, root)
        rows.append(("images", f"{sum(parts.values()):,}"))
        found |= {"images": parts}
    else:
        series = list_series(set_name, root)
        rows.append(("series", f"{len(series):,}"))
        found |= {"series": series}
    output.summary(f"Fetched {set_name}", [*rows, ("to use it", f"export SENSORAD_DATA={root}")], found)


def _image_parts(set_name: str, root: str | None) -> dict[str, int]:
    """Numbers of images by part."""
    from sensorad_datasets.images import load_images

    images = load_images(set_name, root)
    return {"train": len(images.train), "test": len(images.test)}


@command.command("make", cls=Command)
@click.option("-o", "--output", "directory", required=True, metavar="DIR", help="Directory for the three files.")
@click.option("--normal-days", type=float, default=35.0, show_default=True, help="Days of normal operation.")
@click.option("--days", type=float, default=28.0, show_default=True, help="Days of operation with faults, after them.")
@click.option("--faults", type=click.IntRange(min=0), default=28, show_default=True, help="Faults in these days.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.pass_obj
def make(output: Output, directory: str, normal_days: float, days: float, faults: int, seed: int, force: bool) -> None:
    """Simulate a plant: normal.parquet, faulty.parquet and labels.parquet (start, end, kind, fault, sensors)."""
    from sensorad_datasets import write_plant

    files = write_plant(directory, seed, normal_days=normal_days, faulty_days=days, n_faults=faults, force=force)
    paths = {"normal": str(files.normal), "faulty": str(files.faulty), "labels": str(files.labels)}
    rows = [
        ("normal", f"{paths['normal']}   {normal_days:g} days"),
        ("faulty", f"{paths['faulty']}   {days:g} days, {faults} faults"),
        ("labels", paths["labels"]),
        ("next", f"sensorad fit {paths['normal']} -o {Path(directory) / 'plant.sensorad'} --mode mode --budget 1/day"),
    ]
    output.summary(
        "Simulated plant", rows, paths | {"seed": seed, "normal_days": normal_days, "days": days, "faults": faults}
    )
