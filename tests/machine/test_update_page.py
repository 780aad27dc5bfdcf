"""An update as an admin makes it: a real browser, the site, root's socket, and a release that takes over."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.people import Role
from appliance.store import Store
from tests.boxes import until
from tests.site import PASSWORD, PASSWORD_HASH
from tests.test_browser import at_a_browser, chromium, launched
from tests.update_room import UTC, Bundles, Room

__all__ = ["chromium", "launched"]
NO_SITE = {
    "appliance/local/site.py": ("    store = Store.open(config.store_path)  # makes", "    raise SystemExit(3)\n    #")
}
TAKES_OVER_S = 240


@pytest.fixture
def room(tmp_path: Path, bundles: Bundles) -> Iterator[Room]:
    room = Room.make(tmp_path, bundles, bundles.make("0.1.0"))
    socket_path = tmp_path / "room.sock"
    room.config_path.write_text(f'{room.config_path.read_text()}\n[machine]\nsocket = "{socket_path}"\n')
    store = Store.open(room.config.store_path)
    with store.writing():
        store.people.add("eva", PASSWORD_HASH, Role.ADMIN, UTC)
    store.close()
    with machine_room(room, socket_path), room.running():
        yield room


@contextmanager
def machine_room(room: Room, path: Path) -> Iterator[None]:
    """A stand-in for systemd's socket: root's process for each connection, of the release that runs."""
    processes: list[subprocess.Popen[bytes]] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                program = str(room.releases.folder / "current" / "bin" / "mb9k")
                command = [program, "--config", str(room.config_path), "machine", "answer"]
                with connection:
                    processes.append(
                        subprocess.Popen(command, stdin=connection.fileno(), env=room.environment, cwd="/")
                    )

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for process in processes:
                process.wait(60)


def signed_in(room: Room, chromium: Any) -> Any:
    """A browser on the page Updates."""
    page = at_a_browser(chromium).page
    page.set_default_timeout(60_000)
    address = f"http://127.0.0.1:{room.config.web.port}"
    page.goto(f"{address}/sign-in?next=/updates")
    page.fill("[name=name]", "eva")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"{address}/updates")
    return page


def send(page: Any, bundle: Path) -> None:
    page.set_input_files("input[type=file]", str(bundle))
    page.click("text=Send it")
    page.wait_for_selector("text=Update now")


def test_a_person_updates_a_box_and_goes_back(room: Room, good: Path, chromium: Any) -> None:
    page = signed_in(room, chromium)
    send(page, good)
    assert "From 0.1.0 to 0.2.0, signed by the tests' signer." in page.inner_text("main")
    page.click("text=Update now")
    page.wait_for_selector("text=Updating to 0.2.0")
    page.wait_for_selector("text=0.2.0 runs since", timeout=TAKES_OVER_S * 1000)  # nobody reloads the page
    assert room.releases.current() == "0.2.0"
    assert [path.name for path in (room.config.state / "uploads").glob("*.bundle")] == []
    until(lambda: not room.releases.waiting.exists(), 30, "root's copy to go")
    page.click("summary")
    page.click("button:has-text('Go back to 0.1.0')")
    page.wait_for_selector("text=0.1.0 runs since", timeout=TAKES_OVER_S * 1000)
    assert room.releases.current() == "0.1.0"


def test_a_release_that_does_not_come_up_is_undone_before_the_person_s_eyes(
    room: Room, bundles: Bundles, chromium: Any
) -> None:
    room.set_patience(15)
    broken = bundles.make("0.3.0", NO_SITE)
    page = signed_in(room, chromium)
    send(page, broken)
    page.click("text=Update now")
    page.wait_for_selector("text=0.3.0 was undone", timeout=TAKES_OVER_S * 1000)
    told = page.inner_text("main")
    assert "0.3.0 was not well within 15 s" in told and re.search(r"0\.1\.0 runs", told)
    assert room.releases.current() == "0.1.0" and room.faults("0.1.0") == []
