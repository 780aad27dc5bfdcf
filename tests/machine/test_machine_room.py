"""The machine room on a whole Debian, asked by the page: name, zone, ssh, restart, a reset and one that was cut off."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.service import SERVICES
from tests.boxes import until
from tests.machines import GUEST, Machine, Playbooks, skip_without_containers, wheel, wheels

PASSWORD = "a long password of a test"
PATIENCE_S = 60.0
ADDRESS = f"http://{GUEST}:8000"
UNITS = [f"mb9k-{service.name}.service" for service in SERVICES]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    skip_without_containers()
    made = Machine(tmp_path / "root")
    yield made
    print(made.log_path.read_text(errors="replace")[-2000:] if made.log_path.exists() else "")
    shutil.rmtree(made.root)


class Admin:
    """Ann, at a browser without scripts."""

    def __init__(self) -> None:
        self.page = httpx.Client(base_url=ADDRESS, timeout=60)

    def claim(self, code: str) -> None:
        answer = self._post("/claim", "/claim", name="ann", code=code, password=PASSWORD, again=PASSWORD)
        assert answer.headers["location"] == "/", answer.text

    def settings(self) -> str:
        return self.page.get("/settings").text

    def set(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the page Settings."""
        return self._post("/settings", path, **fields)

    def led(self, path: str, **fields: str) -> str:
        """Send a form of the page Settings that leads back to it; the page that says what was done."""
        answer = self.set(path, **fields)
        assert answer.headers.get("location") == "/settings", answer.text
        return self.settings()

    def _post(self, page: str, path: str, **fields: str) -> httpx.Response:
        token = re.search(r'name="csrf" value="([^"]*)"', self.page.get(page).text)
        return self.page.post(path, data={"csrf": token[1] if token else "", **fields})


