"""The units of a machine that is nothing but a box, as the role writes them and systemd sees them; and its settings."""

from __future__ import annotations

import grp
import json
import os
import pty
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from appliance.config import Config
from tests.conftest import REPOSITORY
from tests.test_ansible import read, run, skip_without

UNITS = {"screen": 2.0, "first-boot": 4.0, "hotspot": 2.5}
"""Each, and how exposed it may be, of 10: those two are root, one of them sets the host's name and mounts."""
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: mb9k, tasks_from: appliance_units.yml}
    - ansible.builtin.copy:
        dest: "{{ mb9k_unit_folder }}/config.json"
        content: "{{ mb9k_config | to_json }}"
        mode: "0644"
    - ansible.builtin.template:
        src: "{{ lookup('env', 'TEMPLATES') }}/avahi.service.j2"
        dest: "{{ mb9k_unit_folder }}/avahi.xml"
        mode: "0644"
"""


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the units, and what else the knobs come to. systemd must find the program that they start."""
    skip_without("ansible-playbook")
    skip_without("systemd-analyze")
    folder = tmp_path_factory.mktemp("units")
    book = folder / "book.yml"
    book.write_text(PLAY)
    knobs = {
        "mb9k_unit_folder": str(folder),
        "mb9k_program": "/bin/true",
        "mb9k_is_running": False,
        "mb9k_appliance": True,
        "mb9k_settings": {"screen": {"counts": True}, "web": {"names": ["box.example.org"]}},
    }
    templates = str(REPOSITORY / "ansible" / "roles" / "mb9k" / "templates")
    done = run("ansible-playbook", str(book), "-e", json.dumps(knobs), ANSIBLE_ROLES_PATH="roles", TEMPLATES=templates)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_systemd_understands_each_and_finds_it_hardened(units: Path) -> None:
    paths = [*sorted(units.glob("*.service")), *units.glob("*.timer")]
    assert [path.stem for path in paths] == [*(f"mb9k-{name}" for name in sorted(UNITS)), "mb9k-hotspot"]
    done = run("systemd-analyze", "verify", "--man=no", *map(str, paths), cwd=units)
    ours = [line for line in done.stderr.splitlines() if str(units) in line or "mb9k" in line]
    assert not ours, "\n".join(ours)
    for name, most in UNITS.items():
        path = units / f"mb9k-{name}.service"
        limit = f"--threshold={most * 10:.0f}"
        done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", limit, str(path), cwd=units)
        assert done.returncode == 0, done.stdout


def test_the_screen_is_nobody_who_could_do_harm(units: Path) -> None:
    lines = set((units / "mb9k-screen.service").read_text().splitlines())
    assert {"User=mb9k", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "DevicePolicy=closed"} <= lines
    assert {"IPAddressDeny=any", "ProtectSystem=strict", "WatchdogSec=60", "Restart=always"} <= lines


def test_an_appliance_speaks_https_on_the_usual_ports_and_what_people_set_is_over_that(units: Path) -> None:
    config = msgspec.json.decode((units / "config.json").read_bytes(), type=Config)
    assert (config.web.https, config.web.port, config.web.http_port) == (True, 443, 80)
    assert config.screen.counts and config.web.names == ("box.example.org",)
    announced = (units / "avahi.xml").read_text()
    assert "<type>_https._tcp</type>" in announced and "<port>443</port>" in announced


def test_the_page_reads_the_journal_for_its_bundle_and_no_other_service_does() -> None:
    services = read("mb9k", "vars/main.yml")["mb9k_services"]
    assert [each["name"] for each in services if each.get("reads_journal")] == ["serve"]


def test_what_the_role_installs_the_machine_of_the_tests_has() -> None:
    from tests.machines import APPLIANCE_PACKAGES

    packages = read("mb9k", "vars/main.yml")["mb9k_packages_by_need"]
    assert tuple(each["name"] for each in packages if "mb9k_appliance" in str(each["needed"])) == APPLIANCE_PACKAGES


def prepared(console: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What the script says that prepares the screen, for this console."""
    text = (REPOSITORY / "ansible/roles/mb9k/templates/prepare-screen.j2").read_text()
    script = tmp_path / "prepare-screen"
    script.write_text(text.replace("{{ ansible_managed }}", "").replace("/dev/tty1", str(console)))
    return run("sh", str(script))


def test_the_script_for_the_screen_does_nothing_where_there_is_no_console(tmp_path: Path) -> None:
    done = prepared(tmp_path / "none", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="no right to give a console away")
def test_a_console_that_only_root_may_write_is_opened_to_its_group(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    console = Path(os.ttyname(theirs))
    os.chown(console, 0, 0)
    console.chmod(0o600)
    assert prepared(console, tmp_path).returncode == 0
    about = console.stat()
    assert (stat.S_IMODE(about.st_mode), about.st_gid) == (0o620, grp.getgrnam("tty").gr_gid)
    os.close(ours)
    os.close(theirs)
