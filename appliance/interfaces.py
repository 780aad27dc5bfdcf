"""The addresses of this machine's network interfaces, as the kernel tells them: no library, no program, no rights.

rtnetlink's RTM_GETADDR: https://www.man7.org/linux/man-pages/man7/rtnetlink.7.html
"""

from __future__ import annotations

import ipaddress
import socket
import struct

_GET_ADDRESSES, _REQUEST_ALL, _DONE, _ERROR = 22, 0x301, 3, 2
_ADDRESS, _LOCAL = 1, 2  # attributes
_TEMPORARY = 0x01  # of IPv6: for a day, so that servers cannot tell who asks
_GLOBAL_SCOPE = 0
_TIMEOUT_S = 2.0


def addresses() -> list[str]:
    """Where this machine can be reached from elsewhere: IPv4 first, each once; empty where the kernel does not say."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
            kernel.settimeout(_TIMEOUT_S)
            kernel.sendto(struct.pack("=IHHIIBBBBI", 24, _GET_ADDRESSES, _REQUEST_ALL, 1, 0, 0, 0, 0, 0, 0), (0, 0))
            found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
            while _take(kernel.recv(65_536), found):
                pass
    except OSError:
        return []
    return [str(one) for one in sorted(found, key=lambda one: (one.version, int(one)))]


def _take(message: bytes, found: set[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> bool:
    """Note the addresses of a part of the answer; whether there is more to come."""
    at = 0
    while at + 16 <= len(message):
        length, kind = struct.unpack_from("=IH", message, at)
        if kind in (_DONE, _ERROR) or length < 16:
            return False
        family, _, flags, scope, _ = struct.unpack_from("=BBBBI", message, at + 16)
        is_passing = family == socket.AF_INET6 and flags & _TEMPORARY
        attributes = dict(_attributes(message[at + 24 : at + length]))
        packed = attributes.get(_LOCAL) or attributes.get(_ADDRESS)
        if packed and scope == _GLOBAL_SCOPE and not is_passing:
            found.add(ipaddress.ip_address(packed))
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
