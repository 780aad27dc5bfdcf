"""The root file system: the base, this folder's files, the role, and then without what differs from build to build."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from image.base import MIRROR, base_path, sources
from image.targets import Target
from image.tools import run
from image.wheels import REPOSITORY

FILES = Path(__file__).parent / "root"
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "grub-common.service",
    "rauc-mark-good.service",  # mb9k says itself whether a slot is good
    "systemd-firstboot.service",
)
ENABLED = {"mb9k-grow.service": "sysinit.target.wants", "mb9k-last-errors.service": "multi-user.target.wants"}
OFF = ("ssh.service", "ssh.socket", "sshd.service")
"""Until an admin switches it on."""
GONE = (
    "boot/System.map-*",
    "boot/config-*",
    "etc/.pwd.lock",
    "etc/*-",
    "etc/ssh/ssh_host_*",
    "root/.ansible",
    "root/.cache",
    "run/*",
    "tmp/*",
    "usr/lib/grub/*-efi",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/systemd/random-seed",
    "var/log/*",
    "var/tmp/*",
    "vmlinuz*",
    "initrd.img*",
)
RELEASES = "var/lib/mb9k-releases"
DAY_S, PYC_HEADER = 86400, struct.Struct("<4sIII")
"""A compiled Python file begins with its magic, flags, and, if these are 0, the time and size of its source."""


def unpack(target: Target, root: Path, log_path: Path) -> None:
    """The base, and this folder's files over it. Raises UserError."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    run(["tar", "--numeric-owner", "-xpf", str(base_path(target)), "-C", str(root)], log_path)
    for path in sorted(each for each in FILES.rglob("*") if each.is_file()):
        here = root / path.relative_to(FILES)
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, here)
        here.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)  # whatever umask the checkout had
    (root / "usr/lib/mb9k/drivers").write_text("".join(f"{each}\n" for each in target.drivers))
    for folder in ("data", "efi", "var/lib/mb9k"):
        (root / folder).mkdir(parents=True, exist_ok=True)


def play_role(root: Path, wheel: Path, wheels: Path, knobs: dict[str, object], log_path: Path) -> None:
    """Set mb9k up in the root, by the role that sets up any machine. Raises UserError."""
    host = {"ansible_connection": "mb9k_root", "ansible_become": False, "ansible_host": str(root)}
    inventory = root.with_name("inventory.json")
    given = {"mb9k_package": str(wheel), "mb9k_wheels": str(wheels), **knobs}
    inventory.write_text(json.dumps({"boxes": {"hosts": {"image": {**host, **given}}}}))
    variables = {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", "ANSIBLE_FORCE_COLOR": "false"}
    words = ["ansible-playbook", "--inventory", str(inventory), "site.yml"]
    run(words, log_path, cwd=REPOSITORY / "ansible", variables=variables)


def finish(target: Target, root: Path, version: str, epoch_s: int) -> str:
    """Take out what differs from build to build or from box to box; the build's id, which is that of its content."""
    for pattern in GONE:
        for path in sorted(root.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    _name(target, root)
    _switch_units(root)
    _same_days(root / "etc/shadow", epoch_s)
    same_times(root, epoch_s)
    build = f"{version}-{content_sum(root)[:16]}"
    (root / "usr/lib/mb9k/build-id").write_text(f"{build}\n")
    for path in (root / "usr/lib/mb9k/build-id", root / "usr/lib/mb9k"):
        os.utime(path, (epoch_s, epoch_s))
    return build


def _name(target: Target, root: Path) -> None:
    etc = root / "etc"
    (etc / "machine-id").write_text("")
    (root / "var/lib/dbus").mkdir(exist_ok=True)
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (root / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    (etc / "hostname").write_text("mb9k\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 mb9k\n::1 localhost ip6-localhost ip6-loopback\n")
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").symlink_to("../run/NetworkManager/resolv.conf")
    (etc / "apt/sources.list").write_text("".join(f"{line}\n" for line in sources(target, MIRROR)))


def _switch_units(root: Path) -> None:
    units = root / "etc/systemd/system"
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    for name, folder in ENABLED.items():
        (units / folder).mkdir(exist_ok=True)
        (units / folder / name).unlink(missing_ok=True)
        (units / folder / name).symlink_to(f"/usr/lib/systemd/system/{name}")
    for name in OFF:
        for link in (units / name, *(folder / name for folder in units.glob("*.wants"))):
            link.unlink(missing_ok=True)


def _same_days(shadow: Path, epoch_s: int) -> None:
    """Each user's password was last changed on the day of the commit."""
    day = str(epoch_s // DAY_S)
    lines = [line.split(":") for line in shadow.read_text().splitlines()]
    shadow.write_text("".join(":".join([*words[:2], day, *words[3:]]) + "\n" for words in lines))


def _all(root: Path) -> Iterator[Path]:
    """All below a folder, itself last."""
    for folder, names, files in os.walk(root, topdown=False):
        for name in (*files, *names):
            yield Path(folder, name)
    yield root


def same_times(root: Path, epoch_s: int) -> None:
    """Nothing is newer than the commit. Compiled Python files remember the time of their source: it is set in them."""
    for path in _all(root):
        if path.suffix == ".pyc" and path.parent.name == "__pycache__":
            source = path.parent.parent / f"{path.name.split('.')[0]}.py"
            if source.exists():
                _compiled_at(path, min(int(source.stat().st_mtime), epoch_s))
        if path.lstat().st_mtime > epoch_s:
            os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _compiled_at(path: Path, source_s: int) -> None:
    with path.open("r+b") as file:
        magic, flags, _, size = PYC_HEADER.unpack(file.read(PYC_HEADER.size))
        if flags == 0:
            file.seek(0)
            file.write(PYC_HEADER.pack(magic, flags, source_s, size))


def content_sum(root: Path) -> str:
    """A SHA-256 of all that is in a folder: names, kinds, modes, owners, times, contents."""
    total = hashlib.sha256()
    for path in sorted(_all(root)):
        status = path.lstat()
        words = [os.fspath(path.relative_to(root)), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns]
        if stat.S_ISLNK(status.st_mode):
            words.append(str(path.readlink()))
        elif stat.S_ISREG(status.st_mode):
            words.append(hashlib.sha256(path.read_bytes()).hexdigest())
        total.update(repr(words).encode())
    return total.hexdigest()


def version_in(wheel: Path) -> str:
    """The version in a wheel's name."""
    found = re.match(r"mb9k-([^-]+)-", wheel.name)
    assert found, wheel
    return found[1]
