"""`mb9k bench`: how long a picture takes on this machine, as a table and as JSON for a report."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from appliance.commands.kit import Options
from appliance.config import Config, load
from appliance.vision.hardware import described
from appliance.vision.manifest import find
from appliance.vision.speed import SECONDS, Outcome, measured


@click.command("bench")
@click.option("--model", default="", help="A name in models/manifest.toml.  [default: the manifest's]")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=SECONDS,
    show_default=True,
    help="For how long each backend is measured.",
)
@click.option("--json", "as_json", is_flag=True, help="The JSON alone.")
@click.pass_context
def bench(context: click.Context, model: str, seconds: float, as_json: bool) -> None:
    """Measure how long a picture takes here, by each backend and for batches of 1 to 8.

    A picture is a square of the side that the model looks at, and only the network's part of judging it is measured.
    Stop the box first: figures of a machine that does something else say little. Paste what this prints into a
    report; it does not tell whose machine it is.
    """
    find(model)
    if not as_json:
        click.echo(f"Measuring, {seconds:g} s for each backend ...", err=True)
    machine = described()
    outcome = measured(model, _config(context.obj), seconds)
    if not as_json:
        click.echo(_table(machine, outcome))
    click.echo(msgspec.json.encode({"machine": machine, "outcome": outcome}).decode())


def _config(options: Options) -> Config:
    """That of the box, if there is one: a machine may be measured before it becomes a box."""
    return load(options.config_path) if Path(options.config_path).is_file() else Config()


def _table(machine: dict[str, str], outcome: Outcome) -> str:
    """For people, and for a page that renders Markdown."""
    lines = [f"{name}: {value}" for name, value in machine.items()]
    lines += ["", f"{outcome.model}, milliseconds a picture of {outcome.side_px} x {outcome.side_px}:", ""]
    rows = [["backend", "batch", "median", "least", "CPU"]]
    rows += [
        [each.backend, str(each.batch), _ms(each.ms), _ms(each.least_ms), _ms(each.cpu_ms)] for each in outcome.figures
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        lines.append("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    lines += ["", *(f"{name} does not work here: {why}" for name, why in outcome.absent.items())]
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
