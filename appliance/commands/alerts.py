"""`mb9k alert`: what is wrong now, and whether somebody can be told."""

from __future__ import annotations

import click

from appliance.alerts.trial import send_test
from appliance.commands.kit import config_of, store_of
from appliance.errors import NotFound
from appliance.local.alerts import ways, why_not_watched
from appliance.rules.boxes import box_title
from appliance.times import now, utc_text


@click.group()
def alert() -> None:
    """What is wrong by the rules of this box, and who is told."""


@alert.command("list")
@click.pass_context
def alert_list(context: click.Context) -> None:
    """List what is wrong now: since when, what it is about, and in words."""
    store = store_of(config_of(context))
    for each in store.alerts.log.open():
        event = each.raised.event
        click.echo(f"{utc_text(event.since_utc)}\t{event.title}\t{event.words}")
    if trouble := why_not_watched(store, now()):
        click.echo(trouble, err=True)


@alert.command("test")
@click.argument("recipient")
@click.pass_context
def alert_test(context: click.Context, recipient: str) -> None:
    """Send a test to RECIPIENT, by name, and say what came of it. Recipients are added on the page Alerts."""
    config = config_of(context)
    store = store_of(config)
    known = store.alerts.recipients.all()
    found = next((each for each in known if each.name.casefold() == recipient.casefold()), None)
    if found is None:
        names = ", ".join(each.name for each in known) or "none yet; add one on the page Alerts"
        raise NotFound(f"No recipient is called {recipient}. There are: {names}.")
    click.echo(send_test(store, ways(config), found, box_title(config), now().utc))
