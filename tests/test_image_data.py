"""What the initramfs does to the data partition, on plain folders: the same lines, run by busybox's shell's sibling."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from image.root import FILES

LAY_DATA = FILES / "usr/lib/mb9k/lay-data"


class Box:
    """A data partition and a root, as folders."""

    def __init__(self, folder: Path) -> None:
        self.data, self.root = folder / "data", folder / "root"
        self.data.mkdir()
        shutil.copytree(FILES / "usr/lib/mb9k", self.root / "usr/lib/mb9k")
        self.flash("build 1")

    def flash(self, build: str) -> None:
        (self.root / "usr/lib/mb9k/build-id").write_text(f"{build}\n")

    def boot(self, slot: str = "a", cut: str = "") -> None:
        """cut: a command that takes the power away: from then on, nothing happens any more."""
        words = f'. {LAY_DATA}; {f"{cut}() {{ exit 9; }}; " if cut else ""}prepare "{self.data}" "{self.root}" {slot}'
        done = subprocess.run(["dash", "-ec", words], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == (9 if cut else 0), done.stderr

    def etc(self, path: str) -> Path:
        """What somebody changed in /etc lies in the upper folder of the overlay."""
        return self.data / "etc/upper" / path

    def change(self, path: str, text: str) -> None:
        self.etc(path).parent.mkdir(parents=True, exist_ok=True)
        self.etc(path).write_text(text)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.boot()
    return made


def test_each_box_has_a_machine_id_of_its_own_that_stays(box: Box, tmp_path: Path) -> None:
    first = (box.data / "machine-id").read_text()
    assert re.fullmatch(r"[0-9a-f]{32}\n", first)
    assert box.etc("machine-id").read_text() == first
    box.boot(slot="b")
    assert (box.data / "machine-id").read_text() == first
    (tmp_path / "other").mkdir()
    other = Box(tmp_path / "other")
    other.boot()
    assert (other.data / "machine-id").read_text() != first


def test_the_record_is_one_for_both_slots_and_var_is_each_slots_own(box: Box) -> None:
    (box.data / "mb9k/record").write_text("counts")
    (box.data / "slots/a/var/upper/lib").mkdir()
    box.boot(slot="b")
    assert (box.data / "mb9k/record").exists()
    assert not any((box.data / "slots/b/var/upper").iterdir())
    assert (box.data / "slots/a/var/upper/lib").exists()


def test_a_new_root_keeps_what_people_chose_and_forgets_the_rest(box: Box) -> None:
    box.change("hostname", "mb9k-abcd")
    box.change("mb9k/mb9k.toml", "box = 'yard'")
    box.change("ssh/ssh_host_ed25519_key", "key")
    box.etc("ssh/ssh_host_ed25519_key").chmod(0o600)
    box.etc("ssh").chmod(0o750)
    box.change("NetworkManager/system-connections/home.nmconnection", "secret")
    box.change("ssh/sshd_config", "of the root before")
    box.change("systemd/system/extra.service", "of somebody")
    box.etc("systemd/system/multi-user.target.wants").mkdir(parents=True)
    box.etc("systemd/system/multi-user.target.wants/ssh.service").symlink_to("/usr/lib/systemd/system/ssh.service")
    box.etc("localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    box.boot()
    assert box.etc("ssh/sshd_config").exists(), "the same root"

    box.flash("build 2")
    box.boot(slot="b")
    kept = sorted(str(each.relative_to(box.etc(""))) for each in box.etc("").rglob("*") if not each.is_dir())
    assert kept == [
        "NetworkManager/system-connections/home.nmconnection",
        "hostname",
        "localtime",
        "machine-id",
        "mb9k/mb9k.toml",
        "ssh/ssh_host_ed25519_key",
        "systemd/system/multi-user.target.wants/ssh.service",
    ]
    assert box.etc("ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
    assert box.etc("ssh").stat().st_mode & 0o777 == 0o750
    assert box.etc("localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")


@pytest.mark.skipif(os.geteuid() != 0, reason="no right to mount a disk")
def test_a_file_that_somebody_removed_stays_removed(box: Box) -> None:
    os.mknod(box.etc("timezone"), 0o020000, os.makedev(0, 0))  # how an overlay remembers it
    box.flash("build 2")
    box.boot()
    assert box.etc("timezone").is_char_device()


def test_another_root_in_a_slot_begins_with_its_own_var(box: Box) -> None:
    (box.data / "slots/a/var/upper/log").mkdir()
    box.boot()
    assert (box.data / "slots/a/var/upper/log").exists()
    box.flash("build 2")
    box.boot()
    assert not (box.data / "slots/a/var/upper/log").exists()


def test_a_factory_reset_leaves_nothing(box: Box) -> None:
    before = (box.data / "machine-id").read_text()
    for path in ("mb9k/record", ".hidden", "log/last-errors.txt", "etc/upper/hostname"):
        (box.data / path).parent.mkdir(exist_ok=True)
        (box.data / path).write_text("of somebody")
    (box.data / "factory-reset").touch()
    box.boot()
    assert (box.data / "machine-id").read_text() != before
    said = [each.read_text() for each in box.data.rglob("*") if each.is_file()]
    assert not [text for text in said if "somebody" in text]
    assert not (box.data / "factory-reset").exists()


@pytest.mark.parametrize(
    "cut", ["sync", "mv", "rm", "cp", "mkdir", "chmod", "keep_paths", "renew_var", "write_build_id"]
)
def test_a_power_cut_loses_nothing_that_is_kept(box: Box, cut: str) -> None:
    box.change("hostname", "mb9k-abcd")
    box.change("ssh/ssh_host_ed25519_key", "key")
    box.change("other", "of the root before")
    box.flash("build 2")
    box.boot(cut=cut)
    box.boot()
    assert box.etc("ssh/ssh_host_ed25519_key").read_text() == "key"
    assert box.etc("hostname").read_text() == "mb9k-abcd"
    assert not box.etc("other").exists()
    assert not list((box.data / "etc").glob("upper.*"))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_power_cut_between_renamings_loses_nothing(box: Box, step: int) -> None:
    box.change("hostname", "mb9k-abcd")
    box.flash("build 2")
    counted = f'moved=0; mv() {{ [ $moved -lt {step} ] || exit 9; moved=$((moved + 1)); command mv "$@"; }}'
    words = f'. {LAY_DATA}; {counted}; prepare "{box.data}" "{box.root}" a'
    done = subprocess.run(["dash", "-ec", words], capture_output=True, check=False, timeout=60)
    assert done.returncode == 9
    box.boot()
    assert box.etc("hostname").read_text() == "mb9k-abcd"
    assert (box.data / "etc/build-id").read_text() == "build 2\n"
