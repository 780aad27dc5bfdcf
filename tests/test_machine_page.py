"""The page Settings and what it has root do: a real site, a real machine room, stand-ins for the system's programs."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.accounts.people import Role
from appliance.interfaces import networks
from appliance.machine import ssh
from appliance.store import Store
from appliance.times import now
from tests.machine_room import Room
from tests.site import PASSWORD, PASSWORD_HASH, Box
from tests.test_browser import Person, Served, chromium, launched, person, until
from tests.test_machine_keys import ED25519

__all__ = ["chromium", "launched", "person"]
FORMS = {
    "/settings/host": {"host": "door"},
    "/settings/time-zone": {"zone": "Europe/Oslo"},
    "/settings/ssh": {"on": "on"},
    "/settings/ssh/add": {"key": ED25519, "current": PASSWORD},
    "/settings/ssh/remove": {"fingerprint": "SHA256:x"},
    "/settings/restart-machine": {},
    "/settings/shut-down": {},
    "/settings/reset": {"confirmed": socket.gethostname()},
}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "room")
    yield made
    made.close()


@pytest.fixture
def box(room: Room) -> Iterator[Box]:
    made = Box(room.config.state, machine={"socket": str(room.socket_path), "ssh_dir": room.config.machine.ssh_dir})
    yield made
    made.close()


def noted(room: Room) -> list[str]:
    room.ended()
    return room.noted()


def test_the_page_shows_the_network_and_what_can_be_set(box: Box) -> None:
    page = box.browser("ann").get("/settings").text
    assert f'value="{socket.gethostname()}"' in page and "As root type" not in page
    for interface, addresses in networks().items():
        assert f"{interface}: {', '.join(addresses)}" in page
    for path in ("/settings/restart-machine", "/settings/shut-down", "/settings/reset"):
        assert f'href="{path}"' in page
    assert "Nobody can come in by ssh" in page and len(re.findall('<option value="[^"]*" selected>', page)) == 1


def test_a_name_leads_to_a_page_that_waits_for_the_site(box: Box, room: Room) -> None:
    ann = box.browser("ann")
    led = ann.post("/settings/host", host="Front-Door").headers["location"]
    waiting = ann.get(led)
    assert "http://front-door.local:8000" in waiting.text and 'data-refresh="2"' in waiting.text
    assert "hostnamectl set-hostname front-door" in noted(room)
    before = re.sub("run=[^&]*", "run=before", led)
    assert ann.get(before).headers["location"] == "/settings", "the page of another run of the site is back"
    refused = ann.post("/settings/host", host="<b>")
    assert refused.status_code == 400 and 'value="&lt;b&gt;"' in refused.text


def test_a_zone_is_set(box: Box, room: Room) -> None:
    ann = box.browser("ann")
    assert "The time zone is Europe/Oslo now." in ann.led("/settings/time-zone", zone="Europe/Oslo").text
    assert ann.post("/settings/time-zone", zone="../x").status_code == 400
    assert noted(room)[0] == "timedatectl set-timezone Europe/Oslo"


def test_keys_come_and_go_and_a_password_stands_before_a_new_one(box: Box) -> None:
    ann = box.browser("ann")
    assert "Add a public key first" in ann.post("/settings/ssh", on="on").text
    for wrong in ("", "guessed"):
        refused = ann.post("/settings/ssh/add", key=ED25519, current=wrong)
        assert refused.status_code == 400 and "password is wrong" in refused.text and ED25519 in refused.text
    assert not ssh.access(box.config).keys
    added = ann.led("/settings/ssh/add", key=f"{ED25519} <i>", current=PASSWORD).text
    fingerprint = ssh.access(box.config).keys[0].fingerprint
    assert fingerprint in added and "ann@example i" in added and "<i>" not in added
    assert "in the list already" in ann.post("/settings/ssh/add", key=ED25519, current=PASSWORD).text
    on = ann.led("/settings/ssh", on="on").text
    assert "ssh is on." in on and ssh.access(box.config).host in on and "ssh root@" in on
    assert "not in the list" in ann.post("/settings/ssh/remove", fingerprint="SHA256:other").text
    last = ann.led("/settings/ssh/remove", fingerprint=fingerprint).text
    assert "The key is removed. ssh is off." in last and not ssh.access(box.config).on, "nobody is left to come in"


def test_what_cannot_be_undone_is_asked_once_more(box: Box, room: Room) -> None:
    ann = box.browser("ann")
    assert "Streams are cut off" in ann.get("/settings/restart-machine").text
    assert "cut its power" in ann.get("/settings/shut-down").text
    reset = ann.get("/settings/reset").text
    assert "Wiped" in reset and str(box.config.state) in reset and f"<code>{socket.gethostname()}</code>" in reset
    refused = ann.post("/settings/reset", confirmed="no")
    assert refused.status_code == 400 and "type its name" in refused.text and noted(room) == []
    assert "shut-down" not in ann.get(ann.post("/settings/shut-down").headers["location"]).text
    assert noted(room) == ["systemctl poweroff"]


def test_the_copies_of_the_record_elsewhere_are_named_before_a_reset(room: Room) -> None:
    made = Box(room.config.state, backup={"folder": "/mnt/copies"}, machine={"socket": str(room.socket_path)})
    assert "/mnt/copies" in made.browser("ann").get("/settings/reset").text
    made.close()
    image = Box(room.config.state, claimed=False, machine={"socket": "x", "reset_file": "/data/factory-reset"})
    assert "Wi-Fi" in image.browser("ann").get("/settings/reset").text
    image.close()


@pytest.mark.parametrize("path", FORMS)
def test_only_admins_and_only_their_own_pages_have_root_act(box: Box, room: Room, path: str) -> None:
    for name in ("eve", None):
        browser = box.browser(name)
        csrf = browser.csrf("/account" if name else "/sign-in")
        answer = browser.client.post(path, data={"csrf": csrf, **FORMS[path]})
        assert answer.status_code in (401, 403), name
    ann = box.browser("ann")
    assert ann.client.post(path, data={"csrf": "guessed", **FORMS[path]}).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert ann.client.post(path, data={"csrf": ann.csrf(), **FORMS[path]}, headers=foreign).status_code == 403
    token = {"Authorization": "Bearer token of ann"}
    assert box.browser().client.post(path, data=FORMS[path], headers=token).status_code in (401, 403)
    assert not room.processes, "nobody asked"


def test_a_box_set_up_by_hand_says_what_to_type(tmp_path: Path) -> None:
    made = Box(tmp_path / "state")
    ann = made.browser("ann")
    page = ann.get("/settings").text
    for typed in ("hostnamectl set-hostname NAME", "timedatectl set-timezone ZONE", "systemctl poweroff", "--now ssh"):
        assert f"<code>systemctl {typed}" in page or f"<code>{typed}" in page or typed in page
    assert 'action="/settings/host"' not in page and 'action="/settings/ssh' not in page
    assert "cannot do this" in ann.get("/settings/reset").text and "<form" not in main_of(ann.get("/settings/reset"))
    for path, fields in FORMS.items():
        refused = ann.post(path, **fields)
        assert refused.status_code == 400 and "problem" in refused.text, path
    made.close()


def main_of(answer: httpx.Response) -> str:
    return answer.text.partition("<main")[2].partition("</main>")[0]


def test_a_room_that_is_closed_is_said_in_a_line(box: Box, room: Room) -> None:
    room.socket_path.unlink()
    answer = box.browser("ann").post("/settings/restart-machine")
    assert answer.status_code == 503 and "mb9k-machine.socket" in answer.text


@pytest.fixture
def served(room: Room, free_port: Callable[[], int]) -> Iterator[Served]:
    """The site in a process of its own."""
    port = free_port()
    room.path.write_text(f'{room.path.read_text()}\n[web]\nhost = "127.0.0.1"\nport = {port}\n')
    store = Store.open(room.config.store_path)
    store.people.add("ann", PASSWORD_HASH, Role.ADMIN, now().utc)
    made = Served(room.folder, port, store)
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    store.close()


@pytest.mark.browser
def test_the_page_comes_back_by_itself_after_a_restart(served: Served, room: Room, person: Person) -> None:
    page: Any = person.page
    person.sign_in(served.address)
    page.goto(f"{served.address}/settings")
    page.click("text=Restart …")
    page.click("button:has-text('Restart')")
    page.wait_for_url("**/settings/waiting*")
    assert "comes back by itself" in page.inner_text("main")
    assert noted(room) == ["systemctl reboot"]
    served.stop()
    until(page, lambda: "does not answer" in page.inner_text("body"))
    served.start()
    page.wait_for_url(f"{served.address}/settings")
    assert not [said for said in person.complaints if "ERR_CONNECTION_REFUSED" not in said]


@pytest.mark.browser
def test_after_a_reset_the_page_that_waited_is_where_the_box_is_claimed(
    served: Served, room: Room, person: Person
) -> None:
    page: Any = person.page
    person.sign_in(served.address)
    page.goto(f"{served.address}/settings/reset")
    page.fill("[name=confirmed]", socket.gethostname())
    assert served.process
    # What systemd does, done by hand, since its stand-in does nothing: the site ends, and begins again.
    room.stand_in("systemctl", also=f"case $* in 'stop mb9k.target'*) kill {served.process.pid};; esac")
    page.click("text=Wipe the box")
    page.wait_for_url("**/settings/waiting*")
    until(page, lambda: "systemctl start mb9k.target" in room.noted())
    served.process.wait()
    served.start()
    page.wait_for_url(f"{served.address}/claim")
