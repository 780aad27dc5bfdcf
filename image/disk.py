"""File systems and the disk, made of files: nothing is mounted, and the same input gives the same bytes."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image.targets import Target
from image.tools import run, run_without_root

MIB = 1 << 20
ESP_MIB, BOOT_MIB, SLOT_MIB, DATA_MIB = 128, 192, 2048, 512
SPARE = 1.12
"""How much larger a root's file system is than its files."""
ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
ROOTS = {"amd64": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "arm64": "b921b045-1df0-41c3-af44-4c6f280d3fae"}
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
FAT = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
"""Types of partitions, of the discoverable partitions specification; the data partition is the only plain Linux one."""


@dataclass(frozen=True)
class Partition:
    """One partition. content: a file beside the image's parts; empty: nothing is written there."""

    name: str
    type: str
    size_mib: int
    content: str = ""


def layout(target: Target) -> list[Partition]:
    """The partitions in their order. root_a and root_b are the second and third everywhere, data is the last."""
    root = ROOTS[target.architecture]
    boots = [Partition("boot_a", FAT, BOOT_MIB, "boot.vfat"), Partition("boot_b", FAT, BOOT_MIB)]
    return [
        Partition("esp", ESP, ESP_MIB, "esp.vfat"),
        Partition("root_a", root, SLOT_MIB, "root.ext4"),
        Partition("root_b", root, SLOT_MIB),
        *(boots if target.is_pi else []),
        Partition("data", LINUX, DATA_MIB, "data.ext4"),
    ]


def number(target: Target, name: str) -> int:
    """The number of a partition, from 1 on."""
    return [each.name for each in layout(target)].index(name) + 1


def name_uuid(build: str, name: str) -> str:
    """A UUID that is the same for the same build and name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mb9k:{build}:{name}"))


def genimage_configuration(target: Target, build: str, image: str) -> str:
    """What genimage reads."""
    lines = [f"image {image} {{", "  hdimage {", '    partition-table-type = "gpt"', "    align = 1M"]
    lines += [f'    disk-uuid = "{name_uuid(build, "disk")}"', "  }"]
    for each in layout(target):
        lines += [f"  partition {each.name} {{", f'    partition-type-uuid = "{each.type}"']
        lines += [f'    partition-uuid = "{name_uuid(build, each.name)}"', f"    size = {each.size_mib}M"]
        lines += [f'    image = "{each.content}"'] if each.content else []
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def make_fat(path: Path, folder: Path, size_mib: int, epoch_s: int, log_path: Path) -> None:
    """A FAT32 file system with what is in a folder, and its name. Raises UserError."""
    variables = {"SOURCE_DATE_EPOCH": str(epoch_s), "TZ": "UTC"}
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size_mib * MIB)
    run(["mkfs.vfat", "-F", "32", "--invariant", "-n", path.stem.upper(), str(path)], log_path, variables=variables)
    for each in sorted(folder.rglob("*")):
        os.utime(each, (epoch_s, epoch_s))
    names = [str(each) for each in sorted(folder.iterdir())]
    run(["mcopy", "-s", "-m", "-Q", "-i", str(path), *names, "::/"], log_path, variables=variables)


def make_ext4(path: Path, options: Sequence[str], root: Path, seed: str, epoch_s: int, log_path: Path) -> None:
    """An ext4 file system, by the root's own mke2fs. options: the last of them is its size. Raises UserError."""
    path.unlink(missing_ok=True)
    variables = {"SOURCE_DATE_EPOCH": str(epoch_s), "MKE2FS_CONFIG": str(root / "etc/mke2fs.conf")}
    fixed = ["-q", "-t", "ext4", "-U", seed, "-E", f"hash_seed={seed},lazy_itable_init=0,lazy_journal_init=0"]
    run_without_root(root, "usr/sbin/mke2fs", [*fixed, *options], log_path, variables)


def make_roots(root: Path, parts: Path, build: str, epoch_s: int, log_path: Path) -> None:
    """The file systems of the root, without a journal since nobody writes to it, and of the data. Raises UserError."""
    used = sum(-(-each.lstat().st_size // 4096) * 4096 for each in root.rglob("*") if not each.is_dir())
    size_mib = min(int(used * SPARE / MIB) + 64, SLOT_MIB)
    path, seed = parts / "root.ext4", name_uuid(build, "root's files")
    options = ["-O", "^has_journal", "-m", "0", "-L", "root", "-d", str(root), str(path), f"{size_mib}M"]
    make_ext4(path, options, root, seed, epoch_s, log_path)
    path, seed = parts / "data.ext4", name_uuid(build, "data's files")
    make_ext4(path, ["-m", "1", "-L", "data", str(path), f"{DATA_MIB}M"], root, seed, epoch_s, log_path)


def make_disk(target: Target, parts: Path, image: Path, build: str, log_path: Path) -> None:
    """Put the parts together. Raises UserError."""
    configuration, draft = parts / "genimage.cfg", parts / "genimage"
    configuration.write_text(genimage_configuration(target, build, image.name))
    shutil.rmtree(draft, ignore_errors=True)
    (parts / "nothing").mkdir(exist_ok=True)
    words = ["genimage", "--config", str(configuration), "--rootpath", str(parts / "nothing"), "--tmppath", str(draft)]
    run([*words, "--inputpath", str(parts), "--outputpath", str(image.parent)], log_path)
    shutil.rmtree(draft, ignore_errors=True)
