"""A whole centre's site in a folder of its own, on any database, with boxes that are only rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from appliance.accounts.people import Role
from appliance.central.config import CentralConfig
from appliance.central.database import Database, is_postgresql
from appliance.central.opening import open_database
from appliance.central.store import CentralStore
from appliance.central.store.sites import Site
from appliance.central.viewer.site import make_app
from appliance.faces import Counts
from appliance.secrets import digest
from tests.site import PASSWORD_HASH, Browser, Clock

NOON = 1_795_521_600  # 2026-11-24T12:00:00Z
NOTHING = Counts()


class Fleet:
    """A centre with an admin `ann`, an analyst `sci` of the site `north` (1), and an analyst `eve` of none.

    Box `lobby` (stream 1, `door`) stands at north, box `dock` (stream 2, `gate`) at `south` (2).
    """

    def __init__(self, folder: Path, address: str, claimed: bool = True, **config: Any) -> None:
        web = {"names": ["box.test"], **config.pop("web", {})}
        url = address if is_postgresql(address) else ""
        made = {"state_dir": str(folder), "web": web, "database": {"url": url}, **config}
        self.config = msgspec.convert(made, CentralConfig)
        self.address = address
        self.clock = Clock()
        self.clock.now = replace(self.clock.now, utc=float(NOON))
        self.db: Database = open_database(address)
        self.store = CentralStore(self.db)
        self.config.state.mkdir(parents=True, exist_ok=True)
        self.app = make_app(self.config, self.open_store, self.clock)
        if claimed:
            self._fill()

    def open_store(self) -> CentralStore:
        """Another connection, as each request has one."""
        return CentralStore.open_existing(self.address, self.config.audit_head_path)

    def of_its_own(self) -> CentralConfig:
        """The configuration of a service that opens the database by it."""
        own = self.config.database_path
        if not self.config.database.url and not own.exists():  # the file lies beside the folder
            own.symlink_to(self.address)
        return self.config

    def _fill(self) -> None:
        at = self.clock.now.utc
        for name, role in (("ann", Role.ADMIN), ("sci", Role.ANALYST), ("eve", Role.ANALYST)):
            person_id = self.store.people.add(name, PASSWORD_HASH, role, at)
            self.store.people.add_token(person_id, "test", digest(f"token of {name}"), at, at + 90 * 86400)
        north = self.store.sites.add(Site(0, "north", "hills", 48.1, 11.5))
        south = self.store.sites.add(Site(0, "south", "", None, None))
        self.store.sites.give(2, [north])
        self.add_box("lobby", north, ["door"])
        self.add_box("dock", south, ["gate"])

    def add_box(self, box_id: str, site_id: int | None, streams: Iterable[str] = (), **columns: Any) -> None:
        """A box that told everything just now. columns: what else stands in its row."""
        now = int(self.clock.now.utc)
        values = {
            "id": box_id,
            "title": "",
            "site_id": site_id,
            "joined_utc": now - 86400,
            "hello_utc": now - 3600,
            "clock": "believed",
            "version": "0.1.0",
            "status": "running",
            "state_utc": now,
            "sums_utc": now,
            "complete_utc": now,
            "live": json.dumps([number for number, _ in enumerate(streams, 1)]),
            "disk_free_mb": 12_000,
            "temperature_c": 51.5,
            **columns,
        }
        places = ", ".join("?" * len(values))
        self.db.execute(f"insert into boxes ({', '.join(values)}) values ({places})", list(values.values()))
        for number, name in enumerate(streams, 1):
            self.db.execute("insert into streams (box_id, number, name) values (?, ?, ?)", [box_id, number, name])

    def change_box(self, box_id: str, **columns: Any) -> None:
        """Put other values into its row."""
        for name, value in columns.items():
            self.db.execute(f"update boxes set {name} = ? where id = ?", [value, box_id])

    def add_hour(
        self, stream_id: int, start_utc: int, counts: Counts, watched_s: int = 3600, unverified: int = 0
    ) -> None:
        """A roll-up, of an hour and of its day, as ingest keeps them."""
        for table, step_s in (("hours", 3600), ("days", 86400)):
            self.db.execute(
                f"insert into {table} (stream_id, start_utc, watched_s, mask, no_mask, incorrect, unknown, unverified)"
                " values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (stream_id, start_utc) do update set"
                + ", ".join(
                    f" {name} = {table}.{name} + excluded.{name}"
                    for name in ("watched_s", "mask", "no_mask", "incorrect", "unknown", "unverified")
                ),
                [
                    *(stream_id, start_utc // step_s * step_s, watched_s),
                    *(counts.mask, counts.no_mask, counts.incorrect, counts.unknown, unverified),
                ],
            )

    def add_minutes(self, stream_id: int, base_utc: int, minutes: dict[int, Counts], verified: int = 1) -> None:
        """Rows of one epoch of a stream that began at base_utc, by the number of the minute."""
        day_s = 86400
        rows = self.db.query(
            "insert into sources (stream_id, epoch, base_utc, since_utc, until_utc, made_utc)"
            " values (?, ?, ?, ?, ?, ?) returning id",
            [
                *(stream_id, f"{base_utc + stream_id:016x}", base_utc),
                *(base_utc // day_s * day_s - day_s, base_utc // day_s * day_s + 3 * day_s, base_utc),
            ],
        )
        source = next(iter(rows))["id"]
        kept, place = (", kept_utc", ", ?") if self.db.dialect == "postgresql" else ("", "")
        for minute, counts in minutes.items():
            start = base_utc + 60 * minute
            self.db.execute(
                "insert into sums (source_id, minute, start_utc, watched_s, mask, no_mask, incorrect, unknown,"
                f" verified, seq{kept}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?{place})",
                [
                    *(source, minute, start, 60, counts.mask, counts.no_mask, counts.incorrect, counts.unknown),
                    *(verified, minute + 1),
                    *([start] if kept else []),
                ],
            )

    def browser(self, name: str | None = None) -> Browser:
        """A browser; signed in by a session made beside the sign-in page (argon2 takes its time)."""
        browser = Browser(self.app)
        if name:
            person = self.store.people.named(name)
            assert person
            if self.store.people.session(digest(f"session-of-{name}")) is None:
                at = self.clock.now.utc
                self.store.people.add_session(digest(f"session-of-{name}"), person.id, f"csrf-{name}", at)
            browser.client.cookies.set("mb9k_centre_session", f"session-of-{name}", domain="box.test")
        return browser

    def dump(self) -> str:
        """Every row of every table that a site may change."""
        tables = (
            *("people", "sessions", "tokens", "devices", "person_sites", "sites", "boxes", "streams", "joins"),
            *("commands", "events", "certificates"),
        )
        lines = []
        for table in tables:
            lines += sorted(str({**row}) for row in self.db.query(f"select * from {table}"))
        return "\n".join(lines)

    def close(self) -> None:
        self.db.close()
