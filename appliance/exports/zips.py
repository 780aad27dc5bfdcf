"""A ZIP that is written as it is sent: nothing of it is kept but its directory, some 70 bytes a file.

Format: APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, with its ZIP64 parts.
`zipfile` of Python, too, writes to what cannot be rewound, but keeps five times as much of each file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

LARGE, MANY = 0xFFFFFFFF, 0xFFFF  # what does not fit into the fields of before ZIP64 is written as this
_VERSION, _VERSION_64 = 20, 45
_UNIX, _READABLE = 3, 0o100644 << 16  # who made it, and what may be done with a file, as Unix says it
_UTF8, _SIZES_FOLLOW = 0x800, 0x08
_STORED, _DEFLATED = 0, 8


class ZipWriter:
    """What to send, file by file. offset: how many bytes lie before the first."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset
        self._count = 0
        self._directory = bytearray()

    def stored(self, name: str, utc: float, content: bytes) -> bytes:
        """A file as it is, for what cannot be made smaller. utc: when it was made."""
        crc, size = zlib.crc32(content), len(content)
        head = self._head(name, utc, _STORED, _UTF8, crc, size, b"")
        self._enter(name, utc, _STORED, _UTF8, crc, size, size)
        self._offset += len(head) + size
        return head + content

    def deflated(self, name: str, utc: float, parts: Iterable[bytes]) -> Iterator[bytes]:
        """A file of unknown size, made smaller as its parts come."""
        flags = _UTF8 | _SIZES_FOLLOW
        head = self._head(name, utc, _DEFLATED, flags, 0, LARGE, struct.pack("<HHQQ", 1, 16, 0, 0))
        yield head
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        crc = size = packed_size = 0
        for part in parts:
            crc, size = zlib.crc32(part, crc), size + len(part)
            packed = packer.compress(part)
            packed_size += len(packed)
            yield packed
        packed = packer.flush()
        packed_size += len(packed)
        after = struct.pack("<4sIQQ", b"PK\x07\x08", crc, packed_size, size)
        yield packed + after
        self._enter(name, utc, _DEFLATED, flags, crc, packed_size, size)
        self._offset += len(head) + packed_size + len(after)

    def end(self) -> bytes:
        """The directory, after which nothing may follow."""
        size, start, count = len(self._directory), self._offset, self._count
        tail = b""
        if count >= MANY or size >= LARGE or start >= LARGE:
            made_by = _UNIX << 8 | _VERSION_64
            where = (count, count, size, start)
            tail = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, made_by, _VERSION_64, 0, 0, *where)
            tail += struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
        count, size, start = min(count, MANY), min(size, LARGE), min(start, LARGE)
        return (
            bytes(self._directory) + tail + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
        )

    def _head(self, name: str, utc: float, method: int, flags: int, crc: int, size: int, extra: bytes) -> bytes:
        version, encoded = _VERSION_64 if extra else _VERSION, name.encode()
        fields = (version, flags, method, *_dos_time(utc), crc, size, size, len(encoded), len(extra))
        return struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", *fields) + encoded + extra

    def _enter(self, name: str, utc: float, method: int, flags: int, crc: int, packed_size: int, size: int) -> None:
        """Put a file that begins at the present offset into the directory."""
        encoded = name.encode()
        large = [number for number in (size, packed_size, self._offset) if number >= LARGE]
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        version = _VERSION_64 if large or flags & _SIZES_FOLLOW else _VERSION
        fields = (_UNIX << 8 | version, version, flags, method, *_dos_time(utc), crc)
        sizes = (min(packed_size, LARGE), min(size, LARGE), len(encoded), len(extra), 0, 0, 0)
        self._directory += struct.pack("<4sHHHHHHIIIHHHHH", b"PK\x01\x02", *fields, *sizes)
        self._directory += struct.pack("<II", _READABLE, min(self._offset, LARGE)) + encoded + extra
        self._count += 1


def _dos_time(utc: float) -> tuple[int, int]:
    """Time and date (UTC) as a ZIP has them: even seconds of the years 1980 to 2107."""
    at = datetime.fromtimestamp(utc, timezone.utc)
    if not 1980 <= at.year <= 2107:
        return 0, 1 << 5 | 1
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day
