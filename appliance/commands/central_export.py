"""`mb9k central export`: the sums of boxes as a file for other programs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
from click._termui_impl import ProgressBar

from appliance.accounts.audit import Action, record
from appliance.accounts.audit_subjects import SUMS
from appliance.central.sheets import STEPS, Wanted, most_rows, sheet, step_named
from appliance.central.store import CentralStore, Scope
from appliance.commands.central_kit import config_of, database_of
from appliance.commands.kit import operator
from appliance.errors import InputError, UserError
from appliance.exports.formats import Format
from appliance.exports.sheets import TABULAR, Made, refuse_to_write_over, write_file
from appliance.web.forms import moment_utc


@click.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in TABULAR]),
    default=Format.CSV.value,
    show_default=True,
    help="How the rows are written.",
)
@click.option(
    "--step",
    type=click.Choice(list(STEPS)),
    default="hour",
    show_default=True,
    help="How long a row is; days are those of the centre's time zone.",
)
@click.option("--since", help="Only what begins at this time or later: 2026-11-23T16:00+01:00; without a zone UTC.")
@click.option("--until", help="Only what begins before this time.")
@click.option("--site", help="Only boxes that stand at this site.")
@click.option("--box", help="Only this box, by its id.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.pass_context
def export(
    context: click.Context,
    form: str,
    step: str,
    since: str | None,
    until: str | None,
    site: str | None,
    box: str | None,
    output: Path | None,
) -> None:
    """Write the persons that boxes counted, by stream and time, as a file for other programs.

    CSV and JSON lines go to standard output unless --output names a file. docs/export.md says what each column means.
    """
    if output is None and form == Format.SQLITE.value:
        raise UserError("a sqlite file is not for a terminal; name a file with --output")
    config, now_utc = config_of(context), time.time()
    with database_of(config) as database:
        store = CentralStore(database, config.audit_head_path)
        store.audit.act_for(operator())
        ends = [
            moment_utc(text, f"--{name}", zone_needed=False) if text else None
            for name, text in (("since", since), ("until", until))
        ]
        wanted = Wanted(_scope(store, site, box), step_named(step), *ends)
        if output is not None:
            refuse_to_write_over(output)
        record(store, Action.EXPORTED, SUMS, format=form, **wanted.parameters())
        with _bar(most_rows(store, wanted), output is not None) as bar:
            made = sheet(store, wanted, Format(form), config.name, now_utc, bar.update)
            _write(made, output)
            bar.update(max(0, (bar.length or 0) - bar.pos))  # fewer than there could be


def _scope(store: CentralStore, site: str | None, box: str | None) -> Scope:
    """Raises InputError where there is no such site, no such box."""
    sites = {each.name.casefold(): each.id for each in store.sites.all(None)}
    if site is not None and site.casefold() not in sites:
        raise InputError(f"There is no site {site}; the page Sites lists them.")
    if box is not None and store.boxes.get(box, None) is None:
        raise InputError(f"There is no box {box}; `mb9k central boxes` lists them.")
    return Scope(None, None if site is None else sites[site.casefold()], box)


def _bar(rows: int, to_file: bool) -> ProgressBar[None]:
    """On a terminal; what is piped has standard output to itself."""
    hidden = not (to_file and sys.stderr.isatty())
    options: dict[str, Any] = {"length": rows, "label": "Exporting", "file": sys.stderr, "hidden": hidden}
    bar: ProgressBar[None] = click.progressbar(**options)
    return bar


def _write(made: Made, output: Path | None) -> None:
    if output is not None:
        write_file(made, output)
        return
    for part in made.parts():
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
