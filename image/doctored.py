"""An image for tests, from one that ships: a copy whose root has a shell and an authority of the tests'.

Nothing of it is in an image that image/build makes. The root is changed by debugfs, as a file, without mounting it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from appliance.errors import UserError
from image.system_bundle import PIECE_BYTES, cut, debugfs, file_system_bytes, partitions, release_of

PORT = "mb9k.test.shell"
UNIT = f"""[Unit]
Description=mb9k: a shell for tests, on a port that only QEMU has
DefaultDependencies=no
After=systemd-udevd.service
StartLimitIntervalSec=0

[Service]
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin:/var/lib/mb9k-releases/current/bin HOME=/root
ExecStart=/bin/sh -c 'exec /bin/sh <>/dev/virtio-ports/{PORT} >&0 2>&1'
Restart=always
RestartSec=1

[Install]
WantedBy=sysinit.target
"""
SPARE_BYTES = 2 << 30
UNIT_PATH = "/etc/systemd/system/mb9k-test-shell.service"
AUTHORITY_PATH, BUILD_PATH = "/etc/mb9k/update-authority.pem", "/usr/lib/mb9k/build-id"


def put(root: Path, files: Mapping[str, bytes], scratch: Path) -> None:
    """Put files into a root, in folders that are there; what was there goes. Raises UserError."""
    commands = []
    for number, (name, content) in enumerate(files.items()):
        source = scratch / f"put-{number}"
        source.write_bytes(content)
        source.chmod(0o644)
        commands += [f"rm {name}", f"write {source} {name}"]
    change(root, commands, scratch)
    for name, content in files.items():
        if debugfs(root, f"cat {name}").encode() != content:
            raise UserError(f"{root}: debugfs did not put {name}")


def change(root: Path, commands: list[str], scratch: Path) -> None:
    """Have debugfs do this. Raises UserError."""
    script = scratch / "debugfs.txt"
    script.write_text("\n".join([*commands, ""]))
    done = subprocess.run(["debugfs", "-w", "-f", str(script), str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{root}: debugfs: {done.stderr.strip()[-300:]}")


class Doctored:
    """Copies of an image's root, each changed, in a folder. authority: PEM."""

    def __init__(self, image: Path, authority: str, folder: Path) -> None:
        """Raises UserError: it is no image."""
        self.image, self.folder = image, folder
        self._at = partitions(image)["root_a"].offset
        self._root = folder / "root.ext4"
        cut(image, self._at, file_system_bytes(image, self._at), self._root)
        put(self._root, {UNIT_PATH: UNIT.encode(), AUTHORITY_PATH: authority.encode()}, folder)
        wants = "/etc/systemd/system/sysinit.target.wants"
        change(self._root, [f"symlink {wants}/{Path(UNIT_PATH).name} {UNIT_PATH}"], folder)
        self.build = debugfs(self._root, f"cat {BUILD_PATH}").strip()

    def disk(self, path: Path) -> Path:
        """The image with the changed root in slot A, on a disk of its own, which is larger, as cards are."""
        subprocess.run(["cp", "--sparse=always", str(self.image), str(path)], check=True)
        with self._root.open("rb") as root, path.open("r+b") as disk:
            disk.seek(self._at)
            while piece := root.read(PIECE_BYTES):
                disk.write(piece)
            disk.truncate(disk.seek(0, os.SEEK_END) + SPARE_BYTES)
        return path

    def root(self, folder: Path, build: str, changes: Mapping[str, tuple[str, str]] | None = None) -> Path:
        """A root of another build. changes: in these files of the program, this text for that one. Raises UserError."""
        folder.mkdir()
        path = folder / "root.ext4"
        subprocess.run(["cp", "--sparse=always", str(self._root), str(path)], check=True)
        release = f"/var/lib/mb9k-releases/{release_of(path)}/lib/python3.13/site-packages"
        files = {BUILD_PATH: f"{build}\n".encode()}
        for name, (before, after) in (changes or {}).items():
            text = debugfs(path, f"cat {release}/{name}")
            if before not in text:
                raise UserError(f"{name} of the image has no {before!r}")
            files[f"{release}/{name}"] = text.replace(before, after, 1).encode()
        put(path, files, self.folder)
        return path
