"""AMF0, how RTMP encodes its commands (Adobe, "Action Message Format -- AMF 0", 2007): what publishers use of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

NUMBER, BOOLEAN, STRING, OBJECT, NULL, UNDEFINED, ECMA_ARRAY, END, STRICT_ARRAY, DATE, LONG_STRING = (
    0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12,
)  # fmt: skip
MAX_DEPTH = 8
MAX_ITEMS = 1000


class AmfError(ValueError):
    """These bytes are no AMF0, or more of it than a publisher has reason to send."""


def decode(payload: bytes) -> list[Any]:
    """All values one after the other. Raises AmfError."""
    values, position = [], 0
    try:
        while position < len(payload):
            value, position = _decode(payload, position, MAX_DEPTH)
            values.append(value)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise AmfError("broken AMF0") from error
    return values


def encode(*values: Any) -> bytes:
    """Numbers, booleans, strings, None and dicts of these as AMF0."""
    return b"".join(_encode(value) for value in values)


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value at a position, and the position after it."""
    if depth == 0:
        raise AmfError("AMF0 nested too deeply")
    kind, at = data[at], at + 1
    if kind == NUMBER:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if kind == BOOLEAN:
        return data[at] != 0, at + 1
    if kind == STRING:
        return _string(data, at, ">H")
    if kind == LONG_STRING:
        return _string(data, at, ">I")
    if kind == OBJECT:
        return _properties(data, at, depth)
    if kind == ECMA_ARRAY:
        return _properties(data, at + 4, depth)
    if kind in (NULL, UNDEFINED):
        return None, at
    if kind == DATE:
        return struct.unpack_from(">d", data, at)[0], at + 10
    if kind == STRICT_ARRAY:
        (count,) = struct.unpack_from(">I", data, at)
        if count > MAX_ITEMS:
            raise AmfError("an AMF0 array of too many items")
        items, at = [], at + 4
        for _ in range(count):
            item, at = _decode(data, at, depth - 1)
            items.append(item)
        return items, at
    raise AmfError(f"AMF0 of unknown kind {kind}")


def _string(data: bytes, at: int, size_format: str) -> tuple[str, int]:
    (size,) = struct.unpack_from(size_format, data, at)
    at += struct.calcsize(size_format)
    if at + size > len(data):
        raise AmfError("an AMF0 string that is cut off")
    return data[at : at + size].decode("utf-8", "surrogateescape"), at + size


def _properties(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while data[at : at + 3] != b"\x00\x00\x09":
        if len(found) >= MAX_ITEMS:
            raise AmfError("an AMF0 object of too many properties")
        name, at = _string(data, at, ">H")
        found[name], at = _decode(data, at, depth - 1)
    return found, at + 3


def _encode(value: Any) -> bytes:
    if value is None:
        return bytes([NULL])
    if isinstance(value, bool):
        return bytes([BOOLEAN, value])
    if isinstance(value, (int, float)):
        return struct.pack(">Bd", NUMBER, value)
    if isinstance(value, str):
        return bytes([STRING]) + _name(value)
    if isinstance(value, dict):
        inside: Sequence[bytes] = [_name(name) + _encode(item) for name, item in value.items()]
        return bytes([OBJECT]) + b"".join(inside) + b"\x00\x00\x09"
    raise TypeError(f"no AMF0 for {type(value).__name__}")


def _name(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">H", len(content)) + content
