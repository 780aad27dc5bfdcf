"""A whole site in a folder of its own, and browsers that ask it: for the tests of its pages."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
from argon2 import PasswordHasher

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.faces import Detection, State
from appliance.https import Keeper
from appliance.images import ImageFiles
from appliance.local.site import make_app
from appliance.reports.periods import Kind as Period
from appliance.reports.schedules import Plan
from appliance.secrets import digest
from appliance.store import Deleted, Kind, Store, StoredImage
from appliance.times import Now, now

JPEG = b"\xff\xd8 a picture \xff\xd9"
PASSWORD = "a good password"
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)  # quick to check


@cache
def _new_store() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mb9k.db"
        Store.open(path).close()
        return path.read_bytes()


def new_store(path: Path) -> Store:
    """A store that was just made. Making one waits thirty times for the disk, so this is a copy: all have one epoch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_new_store())
    return Store.open(path)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> Now:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now = replace(self.now, utc=self.now.utc + seconds, uptime_s=self.now.uptime_s + seconds)


class Browser:
    """Asks the site and keeps its cookies; `post` sends the CSRF token of the page it stands on."""

    def __init__(self, app: Any, address: str = "192.0.2.1", scheme: str = "http") -> None:
        transport = httpx.WSGITransport(app=app, remote_addr=address, raise_app_exceptions=False)
        self.client = httpx.Client(transport=transport, base_url=f"{scheme}://box.test")

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def csrf(self, page: str = "/account") -> str:
        """The token in the forms of a page."""
        found = re.search(r'name="csrf" value="([^"]*)"', self.client.get(page).text)
        return found[1] if found else ""

    def post(self, path: str, page: str = "/account", **fields: str) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf(page), **fields})

    def follow(self, path: str, page: str = "/account", **fields: str) -> httpx.Response:
        """`post`, and the page that the answer leads to."""
        answer = self.post(path, page, **fields)
        return self.get(answer.headers["location"]) if answer.is_redirect else answer

    def led(self, path: str, page: str = "/account", **fields: str) -> httpx.Response:
        """`post`, which must lead on, and the page to which it leads."""
        answer = self.post(path, page, **fields)
        assert answer.status_code == 303, f"{path}: {answer.status_code}"
        return self.get(answer.headers["location"])

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.post("/sign-in", page="/sign-in", name=name, password=password)


class Box:
    """A box with an admin `ann` (stream 1), a scientist `sci` (stream 2) and a scientist `eve`.

    Report 1 is sent by the week.
    Detection 1 (mask, of stream 1) has an image; detection 2 (no mask, of stream 2) has none.
    """

    def __init__(self, folder: Path, claimed: bool = True, **config: Any) -> None:
        web = {"names": ["box.test"], **config.pop("web", {})}
        self.config = msgspec.convert({"state_dir": str(folder), "web": web, **config}, Config)
        self.clock = Clock()
        self.store = (Store.open if self.config.store_path.exists() else new_store)(self.config.store_path)
        self.images = ImageFiles(self.config.images_dir)
        self.busy_timeout_s = 5.0
        self.keeper = Keeper(self.config) if self.config.web.https else None
        if self.keeper:
            self.keeper.refresh(self.clock.now.utc)
        self.app = make_app(self.config, self._open, self.clock, self.keeper)
        if claimed:
            self._fill()

    def _fill(self) -> None:
        with self.store.writing():
            self._fill_at(self.clock.now.utc)

    def _fill_at(self, at: float) -> None:
        for name, role in (("ann", Role.ADMIN), ("sci", Role.DATA_SCIENTIST), ("eve", Role.DATA_SCIENTIST)):
            person_id = self.store.people.add(name, PASSWORD_HASH, role, at)
            self.store.people.add_token(person_id, "test", digest(f"token of {name}"), at, at + 90 * 86400)
        self.store.streams.add_with_key(1, "door", digest("key 1"), at)
        self.store.streams.add_with_key(2, "lab", digest("key 2"), at)
        place = self.images.append(JPEG, at)
        self.add_detection(1, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, "unguessable"))
        self.add_detection(2, State.NO_MASK)
        self.store.reports.add(Plan(Period.WEEK, 420, ("boss@example.org",)), at)
        self.store.receipts.add(Kind.IMAGES, "ann:door", "ann", Deleted(0, 0, 0, "0" * 64), at)

    def _open(self) -> Store:
        """As the site does for each request."""
        store = Store.open_existing(self.config.store_path)
        store.db.execute(f"pragma busy_timeout = {self.busy_timeout_s * 1000:.0f}")
        return store

    def add_detection(self, stream_id: int, state: State, image: StoredImage | None = None) -> int:
        """Somebody was seen just now."""
        at = self.clock.now.utc
        return self.store.detections.add(
            stream_id, Detection(at, at + 3, state, 0.9, 7, (1, 2, 30, 40), 640, 360, "m"), image
        )

    def browser(self, name: str | None = None, address: str = "192.0.2.1") -> Browser:
        """A browser; signed in by a session made beside the sign-in page (argon2 takes its time)."""
        scheme, prefix = ("https", "__Host-") if self.keeper else ("http", "")
        browser = Browser(self.app, address, scheme)
        if name:
            person = self.store.people.named(name)
            assert person
            if self.store.people.session(digest(f"session-of-{name}")) is None:
                at = self.clock.now.utc
                self.store.people.add_session(digest(f"session-of-{name}"), person.id, f"csrf-{name}", at)
            browser.client.cookies.set(f"{prefix}mb9k_session", f"session-of-{name}", domain="box.test")
        return browser

    def close(self) -> None:
        self.store.close()


def dump(box: Box) -> str:
    """All that is in the record but the audit, in which a refusal is an entry."""
    return "\n".join(line for line in box.store.db.conn.iterdump() if not line.startswith('INSERT INTO "audit'))
