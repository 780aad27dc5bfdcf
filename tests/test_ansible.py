"""What ansible/ says, looked at without a machine: knobs and their explanations, lint, units as systemd sees them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.service import SERVICES
from tests.conftest import REPOSITORY

ANSIBLE = REPOSITORY / "ansible"
ROLES = ("mb9k", "mb9k_centre")
TYPES = {"str": str, "bool": bool, "int": int, "list": list, "dict": dict}
MOST_EXPOSED = 2.0
"""Of 10, by `systemd-analyze security`."""
MOST_EXPOSED_AS_ROOT = 3.0
"""Of what root does for the page: short-lived, and asked by the box's own user alone."""


def skip_without(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"there is no {program}; see the extras `ansible` and `dev` in pyproject.toml, or install systemd")


def read(role: str, name: str) -> Any:
    return msgspec.yaml.decode((ANSIBLE / "roles" / role / name).read_text())


def run(*words: str, cwd: Path = ANSIBLE, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", **variables}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("role", ROLES)
def test_every_knob_has_an_explanation_and_is_checked_when_the_role_begins(role: str) -> None:
    defaults, specs = read(role, "defaults/main.yml"), read(role, "meta/argument_specs.yml")
    options = specs["argument_specs"]["main"]["options"]
    assert list(defaults) == list(options), "the same, in the same order"
    for name, option in options.items():
        assert option["default"] == defaults[name] and option["description"], name
        assert "{{" in str(defaults[name]) or type(defaults[name]) is TYPES[option["type"]], name
    text = (ANSIBLE / "roles" / role / "defaults/main.yml").read_text()
    for name in defaults:
        assert re.search(rf"\n# .*\n{name}:", text), f"a comment stands above {name}"


def test_every_knob_is_used_and_every_variable_is_known() -> None:
    knobs = {name for role in ROLES for name in read(role, "defaults/main.yml")}
    constants = {name for role in ROLES for name in read(role, "vars/main.yml")}
    used: set[str] = set()
    made: set[str] = {"mb9k_root", "mb9k_root_leader", "mb9k_centre"}
    for path in sorted(ANSIBLE.glob("roles/*/*/*")):
        text = path.read_text()
        if path.parent.name in ("tasks", "handlers"):
            made |= set(re.findall(r"register: (mb9k_\w+)", text)) | set(re.findall(r"^ {4}(mb9k_\w+):", text, re.M))
        if path.parent.name in ("tasks", "handlers", "templates", "vars"):
            code = re.sub(r"^\s*#.*$", "", text, flags=re.M)
            used |= set(re.findall(r"\bmb9k_\w+", code)) - set(re.findall(r"^(mb9k_\w+):", code, re.M))
    assert knobs - used == set(), "knobs that turn nothing"
    assert used - knobs - constants - made == set(), "variables that nobody sets"
    assert not knobs & constants


def test_the_role_starts_the_services_there_are_in_their_order() -> None:
    assert [each["name"] for each in read("mb9k", "vars/main.yml")["mb9k_services"]] == [each.name for each in SERVICES]


def test_the_example_inventory_turns_knobs_that_exist() -> None:
    groups = msgspec.yaml.decode((ANSIBLE / "inventory.example.yml").read_text())
    turned = {name for group in groups.values() for host in group["hosts"].values() for name in host}
    knobs = {name for role in ROLES for name in read(role, "defaults/main.yml")}
    assert {name for name in turned if not name.startswith("ansible_")} <= knobs


def test_ansible_lint_finds_nothing_to_say(tmp_path: Path) -> None:
    skip_without("ansible-lint")
    copy = tmp_path / "ansible"  # it writes beside what it reads
    shutil.copytree(ANSIBLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".ansible"))
    done = run("ansible-lint", "--offline", "--profile", "production", "--nocolor", cwd=copy, HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("book", ["site.yml", "verify.yml"])
def test_a_playbook_is_understood(book: str) -> None:
    skip_without("ansible-playbook")
    done = run("ansible-playbook", "--syntax-check", "-i", "inventory.example.yml", book)
    assert done.returncode == 0, done.stdout + done.stderr


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: mb9k, tasks_from: units.yml}
    - ansible.builtin.import_role: {name: mb9k, tasks_from: machine_room_units.yml}
    - ansible.builtin.import_role: {name: mb9k_centre, tasks_from: units.yml}
