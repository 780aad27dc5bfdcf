"""What the role writes for slots: RAUC understands its configuration, systemd the units; only a trial is undone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from appliance.slots.bundle import inspected
from appliance.slots.machine import Machine
from appliance.slots.trials import Step, Trial, Trials
from tests.test_ansible import ANSIBLE, read, run, skip_without
from tests.test_slots_bundle import TOLD, Maker

KINDS = ("grub", "auto", "tryboot", "jetson")


def written(folder: Path, kind: str) -> Path:
    """What the role's templates and files become, below a folder."""
    skip_without("ansible-playbook")
    tasks: list[dict[str, Any]] = []
    for task in read("mb9k", "tasks/slots.yml"):
        for module in ("ansible.builtin.template", "ansible.builtin.copy"):
            if module in task:
                words = dict(task[module])
                words["dest"] = f"{folder}{words['dest']}"
                if "src" in words:
                    words["src"] = f"{ANSIBLE}/roles/mb9k/templates/{words['src']}"
                tasks.append({key: value for key, value in task.items() if key != "notify"} | {module: words})
    facts = {"architecture": "x86_64"}
    places = {"mb9k_unit_folder": "/units", "mb9k_slots": kind, "ansible_facts": facts, "ansible_managed": "by tests"}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    play["vars_files"] = [f"{ANSIBLE}/roles/mb9k/{each}/main.yml" for each in ("defaults", "vars")]
    for each in ("etc/rauc", "usr/lib/mb9k", "units"):
        (folder / each).mkdir(parents=True)
    (folder / "book.json").write_text(json.dumps([play]))
    done = run("ansible-playbook", str(folder / "book.json"), "-e", json.dumps(places))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module", params=KINDS)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("root"), request.param)


def test_rauc_understands_its_configuration(root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["root"]
    conf = root / "etc/rauc/system.conf"
    text = conf.read_text()
    assert Machine(rauc=conf).compatible() == "mb9k-amd64"
    assert ("bootloader=grub" in text, "bootloader-custom-backend=" in text) == (kind == "grub", kind != "grub")
    assert ("by-partlabel/boot_b" in text, "by-partlabel/APP_b" in text) == (
        kind in ("auto", "tryboot"),
        kind == "jetson",
    )
    assert "activate-installed=false" in text and "bundle-formats=verity" in text
    maker = Maker(tmp_path)
    moved = text.replace("/etc/mb9k/update-authority.pem", str(maker.keys / "update-authority.pem"))
    (tmp_path / "ours.conf").write_text(moved.replace("/data/rauc", str(tmp_path / "data")))
    assert inspected(maker.make("x", json.dumps(TOLD)), tmp_path / "ours.conf").version == "0.2.0"
    assert (root / "usr/lib/mb9k/slots").stat().st_mode & 0o111 and "slots " in (
        root / "usr/lib/mb9k/slots"
    ).read_text()


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    skip_without("systemd-analyze")
    units = written(tmp_path, "grub") / "units"
    for path in units.iterdir():
        text = path.read_text().replace("/var/lib/mb9k-releases/current/bin/mb9k", "/bin/true")
        path.write_text(text.replace("/usr/lib/mb9k/slot-on-trial", "/bin/true"))
    names = sorted(path.name for path in units.iterdir())
    assert names == [
        f"mb9k-slot-{each}" for each in ("abandoned.service", "abandoned.timer", "good.service", "resume.service")
    ] + ["mb9k-slot-undo.service", "mb9k-slot-undo.timer"]
    done = run("systemd-analyze", "verify", "--man=no", *(str(units / name) for name in names), cwd=units)
    ours = [line for line in done.stderr.splitlines() if str(units) in line or "mb9k-slot" in line]
    assert not ours, "\n".join(ours)


@pytest.mark.parametrize(
    ("command_line", "slot_after", "restarts"),
    [
        ("root=PARTLABEL=root_b rauc.slot=B quiet", "B", True),
        ("rauc.slot=A", "B", False),  # the old system writes a new one, or got it back
        ("rauc.slot=A", "", False),  # nobody is on trial
        ("root=/dev/sda1", "B", False),
    ],
)
def test_only_a_system_on_trial_is_restarted(
    command_line: str, slot_after: str, restarts: bool, tmp_path: Path
) -> None:
    if slot_after:
        Trials(tmp_path).write(Trial(Step.TRYING, "0.1.0", "0.2.0", "A", slot_after, 0.0))
    (tmp_path / "cmdline").write_text(command_line + "\n")
    (script,) = (
        task["ansible.builtin.copy"]["content"]
        for task in read("mb9k", "tasks/slots.yml")
        if "on trial" in task["name"]
    )
    command = ["/bin/sh", "-c", script, "slot-on-trial", str(tmp_path), str(tmp_path / "cmdline")]
    assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) == restarts
