"""`mb9k machine`: what root does for the page. systemd calls it, people do not."""

from __future__ import annotations

import logging
import socket
import stat
import sys
from os import fstat

import click

from appliance.commands.kit import config_of
from appliance.errors import UserError
from appliance.machine import answering
from appliance.machine import reset as wiping


@click.group()
def machine() -> None:
    """What only root may do, asked by the page."""


@machine.command()
@click.pass_context
def answer(context: click.Context) -> None:
    """Do what the connection on standard input asks for: one line of JSON.

    mb9k-machine@.service runs this as root for each connection to mb9k-machine.socket.
    """
    config = config_of(context)
    if not stat.S_ISSOCK(fstat(0).st_mode):
        raise UserError("standard input is no connection; mb9k-machine.socket is what starts this")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="machine %(levelname)s: %(message)s")
    with socket.socket(fileno=0) as connection:
        answering.answer(connection, config)


@machine.command()
@click.pass_context
def reset(context: click.Context) -> None:
    """End a factory reset that was cut off, before the services start; mb9k-reset.service does it."""
    config = config_of(context)
    if not wiping.mark_path(config).exists():
        raise UserError("no factory reset was begun; an admin begins one on the page Settings")
    wiping.wipe(config, at_boot=True)
    click.echo("What the box had recorded is wiped.")
