"""`mb9k screen`: what stands on a box's own screen."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from appliance import notes, screen, service
from appliance.commands.kit import config_of
from appliance.screen.terminal import serial_consoles

# Written only: as the group `tty`, whose consoles it is, may do no more.
A_CONSOLE = click.Path(path_type=Path, readable=False)


@click.command("screen")
@click.option("--tty", type=A_CONSOLE, default=Path("/dev/tty1"), show_default=True, help="The console.")
@click.option(
    "--serial",
    "serials",
    type=A_CONSOLE,
    multiple=True,
    help="A serial line to write to; by default those that are consoles of the kernel.",
)
@click.option("--once", is_flag=True, help="Print it here, once, instead.")
@click.option("--notes", "folder", type=click.Path(path_type=Path), default=notes.FOLDER, hidden=True)
@click.pass_context
def show(context: click.Context, tty: Path, serials: tuple[Path, ...], once: bool, folder: Path) -> None:
    """Show claim code, address and counts on the screen of the box.

    A console without a desktop, and serial lines, are told what changes. A console that is not there is waited for.
    """
    config = config_of(context)
    if once:
        there = shutil.get_terminal_size()
        for line in screen.text(config, notes.Notes(folder), there.columns, there.lines):
            click.echo(line)
        return
    service.prepare("screen", context.obj.log_level)
    screen.serve(config, tty, serials or serial_consoles(), notes.Notes(folder))
