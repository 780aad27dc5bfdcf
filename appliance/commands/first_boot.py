"""`mb9k first-boot` and `mb9k hotspot`: what an appliance does by itself, as root, when it starts."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import click

from appliance import notes, service
from appliance.errors import UserError
from appliance.first_boot import hotspot, starting

A_PATH = click.Path(path_type=Path)
CONNECTIONS = Path("/etc/NetworkManager/system-connections")
notes_option = click.option("--notes", "folder", type=A_PATH, default=notes.FOLDER, hidden=True)


@click.command("first-boot")
@click.option("--boot-folder", type=A_PATH, default=Path("/efi"), show_default=True, help="Where mb9k-wifi.txt is.")
@click.option("--etc", type=A_PATH, default=Path("/etc"), hidden=True)
@notes_option
@click.pass_context
def first_boot(context: click.Context, boot_folder: Path, etc: Path, folder: Path) -> None:
    """Name this machine, if nobody has, and take over Wi-Fi from the file mb9k-wifi.txt.

    For machines that are nothing but a box; as root, at each start, before the network.
    """
    service.prepare("first-boot", context.obj.log_level)
    if problems := starting.start(boot_folder, etc, notes.Notes(folder)):
        raise UserError("; ".join(problems))


@click.command("hotspot")
@notes_option
@click.pass_context
def watch_hotspot(context: click.Context, folder: Path) -> None:
    """Be a Wi-Fi of its own while this machine has no network.

    As root, with NetworkManager and two minutes after the start.
    """
    service.prepare("hotspot", context.obj.log_level)
    manager = hotspot.NetworkManager(CONNECTIONS)
    hotspot.keep_watch(manager, notes.Notes(folder), time.monotonic, threading.Event())
