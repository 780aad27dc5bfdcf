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
