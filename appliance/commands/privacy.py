"""`mb9k privacy`: what the box keeps of people."""

from __future__ import annotations

import click

from appliance.commands.kit import config_of, store_of
from appliance.keeping import Keeping
from appliance.local.words import kept
from appliance.rules import privacy as rules
from appliance.rules.streams import OPERATOR
from appliance.times import now


@click.group()
def privacy() -> None:
    """What the box keeps of people."""


@privacy.command("show")
@click.pass_context
def show(context: click.Context) -> None:
    """Say what is kept of each stream."""
    config = config_of(context)
    store, images = store_of(config), config.images
    if statistics := store.privacy.statistics_only():
        click.echo(f"statistics only, since {statistics.since_utc}")
        return
    by_default = kept(Keeping().mode(images.keep, images.pixelate_eyes), Keeping(), images.keep_days)
    click.echo(f"where nothing else was chosen: {by_default}")
    for stream in store.streams.all(now()):
        mode = stream.keeping.mode(images.keep, images.pixelate_eyes)
        click.echo(f"{stream.title}\t{kept(mode, stream.keeping, images.keep_days)}")


@privacy.command("statistics-only")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def statistics_only(context: click.Context, yes: bool) -> None:
    """Keep sums of twenty minutes only, and delete all detections, images and backups there are."""
    config = config_of(context)
    store = store_of(config)
    loss = rules.loss(config, store)
    question = (
        f"{loss.detections} detections, the images of {loss.days_of_images} days and {loss.backups} backups are deleted"
        " and cannot be had back. Go on?"
    )
    if yes or click.confirm(question):
        receipt_id = rules.keep_statistics_only(config, store, OPERATOR, now())
        click.echo(f"The box keeps statistics only. Receipt {receipt_id} is on the page: /receipts/{receipt_id}")


@privacy.command("keep-detections")
@click.pass_context
def keep_detections(context: click.Context) -> None:
    """Keep detections again from now on."""
    rules.keep_detections(store_of(config_of(context)))
