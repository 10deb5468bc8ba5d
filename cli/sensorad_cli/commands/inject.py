"""``sensorad inject``: a log with synthetic faults and the labels of the cells that they changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensorad.errors import SchemaError, StorageError, UsageError
from sensorad_cli.fault_options import FaultOptions, fault_options
from sensorad_cli.files import STANDARD, claim_output, log_paths, written
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.output import Output

if TYPE_CHECKING:
    from sensorad.logs import LogFormat, SensorLog
    from sensorad_cli.log_table import LogTable

__all__ = ["command"]

MOST_SHOWN = 20


@make_command("inject")
@click.argument("log", metavar="LOG")
@click.option(
    "-o", "--output", "target", required=True, metavar="FAULTED", help="The log with faults, a file of the same kind."
)
@fault_options
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed and log, same faults."
)
@click.option("--normal", metavar="LOG", help="Log that sizes are measured by.  [default: the log itself]")
@click.option(
    "--label-column", default="fault", show_default=True, metavar="NAME", help="Column of 0 and 1 that marks the rows."
)
@click.option("--labels", "labels_target", metavar="FILE", help="Also write one row for each fault: Parquet or CSV.")
@click.option("--force", is_flag=True, help="Replace output that exists.")
@log_options(scoring=False)
@click.pass_context
def command(
    ctx: click.Context,
    log: str,
    target: str,
    fault_options: FaultOptions,
    seed: int,
    normal: str | None,
    label_column: str,
    labels_target: str | None,
    force: bool,
    log_options: LogOptions,
) -> None:
    """Put synthetic faults into a log and mark the rows that they changed.

    All other cells, columns and metadata stay. Sizes are in units of the sensor's own spread, noise or range on normal
    rows, or with --amount in its unit. A fault that would change nothing is refused. The log is read into memory.

    \b
    sensorad inject may.parquet -o faulted.parquet --fault drift --sensor TI-101 --severity 3 \\
      --start 2024-05-10T06:00Z --duration 8h --labels labels.parquet
    sensorad inject may.csv -o faulted.csv --fault bias --sensor TI-101 --amount -2.5 \\
      --start "2024-05-10 06:00" --duration 1h --time-zone Europe/Berlin
    sensorad inject may.parquet -o faulted.parquet --random 20 --kinds bias,stuck,lag --seed 1
    """
    import numpy as np

    from sensorad_cli.fault_labels import write_labels
    from sensorad_cli.injecting import FaultedLog, moment

    output = ctx.ensure_object(Output)
    output.stdout_is_data = target == STANDARD
    options = fault_options.checked()
    inputs = [log, *([normal] if normal else [])]
    path = claim_output(target, force=force, inputs=inputs)
    labels = claim_output(labels_target, force=force, inputs=inputs, option="--labels") if labels_target else None
    if labels_target == STANDARD or (labels is not None and path is not None and labels.resolve() == path.resolve()):
        raise UsageError(f"the labels cannot go to {labels_target}", hint="name a file of their own")
    source, *others = log_paths(ctx, inputs)
    form = _format(log_options, options)
    start = None if options.start is None else moment(options.start, form)
    table, rows = _opened(source, form, strict=log_options.strict)
    if path is not None:
        table.check_target(target)
    if label_column in table and label_column != form.label:
        hint = f"add to it with --label {label_column}, if it marks earlier faults, or choose another --label-column"
        raise UsageError(f"the log has a column {label_column!r} already", where=log, hint=hint)
    generator = np.random.default_rng(seed)
    faulted = FaultedLog(table, rows, _normal(others, form, rows) if others else None)
    if start is not None:
        faulted.put_described(options, start, generator)
    else:
        faulted.put_some(options, generator)
    done, is_faulty = faulted.finish()
    before = faulted.label if label_column == form.label else np.zeros(len(is_faulty), np.bool_)
    table.set_flags(label_column, is_faulty | before)
    with written(path, f"faulted{'.parquet' if table.is_parquet else '.csv'}") as file:
        table.write(file, force=force)
    if labels is not None:
        write_labels(labels, done, rows.group_name, force=force)
    for note in rows.notes:
        output.detail(note)
    if not faulted.has_machines and faulted.n_repeated:
        output.warn(f"{faulted.n_repeated:,} rows repeat a time: is there a column of machines to name with --group?")
    data = {
        "faults": [one.to_json() for one in done],
        "rows": table.n_rows,
        "faulty_rows": int(is_faulty.sum()),
        "faulty_cells": sum(one.n_cells for one in done),
        "label_column": label_column,
        "seed": seed,
        "outputs": {"log": target, "labels": labels_target},
    }
    shown = [(one.fault.kind, one.in_words()) for one in done[:MOST_SHOWN]]
    if len(done) > MOST_SHOWN:
        shown.append(("", f"and {len(done) - MOST_SHOWN:,} more"))
    summary = [
        *shown,
        ("marked", f"{data['faulty_rows']:,} of {table.n_rows:,} rows in column {label_column}"),
        ("written", target if labels_target is None else f"{target}, {labels_target}"),
    ]
    output.summary(f"Injected {len(done):,} fault(s)", summary, data)


def _format(log_options: LogOptions, options: FaultOptions) -> LogFormat:
    form = log_options.log_format()
    if form.layout == "long":
        raise UsageError("faults go into logs of one row for each time", hint="pivot the log first, or export it wide")
    if options.sensor:  # nothing else need be a number then
        form = replace(form, sensors=options.sensor, exclude=())
    return form


def _opened(source: str, form: LogFormat, *, strict: bool) -> tuple[LogTable, SensorLog]:
    """One file as a table and as rows."""
    from sensorad.logs import SensorLog, SortedLog
    from sensorad.logs.paths import open_file
    from sensorad_cli.log_table import LogTable

    if Path(source).is_dir():
        raise StorageError("expected a file, found a directory", where=source, hint="give its files one by one")
    part = open_file(Path(source), dict(form.rename))
    for name in form.sensors or ():
        if name in part.fields and part.kind(name) == "time":
            raise SchemaError(f"column {name!r} holds times and no numbers", where=source, hint="name a sensor")
    log = SensorLog(source, form)
    if strict:
        SortedLog(log, strict=True)
    return LogTable(source, dict(form.rename)), log


def _normal(others: list[str], form: LogFormat, rows: SensorLog) -> SensorLog:
    from sensorad.logs import SensorLog

    return SensorLog(others[0], replace(form, label=None, mode=None), schema=rows.schema)