def answers() -> bool:
    try:
        return httpx.get(f"{ADDRESS}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def leads_to_claim() -> bool:
    try:
        return bool(httpx.get(ADDRESS, timeout=5).headers.get("location") == "/claim")
    except httpx.HTTPError:
        return False


def all_are_active(machine: Machine) -> Callable[[], bool]:
    return lambda: all(machine.state(unit, "ActiveState") == ["active"] for unit in ["mb9k.target", *UNITS])


@contextmanager
def claimed(machine: Machine) -> Iterator[Admin]:
    """Ann, who has claimed the box."""
    ann = Admin()
    with ann.page:
        ann.claim(machine.run("runuser", "-u", "mb9k", "--", "mb9k", "claim").strip())
        yield ann


@pytest.mark.timeout(900)
def test_an_admin_sets_the_machine_from_the_page(machine: Machine, tmp_path: Path) -> None:
    ours = wheel(tmp_path / "wheel")
    may = ["restart", "shut_down", "name", "time_zone", "ssh", "factory_reset"]
    knobs: dict[str, Any] = {"mb9k_package": str(ours), "mb9k_wheels": str(wheels(ours, ["box"]))}
    playbooks = Playbooks(tmp_path, machine, **knobs, mb9k_mediamtx="none", mb9k_machine_may=may)
    playbooks.play("site.yml")
    assert not list((machine.root / "etc/ssh").glob("ssh_host_*")), "an image holds no key"

    with machine.booted():
        until(all_are_active(machine), PATIENCE_S, "what was set up through chroot starts by itself")
        assert playbooks.play("site.yml")["changed"] == 0
        with claimed(machine) as ann:
            _what_the_page_does(machine, ann, tmp_path)
        _a_reset_that_was_cut_off_is_ended(machine)


def _what_the_page_does(machine: Machine, ann: Admin, folder: Path) -> None:
    _only_the_box_may_ask(machine)
    _it_is_named(machine, ann)
    _its_zone_is_set(machine, ann)
    _ssh_is_opened_and_closed(machine, ann, folder)
    _it_restarts(machine, ann)
    _a_reset_leaves_nothing_of_before(machine, ann)


def _only_the_box_may_ask(machine: Machine) -> None:
    asks = "import socket; socket.socket(socket.AF_UNIX).connect('/run/mb9k-machine.sock')"
    assert machine.try_run("runuser", "-u", "nobody", "--", "python3", "-c", asks) == 1
    assert machine.try_run("runuser", "-u", "mb9k", "--", "python3", "-c", asks) == 0


def _it_is_named(machine: Machine, ann: Admin) -> None:
    (machine.root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\told old.example\n")
    refused = ann.set("/settings/host", host="front door")
    assert refused.status_code == 400 and "A name in the network" in refused.text
    old = machine.state("mb9k-serve.service", "MainPID")
    named = ann.set("/settings/host", host="Front-Door")
    assert "/settings/waiting" in named.headers["location"], named.text
    until(lambda: machine.state("mb9k-serve.service", "MainPID") not in (old, ["0"]), PATIENCE_S, "the page restarts")
    until(answers, PATIENCE_S, "it answers")
    assert machine.run("hostname").strip() == "front-door"
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1\tlocalhost\n127.0.1.1\tfront-door\n"
    assert "front-door" in ann.settings()
    assert httpx.get(f"{ADDRESS}/sign-in", headers={"Host": "front-door.local:8000"}).is_success


def _its_zone_is_set(machine: Machine, ann: Admin) -> None:
    assert "Asia/Kathmandu now" in ann.led("/settings/time-zone", zone="Asia/Kathmandu")
    assert machine.run("date", "+%Z").strip() == "+0545"
    assert "<option selected>Asia/Kathmandu" in ann.settings()


def _ssh_is_opened_and_closed(machine: Machine, ann: Admin, folder: Path) -> None:
    key, known = folder / "id", folder / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann@laptop", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    fingerprint = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout.split()[
        1
    ]

    def log_in(*options: str) -> subprocess.CompletedProcess[str]:
        fixed = ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=accept-new", "-F", "none"]
        words = ["ssh", *fixed, "-o", "ConnectTimeout=10", "-o", "BatchMode=yes", *options, f"root@{GUEST}", "id", "-u"]
        return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    assert not _is_open(22), "off until an admin turns it on"
    assert "Add a public key first" in ann.set("/settings/ssh", on="on").text
    assert "password is wrong" in ann.set("/settings/ssh/add", key=public, current="guessed").text
    assert fingerprint in ann.led("/settings/ssh/add", key=public, current=PASSWORD)
    assert not _is_open(22)
    assert "ssh is on." in ann.led("/settings/ssh", on="on")
    until(lambda: _is_open(22), PATIENCE_S, "sshd listens")
    done = log_in("-i", str(key))
    assert done.stdout.strip() == "0", done.stderr
    told = subprocess.run(["ssh-keygen", "-lf", known], check=True, capture_output=True, text=True).stdout.split()[1]
    page = ann.settings()
    assert told in page and fingerprint in page and "ann@laptop" in page
    other = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    assert "Permission denied (publickey)" in log_in("-i", str(other), "-o", "IdentitiesOnly=yes").stderr
    assert "Permission denied (publickey)" in log_in("-o", "PreferredAuthentications=password").stderr

    session = subprocess.Popen(
        ["ssh", "-F", "none", "-o", f"UserKnownHostsFile={known}", "-i", key, f"root@{GUEST}", "sleep", "600"],
        stdin=subprocess.DEVNULL,
    )
    until(lambda: machine.try_run("pgrep", "-x", "sleep") == 0, PATIENCE_S, "somebody is in")
    assert "ssh is off." in ann.led("/settings/ssh", on="off")
    until(lambda: session.poll() is not None, PATIENCE_S, "who was in is out")
    assert not _is_open(22) and fingerprint in ann.settings()
    assert "ssh is on." in ann.led("/settings/ssh", on="on")
    assert log_in("-i", str(key)).returncode == 0, "the machine is known by the key it had"


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((GUEST, port)) == 0


def _it_restarts(machine: Machine, ann: Admin) -> None:
    assert "Streams are cut off" in ann.page.get("/settings/restart-machine").text
    waiting = ann.set("/settings/restart-machine").headers["location"]
    machine.await_restart()
    until(all_are_active(machine), PATIENCE_S, "all starts after a restart")
    until(answers, PATIENCE_S, "it answers")
    assert ann.page.get(waiting).headers["location"] == "/settings", "the page that waited comes back"
    assert machine.run("hostname").strip() == "front-door" and "Asia/Kathmandu" in ann.settings()
    assert _is_open(22), "ssh is on as it was"


def _a_reset_leaves_nothing_of_before(machine: Machine, ann: Admin) -> None:
    state = machine.root / "var/lib/mb9k"
    (state / "videos").mkdir()
    (state / "videos/way-out").symlink_to("/etc")
    before = {path.name: path.stat().st_mtime_ns for path in state.glob("*") if path.is_file()}
    assert "type its name" in ann.set("/settings/reset", confirmed="another").text
    assert "/settings/waiting" in ann.set("/settings/reset", confirmed="front-door").headers["location"]
    until(leads_to_claim, PATIENCE_S, "it can be claimed")
    until(all_are_active(machine), PATIENCE_S, "all of it runs")
    assert (machine.root / "etc/hostname").read_text().strip() == "front-door"
    assert not (state / "videos").exists() and not _is_open(22)
    assert {path.name for path in (machine.root / "etc/mb9k/ssh").iterdir()} == {"sshd_config"}
    assert not [
        name for name, at in before.items() if (state / name).exists() and (state / name).stat().st_mtime_ns == at
    ]
    assert ann.page.get("/settings").headers["location"] == "/claim", "nobody is signed in any more"
    with claimed(machine) as again:
        assert "ann@laptop" not in again.settings()


def _a_reset_that_was_cut_off_is_ended(machine: Machine) -> None:
    (machine.root / "var/lib/mb9k-releases/reset-begun").touch()
    machine.reboot()
    until(all_are_active(machine), PATIENCE_S, "all starts")
    until(leads_to_claim, PATIENCE_S, "it can be claimed")
    assert not (machine.root / "var/lib/mb9k-releases/reset-begun").exists()
    assert machine.run("systemctl", "--failed", "--no-legend").strip() == ""
