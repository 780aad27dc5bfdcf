"""An update of the whole system on a whole Debian: the role's units, the real services, restarts, and the undoing.

A container has no bootloader and no partitions. GRUB's choice is our model's; RAUC verifies, a stand-in writes nothing.
Both "slots" are one root, in which a version is broken or not. image/test-qemu does it with real ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.slots.grubenv import Grub, choose, encode
from appliance.slots.loader import other
from tests.boxes import until
from tests.machine.test_ansible_machine import all_are_active
from tests.machines import Machine, Playbooks, skip_without_containers, wheel, wheels
from tests.slot_room import grubenv
from tests.test_slots_bundle import TOLD, Maker

PATIENCE_S = 90.0
KNOBS: dict[str, object] = {
    "mb9k_mediamtx": "none",
    "mb9k_slots": "grub",
    "mb9k_compatible": "mb9k-amd64",
    "mb9k_settings": {"update": {"health_s": 60}},
}
COMMAND_LINE = """[Unit]
Description=a stand-in for the bootloader, which says which slot it started
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/mount --bind /data/cmdline /proc/cmdline
"""
RAUC = """#!/bin/sh
# A stand-in for RAUC's writing: the other slot must not start while it is written. All else is RAUC's own.
[ "$1" = install ] || exec /usr/bin/rauc "$@"
mb9k slots set-state "$(cat /data/other)" bad
echo "100% Installing done."
"""
BROKEN = "raise SystemExit('broken for tests')\n"


class Slots:
    """A machine with two slots, that are one root. builds: which system is in each; a bad one has a broken program."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.root = machine, machine.root
        self.builds = {"A": "0.1.0-a", "B": ""}
        self.slot = ""
        for name in ("data", "efi", "usr/lib/mb9k"):
            (self.root / name).mkdir(exist_ok=True)
        grubenv(self.root / "efi/grubenv")
        units = self.root / "etc/systemd/system"
        (units / "stand-in.service").write_text(COMMAND_LINE)
        (units / "sysinit.target.wants/stand-in.service").symlink_to("../stand-in.service")
        (self.root / "usr/local/bin/rauc").write_text(RAUC)
        (self.root / "usr/local/bin/rauc").chmod(0o755)
        self._maker = Maker(folder)
        shutil.copy(self._maker.keys / "update-authority.pem", self.root / "etc/mb9k/update-authority.pem")

    def bundle(self, version: str) -> str:
        """A bundle of a system, in the machine."""
        words = json.dumps({**TOLD, "program": "0.1.0", "notes": []})
        shutil.copy(self._maker.make(version, words, version), self.root / "data")
        return f"/data/{version}.raucb"

    def choose(self) -> None:
        """What GRUB does, and what is in the slot that it starts."""
        grub = Grub(self.root / "efi/grubenv")
        choice = choose(grub.variables())
        grub.path.write_bytes(encode(choice.variables))
        self.slot = choice.slot
        (self.root / "data/cmdline").write_text(f"quiet rauc.slot={self.slot}\n")
        (self.root / "data/other").write_text(other(self.slot))
        (self.root / "usr/lib/mb9k/build-id").write_text(self.builds[self.slot])
        (program,) = self.root.glob("var/lib/mb9k-releases/0*/lib/python3*/site-packages/appliance/cli.py")
        text = program.read_text().removeprefix(BROKEN)
        program.write_text(BROKEN + text if "bad" in self.builds[self.slot] else text)

    def update(self, version: str) -> str:
        """What `mb9k update` says, until the restart that it asks for ends it."""
        path = self.bundle(version)
        self.machine.try_run("sh", "-c", f"mb9k update --yes {path} >/data/said 2>&1")
        return (self.root / "data/said").read_text()

    def said(self) -> str:
        """What is known of the slots and of the last update."""
        return self.machine.run("mb9k", "slots") + self.machine.run("mb9k", "update", "list").splitlines()[-1]


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    skip_without_containers()
    machine = Machine(tmp_path / "root")
    ours = wheel(tmp_path / "wheel")
    knobs = {**KNOBS, "mb9k_package": str(ours), "mb9k_wheels": str(wheels(ours, ["box"]))}
    Playbooks(tmp_path, machine, **knobs).play("site.yml")
    made = Slots(machine, tmp_path)
    made.choose()
    with machine.booted():
        until(all_are_active(machine), PATIENCE_S, "the box starts")
        yield made
        print(machine.log_path.read_text(errors="replace")[-3000:])
    shutil.rmtree(machine.root)


def is_settled(slots: Slots, slot: str) -> bool:
    words = (f"{slot}\tgood, runs {slots.builds[slot]}", "starts next")
    return all(each in slots.said() for each in words) and not (slots.root / "data/update/update.json").exists()


@pytest.mark.timeout(2400)
def test_a_system_takes_over_and_one_that_does_not_come_up_is_undone(slots: Slots) -> None:
    machine = slots.machine
    until(lambda: is_settled(slots, "A"), PATIENCE_S, "slot A is good")
    slots.builds["B"] = "0.1.1-1a2b"
    told = slots.update("0.1.1")
    assert "The whole system, from 0.1.0 to 0.1.1" in told and "Restarting into slot B" in told
    machine.starts_again(slots.choose)
    assert slots.slot == "B"
    until(lambda: is_settled(slots, "B"), PATIENCE_S, "the new system proves itself")
    assert slots.said().endswith("the system 0.1.0 -> 0.1.1\tdone")

    slots.builds["A"] = "0.1.2-bad"
    assert "Restarting into slot A" in slots.update("0.1.2")
    for _ in range(3):
        machine.starts_again(slots.choose)
        assert slots.slot == "A", "it restarts by itself, three times"
    machine.starts_again(slots.choose)
    assert slots.slot == "B"
    until(lambda: is_settled(slots, "B"), PATIENCE_S, "the old system is back")
    assert "0.1.1 -> 0.1.2\tundone: 0.1.2 did not prove itself in 3 starts" in slots.said()
    assert "A\tnot to be started" in slots.said()
    until(all_are_active(machine), PATIENCE_S, "and counts")
