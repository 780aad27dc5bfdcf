"""Streams, how they are just now, and whose publishing was refused."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass
from typing import Any

from appliance.errors import NameTaken
from appliance.faces import Health, PictureFault, Work
from appliance.keeping import Keeping
from appliance.language import _
from appliance.sqlite import Database
from appliance.store.filters import OF_STREAMS, STREAMS, TITLE, conditions
from appliance.store.stream_rows import HEALTH, KEEPING, SELECT, WORK, Stream, keeping_of, stream_of
from appliance.times import Now, utc_text

MAX_REFUSALS = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """Where the box pulls a stream from, and the smaller picture in which it watches for movement, if there is one."""

    url: str
    watch_url: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Someone was refused. stream_id: the stream that was meant; None: not known."""

    at_utc: str
    remote: str
    action: str
    reason: str
    times: int
    stream_id: int | None = None


class Streams:
    """The statements about streams. Writes are single statements unless the caller is inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self, now: Now, owner_id: int | None = None, search: str = "") -> list[Stream]:
        """Streams by title; of one owner if given; whose owner:name contains `search`, in any case."""
        filters = {"owner_id": owner_id, "search": search or None}
        parameters = {name: value for name, value in filters.items() if value is not None}
        return self._select(f"{conditions(OF_STREAMS, parameters)} order by people.name, streams.name", parameters, now)

    def titles(self) -> dict[int, str]:
        """What each is called (see Stream.title), in that order: a list to choose from needs no more of hundreds."""
        rows = self.db.execute(
            f"select streams.id as id, {TITLE} as title {STREAMS} order by people.name, streams.name"
        )
        return {row["id"]: row["title"] for row in rows}

    def page(self, now: Now, owner_id: int | None, search: str, after_id: int, limit: int) -> list[Stream]:
        """As `all`, but the next ones behind an id, in the order of their ids, which new ones do not disturb."""
        filters = {"owner_id": owner_id, "search": search or None}
        parameters = {name: value for name, value in filters.items() if value is not None}
        where = f"streams.id > :after_id and {conditions(OF_STREAMS, parameters)} order by streams.id limit :limit"
        return self._select(where, {**parameters, "after_id": after_id, "limit": limit}, now)

    def get(self, stream_id: int, now: Now) -> Stream | None:
        """The stream with this id."""
        return next(iter(self._select(OF_STREAMS["stream_id"], {"stream_id": stream_id}, now)), None)

    def with_key(self, key_sha256: str, now: Now) -> Stream | None:
        """The stream, active or not, that this is the digest of the key of.

        The index compares byte by byte, so the time may tell how many bytes of the digest are right. That helps
        nobody: to try a digest one must know a key that has it, and keys are 99 random bits.
        """
        return next(iter(self._select("key_sha256 = :key_sha256", {"key_sha256": key_sha256}, now)), None)

    def _select(self, where: str, parameters: dict[str, Any], now: Now) -> list[Stream]:
        rows = self.db.execute(
            f"{SELECT} where streams.receipt_id is null and {where}",
            {**parameters, "boot_id": now.boot_id, "uptime_s": now.uptime_s},
        )
        return [stream_of(tuple(row)) for row in rows]

    def add_with_key(self, owner_id: int, name: str, key_sha256: str, now_utc: float) -> int:
        """Add a stream that is published to; its id. Raises NameTaken."""
        return self._add(owner_id, name, key_sha256, None, None, now_utc)

    def add_with_source(
        self, owner_id: int, name: str, source_url: str, now_utc: float, watch_url: str | None = None
    ) -> int:
        """Add a stream that the box pulls; its id. Raises NameTaken."""
        return self._add(owner_id, name, None, source_url, watch_url, now_utc)

    def _add(
        self,
        owner_id: int,
        name: str,
        key_sha256: str | None,
        source_url: str | None,
        watch_url: str | None,
        now_utc: float,
    ) -> int:
        try:
            cursor = self.db.execute(
                "insert into streams (owner_id, name, key_sha256, source_url, watch_url, created_utc)"
                " values (?, ?, ?, ?, ?, ?)",
                [owner_id, name, key_sha256, source_url, watch_url, utc_text(now_utc)],
            )
        except sqlite3.IntegrityError as error:
            raise NameTaken(_("There is already a stream called {name}; choose another name.", name=name)) from error
        return int(cursor.lastrowid or 0)

    def rename(self, stream_id: int, name: str) -> None:
        """Give a stream another name. Raises NameTaken."""
        try:
            self.db.execute("update streams set name = ? where id = ?", [name, stream_id])
        except sqlite3.IntegrityError as error:
            raise NameTaken(_("There is already a stream called {name}; choose another name.", name=name)) from error

    def give_to(self, stream_id: int, owner_id: int) -> None:
        """Give a stream another owner. Raises NameTaken if that owner has one of the same name."""
        try:
            self.db.execute("update streams set owner_id = ? where id = ?", [owner_id, stream_id])
        except sqlite3.IntegrityError as error:
            raise NameTaken(_("That owner already has a stream of this name; rename one of them first.")) from error

    def set_key(self, stream_id: int, key_sha256: str) -> None:
        """Let it be published to with this key, from now on; the old key (or source) ends."""
        self.db.execute(
            "update streams set key_sha256 = ?, source_url = null, watch_url = null where id = ?",
            [key_sha256, stream_id],
        )

    def set_source(self, stream_id: int, source_url: str) -> None:
        """Pull it from this source, from now on; an old key ends, and so does what belonged to the source before."""
        self.db.execute(
            "update streams set source_url = ?, watch_url = null, key_sha256 = null where id = ?",
            [source_url, stream_id],
        )
        self.db.execute(
            "update stream_status set transport = null, key_interval_s = null where stream_id = ?", [stream_id]
        )
        self.set_health(stream_id, Health())

    def set_watch(self, stream_id: int, watch_url: str | None) -> None:
        """Watch for movement in this smaller picture of its source from now on; None: in the picture itself."""
        self.db.execute("update streams set watch_url = ? where id = ?", [watch_url, stream_id])

    def set_active(self, stream_id: int, active: bool) -> None:
        """Let it in or not."""
        self.db.execute("update streams set active = ? where id = ?", [int(active), stream_id])

    def set_keeping(self, stream_id: int, keeping: Keeping) -> None:
        """Keep this of it from now on."""
        mode = keeping.images and keeping.images.value
        self.db.execute(
            "update streams set images = ?, images_days = ?, detections_days = ? where id = ?",
            [mode, keeping.images_days, keeping.detections_days, stream_id],
        )

    def keeping(self) -> dict[int, Keeping]:
        """What was chosen for every stream there is, by its id."""
        rows = self.db.execute(f"select id, {', '.join(KEEPING)} from streams where receipt_id is null")
        return {stream_id: keeping_of(chosen) for stream_id, *chosen in rows}

    def forgotten(self, stream_id: int) -> tuple[int, int]:
        """Up to which ids its detections, and the images of them, were forgotten for their age."""
        row = self.db.execute(
            "select forgotten_id, images_forgotten_id from streams where id = ?", [stream_id]
        ).fetchone()
        return row["forgotten_id"], row["images_forgotten_id"]

    def note_forgotten(self, stream_id: int, detections_id: int, images_id: int) -> None:
        """Up to these ids they are now."""
        self.db.execute(
            "update streams set forgotten_id = ?, images_forgotten_id = ? where id = ?",
            [detections_id, images_id, stream_id],
        )

    def remove(self, stream_id: int) -> None:
        """Remove a stream with all its detections; their images are noted as still to be erased."""
        self.db.execute("delete from streams where id = ?", [stream_id])

    def title(self, stream_id: int) -> str:
        """Its owner:name; empty: there is no such stream."""
        question = f"select {TITLE} from streams join people on people.id = owner_id where streams.id = ?"
        rows = self.db.execute(question, [stream_id])
        return next((str(row[0]) for row in rows), "")

    def of_others(self, owner_id: int) -> int:
        """How many streams this person does not own."""
        sql = "select count(*) as streams from streams where receipt_id is null and owner_id <> ?"
        return int(self.db.execute(sql, [owner_id]).fetchone()["streams"])

    def ids(self) -> set[int]:
        """Every stream there is."""
        return {row["id"] for row in self.db.execute("select id from streams where receipt_id is null")}

    def active_keys(self) -> dict[str, int]:
        """The stream that may be published to with a key, by the sha-256 of the key."""
        rows = self.db.execute("select key_sha256, id from streams where active and key_sha256 is not null")
        return {row["key_sha256"]: row["id"] for row in rows}

    def active_sources(self) -> dict[int, Source]:
        """The source of every stream to pull, by the stream's id."""
        rows = self.db.execute("select id, source_url, watch_url from streams where active and source_url is not null")
        return {row["id"]: Source(row["source_url"], row["watch_url"]) for row in rows}

    def set_live(self, stream_id: int, remote: str | None, now_utc: float) -> None:
        """Someone began to publish, or the box began to pull."""
        self.db.execute(
            "insert into stream_status (stream_id, live, since_utc, remote) values (?, 1, ?, ?)"
            " on conflict (stream_id) do update set live = 1, since_utc = excluded.since_utc,"
            " remote = excluded.remote, problem = null, watch_problem = null",
            [stream_id, utc_text(now_utc), remote],
        )

    def set_offline(self, stream_id: int, now_utc: float | None = None) -> None:
        """Nobody publishes any more. now_utc None: it is not known since when."""
        self.db.execute(
            "update stream_status set live = 0, since_utc = null, ended_utc = iif(live, ?, ended_utc)"
            " where stream_id = ?",
            [None if now_utc is None else utc_text(now_utc), stream_id],
        )

    def all_offline(self, now_utc: float | None = None) -> None:
        """What the watcher says when it starts and ends: it sees nothing, and knows of no problem."""
        self.db.execute(
            "update stream_status set live = 0, since_utc = null, ended_utc = iif(live, ?, ended_utc),"
            " problem = null, watch_problem = null"
            " where live or problem is not null or watch_problem is not null",
            [None if now_utc is None else utc_text(now_utc)],
        )

    def describe(
        self,
        stream_id: int,
        codec: str,
        width: int,
        height: int,
        transport: str | None = None,
        key_interval_s: int | None = None,
        decoded_by: str | None = None,
    ) -> None:
        """What the picture is like. key_interval_s None: not known yet, what was known before stays."""
        self.db.execute(
            "update stream_status set codec = ?, width = ?, height = ?, transport = ?,"
            " key_interval_s = coalesce(?, key_interval_s), decoded_by = ? where stream_id = ?",
            [codec, width, height, transport, key_interval_s, decoded_by, stream_id],
        )

    def set_health(self, stream_id: int, health: Health, work: Work | None = None) -> None:
        """How well it can be judged, and what was done with it (None: nothing yet), where there is a status of it."""
        self.db.execute(
            f"update stream_status set {', '.join(f'{name} = ?' for name in (*HEALTH, *WORK))} where stream_id = ?",
            [*astuple(health), *astuple(work or Work()), stream_id],
        )

    def set_problem(self, stream_id: int, problem: str | None, watch_problem: str | None = None) -> None:
        """Say why nobody in a stream is being judged; None: they are. Inserts an offline status if there is none.

        watch_problem: why its sub-stream is not watched, which keeps nobody from being judged.
        """
        self.db.execute(
            "insert into stream_status (stream_id, live, problem, watch_problem) values (?, 0, ?, ?)"
            " on conflict (stream_id) do update set problem = excluded.problem, watch_problem = excluded.watch_problem",
            [stream_id, problem, watch_problem],
        )

    def set_picture_fault(self, stream_id: int, fault: PictureFault | None, since_utc: str | None) -> None:
        """Say what is wrong with its picture, and since when, where there is a status of it; None: nothing."""
        self.db.execute(
            "update stream_status set picture_fault = ?, picture_fault_since_utc = ? where stream_id = ?",
            [fault and fault.value, since_utc, stream_id],
        )

    def picture_fault(self, stream_id: int) -> tuple[PictureFault, str] | None:
        """What was wrong with its picture when that was last known, and since when, also while it is not live."""
        row = self.db.execute(
            "select picture_fault, picture_fault_since_utc from stream_status"
            " where stream_id = ? and picture_fault is not null",
            [stream_id],
        ).fetchone()
        return (PictureFault(row["picture_fault"]), row["picture_fault_since_utc"]) if row else None

    def add_refusal(
        self, remote: str, action: str, reason: str, times: int, at_utc: float, stream_id: int | None = None
    ) -> None:
        """Record that someone was refused; the same within a minute counts up. Keeps the newest 1000.

        stream_id: the stream that was meant; None: not known. One that is gone meanwhile is not noted.
        """
        cursor = self.db.execute(
            "update refusals set times = times + ?, at_utc = ? where id ="
            " (select max(id) from refusals where remote = ? and action = ? and reason = ? and stream_id is ?)"
            " and at_utc > ?",
            [times, utc_text(at_utc), remote, action, reason, stream_id, utc_text(at_utc - 60)],
        )
        if cursor.rowcount == 0:
            self.db.execute(
                "insert into refusals (at_utc, remote, action, reason, times, stream_id)"
                " values (?, ?, ?, ?, ?, (select id from streams where id = ?))",
                [utc_text(at_utc), remote, action, reason, times, stream_id],
            )
            self.db.execute("delete from refusals where id <= (select max(id) from refusals) - ?", [MAX_REFUSALS])

    def refusals(self, limit: int = 20) -> list[Refusal]:
        """The latest refusals, newest first."""
        rows = self.db.execute(
            "select at_utc, remote, action, reason, times, stream_id from refusals order by at_utc desc limit ?",
            [limit],
        )
        return [Refusal(**row) for row in rows]
