"""The JSON of the centre's API: one type per shape. What a list holds is a row of a table, too."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from appliance.central.store import Command as StoredCommand
from appliance.central.store import Event as StoredEvent
from appliance.central.store import Letter as StoredLetter
from appliance.central.store import Site as StoredSite
from appliance.central.store import Stream as StoredStream
from appliance.central.store import Watched
from appliance.central.viewer.compare import Compared as ComparedThing
from appliance.central.viewer.fleet import Tile
from appliance.rates import compliance
from appliance.times import utc_text

Ratio = Annotated[float, Meta(ge=0, le=1)]


class Counts(Struct, kw_only=True):
    """Persons by state. compliance: mask / (mask + no_mask + incorrect) with its 95 % interval; null if nobody.

    watched_s: for how many seconds of streams somebody looked. unverified: of so many rows the time is not certain.
    """

    total: int
    mask: int
    no_mask: int
    incorrect: int
    unknown: int
    compliance: Ratio | None
    compliance_low: Ratio | None
    compliance_high: Ratio | None
    judged: int
    watched_s: int
    unverified: int


class Box(Counts, kw_only=True):
    """A box, and whom it saw today. complete: up to then nothing is missing. backlog: rows it has yet to tell.

    age: of its newest data. problems: what is wrong, in words. live: how many of its streams are LIVE.
    """

    box: str
    title: str
    site: str | None
    site_id: int | None
    age: Literal["fresh", "late", "stale", "never"]
    age_s: int | None
    complete: str | None
    status: str
    backlog: int
    streams: int
    live: int
    version: str
    hardware: str
    clock: str
    disk_free_mb: int | None
    temperature_c: float | None
    joined: str
    revoked: str | None
    problems: str


class Stream(Struct, kw_only=True):
    """A stream of a box. name: empty where the box keeps its names to itself; number: on the box."""

    id: int
    box: str
    number: int
    name: str
    live: bool


class Site(Counts, kw_only=True):
    """A site, and whom its boxes saw today."""

    id: int
    name: str
    group: str
    latitude: float | None
    longitude: float | None
    boxes: int


class Step(Counts, kw_only=True):
    """The persons of one step of time. is_gap: nobody looked, so it is no zero. start: when it begins."""

    start: str
    is_gap: bool


class Compared(Counts, kw_only=True):
    """One of those that are compared: a site, a group or a box."""

    key: str
    name: str


class Letter(Struct, kw_only=True):
    """A message that could not be taken. times: how often it came."""

    id: int
    at: str
    box: str
    topic: str
    reason: str
    times: int
    payload: str


class Event(Struct, kw_only=True):
    """Something that happened. person: who did it, if somebody did; box: with which box."""

    id: int
    at: str
    box: str | None
    person: str | None
    what: str


class Command(Struct, kw_only=True):
    """What somebody asked a box to do. done: null until it answers."""

    id: str
    box: str
    action: str
    detail: str
    by: str
    given: str
    expires: str
    sent: str | None
    done: bool | None
    words: str


class Status(Counts, kw_only=True):
    """How the fleet is, and whom it saw today. complete_boxes of all boxes have told everything up to complete.

    problems: how many boxes have one; silent: what of the centre itself does not run.
    """

    centre: str
    time: str
    boxes: int
    complete_boxes: int
    complete: str | None
    problems: int
    silent: list[str]


class BoxList(Struct):
    """Boxes, those with problems first."""

    boxes: list[Box]


class StreamList(Struct):
    """Streams by box and name."""

    streams: list[Stream]


class SiteList(Struct):
    """Sites by group and name."""

    sites: list[Site]


class Series(Struct):
    """Persons over time. time_zone: in which days begin."""

    time_zone: str
    step: Literal["minute", "hour", "day"]
    since: str
    until: str
    steps: list[Step]


class Comparison(Struct):
    """Sites, groups or boxes beside each other, highest rate first."""

    since: str
    until: str
    compared: list[Compared]


class LetterList(Struct):
    """Messages that could not be taken, newest first."""

    letters: list[Letter]


class EventList(Struct):
    """What happened, newest first."""

    events: list[Event]


class CommandList(Struct):
    """Commands to a box, newest first."""

    commands: list[Command]


def text_or_none(utc: int | None) -> str | None:
    """A time as the API tells it."""
    return None if utc is None else utc_text(utc)


def counted(sums: Watched) -> dict[str, Any]:
    """The fields of Counts."""
    counts, rate = sums.counts, compliance(sums.counts)
    return {
        "total": counts.total,
        "mask": counts.mask,
        "no_mask": counts.no_mask,
        "incorrect": counts.incorrect,
        "unknown": counts.unknown,
        "compliance": round(rate.value, 4) if rate else None,
        "compliance_low": round(rate.low, 4) if rate else None,
        "compliance_high": round(rate.high, 4) if rate else None,
        "judged": counts.classified,
        "watched_s": sums.watched_s,
        "unverified": sums.unverified,
    }


def box_json(tile: Tile) -> Box:
    """A box as the API tells of it."""
    box, condition = tile.box, tile.condition
    return Box(
        box=box.id,
        title=box.title,
        site=box.site,
        site_id=box.site_id,
        age=condition.age.value,
        age_s=None if condition.age_s is None else int(condition.age_s),
        complete=text_or_none(box.complete_utc),
        status=box.status,
        backlog=box.backlog,
        streams=tile.streams,
        live=len(box.live),
        version=box.version,
        hardware=box.hardware,
        clock=box.clock,
        disk_free_mb=box.disk_free_mb,
        temperature_c=box.temperature_c,
        joined=utc_text(box.joined_utc),
        revoked=text_or_none(box.revoked_utc),
        problems="; ".join(condition.words),
        **counted(tile.today),
    )


def stream_json(stream: StoredStream, live: tuple[int, ...]) -> Stream:
    """A stream as the API tells of it. live: numbers of the streams of its box that are LIVE."""
    return Stream(id=stream.id, box=stream.box_id, number=stream.number, name=stream.name, live=stream.number in live)


def site_json(site: StoredSite, today: Watched) -> Site:
    """A site as the API tells of it."""
    return Site(
        id=site.id,
        name=site.name,
        group=site.group,
        latitude=site.latitude,
        longitude=site.longitude,
        boxes=site.boxes,
        **counted(today),
    )


def compared_json(each: ComparedThing) -> Compared:
    """One of those that are compared."""
    return Compared(key=each.key, name=each.name, **counted(each.sums))


def letter_json(letter: StoredLetter) -> Letter:
    """A message that could not be taken."""
    return Letter(
        id=letter.id,
        at=utc_text(letter.at_utc),
        box=letter.box_id,
        topic=letter.topic,
        reason=letter.reason,
        times=letter.times,
        payload=letter.payload,
    )


def event_json(event: StoredEvent) -> Event:
    """Something that happened."""
    return Event(id=event.id, at=utc_text(event.at_utc), box=event.box_id, person=event.person, what=event.what)


def command_json(command: StoredCommand, now_utc: float) -> Command:
    """A command and what became of it."""
    return Command(
        id=command.id,
        box=command.box_id,
        action=command.action,
        detail=command.detail,
        by=command.by,
        given=utc_text(command.given_utc),
        expires=utc_text(command.expires_utc),
        sent=text_or_none(command.sent_utc),
        done=command.done,
        words=command.state(now_utc),
    )
