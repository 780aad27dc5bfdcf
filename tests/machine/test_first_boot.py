"""A machine that is nothing but a box, from its power switch on: the role made it, a person claims it over HTTPS.

Beside the container there is a real Chromium, a real publisher by RTMP and by RTMPS, and somebody who asks by mDNS.
"""

from __future__ import annotations

import base64
import shutil
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.certificates import pem_fingerprint, whole_fingerprint
from appliance.service import SERVICES
from appliance.vision.clip import make_clip
from tests.boxes import publishing, until
from tests.machines import APPLIANCE_PACKAGES, GUEST, Machine, Playbooks, skip_without_containers, wheel, wheels
from tests.screens import scanned
from tests.test_browser import CHROMIUM_ARGUMENTS, at_a_browser

PASSWORD = "a long password of a test"
PATIENCE_S = 60.0
UNITS = [f"mb9k-{service.name}.service" for service in SERVICES]
PARTS = ["mb9k-first-boot.service", "mb9k-screen.service", "avahi-daemon.service", "NetworkManager.service"]
PAGE = f"https://{GUEST}"
WIFI = "# by a test\r\nssid=Café 5;G\r\npassword=a \\ secret=word\r\ncountry=de\r\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    skip_without_containers()
    made = Machine(tmp_path / "root", APPLIANCE_PACKAGES)
    yield made
    print(made.log_path.read_text(errors="replace")[-2000:] if made.log_path.exists() else "")
    shutil.rmtree(made.root)


@pytest.fixture
def trusting_browser() -> Iterator[Callable[[str], Any]]:
    """Starts a browser that has been told to trust the key of this certificate, and no other unknown one."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if not binary:
        pytest.skip("there is no Chromium; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, ExitStack() as started:

        def start(certificate: str) -> Any:
            pin = base64.b64encode(pem_fingerprint(certificate)).decode()
            arguments = [*CHROMIUM_ARGUMENTS, f"--ignore-certificate-errors-spki-list={pin}"]
            browser = playwright.chromium.launch(executable_path=binary, args=arguments)
            started.callback(browser.close)
            return browser

        yield start


def are_active(machine: Machine, *units: str) -> bool:
    return all(machine.state(unit, "ActiveState") == ["active"] for unit in units)


def on_screen(machine: Machine, columns: int = 120, rows: int = 33) -> list[str]:
    """What stands on the machine's screen now."""
    size = [f"COLUMNS={columns}", f"LINES={rows}"]
    return machine.run("runuser", "-u", "mb9k", "--", "env", *size, "mb9k", "screen", "--once").splitlines()


def shown_certificate() -> str:
    return ssl.get_server_certificate((GUEST, 443))


