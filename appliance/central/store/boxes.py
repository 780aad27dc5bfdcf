"""Boxes and their streams, as their hellos and states tell of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.central.database import Database
from appliance.language import _


@dataclass(frozen=True, slots=True)
class Box:
    """A box that joined. Times in seconds since 1970; None: never. What it said of itself is not to be trusted.

    status: running, stopped, gone. live: numbers of streams, while it runs and belongs here. backlog: rows it has yet
    to tell. told: what the centre sees wrong with it, in words. sums_utc: when rows came last; complete_utc: up to when
    nothing is missing.
    """

    id: str
    title: str
    site_id: int | None
    site: str | None
    note: str
    joined_utc: int
    revoked_utc: int | None
    version: str
    hardware: str
    clock: str
    takes_commands: bool
    hello_utc: int | None
    status: str
    state_utc: int | None
    live: tuple[int, ...]
    backlog: int
    disk_free_mb: int | None
    temperature_c: float | None
    problem: str
    sums_utc: int | None
    complete_utc: int | None
    told: str

    @property
    def name(self) -> str:
        """What people call it."""
        return self.title or self.id

    @property
    def heard_utc(self) -> int | None:
        """Up to when something is known of it: rows, or that there were none."""
        return max(self.sums_utc or 0, self.complete_utc or 0) or None


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a box. number: on the box; name: as the box calls it, empty where it keeps names to itself."""

    id: int
    box_id: str
    box_title: str
    site_id: int | None
    number: int
    name: str

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or _("stream {number}", number=self.number)

    @property
    def box(self) -> str:
        """What people call its box."""
        return self.box_title or self.box_id


_BOX = "select boxes.*, sites.name as site from boxes left join sites on sites.id = boxes.site_id"
_STREAM = (
    "select streams.id, box_id, boxes.title as box_title, boxes.site_id, number, streams.name"
    " from streams join boxes on boxes.id = streams.box_id"
)
SEEN = "boxes.site_id in (select site_id from person_sites where person_id = :person)"
"""Of a box: whether the analyst `:person` sees it."""


def seen_by(person_id: int | None) -> str:
    """The condition that a person sees a box; None: they see all."""
    return "1 = 1" if person_id is None else SEEN


def _box(row: Mapping[str, Any]) -> Box:
    return Box(
        id=row["id"],
        title=row["title"] or "",
        site_id=row["site_id"],
        site=row["site"],
        note=row["note"] or "",
        joined_utc=row["joined_utc"] or 0,
        revoked_utc=row["revoked_utc"],
        version=row["version"] or "",
        hardware=row["hardware"] or "",
        clock=row["clock"] or "",
        takes_commands=bool(row["takes_commands"]),
        hello_utc=row["hello_utc"],
        status=row["status"] or "",
        state_utc=row["state_utc"],
        live=_numbers(row["live"]) if row["status"] == "running" and row["revoked_utc"] is None else (),
        backlog=row["backlog"] or 0,
        disk_free_mb=row["disk_free_mb"],
        temperature_c=row["temperature_c"],
        problem=row["problem"] or "",
        sums_utc=row["sums_utc"],
        complete_utc=row["complete_utc"],
        told=row["told_problem"] or "",
    )


def _numbers(text: str | None) -> tuple[int, ...]:
    found = json.loads(text) if text else []
    return tuple(number for number in found if isinstance(number, int)) if isinstance(found, list) else ()


def _stream(row: Mapping[str, Any]) -> Stream:
    return Stream(row["id"], row["box_id"], row["box_title"] or "", row["site_id"], row["number"], row["name"] or "")


class Boxes:
    """The statements. person: whose boxes; None: all."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self, person: int | None, site_id: int | None = None) -> list[Box]:
        """Every box the person sees, by site and name; revoked ones, too."""
        rows = self.db.query(
            f"{_BOX} where {seen_by(person)} and (:site is null or boxes.site_id = :site)"
            " order by lower(coalesce(sites.name, '')), lower(coalesce(nullif(boxes.title, ''), boxes.id))",
            {"person": person, "site": site_id},
        )
        return [_box(row) for row in rows]

    def get(self, box_id: str, person: int | None) -> Box | None:
        """The box with this id, if the person sees it."""
        rows = self.db.query(f"{_BOX} where boxes.id = :id and {seen_by(person)}", {"id": box_id, "person": person})
        return next((_box(row) for row in rows), None)

    def change(self, box_id: str, title: str, site_id: int | None, note: str) -> None:
        """Call it something else, or say where it stands."""
        self.db.execute(
            "update boxes set title = ?, site_id = ?, note = ? where id = ?", [title, site_id, note, box_id]
        )

    def streams(self, person: int | None, box_id: str | None = None, site_id: int | None = None) -> list[Stream]:
        """The streams of all boxes the person sees, or of one box, or of one site."""
        rows = self.db.query(
            f"{_STREAM} where {seen_by(person)} and (:box is null or box_id = :box)"
            " and (:site is null or boxes.site_id = :site)"
            " order by lower(coalesce(nullif(boxes.title, ''), boxes.id)), lower(streams.name), number",
            {"person": person, "box": box_id, "site": site_id},
        )
        return [_stream(row) for row in rows]

    def stream(self, stream_id: int, person: int | None) -> Stream | None:
        """The stream with this id, if the person sees its box."""
        rows = self.db.query(
            f"{_STREAM} where streams.id = :id and {seen_by(person)}", {"id": stream_id, "person": person}
        )
        return next((_stream(row) for row in rows), None)
