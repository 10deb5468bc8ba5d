"""``sensorad image states``: products and their states, learned and cross-validated on a folder of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sensorad_cli.group import Command
from sensorad_cli.output import Output
from sensorad_cli.params import names

__all__ = ["states"]

_NO_FLIP: Callable[[Callable[..., Any]], Callable[..., Any]] = names(
    "--no-flip", help="Products whose images are never mirrored, since a mirrored good part is a defect."
)
OPTIMISERS = ("adadelta", "adam", "adamw", "radam")
BALANCES = ("none", "weights", "sampling")


@click.command("states", cls=Command)
@click.argument("folder", metavar="FOLDER")
@click.option("-o", "--output", "target", required=True, metavar="DIR", help="For the classifier and its result.")
@click.option(
    "--backbone",
    default="small",
    show_default=True,
    metavar="NAME",
    help="small, efficientnet-lite0 (ImageNet weights of the extra 'vision'), or timm:NAME with --weights.",
)
@click.option("--weights", metavar="FILE.safetensors", help="Weights of a timm model.")
@click.option("--size", type=int, default=64, show_default=True, help="Side of the images in pixels.")
@click.option("--folds", type=int, default=5, show_default=True, help="Networks, each judged on what it has not seen.")
@click.option("--optimiser", type=click.Choice(OPTIMISERS), default="adadelta", show_default=True)
@click.option("--learning-rate", type=float, help="Of the optimiser.  [default: the customary one]")
@click.option("--epochs", type=int, default=60, show_default=True, help="Passes over the images at most.")
@click.option("--patience", type=int, default=20, show_default=True, help="Epochs without improvement before stopping.")
@_NO_FLIP
@click.option("--drop-path", type=float, default=0.2, show_default=True, help="Share of skipped branches, at the last.")
@click.option(
    "--balance",
    type=click.Choice(BALANCES),
    default="sampling",
    show_default=True,
    help="What is done for rare classes.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same networks.")
@click.option("--force", is_flag=True, help="Replace a classifier that is there already.")
@click.pass_obj
def states(
    output: Output,
    folder: str,
    target: str,
    backbone: str,
    weights: str | None,
    size: int,
    folds: int,
    optimiser: str,
    learning_rate: float | None,
    epochs: int,
    patience: int,
    no_flip: tuple[str, ...],
    drop_path: float,
    balance: str,
    seed: int,
    force: bool,
) -> None:
    """Learn which product an image shows and in which state, and say how well that is told.

    FOLDER has the layout of MVTec AD: FOLDER/product/train/good/*.png and FOLDER/product/test/state/*.png. Each image
    is judged by the one network that has not learned from it. DIR gets the networks (safetensors), what they are
    (classifier.json) and the result (result.json).
    """
    from pathlib import Path

    from sensorad.errors import StorageError
    from sensorad_datasets.recipes.states import StateConfig, classify_states

    if Path(target).exists() and not force:
        raise StorageError("the directory exists", where=target, hint="choose another name or add --force")
    config = StateConfig.from_json(
        {
            "size": size,
            "backbone": backbone,
            "weights": weights,
            "folds": folds,
            "optimiser": optimiser,
            "learning_rate": learning_rate,
            "epochs": epochs,
            "patience": patience,
            "flip_excluded": no_flip,
            "drop_path": drop_path,
            "balance": balance,
            "seed": seed,
        }
    )
    with output.progress() as progress:

        def said(fold: int, epoch: int, loss: float, judged: float | None) -> None:
            progress(f"fold {fold} of {folds}, epoch {epoch}", (fold - 1 + epoch / epochs) / folds)

        result, ensemble = classify_states(folder, config, said)
    ensemble.save(target, result, force=force)
    rows = [
        ("images", f"{sum(result.counts):,} of {len(result.class_names)} classes"),
        ("macro-F1", f"{result.macro_f1:.3f} of images that were not learned from"),
        ("by fold", ", ".join(f"{value:.3f}" for value in result.fold_macro_f1)),
        ("accuracy", f"{result.accuracy:.3f}"),
        *(
            (name, f"F1 {'-' if value is None else f'{value:.3f}'}, {count:,} images")
            for name, value, count in zip(result.class_names, result.class_f1, result.counts, strict=True)
        ),
        ("classifier", target),
    ]
    if result.unjudged:
        output.warn(f"one image is too few to be judged by: {', '.join(result.unjudged)}")
    output.summary("Products and states", rows, result.to_json() | {"output": target})
