"""`mb9k join`, `mb9k leave`, `mb9k fleet`: which centre this box belongs to."""

from __future__ import annotations

import sys

import click

from appliance.commands.kit import config_of, secret, store_of
from appliance.errors import UserError
from appliance.rules import fleet as rules
from appliance.times import now, utc_text


@click.command()
@click.argument("code")
@click.pass_context
def join(context: click.Context, code: str) -> None:
    """Join the centre that made CODE; `-` asks for it, or reads a line.

    The box makes a private key of its own, which never leaves it, and tells the centre from then on what it counts. A
    code as an argument can be read by other users of this machine until it is used; it is good for one box only.
    """
    config = config_of(context)
    joined = rules.join(config, store_of(config), secret("join code") if code == "-" else code, now())
    click.echo(f"This box belongs to {rules.title(joined.membership)} now, as {joined.membership.box}.")
    if joined.notice:
        click.echo(joined.notice, err=True)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def leave(context: click.Context, yes: bool) -> None:
    """Belong to no centre any more. The key goes; what was not sent yet stays, for the next centre."""
    config = config_of(context)
    if not yes and sys.stdin.isatty():
        click.confirm("Leave the centre? To come back, the box needs a new join code.", abort=True)
    click.echo(rules.leave(config, store_of(config)))


@click.command()
@click.pass_context
def fleet(context: click.Context) -> None:
    """Say which centre this box belongs to, and how far what it counted has come there."""
    config = config_of(context)
    status = rules.status(config, store_of(config), now())
    there, link, backlog = status.membership, status.link, status.backlog
    if there is None:
        click.echo("This box belongs to no centre; `mb9k join CODE` joins one.")
    else:
        click.echo(f"It belongs to {rules.title(there)}, as {there.box}, since {utc_text(there.joined_utc)}.")
        click.echo("It is connected." if status.connected else "It is not connected.")
    if there and link and link.watermark_utc is not None:
        click.echo(f"The centre last said what it has at {utc_text(link.watermark_utc)}.")
    if there and backlog and backlog.rows:
        since = f", the oldest of {utc_text(backlog.oldest_utc)}" if backlog.oldest_utc is not None else ""
        click.echo(f"{backlog.minutes} minutes ({backlog.rows} rows) are still to be sent{since}.")
    if status.problem:
        raise UserError(status.problem)
