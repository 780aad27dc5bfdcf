"""A box with releases and a machine room, whose site a real server runs: for the tests of updates from the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from appliance.update.journal import Journal
from appliance.update.releases import CURRENT, Releases
from tests import machine_room
from tests.site import Box
from tests.test_web import serving
from tests.update_room import Bundles


class UpdateBox:
    """0.1.0 runs, as far as its folder of releases says. Root is really asked; systemd is a stand-in."""

    def __init__(self, folder: Path, bundles: Bundles, has_room: bool = True, **update: object) -> None:
        self.releases = Releases(folder / "releases")
        (self.releases.folder / "0.1.0").mkdir(parents=True)
        self.releases.point(CURRENT, "0.1.0")
        self.journal = Journal(self.releases.folder)
        (folder / "authority.pem").write_text(bundles.authority)
        settings = {"releases": str(self.releases.folder), "authority": str(folder / "authority.pem"), **update}
        self.room = machine_room.Room(folder / "room", update=settings, images={"min_free_mb": 0})
        machine = {"socket": str(self.room.socket_path) if has_room else ""}
        self.site = Box(self.room.config.state, update=settings, machine=machine, images={"min_free_mb": 0})
        self.uploads = self.site.config.uploads_dir

    @property
    def files(self) -> list[str]:
        """What lies in the folder of uploads."""
        return sorted(path.name for path in self.uploads.iterdir()) if self.uploads.exists() else []

    def close(self) -> None:
        self.room.close()
        self.site.close()

    @contextmanager
    def served(self, port: int) -> Iterator[httpx.Client]:
        """The site behind its real server, and `ann`, signed in there."""
        self.site.browser("ann")
        with (
            serving(self.site.app, port, admit=self.site.app.admit),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            client.cookies.set("mb9k_session", "session-of-ann", domain="127.0.0.1")
            yield client


def upload_address(page: str) -> str:
    """Where the page's form sends its file."""
    found = re.search(r'action="(/updates/upload/[^"]+)"', page)
    assert found, page
    return found[1]


def send(client: httpx.Client, content: bytes, name: str = "mb9k-0.2.0.mb9k", csrf: str = "csrf-ann") -> httpx.Response:
    """What a browser sends from the page."""
    address = upload_address(client.get("/updates").text)
    return client.post(address, data={"csrf": csrf}, files={"bundle": (name, content)})


def press(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """A button of the page, and the page after it."""
    return client.post(path, data={"csrf": "csrf-ann", **fields}, follow_redirects=True)
