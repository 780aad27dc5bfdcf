"""What starts a slot: its kernel and initramfs, and on the firmware's partition Debian's signed shim and GRUB."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from image.base import base_key, cache
from image.disk import number
from image.root import FILES
from image.targets import Target
from image.tools import run_in_root

HERE = Path(__file__).parent
ENVIRONMENT_BYTES = 1024
INITRAMFS_S = 315_532_800  # 1980: it is kept from commit to commit, so its files are as old as none of them
PI_WORDS = "panic=10 quiet loglevel=4 systemd.show_status=false systemd.ssh_auto=no console=tty0"
FIRST = {"ORDER": "A B", "A_OK": "1", "A_TRY": "0", "B_OK": "0", "B_TRY": "0"}
"""Slot B is empty until the first system update."""


def initramfs_path(target: Target) -> Path:
    """Where the initramfs is kept, by the base and all that goes into it from here."""
    total = hashlib.sha256(repr((base_key(target), target.drivers, INITRAMFS_S)).encode())
    for path in sorted(FILES.rglob("*")):
        is_in_it = "initramfs-tools" in path.parts or path.name == "lay-data"
        if path.is_file() and is_in_it:
            total.update(path.read_bytes())
    return cache() / f"image-initramfs-{target.name}-{total.hexdigest()[:16]}"


def make_initramfs(target: Target, root: Path, log_path: Path) -> None:
    """Make the initramfs by the root's own program: seconds, emulated minutes. Raises UserError."""
    path = initramfs_path(target)
    (kernel,) = root.glob("boot/vmlinuz-*")
    words = ["mkinitramfs", "-o", "/boot/initrd.img", kernel.name.partition("-")[2]]
    run_in_root(root, words, log_path, {"SOURCE_DATE_EPOCH": str(INITRAMFS_S)})
    draft = path.with_name(f"draft-{os.getpid()}-{path.name}")
    shutil.copyfile(root / "boot/initrd.img", draft)
    draft.replace(path)
    for old in path.parent.glob(f"image-initramfs-{target.name}-*"):
        if old != path:
            old.unlink()


def put_kernel(target: Target, root: Path) -> None:
    """Kernel and initramfs under names that do not change from kernel to kernel."""
    (kernel,) = root.glob("boot/vmlinuz-*")
    kernel.replace(root / "boot/vmlinuz")
    shutil.copyfile(initramfs_path(target), root / "boot/initrd.img")
    for old in root.glob("boot/initrd.img-*"):
        old.unlink()


def environment(values: dict[str, str]) -> bytes:
    """A GRUB environment block, as grub-editenv writes it."""
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    return f"# GRUB Environment Block\n{lines}".encode().ljust(ENVIRONMENT_BYTES, b"#")


def grub_configuration(target: Target) -> str:
    """grub.cfg of a target."""
    return (HERE / "grub.cfg").read_text().replace("@CONSOLE@", target.console)


def fill_esp(target: Target, root: Path, esp: Path) -> None:
    """Write the files of the firmware's partition into a folder."""
    shim, grub, started = target.efi
    boot, debian = esp / "EFI/BOOT", esp / "EFI/debian"  # where Debian's signed GRUB looks for its configuration
    boot.mkdir(parents=True)
    debian.mkdir()
    shutil.copyfile(root / "usr/lib/shim" / shim, boot / started)
    (signed,) = root.glob(f"usr/lib/grub/*-efi-signed/{grub}.signed")
    shutil.copyfile(signed, boot / grub)
    (debian / "grub.cfg").write_text(grub_configuration(target))
    (esp / "grubenv").write_bytes(environment(FIRST))
    if target.is_pi:
        first, second = (number(target, name) for name in ("boot_a", "boot_b"))
        text = f"[all]\ntryboot_a_b=1\nboot_partition={first}\n[tryboot]\nboot_partition={second}\n"
        (esp / "autoboot.txt").write_text(text)  # appliance/slots/tryboot.py rewrites it


def fill_pi(target: Target, root: Path, boot: Path) -> None:
    """Write the files of a Pi's boot partition into a folder. The same files serve both slots."""
    boot.mkdir(parents=True)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(root / "boot" / name, boot / name)
    for pattern in target.pi_files:
        for path in sorted(root.glob(pattern)):
            shutil.copyfile(path, boot / path.name)
    lines = (HERE / "pi-config.txt").read_text()
    for slot in ("a", "b"):
        words = f"root=PARTLABEL=root_{slot} ro rauc.slot={slot.upper()} {PI_WORDS} console={target.pi_console}"
        (boot / f"cmdline-{slot}.txt").write_text(f"{words}\n")
        lines += f"[boot_partition={number(target, f'boot_{slot}')}]\ncmdline=cmdline-{slot}.txt\n"
    (boot / "config.txt").write_text(lines)
