"""Disks of a test's own: small ones, and ones that can only be read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Something mounted on a folder until the end of the block; only root may do that, and not in every container."""
    if subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("there is no right to mount a disk here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder that is made, on a file system of 32 MB."""
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=32m,mode=0755", "mb9k-test"):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as a disk that is mounted for reading only."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


def fill(folder: Path) -> Path:
    """Take all the room there is; the file to remove to give it back."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        for size in (1_000_000, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filler
