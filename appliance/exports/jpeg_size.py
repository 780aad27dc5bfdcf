"""How large a JPEG is, read from its head: the site has nothing that decodes pictures."""

from __future__ import annotations

_FRAME_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are tables


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in px (ITU-T T.81, annex B); None if it has no head that says so."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _FRAME_STARTS:
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        at += 2 + length
    return None
