"""The addresses of this machine's network interfaces, as the kernel tells them: no library, no program, no rights.

rtnetlink's RTM_GETADDR: https://www.man7.org/linux/man-pages/man7/rtnetlink.7.html
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_GET_ADDRESSES, _REQUEST_ALL, _DONE, _ERROR = 22, 0x301, 3, 2
_ADDRESS, _LOCAL = 1, 2  # attributes
_TEMPORARY = 0x01  # of IPv6: for a day, so that servers cannot tell who asks
_GLOBAL_SCOPE = 0
_TIMEOUT_S = 2.0
ELSEWHERE = ("192.0.2.1", 9)  # of no network (RFC 5737), so the way there is the way out


def addresses() -> list[str]:
    """Where this machine can be reached from elsewhere: IPv4 first, each once; empty where the kernel does not say."""
    return [str(one) for one in sorted({one for _, one in _found()}, key=_order)]


def main_address() -> str | None:
    """The address by which others most likely know this machine: of its way out, else the first; None: it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(ELSEWHERE)  # of UDP: nothing is sent
            found = str(asked.getsockname()[0])
        except OSError:
            found = ""
    known = addresses()
    return found if found in known else known[0] if known else None


def networks() -> dict[str, list[str]]:
    """The same by the interface's name, in their order."""
    names: dict[str, list[str]] = {}
    for index, one in sorted(_found(), key=lambda each: (each[0], _order(each[1]))):
        try:
            name = socket.if_indextoname(index)
        except OSError:  # it has gone meanwhile
            continue
        names.setdefault(name, []).append(str(one))
    return names


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _found() -> set[tuple[int, Address]]:
    """The addresses with the number of their interface; empty where the kernel does not say."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
            kernel.settimeout(_TIMEOUT_S)
            kernel.sendto(struct.pack("=IHHIIBBBBI", 24, _GET_ADDRESSES, _REQUEST_ALL, 1, 0, 0, 0, 0, 0, 0), (0, 0))
            found: set[tuple[int, Address]] = set()
            while _take(kernel.recv(65_536), found):
                pass
    except OSError:
        return set()
    return found


def _take(message: bytes, found: set[tuple[int, Address]]) -> bool:
    """Note the addresses of a part of the answer; whether there is more to come."""
    at = 0
    while at + 16 <= len(message):
        length, kind = struct.unpack_from("=IH", message, at)
        if kind in (_DONE, _ERROR) or length < 16:
            return False
        family, _, flags, scope, index = struct.unpack_from("=BBBBI", message, at + 16)
        is_passing = family == socket.AF_INET6 and flags & _TEMPORARY
        attributes = dict(_attributes(message[at + 24 : at + length]))
        packed = attributes.get(_LOCAL) or attributes.get(_ADDRESS)
        if packed and scope == _GLOBAL_SCOPE and not is_passing:
            found.add((index, ipaddress.ip_address(packed)))
        at += (length + 3) & ~3
    return True


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found.append((kind, data[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found
