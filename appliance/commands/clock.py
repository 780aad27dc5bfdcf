"""`mb9k clock`: whether the clock of the box is believed."""

from __future__ import annotations

import click

from appliance.accounts.audit import Action
from appliance.commands.kit import config_of, store_of
from appliance.store import WallClock
from appliance.times import now, utc_text

CLOCK_WORDS = {
    WallClock.BELIEVED: "It is believed.",
    WallClock.UNKNOWN: "Since the machine started, nothing has said that it is right, so no image becomes too old"
    " by it.",
    WallClock.LEAPT: "It was believed, and then leapt, so no image becomes too old by it now. If it is right, run"
    " `mb9k clock confirm`; else correct it.",
}


@click.group()
def clock() -> None:
    """The clock of the box, by which images become too old."""


@clock.command("show")
@click.pass_context
def clock_show(context: click.Context) -> None:
    """Say whether the clock of the box is believed, and what to do if not."""
    moment = now()
    noted = store_of(config_of(context)).ages.clock()
    click.echo(f"It is {utc_text(moment.utc)} by the clock of the box.")
    if noted is None:
        click.echo("The watcher has not noted it yet; start the box.")
    else:
        click.echo(noted.notice or CLOCK_WORDS[noted.at(moment).wall_clock])


@clock.command("confirm")
@click.pass_context
def clock_confirm(context: click.Context) -> None:
    """Say that the clock of the box is right.

    Images that are too old by it are then deleted within a minute.
    """
    store, moment = store_of(config_of(context)), now()
    with store.saving():
        store.ages.believe(moment)
        store.audit.add(Action.CLOCK_CONFIRMED)
    click.echo(f"It is {utc_text(moment.utc)}. Images that are too old by this clock go within a minute.")
