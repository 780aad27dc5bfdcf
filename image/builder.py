"""Makes an image of a target, step by step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from appliance.errors import UserError
from image.base import base_key, base_path, make_base
from image.boot import fill_esp, fill_pi, initramfs_path, make_initramfs, put_kernel
from image.disk import BOOT_MIB, ESP_MIB, layout, make_disk, make_fat, make_roots
from image.progress import Progress
from image.root import finish, play_role, unpack, version_in
from image.sbom import sbom
from image.targets import TARGETS, Target, target
from image.tools import check, run
from image.wheels import REPOSITORY, fetch_wheels, own_wheel, wheels_path

KNOBS: dict[str, Any] = {
    "mb9k_appliance": True,
    "mb9k_machine_may": ["restart", "shut_down", "name", "time_zone", "ssh", "factory_reset", "update"],
    "mb9k_machine_reset_file": "/data/factory-reset",  # root/usr/lib/mb9k/lay-data looks for it
    "mb9k_settings": {"web": {"https": True, "port": 443, "http_port": 80}},
    "mb9k_journal_storage": "volatile",
    "mb9k_journal_size": "32M",
}
"""What the role is told of a box that comes as an image."""
PIECE_BYTES = 1 << 20


def commit_time() -> int:
    """SOURCE_DATE_EPOCH, else when the checkout's last commit was made, in seconds. Raises UserError."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    words = ["git", "-C", str(REPOSITORY), "-c", f"safe.directory={REPOSITORY}", "log", "-1", "--format=%ct"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("this is no checkout of git; say the time that files get: SOURCE_DATE_EPOCH=$(date +%s)")
    return int(done.stdout)


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            total.update(piece)
    return total.hexdigest()


class Build:
    """One run. parts: where the pieces lie while the disk is made of them; root: the root file system."""

    def __init__(self, wanted: Target, out: Path, knobs: dict[str, Any]) -> None:
        self.target, self.out, self.knobs = wanted, out, knobs
        self.parts = out / f"{wanted.name}.parts"
        self.root = self.parts / "root"
        self.log_path = out / f"{wanted.name}.log"
        self.epoch_s = commit_time()
        self.progress = Progress()
        self.build = ""

    def make(self) -> Path:
        """Make the image and what lies beside it; the image's path. Raises UserError."""
        self.parts.mkdir(parents=True, exist_ok=True)
        self.log_path.unlink(missing_ok=True)
        self._make_root()
        return self._make_image()

    def _make_root(self) -> None:
        step, log_path = self.progress.step, self.log_path
        if not base_path(self.target).exists():
            with step("Debian and its packages, kept for the next time"):
                make_base(self.target, log_path)
        with step("The wheel of this checkout"):
            wheel = self._wheel()
        if not wheels_path(self.target).exists():
            with step("The wheels it needs, kept for the next time"):
                fetch_wheels(self.target, wheel, log_path)
        with step("The root's files"):
            unpack(self.target, self.root, log_path)
        if not initramfs_path(self.target).exists():
            with step("The initramfs, kept for the next time"):
                make_initramfs(self.target, self.root, self.epoch_s, log_path)
        with step("The role mb9k, through chroot"):
            play_role(self.root, wheel, wheels_path(self.target), self.knobs, log_path)
        self._say_which_ingest()
        with step("What differs from box to box goes"):
            put_kernel(self.target, self.root)
            self.build = finish(self.target, self.root, version_in(wheel), self.epoch_s)

    def _wheel(self) -> Path:
        folder = self.parts / "wheel"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return own_wheel(folder, self.log_path)

    def _say_which_ingest(self) -> None:
        lines = self.log_path.read_text(errors="replace").splitlines()
        for line in lines:
            if '"msg": "' in line and ("ingest" in line or "MediaMTX" in line):
                self.progress.note(f"  {line.partition(': ')[2].strip().strip(chr(34))}")

    def _make_image(self) -> Path:
        step, log_path, name = self.progress.step, self.log_path, f"mb9k-{self.target.name}.img"
        with step("File systems"):
            make_roots(self.root, self.parts, self.build, self.epoch_s, log_path)
            self._make_fat("esp", fill_esp, ESP_MIB)
            if self.target.is_pi:
                self._make_fat("boot", fill_pi, BOOT_MIB)
        image = self.out / name
        with step("The disk"):
            make_disk(self.target, self.parts, image, self.build, log_path)
        packed = self.out / f"{name}.zst"
        with step("Compressed, with its sums and lists"):
            run(["bmaptool", "create", "-o", str(self.out / f"{name}.bmap"), str(image)], log_path)
            run(["zstd", "-q", "-f", "-T0", "-6", str(image), "-o", str(packed)], log_path)
            document = sbom(self.root, f"mb9k-{self.target.name}", self.build, self.epoch_s)
            (self.out / f"{name}.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
            (self.out / f"{name}.json").write_text(json.dumps(self._manifest(image, packed), indent=1) + "\n")
            (self.out / f"{packed.name}.sha256").write_text(f"{sha256_of(packed)}  {packed.name}\n")
        return packed

    def _make_fat(self, name: str, fill: Callable[[Target, Path, Path], None], size_mib: int) -> None:
        folder = self.parts / name
        shutil.rmtree(folder, ignore_errors=True)
        fill(self.target, self.root, folder)
        make_fat(self.parts / f"{name}.vfat", folder, size_mib, self.epoch_s, self.log_path)

    def _manifest(self, image: Path, packed: Path) -> dict[str, Any]:
        return {
            "target": self.target.name,
            "build": self.build,
            "source_date_epoch": self.epoch_s,
            "base": base_key(self.target),
            "image": {"name": image.name, "bytes": image.stat().st_size, "sha256": sha256_of(image)},
            "packed": {"name": packed.name, "bytes": packed.stat().st_size, "sha256": sha256_of(packed)},
            "partitions": [
                {"name": each.name, "type": each.type, "mib": each.size_mib} for each in layout(self.target)
            ],
        }


@click.command(
    help=f"Make the image of a target: {', '.join(f'{each.name} ({each.says})' for each in TARGETS.values())}."
)
@click.argument("name", metavar="TARGET")
@click.option("--out", type=click.Path(path_type=Path), default=REPOSITORY / "image/out", help="The folder for it.")
@click.option("--mediamtx", default="auto", help="auto, none, or the path of a MediaMTX program for the target.")
@click.option("--authority", default="", help="A PEM file with who may sign updates (scripts/make-signing-keys).")
@click.option("--fresh", is_flag=True, help="Fetch Debian's packages again, for security updates.")
def command(name: str, out: Path, mediamtx: str, authority: str, fresh: bool) -> None:
    wanted = target(name)
    check(wanted.machine)
    if fresh:
        base_path(wanted).unlink(missing_ok=True)
        initramfs_path(wanted).unlink(missing_ok=True)
    knobs = {
        **KNOBS,
        "mb9k_slots": "auto" if wanted.is_pi else "grub",
        "mb9k_compatible": f"mb9k-{wanted.name}",
        "mb9k_mediamtx": mediamtx,
        "mb9k_update_authority": str(Path(authority).resolve()) if authority else "",
    }
    build = Build(wanted, out.resolve(), knobs)
    path = build.make()
    took_s = sum(build.progress.took_s.values())
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB, build {build.build}, {took_s:.0f} s", file=sys.stderr)


def main() -> None:
    """The program. What a person can mend is said in one line, and the exit code is 1."""
    try:
        command()
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
