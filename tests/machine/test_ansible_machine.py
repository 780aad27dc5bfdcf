"""The role on a whole Debian: through chroot, then on the booted machine; what it set up is used, killed, restarted."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from appliance.service import SERVICES
from tests.boxes import until
from tests.machines import GUEST, Machine, Playbooks, skip_without_containers, wheel, wheels

PASSWORD = "a long password of a test"
PATIENCE_S = 60.0
PORT = 8080
UNITS = [f"mb9k-{service.name}.service" for service in SERVICES]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    skip_without_containers()
    made = Machine(tmp_path / "root")
    yield made
    print(made.log_path.read_text(errors="replace")[-2000:] if made.log_path.exists() else "")
    shutil.rmtree(made.root)


def all_are_active(machine: Machine) -> Callable[[], bool]:
    return lambda: all(machine.state(unit, "ActiveState") == ["active"] for unit in ["mb9k.target", *UNITS])


def claim(machine: Machine) -> None:
    """Be the first admin, as people are: with the code, on the page."""
    code = machine.run("runuser", "-u", "mb9k", "--", "mb9k", "claim").strip()
    with httpx.Client(base_url=f"http://{GUEST}:{PORT}", timeout=10) as page:
        assert page.get("/").headers["location"] == "/claim"
        token = re.search(r'name="csrf" value="([^"]*)"', page.get("/claim").text)
        form = {"csrf": token[1] if token else "", "name": "ann", "code": code, "password": PASSWORD, "again": PASSWORD}
        assert page.post("/claim", data=form).headers["location"] == "/"


def may_sign_in() -> bool:
    with httpx.Client(base_url=f"http://{GUEST}:{PORT}", timeout=10) as page:
        token = re.search(r'name="csrf" value="([^"]*)"', page.get("/sign-in").text)
        form = {"csrf": token[1] if token else "", "name": "ann", "password": PASSWORD}
        return bool(page.post("/sign-in", data=form).headers.get("location") == "/")


def is_reachable(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((GUEST, port)) == 0


def watchdogs(machine: Machine) -> list[str]:
    return [machine.state(unit, "WatchdogTimestampMonotonic")[0] for unit in UNITS]


@pytest.mark.timeout(600)
def test_a_box_set_up_by_the_role(machine: Machine, tmp_path: Path) -> None:
    ours = wheel(tmp_path / "wheel")
    mediamtx = shutil.which("mediamtx") or "none"
    knobs = {"mb9k_package": str(ours), "mb9k_wheels": str(wheels(ours, ["box"])), "mb9k_mediamtx": mediamtx}
    playbooks = Playbooks(tmp_path, machine, **knobs)
    assert playbooks.play("site.yml")["changed"] > 10, "through chroot, as for an image"

    with machine.booted():
        until(all_are_active(machine), PATIENCE_S, "what was set up through chroot starts by itself")
        other = {"mb9k_settings": {"web": {"port": PORT}}}
        changed = playbooks.play("site.yml", **other)["changed"]
        assert 2 <= changed < 8, "the configuration, the firewall, the unit of the page, and their handlers"
        assert playbooks.play("site.yml", **other)["changed"] == 0
        playbooks.play("verify.yml", **other)

        claim(machine)
        _closed_to_others(machine)
        _a_second_one_is_refused_at_once(machine)
        _killed_services_recover(machine)
        machine.reboot()
        until(all_are_active(machine), PATIENCE_S, "all starts after a restart")
        assert may_sign_in(), "what was recorded is there"
    print(playbooks.took_s)


def _closed_to_others(machine: Machine) -> None:
    machine.run("systemd-run", "--quiet", "--unit=somebody", "python3", "-m", "http.server", "9999")
    probe = "import socket; socket.create_connection(('127.0.0.1', 9999))"
    until(lambda: machine.try_run("python3", "-c", probe) == 0, PATIENCE_S, "somebody listens")
    assert is_reachable(PORT) and is_reachable(1935)
    assert not is_reachable(9999), "the firewall lets in what mb9k needs, and nothing else"
    assert not is_reachable(8000), "its port before"


def _a_second_one_is_refused_at_once(machine: Machine) -> None:
    unseen = ["--property=ProtectProc=invisible", "--property=User=mb9k", "--property=RuntimeMaxSec=10"]
    assert machine.try_run("systemd-run", "--quiet", "--wait", *unseen, "mb9k", "gate") == 1


def _killed_services_recover(machine: Machine) -> None:
    fed = watchdogs(machine)
    until(lambda: all(a != b for a, b in zip(fed, watchdogs(machine), strict=True)), PATIENCE_S, "watchdogs are fed")
    before = [machine.state(unit, "MainPID")[0] for unit in UNITS]
    machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", *UNITS)

    def are_others() -> bool:
        return all(machine.state(unit, "MainPID")[0] not in ("0", *before) for unit in UNITS)

    until(are_others, PATIENCE_S, "each is started again")
    until(all_are_active(machine), PATIENCE_S, "each is ready again")
    until(lambda: is_reachable(PORT) and is_reachable(1935), PATIENCE_S, "the box answers again")
