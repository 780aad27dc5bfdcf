"""Room on the box's disk: how much there is, and a reserve by which people can act while it is full."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from appliance.language import N_

log = logging.getLogger(__name__)
T = TypeVar("T")

RESERVE_BYTES = 10_000_000
LOG_BYTES = 4_300_000
"""What a few writes may need: SQLite's write-ahead log grows to 1000 pages of 4 KiB before it is used again."""
SHARED_MEMORY_BYTES = 65_536  # more than what SQLite makes beside its file to open it
LEAST_BYTES = 500_000
FOR_PEOPLE_BYTES = RESERVE_BYTES // 2
FULL = N_("the disk is full; make room on it")
DISK_FULL = N_("The disk of the box is full, so no images are kept, and new detections may have to wait in memory.")
MAKE_ROOM = N_("An admin can make room: delete old detections or streams, or keep images for fewer days.")


def free_bytes(folder: Path) -> int:
    """How much room the disk of a folder has left for us. Raises OSError."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def size_bytes(folder: Path) -> int:
    """How large the disk of a folder is. Raises OSError."""
    room = os.statvfs(folder)
    return room.f_blocks * room.f_frsize


def means_full(error: BaseException, folder: Path | None = None) -> bool:
    """Whether an error of the operating system or of SQLite says that the disk is full.

    folder: where it happened. SQLite calls it an I/O error if there is no room for what it makes beside its file.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = str(error).lower()
    if "disk is full" in text or "no space left" in text:
        return True
    with suppress(OSError):
        return folder is not None and "disk i/o" in text and free_bytes(folder) < SHARED_MEMORY_BYTES
    return False


class Reserve:
    """A file in the state folder that only takes up room. It is given up when somebody must act on a full disk.

    Half of it is the watcher's, by which rows and heartbeats go on for a while. The rest is for people: they can sign
    in and delete, which makes room, and `mb9k` commands work. The watcher makes it again.
    """

    def __init__(self, folder: Path, keep_bytes: int = 0) -> None:
        """keep_bytes: it is never given up below that by whoever has this one."""
        self.path, self._keep_bytes = folder / "reserve", keep_bytes

    def make(self) -> None:
        """Take the room, if there is plenty: else the disk would be full because of it."""
        with suppress(OSError):
            if self._size_bytes() >= RESERVE_BYTES or self.is_needed():
                return
            handle = os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(handle, 0, RESERVE_BYTES)
            finally:
                os.close(handle)

    def give_up_if_full(self, keep_bytes: int = 0) -> bool:
        """Make room for what must be written now, if there is hardly any; whether that was done.

        Half of what is left at a time: whatever fills the disk may take what was not needed. keep_bytes: no more if it
        has shrunk to this.
        """
        with suppress(OSError):
            size_bytes = self._size_bytes()
            if size_bytes > max(keep_bytes, self._keep_bytes) and self.is_due():
                left_bytes = size_bytes // 2 if size_bytes > LEAST_BYTES else 0
                os.truncate(self.path, left_bytes)
                log.warning("the disk is full; %.1f MB of the reserve are left", left_bytes / 1_000_000)
                return True
        return False

    def is_due(self) -> bool:
        """Whether so little is free that some of it must be given up for what is written."""
        with suppress(OSError):
            return free_bytes(self.path.parent) < LOG_BYTES
        return False

    def spend(self, act: Callable[[], T]) -> T:
        """Do what must be done on a full disk, too: again, with more room, as long as some can be given up for it.

        act: undone by itself when it raises OSError or sqlite3.Error, which are raised if nothing is left.
        """
        while True:
            try:
                return act()
            except (OSError, sqlite3.Error):
                if not self.give_up_if_full():
                    raise

    def is_needed(self) -> bool:
        """Whether the disk counts as full: what is free and what the reserve holds are less than both are meant to be.

        Raises OSError.
        """
        return free_bytes(self.path.parent) + self._size_bytes() < RESERVE_BYTES + LOG_BYTES

    def _size_bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