def announced(name: str) -> bytes:
    """What the machine answers when it is asked by mDNS who offers this (RFC 6762, a legacy unicast query)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 12, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.sendto(query, (GUEST, 5353))
        with suppress(TimeoutError):
            return asking.recv(9000)
    return b""


@pytest.mark.timeout(900)
def test_from_the_power_switch_to_a_claimed_box(
    machine: Machine, trusting_browser: Callable[[str], Any], tmp_path: Path
) -> None:
    begun_s, took_s = time.monotonic(), {}

    def mark(what: str) -> None:
        took_s[what] = round(time.monotonic() - begun_s)

    ours = wheel(tmp_path / "wheel")
    knobs = {"mb9k_package": str(ours), "mb9k_wheels": str(wheels(ours, ["box"])), "mb9k_appliance": True}
    playbooks = Playbooks(tmp_path, machine, **knobs, mb9k_mediamtx=shutil.which("mediamtx") or "none")
    assert playbooks.play("site.yml")["changed"] > 20, "through chroot, as for an image"
    mark("role in chroot")
    _as_a_person_leaves_it(machine.root)

    with machine.booted():
        until(lambda: are_active(machine, "mb9k.target", *UNITS, *PARTS), PATIENCE_S, "all starts by itself")
        until(lambda: "claim" in "".join(on_screen(machine)), PATIENCE_S, "the screen has the claim code")
        mark("booted")
        name = _has_a_name_and_its_wifi(machine)
        assert playbooks.play("site.yml")["changed"] == 0
        mark("role again")
        playbooks.play("verify.yml")
        mark("verify")
        person = _claim(machine, trusting_browser)
        mark("claimed")
        _streams_are_judged(person, tmp_path)
        mark("judged")
        _killed_services_recover(machine)
        mark("recovered")
        certificate, people = shown_certificate(), _total(person)
        machine.reboot()
        until(lambda: are_active(machine, "mb9k.target", *UNITS, *PARTS), PATIENCE_S, "all starts after a restart")
        until(lambda: "set up" in "".join(on_screen(machine)), PATIENCE_S, "the screen knows that it was claimed")
        assert machine.run("cat", "/proc/sys/kernel/hostname").strip() == name
        assert shown_certificate() == certificate
        assert _total(person) == people > 0, "signed in as before, all that was counted is there"
        mark("rebooted")
    print(took_s)


def _as_a_person_leaves_it(root: Path) -> None:
    """The Wi-Fi file on the card. And the container's cable is not NetworkManager's: the tests wired it."""
    (root / "efi").mkdir(exist_ok=True)
    (root / "efi" / "mb9k-wifi.txt").write_bytes(WIFI.encode())
    rest = "[keyfile]\nunmanaged-devices=interface-name:host0\n"
    (root / "etc/NetworkManager/conf.d/test.conf").write_text(rest)


def _has_a_name_and_its_wifi(machine: Machine) -> str:
    name = machine.run("cat", "/proc/sys/kernel/hostname").strip()
    assert name.startswith("mb9k-") and len(name) == 9
    assert machine.run("cat", "/etc/hostname").strip() == name and name in machine.run("cat", "/etc/hosts")
    assert name.encode() in announced("_https._tcp.local"), "the page is announced under it"
    assert machine.try_run("test", "-e", "/efi/mb9k-wifi.txt") == 1, "the password no longer lies on the card"
    fields = "802-11-wireless.ssid,802-11-wireless-security.psk"
    told = machine.run("nmcli", "-e", "no", "-s", "-g", fields, "connection", "show", "mb9k-wifi").splitlines()
    assert told == ["Café 5;G", "a \\ secret=word"]
    assert machine.run("cat", "/etc/modprobe.d/mb9k-wifi.conf").strip().endswith("=DE")
    stat = ["stat", "-c", "%a %U", "/etc/NetworkManager/system-connections/mb9k-wifi.nmconnection"]
    assert machine.run(*stat).split() == ["600", "root"]
    return name


def _claim(machine: Machine, trusting_browser: Callable[[str], Any]) -> Any:
    """As people do: scan the screen, compare the certificate, fill in the form."""
    lines = on_screen(machine)
    address = scanned(lines, 120)
    assert address.startswith(f"{PAGE}/claim#"), lines
    fingerprint = machine.run("runuser", "-u", "mb9k", "--", "mb9k", "fingerprint").strip()
    assert all(part in "".join(lines) for part in (fingerprint[:47], fingerprint[48:]))
    certificate = shown_certificate()
    assert whole_fingerprint(certificate) == fingerprint
    redirect = httpx.get(f"http://{GUEST}/claim", follow_redirects=False)
    assert redirect.headers["location"] == f"{PAGE}/claim"

    person = at_a_browser(trusting_browser(certificate))  # the person compared, and accepted it
    page = person.page
    page.goto(address)
    assert page.input_value("input[name=code]").replace("-", "").isalnum() and page.url == f"{PAGE}/claim"
    page.fill("input[name=name]", "ann")
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=again]", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"{PAGE}/")
    assert person.complaints == []
    return person


def _streams_are_judged(person: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, seconds=20)
    page = person.page
    page.goto(f"{PAGE}/streams/new")
    page.fill("input[name=name]", "door")
    page.click("button.main")
    key = page.inner_text("#stream-key")
    for url in (f"rtmp://{GUEST}/live/{key}", f"rtmps://{GUEST}:1936/live/{key}"):
        before = _total(person)
        with publishing(clip, url):
            until(partial(_has_more, person, before), PATIENCE_S, f"somebody is counted by {url[:6]}")


def _has_more(person: Any, before: int) -> bool:
    return _total(person) > before


def _total(person: Any) -> int:
    """How many people the page has counted."""
    page = person.page
    page.goto(f"{PAGE}/")
    return int(page.inner_text("article:has(h2:text-is('All')) .big strong").replace("\u202f", "").replace(",", ""))


def _killed_services_recover(machine: Machine) -> None:
    units = [*UNITS, "mb9k-screen.service"]
    before = [machine.state(unit, "MainPID")[0] for unit in units]
    machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", *units)

    def are_others() -> bool:
        return all(machine.state(unit, "MainPID")[0] not in ("0", *before) for unit in units)

    until(are_others, PATIENCE_S, "each is started again")
    until(lambda: are_active(machine, *units), PATIENCE_S, "each is ready again")