"""
HEAVY: dict[str, object] = {
    "mb9k_gpu": True,
    "mb9k_reads_home": True,
    "mb9k_machine_may": ["restart", "ssh"],
    "mb9k_settings": {"web": {"port": 443}, "backup": {"folder": "/mnt/copies"}},
    "mb9k_centre_settings": {"state_dir": "/srv/centre"},
    "mb9k_limits": {"watch": {"cpu_quota": "150%"}, "gate": {"memory_max": "100M"}},
    "mb9k_centre_limits": {"memory_high": "1G"},
}


@pytest.fixture(scope="module", params=["as it comes", "all knobs turned"])
def units(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all units, as the roles write them. systemd must find the program that they start."""
    skip_without("ansible-playbook")
    skip_without("systemd-analyze")
    folder = tmp_path_factory.mktemp("units")
    book = folder / "book.yml"
    book.write_text(PLAY)
    knobs = HEAVY if request.param == "all knobs turned" else {}
    where = {
        "mb9k_unit_folder": str(folder),
        "mb9k_program": "/bin/true",
        "mb9k_systemd_version": 252,
        "mb9k_is_running": False,
    }
    done = run("ansible-playbook", str(book), "-e", json.dumps({**where, **knobs}), ANSIBLE_ROLES_PATH="roles")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def services_in(units: Path) -> list[Path]:
    """The units of what a box and a centre run, without what root does beside them."""
    return sorted(path for path in units.glob("*.service") if "Type=notify\nNotify" in path.read_text())


def test_systemd_understands_every_unit_and_finds_it_hardened(units: Path) -> None:
    services = services_in(units)
    assert len(services) == len(SERVICES) + 1
    others = [path for path in units.iterdir() if path not in services and path.suffix in (".target", ".socket")]
    done = run("systemd-analyze", "verify", "--man=no", *map(str, [*services, *others]), cwd=units)
    ours = [line for line in done.stderr.splitlines() if str(units) in line or "mb9k" in line]
    assert not ours, "\n".join(ours)
    for path in services:
        limit = f"--threshold={MOST_EXPOSED * 10:.0f}"
        done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", limit, str(path), cwd=units)
        assert done.returncode == 0, done.stdout


def test_what_root_does_for_the_page_may_do_little_else(units: Path) -> None:
    path = units / "mb9k-machine@.service"
    limit = f"--threshold={MOST_EXPOSED_AS_ROOT * 10:.0f}"
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", limit, str(path), cwd=units)
    assert done.returncode == 0, done.stdout
    assert "PartOf" not in path.read_text(), "it outlives the page that asked"
    assert {"SocketUser=root", "SocketGroup=mb9k", "SocketMode=0660", "Accept=yes"} <= set(
        (units / "mb9k-machine.socket").read_text().splitlines()
    )


def test_a_unit_has_only_what_its_service_needs(units: Path, request: pytest.FixtureRequest) -> None:
    text = {path.stem.removeprefix("mb9k-"): path.read_text() for path in services_in(units)}
    lines = {name: set(unit.splitlines()) for name, unit in text.items()}
    turned = "CPUQuota=150%" in lines["watch"]
    for name, found in lines.items():
        assert {"Type=notify", "WatchdogSec=60", "Restart=always", "NoNewPrivileges=yes", "UMask=0077"} <= found, name
        assert ("User=mb9k-central" if name == "central" else "User=mb9k") in found
        low_port = turned and name == "serve"
        assert ("AmbientCapabilities=CAP_NET_BIND_SERVICE" in found) == low_port, name
        assert ("PrivateUsers=yes" in found) == (name != "watch" and not low_port), name
        assert ("MemoryDenyWriteExecute=no" in found) == (turned and name == "watch"), name
        assert ("PrivateDevices=yes" in found) == (name != "watch"), name
        assert ("IPAddressDeny=any" in found) == (name == "gate"), name
        assert ("OOMPolicy=continue" in found) == (name == "watch"), name
        assert "RestartSteps=5" not in found, "systemd 252 does not know it"
    assert ("DeviceAllow=char-video4linux rw" in lines["watch"]) != turned
    assert ("ProtectHome=read-only" in lines["watch"]) == turned
    assert (
        ("ReadWritePaths=-/mnt/copies" in lines["serve"])
        == ("ReadWritePaths=-/srv/centre" in lines["central"])
        == turned
    )
    assert "MemoryMax=100M" in lines["gate"] if turned else "MemoryMax=512M" in lines["gate"]
