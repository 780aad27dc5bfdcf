"""Images of detections: one append-only file of JPEGs a day. To forget a day, its file is removed.

A JPEG is only ever reached through the store, which knows where in the file it lies. What the store does not
know of (a write that was cut off before its commit) is never shown and goes with its day.
"""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

DAY = re.compile(r"^[0-9]{8}$")
SUFFIX = ".jpegs"
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a JPEG lies: size_bytes at offset in the file of a day (20261123, UTC).

    crc32: of its bytes, against a disk that spoils them; None: written by a version that did not sum.
    """

    day: str
    offset: int
    size_bytes: int
    crc32: int | None = field(default=None, kw_only=True)

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size_bytes

    def overlaps(self, offset: int, size_bytes: int) -> bool:
        """Whether it has bytes in common with others of its day."""
        return self.offset < offset + size_bytes and offset < self.end


class Integrity(enum.Enum):
    """What has become of a JPEG: erased is zeros, or no file; damaged is anything else that was not written."""

    WHOLE = "whole"
    ERASED = "erased"
    DAMAGED = "damaged"


def day_of(utc: float) -> str:
    """The day (UTC) as the files are named."""
    return datetime.fromtimestamp(utc, timezone.utc).strftime("%Y%m%d")


class ImageFiles:
    """The folder of day files. One process appends; any may read or erase. Methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def append(self, jpeg: bytes, utc: float) -> Place:
        """Add a JPEG to its day; durable once `sync` has returned. All of it is written or it raises."""
        day = day_of(utc)
        handle = os.open(self._path(day), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            offset = os.lseek(handle, 0, os.SEEK_END)
            written = os.write(handle, jpeg)
            if written != len(jpeg):  # the disk filled up half-way
                os.ftruncate(handle, offset)
                raise OSError(errno.ENOSPC, "No space left on device", str(self._path(day)))
        finally:
            os.close(handle)
        return Place(day, offset, len(jpeg), crc32=zlib.crc32(jpeg))

    def sync(self, day: str) -> None:
        """Wait until what was appended to a day is on the disk, before the store refers to it."""
        handle = os.open(self._path(day), os.O_RDONLY)
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)

    def read(self, place: Place) -> bytes | None:
        """The JPEG; None if it was erased, its day forgotten, or its bytes are not those that were written."""
        content = self._bytes(place)
        return content if _integrity(place, content) is Integrity.WHOLE else None

    def integrity(self, place: Place) -> Integrity:
        """Whether the JPEG is still what was written."""
        return _integrity(place, self._bytes(place))

    def _bytes(self, place: Place) -> bytes | None:
        try:
            with self._path(place.day).open("rb") as file:
                file.seek(place.offset)
                return file.read(place.size_bytes)
        except FileNotFoundError:
            return None

    def erase(self, day: str, places: Iterable[Place]) -> None:
        """Overwrite JPEGs of a day with zeros, on the disk once this returns, and give their room back to the disk.

        What is gone already is no error, so that an interrupted erasure can be done again.
        """
        try:
            handle = os.open(self._path(day), os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            size_bytes = os.fstat(handle).st_size
            there = [place for place in places if place.end <= size_bytes]
            for place in there:
                os.pwrite(handle, bytes(place.size_bytes), place.offset)
            os.fdatasync(handle)
            for place in there:
                _punch_hole(handle, place.offset, place.size_bytes)
        finally:
            os.close(handle)

    def days(self) -> list[str]:
        """The days that have a file, oldest first."""
        names = [path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")]
        return sorted(name for name in names if DAY.match(name))

    def size_bytes(self, day: str) -> int:
        """How long the file of a day is; 0 if there is none."""
        try:
            return self._path(day).stat().st_size
        except FileNotFoundError:
            return 0

    def forget(self, day: str) -> None:
        """Remove a day's file; that it is already gone is no error."""
        self._path(day).unlink(missing_ok=True)

    def _path(self, day: str) -> Path:
        if not DAY.match(day):
            raise ValueError(f"not a day: {day!r}")
        return self.folder / f"{day}{SUFFIX}"


def _integrity(place: Place, content: bytes | None) -> Integrity:
    if content is None or content == bytes(place.size_bytes):
        return Integrity.ERASED
    whole = len(content) == place.size_bytes and content.startswith(JPEG_START)
    return Integrity.WHOLE if whole and place.crc32 in (None, zlib.crc32(content)) else Integrity.DAMAGED


def _punch_hole(handle: int, offset: int, size_bytes: int) -> None:
    """Give the room of bytes that are zeros back to the disk. File systems that cannot (FAT) keep them as they are."""
    fallocate = getattr(ctypes.CDLL(None), "fallocate64", None)
    if fallocate:
        mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
        fallocate(handle, mode, ctypes.c_int64(offset), ctypes.c_int64(size_bytes))
