"""`mb9k export`: detections and faces as files for other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click._termui_impl import ProgressBar

from appliance.accounts.audit import Action, record
from appliance.commands.kit import config_of, store_of
from appliance.commands.streams import named
from appliance.config import Config
from appliance.errors import UserError
from appliance.exports.export import FORMATS, Export, What
from appliance.exports.formats import Format
from appliance.exports.sheets import refuse_to_write_over, write_file
from appliance.faces import State
from appliance.images import ImageFiles
from appliance.rules.recovery import in_one_line
from appliance.store import DetectionFilter
from appliance.store.trends import Step
from appliance.times import now
from appliance.web.forms import moment_utc


@click.group("export")
def export() -> None:
    """Detections, sums and faces as files for other programs.

    docs/export.md says what each column means.
    """


def _of_rows(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which rows, shared by all of these commands."""
    for option in (
        click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The file to write."),
        click.option("--stream", help="Only this stream: its owner:name, or its id."),
        click.option("--until", help="Only what was first seen before this time."),
        click.option(
            "--since",
            help="Only what was first seen at this time or later: 2026-11-23T16:00+01:00; without a zone UTC.",
        ),
    ):
        command = option(command)
    return command


@export.command("detections")
@_of_rows
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only this state.")
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in FORMATS[What.DETECTIONS]]),
    default=Format.CSV.value,
    show_default=True,
    help="zip: CSV, and the images beside it.",
)
@click.pass_context
def detections(context: click.Context, /, form: str, state: str | None, **which: Any) -> None:
    """One row per person. CSV and JSON lines go to standard output unless --output names a file."""
    more = {"state": State(state) if state else None}
    _export(config_of(context), What.DETECTIONS, Format(form), more, **which)


@export.command("sums")
@_of_rows
@click.option(
    "--step",
    type=click.Choice([step.value for step in Step]),
    default=Step.HOUR.value,
    show_default=True,
    help="How long a row is, by the clocks of the box's time zone.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in FORMATS[What.SUMS]]),
    default=Format.CSV.value,
    show_default=True,
    help="How the rows are written.",
)
@click.pass_context
def sums(context: click.Context, /, form: str, step: str, **which: Any) -> None:
    """Persons by stream and hour, also of times whose detections are gone.

    Every hour that the range touches is in it as a whole.
    """
    _export(config_of(context), What.SUMS, Format(form), {"step": Step(step)}, **which)


@export.command("faces")
@_of_rows
@click.pass_context
def faces(context: click.Context, /, **which: Any) -> None:
    """Images to learn from, as a ZIP: faces that a person corrected, and those that the model was unsure of.

    Unpacked, it is a folder for `python -m models.training.train --data`. The latter are there to be labelled first.
    """
    _export(config_of(context), What.FACES, Format.ZIP, {}, **which)


def _export(
    config: Config,
    what: What,
    form: Format,
    more: dict[str, Any],
    since: str | None,
    until: str | None,
    stream: str | None,
    output: Path | None,
) -> None:
    is_text = form in (Format.CSV, Format.JSON_LINES)
    if output is None and not is_text and (form is Format.SQLITE or sys.stdout.isatty()):
        raise UserError(f"a {form.value} file is not for a terminal; name a file with --output")
    with closing(store_of(config)) as store, in_one_line("the export cannot be made"):
        where = DetectionFilter(
            named(store, stream).id if stream else None,
            more.pop("state", None),
            moment_utc(since, "--since", zone_needed=False) if since else None,
            moment_utc(until, "--until", zone_needed=False) if until else None,
        )
        images = ImageFiles(config.images_dir)
        made = Export(what, form, where, store, images, store.trends.zone(), config.box, now().utc, **more)
        if output is not None:
            refuse_to_write_over(output)
        record(store, Action.EXPORTED, what.value, format=form.value, **where.parameters())
        _write(made, output)


def _write(made: Export, output: Path | None) -> None:
    """Write it, with a bar on a terminal; what is piped has standard output to itself."""
    rows = made.total_rows() if sys.stderr.isatty() and output is not None else None
    options: dict[str, Any] = {"length": rows or 0, "label": "Exporting", "file": sys.stderr, "hidden": rows is None}
    bar: ProgressBar[None] = click.progressbar(**options)
    with bar:
        counted = replace(made, said=bar.update)
        if output is not None:
            write_file(counted, output)
        else:
            for part in counted.parts():
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
