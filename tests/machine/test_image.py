"""An image's root, booted twice as two boxes: each has keys of its own, a new one asks to be claimed, ssh is off.

systemd-nspawn starts it, so the initramfs and the bootloader are left out: what the initramfs lays over the root is
laid by the same lines, and by systemd-nspawn's overlays. image/test-qemu has the rest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest

from image.builder import Build, knobs
from image.targets import TARGETS
from image.tools import PROGRAMS
from tests.boxes import until
from tests.machines import GUEST, Machine, skip_without_containers

PATIENCE_S = 120.0
SECRET = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
SHARED = (
    "etc/build-id",
    "slots/a/var/build-id",  # which root it is
    "mb9k/mb9k.db",  # its first page; what was recorded lies beside it until it grows
    "mb9k/reserve",  # zeros
    "mb9k/*.lock",  # a process number, which may be the same
    "slots/a/var/upper/lib/NetworkManager/NetworkManager*",
)
"""What two boxes may have in common among the files that they wrote, as patterns: nothing else."""


class Flashed(Machine):
    """A box with an image's root, which it cannot write to, and a data partition of its own, which begins empty."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root, self.data = root, data
        self.name = f"mb9k{os.getpid()}"
        self.log_path = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        data.mkdir()

    def _boot(self) -> None:
        lay = self.root / "usr/lib/mb9k/lay-data"
        words = f'. "{lay}"; prepare "{self.data}" "{self.root}" a'
        subprocess.run(["dash", "-ec", words], check=True)
        var, etc = self.data / "slots/a/var", self.data / "etc"
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine={self.name}"]
        command += ["--register=no", "--keep-unit", "--network-veth", "--link-journal=no", "--console=pipe"]
        command += [f"--bind-ro={self._leave_our_cable()}:/run/NetworkManager/conf.d/50-cable.conf"]
        command += ["--read-only", f"--bind={self.data}:/data", f"--bind={self.data}/mb9k:/var/lib/mb9k"]
        command += [
            f"--overlay={self.root}/{name}:{upper}/upper:/{name}" for name, upper in (("etc", etc), ("var", var))
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_boot()

    def _leave_our_cable(self) -> Path:
        """A file by which NetworkManager leaves the test's interface alone: nobody answers DHCP there."""
        path = self.data.with_suffix(".conf")
        path.write_text("[keyfile]\nunmanaged-devices=interface-name:host0\n")
        return path

    def page(self, path: str) -> str:
        """What the box's page answers, over HTTPS, with the code and the address that it leads to."""
        command = ["curl", "--insecure", "--silent", "--max-time", "10", "--write-out", "%{http_code} %{redirect_url}"]
        done = subprocess.run([*command, f"https://{GUEST}{path}"], capture_output=True, text=True, check=False)
        return done.stdout

    def written(self) -> dict[str, bytes]:
        """Every file that the box has written, by path."""
        files = [each for each in self.data.rglob("*") if each.is_file() and not each.is_symlink()]
        return {str(each.relative_to(self.data)): each.read_bytes() for each in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    skip_without_containers()
    for program in PROGRAMS:
        if not shutil.which(program):
            pytest.skip(f"there is no {program}; scripts/test installs it")
    out = tmp_path_factory.mktemp("image")
    build = Build(TARGETS["amd64"], out, knobs(TARGETS["amd64"], mediamtx="none"))
    build.make()
    print(build.progress.took_s)
    yield build.root
    shutil.rmtree(out)


@contextmanager
def started(box: Flashed) -> Iterator[None]:
    try:
        with box.booted():
            until(lambda: "303" in box.page("/"), PATIENCE_S, "the page answers")
            yield
    finally:
        print(box.log_path.read_text(errors="replace")[-3000:])


@pytest.mark.timeout(1800)
def test_two_boxes_from_one_image(root: Path, tmp_path: Path) -> None:
    nothing_secret(root)
    boxes = [Flashed(root, tmp_path / name) for name in ("one", "two")]
    codes, ids = [], []
    for box in boxes:
        with started(box):
            assert box.page("/").endswith(f"303 https://{GUEST}/claim"), "a new box asks to be claimed"
            ids.append(box.run("cat", "/etc/machine-id").strip())
            codes.append(box.run("runuser", "-u", "mb9k", "--", "mb9k", "claim").split()[0])
            nobody_gets_in(box)
            failed = box.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").split()
            ours = {word for word in failed if word.startswith("mb9k-") and word.endswith(".service")}
            assert ours <= {"mb9k-slot-good.service"}, "a container has no bootloader, all else starts"
    share_no_secret(boxes, ids, codes)

    with started(boxes[0]):
        assert box_says(boxes[0]) == (ids[0], codes[0]), "a restart keeps all"
    (boxes[0].data / "factory-reset").touch()
    with started(boxes[0]):
        assert box_says(boxes[0])[0] != ids[0], "a reset makes another box of it"
        assert box_says(boxes[0])[1] != codes[0]


def box_says(box: Flashed) -> tuple[str, str]:
    """Its machine id and its claim code."""
    code = box.run("runuser", "-u", "mb9k", "--", "mb9k", "claim").split()[0]
    return box.run("cat", "/etc/machine-id").strip(), code


def nothing_secret(root: Path) -> None:
    """In the image there is no key, no machine id, no password, and no key that lets anybody in."""
    assert (root / "etc/machine-id").read_text() == ""
    for line in (root / "etc/shadow").read_text().splitlines():
        assert line.split(":")[1].startswith(("*", "!")), f"{line.split(':')[0]} has a password"
    names = {"authorized_keys", "random-seed", "claim-code"}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and not path.is_relative_to(root / "usr"):
            assert path.name not in names and not path.name.startswith("ssh_host_"), path
            is_a_test = "site-packages" in path.parts
            assert is_a_test or not SECRET.search(path.read_bytes()), path


def nobody_gets_in(box: Flashed) -> None:
    """Root has no password, and nothing listens but what the page and the streams need."""
    assert box.run("passwd", "--status", "root").split()[1] == "L"
    lines = [line.split()[3] for line in box.run("ss", "-H", "-l", "-t", "-n").splitlines()]
    ports = {line.rpartition(":")[2] for line in lines if not line.startswith(("127.", "[::1]"))}
    assert ports <= {"443", "80", "1935", "1936"}, lines


def share_no_secret(boxes: list[Flashed], ids: list[str], codes: list[str]) -> None:
    """No file that both wrote is the same, and no file of one holds what identifies the other."""
    assert len(set(ids)) == len(set(codes)) == 2
    one, two = (box.written() for box in boxes)
    same = {path for path in one.keys() & two.keys() if one[path] and one[path] == two[path]}
    strange = {path for path in same if not any(fnmatch(path, pattern) for pattern in SHARED)}
    assert not strange, "something that was to be made at the first boot came with the image, or was made in vain"
    assert one["mb9k/mb9k.db-wal"] != two["mb9k/mb9k.db-wal"]
    for files, other in ((one, 1), (two, 0)):
        for path, content in files.items():
            assert ids[other].encode() not in content and codes[other].encode() not in content, path
    keys = [path for path in one if SECRET.search(one[path])]
    assert keys, "each has a key for HTTPS"
