"""A signed bundle of the whole system, in RAUC's form: the root of an image, and what boxes are told of it beforehand.

Nothing is mounted. The key is the one that signs bundles of wheels; RAUC itself verifies the bundle afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from appliance.errors import UserError
from appliance.slots.bundle import FORMAT, Told, inspected
from appliance.slots.machine import Machine
from appliance.update.versions import number
from scripts.bundle import SCHEMA
from scripts.signing_keys import AUTHORITY, REPOSITORY, SIGNER, SIGNER_KEY

PROGRAMS = {
    "debugfs": "e2fsprogs",
    "mksquashfs": "squashfs-tools",
    "rauc": "rauc",
    "sfdisk": "fdisk",
    "zstd": "zstd",
}
"""By program, the Debian package."""
SECTOR, PIECE_BYTES = 512, 1 << 22
RELEASES = "/var/lib/mb9k-releases"
SQUASH = "-comp zstd -Xcompression-level 9 -quiet -no-progress"
CHECKED_BY = "[system]\ncompatible={compatible}\nbootloader=noop\n[keyring]\npath={authority}\ncheck-purpose=codesign\n"


@dataclass(frozen=True)
class Partition:
    """Where a partition lies in an image, in bytes."""

    offset: int
    size: int


def partitions(image: Path) -> dict[str, Partition]:
    """The partitions of an image, by name. Raises UserError."""
    done = subprocess.run(["sfdisk", "--json", str(image)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{image} is no image of a disk ({done.stderr.strip()}); image/build makes one")
    found = json.loads(done.stdout)["partitiontable"]["partitions"]
    return {each.get("name", ""): Partition(each["start"] * SECTOR, each["size"] * SECTOR) for each in found}


def file_system_bytes(image: Path, offset: int) -> int:
    """How large the ext4 file system at this place is; its partition may be larger. Raises UserError."""
    with image.open("rb") as file:
        file.seek(offset + 1024)
        block = file.read(1024)
    if len(block) < 1024 or block[56:58] != b"\x53\xef":
        raise UserError(f"{image}: where its root should be is no ext4 file system; image/build makes one")
    (low, log_size), (high,) = struct.unpack("<4xI16xI", block[:28]), struct.unpack("<I", block[0x150:0x154])
    return int((high << 32 | low) * (1024 << log_size))


def cut(image: Path, offset: int, size_bytes: int, path: Path) -> None:
    """Copy a part of an image into a file, without what is zero."""
    with image.open("rb") as file, path.open("wb") as out:
        file.seek(offset)
        left_bytes = size_bytes
        while left_bytes and (piece := file.read(min(PIECE_BYTES, left_bytes))):
            left_bytes -= len(piece)
            if piece.count(0) == len(piece):
                out.seek(len(piece), os.SEEK_CUR)
            else:
                out.write(piece)
        out.truncate(size_bytes)


def debugfs(root: Path, request: str) -> str:
    """What debugfs says of a file system. Raises UserError."""
    done = subprocess.run(["debugfs", "-R", request, str(root)], capture_output=True, text=True, check=False)
    if done.returncode or "File not found" in done.stderr:
        raise UserError(f"{root}: `{request}`: {done.stderr.strip().splitlines()[-1]}; this is no root of mb9k")
    return done.stdout


def release_of(root: Path) -> str:
    """The name of the release that a root has. Raises UserError."""
    found = re.search(r'link dest: "(?:.*/)?([^"/]+)"', debugfs(root, f"stat {RELEASES}/current"))
    if found is None:
        raise UserError(f"{root}: {RELEASES}/current is no link; this is no root of mb9k")
    return found[1]


def describe(root: Path, release: str, updates_from: str, notes: Sequence[str]) -> Told:
    """What boxes are told of a root: its own code is asked for the form of the record. Raises UserError."""
    folder = f"{RELEASES}/{release}/lib"
    (python,) = re.findall(r"\b(python3\.\d+)\b", debugfs(root, f"ls -p {folder}"))[:1] or [""]
    with tempfile.TemporaryDirectory() as code:
        debugfs(root, f"rdump {folder}/{python}/site-packages/appliance {code}")
        environment = {**os.environ, "PYTHONPATH": code}
        done = subprocess.run(
            [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-c", SCHEMA],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise UserError(f"{root}: its code does not say which record it knows: {done.stderr.strip()[-300:]}")
    told = Told(FORMAT, number(release), updates_from, json.loads(done.stdout), list(notes))
    return msgspec.convert(msgspec.to_builtins(told), Told)  # refuses what a box would refuse


def manifest(compatible: str, build: str, told: Told, files: dict[str, str]) -> str:
    """The manifest that RAUC reads. files: by class of slots."""
    description = msgspec.json.encode(told).decode().replace("\\", "\\\\")  # a key file's own escapes
    lines = ["[update]", f"compatible={compatible}", f"version={number(build)}", f"description={description}"]
    lines += [f"build={build}", "[bundle]", "format=verity"]
    for name, file in files.items():
        lines += [f"[image.{name}]", f"filename={file}"]
    return "\n".join([*lines, ""])


def bundle(content: Path, path: Path, keys: Path, compatible: str) -> None:
    """Have RAUC make a bundle of a folder, sign it, and verify it. Raises UserError."""
    conf = content.with_name("system.conf")
    conf.write_text(CHECKED_BY.format(compatible=compatible, authority=(keys / AUTHORITY).resolve()))
    words = ["rauc", "--conf", str(conf), "--cert", str(keys / SIGNER), "--key", str(keys / SIGNER_KEY)]
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    try:
        words += [f"--mksquashfs-args={SQUASH}", "bundle", str(content), str(draft)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"rauc made no bundle: {done.stderr.strip().splitlines()[-1]}")
        inspected(draft, conf)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def make(image: Path, keys: Path, out: Path, updates_from: str, notes: Sequence[str]) -> Path:
    """The bundle of an image, which may be packed (.zst). Raises UserError, OSError."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as folder:
        if image.suffix == ".zst":
            unpacked = Path(folder) / image.stem
            subprocess.run(["zstd", "-q", "-d", "--sparse", str(image), "-o", str(unpacked)], check=True)
            image = unpacked
        found, content = partitions(image), Path(folder) / "content"
        if "root_a" not in found:
            raise UserError(f"{image} has no partition root_a; image/build makes one that has")
        content.mkdir()
        root = content / "root.ext4"
        cut(image, found["root_a"].offset, file_system_bytes(image, found["root_a"].offset), root)
        files = {"rootfs": root.name}
        if "boot_a" in found:
            cut(image, found["boot_a"].offset, found["boot_a"].size, content / "boot.vfat")
            files["boot"] = "boot.vfat"
        return make_from_root(content, files, keys, out, updates_from, notes)


