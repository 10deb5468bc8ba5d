from sensorad_cli.group import command
import click
@command("inspect")
@click.argument("model")
@click.option("--allow-missing", type=int, default=0)
def command(model, allow_missing):
    """Dummy."""
    print(model, allow_missing)
    if model == "boom": raise ValueError("x\ny")
    if model == "pipe":
        for i in range(100000): print(i)
