"""Room on the box's disk: how much there is, and a reserve by which people can act while it is full."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

RESERVE_BYTES = 8_000_000
FULL_BYTES = 4_500_000
"""With less room the disk counts as full: SQLite's log alone grows so long before it is emptied (1000 pages)."""
IMAGES_LEAVE_BYTES = 8_000_000
"""Images are written only while so much stays free: rows are smaller, and matter more."""


def free_bytes(folder: Path) -> int:
    """How much room the disk of a folder has left for us. Raises OSError."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def is_full(folder: Path) -> bool:
    """Whether hardly anything can be written. Raises OSError."""
    return free_bytes(folder) < FULL_BYTES


class Reserve:
    """A file in the state folder that only takes up room. It is given up when somebody must act on a full disk.

    With it they can sign in and delete, which makes room. The watcher makes it again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "reserve"

    def make(self) -> None:
        """Take the room, if there is plenty: else the disk would be full because of it."""
        with suppress(OSError):
            if self._size_bytes() >= RESERVE_BYTES or free_bytes(self.path.parent) < RESERVE_BYTES + FULL_BYTES:
                return
            handle = os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(handle, 0, RESERVE_BYTES)
            finally:
                os.close(handle)

    def give_up_if_full(self) -> None:
        """Make room for what somebody wants to write now, if there is hardly any."""
        with suppress(OSError):
            if self._size_bytes() and is_full(self.path.parent):
                self.path.unlink()
                log.warning("the disk is full: the reserve of %d MB was given up", RESERVE_BYTES // 1_000_000)

    def _size_bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