def make_from_root(
    content: Path, files: dict[str, str], keys: Path, out: Path, updates_from: str, notes: Sequence[str]
) -> Path:
    """The bundle of a folder with these files. Raises UserError, OSError."""
    root = content / files["rootfs"]
    build = debugfs(root, "cat /usr/lib/mb9k/build-id").strip()
    conf = content.with_name("of-root.conf")
    conf.write_text(debugfs(root, "cat /etc/rauc/system.conf"))
    compatible = Machine(rauc=conf).compatible()
    told = describe(root, release_of(root), updates_from, notes)
    (content / "manifest.raucm").write_text(manifest(compatible, build, told, files))
    path = out / f"{compatible}-{build}.raucb"
    bundle(content, path, keys, compatible)
    return path


def refuse_without_programs() -> None:
    """Raises UserError, which says what to install."""
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        raise UserError(f"programs are missing; install them: apt-get install {' '.join(missing)}")


@click.command()
@click.argument("image", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--keys", type=click.Path(path_type=Path), required=True, help="The folder with the signer.")
@click.option("--out", type=click.Path(path_type=Path), default=REPOSITORY / "image/out", help="The folder for it.")
@click.option("--from", "updates_from", required=True, help="The oldest version of the system that it may follow.")
@click.option("--note", "notes", multiple=True, help="What is new, for people; may be given more than once.")
def main(image: Path, keys: Path, out: Path, updates_from: str, notes: tuple[str, ...]) -> None:
    """Make a signed bundle of the system in IMAGE, which image/build made, for `mb9k update FILE`."""
    try:
        refuse_without_programs()
        path = make(image, keys, out, updates_from, notes)
    except (UserError, OSError, subprocess.SubprocessError, msgspec.ValidationError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{path} ({path.stat().st_size // 1_000_000} MB)")


if __name__ == "__main__":
    main()
