"""`mb9k stream`: video sources."""

from __future__ import annotations

from contextlib import closing
from typing import BinaryIO

import click

from appliance.commands.kit import config_of, secret, store_of
from appliance.disk import Reserve
from appliance.errors import UserError
from appliance.reception import receptions
from appliance.rules import streams
from appliance.rules import zones as zone_rules
from appliance.rules.sources import refuse_readable_secret
from appliance.store import Store, Stream
from appliance.times import now
from appliance.zones import decoded, encoded

LARGEST_ZONES_BYTES = 1_000_000


@click.group()
def stream() -> None:
    """Video sources."""


def _address(typed: str | None, what: str) -> str | None:
    """The address of a camera from the option --WHAT; a line of its own if that is `-`. Raises UserError."""
    if typed == "-":
        return secret(what)
    if typed is not None:
        refuse_readable_secret(typed, f"--{what} -")
    return typed


@stream.command("add")
@click.argument("name")
@click.option("--owner", required=True, help="Whose stream it is.")
@click.option(
    "--source",
    help="Let the box fetch it: rtsp://..., a file, /dev/video0; - asks for it, or reads a line. Without it, people"
    " publish to the stream.",
)
@click.option("--source-user", help="The user of the camera; its password is asked for, or read as a line.")
@click.option(
    "--sub-stream",
    help="A smaller picture of the same camera, in which the box watches for movement: rtsp://...; - asks for it.",
)
@click.pass_context
def stream_add(
    context: click.Context, name: str, owner: str, source: str | None, source_user: str | None, sub_stream: str | None
) -> None:
    """Add a stream, and print its stream key, this once.

    No password is taken as an argument: other users of this machine could read it.
    """
    config = config_of(context)
    source, watch = _address(source, "source"), _address(sub_stream, "sub-stream")
    if source_user is not None and source is None:
        raise UserError("--source-user needs a --source")
    password = secret("password of the camera") if source_user is not None else None
    _, key = streams.add(
        store_of(config),
        streams.OPERATOR,
        owner,
        name,
        source,
        now(),
        source_user=source_user,
        source_password=password,
        watch=watch,
    )
    if key:
        host = config.rtmp.public_host or "<this box>"
        click.echo(f"Server: rtmp://{host}:{config.rtmp.port}/live\nStream key: {key}")


@stream.command("list")
@click.pass_context
def stream_list(context: click.Context) -> None:
    """List streams, which are LIVE, and who crossed their lines today."""
    config = config_of(context)
    with closing(store_of(config)) as store:
        moment = now()
        found = store.streams.all(moment)
        how = receptions(store, found, moment, Reserve(config.state).is_needed())
        crossed = store.crossings.today([each.id for each in found], moment.utc)
        for each in found:
            received = how[each.id]
            lines = [f"{name}: {of.inward} in, {of.outward} out" for name, of in crossed.get(each.id, {}).items()]
            click.echo(f"{each.title}\t{received.state.label}\t{received.problem or ''}\t{'; '.join(lines)}".rstrip())


@stream.command("zones")
@click.argument("stream")
@click.option("--put", type=click.File("rb"), help="A file with zones in place of those there are; - reads them.")
@click.pass_context
def stream_zones(context: click.Context, stream: str, put: BinaryIO | None) -> None:
    """Print the zones of a stream (its owner:name, or its id) as JSON, or put others in their place.

    docs/zones.md says what they are for and how they are written.
    """
    with closing(store_of(config_of(context))) as store:
        stream_id = named(store, stream).id
        if put is not None:
            zone_rules.put(store, stream_id, decoded(put.read(LARGEST_ZONES_BYTES)))
        click.echo(encoded(store.zones.of(stream_id)))


def named(store: Store, title: str) -> Stream:
    """The stream of this title or id. Raises UserError."""
    for each in store.streams.all(now()):
        if title in (each.title, str(each.id)):
            return each
    raise UserError(f"there is no stream {title}; `mb9k stream list` names them")
