"""The programs that building needs, and how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from appliance.errors import UserError

PROGRAMS = {
    "bmaptool": "bmap-tools",
    "genimage": "genimage",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "zstd": "zstd",
}
"""By program, the Debian package."""
EMULATOR = "qemu-user-static"
LAST_LINES = 12
IN_ROOT = """
set -e
mount --bind "$1" "$1"; cd "$1"; shift
mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev
exec chroot . "$@"
"""
"""Every command has a mount namespace of its own, so that nothing stays mounted."""
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def check(machine: str) -> None:
    """Raises UserError: building as somebody else than root, or without a program; it names what to type."""
    if os.geteuid():
        raise UserError("an image is built as root, since its files are root's: sudo image/build ...")
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if machine != os.uname().machine and not Path(f"/proc/sys/fs/binfmt_misc/qemu-{machine}").exists():
        missing.add(EMULATOR)
    if missing:
        raise UserError(f"programs are missing; install them: apt-get install {' '.join(sorted(missing))}")
    if not shutil.which("ansible-playbook"):
        raise UserError("ansible-playbook is missing; install it: pip install 'mb9k[ansible]'")


def run(words: list[str], log_path: Path, cwd: Path | None = None, variables: Mapping[str, str] | None = None) -> None:
    """Run a program; what it says goes to the log. Raises UserError with its last lines."""
    with log_path.open("ab") as log:
        log.write(f"\n$ {' '.join(words)}\n".encode())
        log.flush()
        environment = {**os.environ, **(variables or {})}
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd, env=environment, check=False
        )
    if done.returncode:
        said = log_path.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise UserError("\n".join([f"{words[0]} failed; {log_path} says why. Its last lines:", *said]))


def run_in_root(root: Path, words: list[str], log_path: Path, variables: Mapping[str, str] | None = None) -> None:
    """Run a program of a root folder, by chroot. Raises UserError."""
    settings = [f"{name}={value}" for name, value in {**CLEAN, **(variables or {})}.items()]
    outside = ["unshare", "--mount", "--propagation=private", "/bin/sh", "-c", IN_ROOT, "chroot", str(root)]
    run(["env", "-i", *settings, *outside, *words], log_path)


def run_without_root(root: Path, program: str, words: list[str], log_path: Path, variables: Mapping[str, str]) -> None:
    """Run a program of a root folder on the files of this machine, with the folder's own libraries.

    So a disk is written by the same version of a program wherever it is built. Raises UserError.
    """
    (loader,) = [*root.glob("lib64/ld-linux-x86-64.so.2"), *root.glob("lib/ld-linux-aarch64.so.1")]
    (libraries,) = root.glob("usr/lib/*-linux-gnu")
    run([str(loader), "--library-path", str(libraries), str(root / program), *words], log_path, variables=variables)
