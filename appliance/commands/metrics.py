"""`mb9k metrics`: the token by which a Prometheus server reads the figures of the box."""

from __future__ import annotations

import os
from pathlib import Path

import click

from appliance.accounts.audit import Action, record
from appliance.accounts.metrics_token import METRICS, MetricsToken
from appliance.commands.kit import config_of, store_of
from appliance.errors import UserError


@click.group()
def metrics() -> None:
    """What a Prometheus server may read of the box."""


@metrics.command("token")
@click.option("--end", is_flag=True, help="Only end the token that there is.")
@click.pass_context
def metrics_token(context: click.Context, end: bool) -> None:
    """Print another token for /metrics; the one before ends at once.

    It is printed this once, and kept nowhere: whoever has it may read figures, and nothing else.
    """
    config = config_of(context)
    store = store_of(config)
    record(store, Action.TOKEN_REVOKED if end else Action.TOKEN_MADE, METRICS)
    print_token(config.metrics_token_path, end)


def print_token(path: Path, end: bool) -> None:
    """Make a token and print it, or end the one there is. Raises UserError.

    Where root calls it, the file is given to whoever the folder belongs to, as whom the site reads it.
    """
    token = MetricsToken(path)
    try:
        if end:
            token.forget()
            click.echo("No token opens /metrics any more.")
            return
        made = token.make()
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.chown(path, folder.st_uid, folder.st_gid)
        click.echo(made)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; call this as the user that the services run as") from error
