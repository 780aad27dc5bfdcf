"""What a source may reach: which addresses of the network, which files, which devices. Looked at at every opening.

Whoever may make a stream makes this box connect to a place of their choice. Cameras stand in the network; the box's
own services on loopback and link-local addresses (cloud metadata) are never a camera's.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from appliance.language import N_

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_PACKET_BYTES = 64_000_000  # no picture of a camera is so large; FFmpeg would keep gigabytes
V4L2_MAJOR = 81  # the major number of video devices, Documentation/admin-guide/devices.txt of Linux

THIS_BOX = N_(
    "This address leads back to this box, or to no camera at all; name the camera's own address. (A camera server on"
    " this box: an admin names its port in sources.own_ports.)"
)
ELSEWHERE = N_("The camera sends this box on to another host; name the address of that host, if it is yours.")
OUTSIDE = N_(
    "Files are read from the folders in sources.folders only; move this one there, or let an admin add its folder."
)
ENDLESS = N_("What this source sends is no picture of a camera: it never ends.")
NO_FILE = N_("This is not a file; a source is a video file, or a webcam such as /dev/video0.")
NO_WEBCAM = N_("This is not a webcam; webcams are called /dev/video0, /dev/video1 and so on.")

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


class SourceRefused(Exception):
    """This source may not be opened, or not so; the message is for a person and holds nothing of the address."""


class NoAnswer(TimeoutError):
    """Nobody answers at the address; what is silent afterwards is another TimeoutError."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where sources may lead.

    folders: those that files may lie in. own_ports: ports of this box itself that may be read from.
    resolve: as socket.getaddrinfo.
    """

    folders: tuple[Path, ...] = ()
    own_ports: frozenset[int] = frozenset()
    resolve: Callable[..., list[tuple[Any, ...]]] = socket.getaddrinfo

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection to an address of this host that was looked at. Raises SourceRefused, NoAnswer, OSError.

        The name is resolved once: what was checked is what is connected to, so that a second answer gains nothing.
        """
        failed: OSError | None = None
        for family, address in self._addresses(host, port):
            link = socket.socket(family, socket.SOCK_STREAM)
            link.settimeout(timeout_s)
            try:
                link.connect(address)
                return link
            except OSError as error:
                link.close()
                failed = NoAnswer() if isinstance(error, TimeoutError) else error
        raise failed or SourceRefused(THIS_BOX)

    def _addresses(self, host: str, port: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
        try:
            found = self.resolve(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise socket.gaierror("not a name") from error
        for family, _, _, _, address in found:
            if self.allows(str(address[0]), port):
                yield family, address

    def allows(self, address: str, port: int) -> bool:
        """Whether a source may lead to this address in numbers."""
        ip = ipaddress.ip_address(address)
        forms = [ip, *_embedded(ip)]
        if any(form.is_link_local or form.is_multicast or (form.version == 4 and form.is_reserved) for form in forms):
            return False
        return port in self.own_ports or not any(_is_this_box(form) for form in forms)

    def open_file(self, path: str) -> BinaryIO:
        """A regular file inside the folders, wherever links lead. Raises SourceRefused, OSError."""
        if not self._is_inside(path):
            raise SourceRefused(OUTSIDE)
        # Without waiting, as for a named pipe; what it is and where it lies is asked once more of what is open.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise SourceRefused(NO_FILE)
            if not self._is_inside(f"/proc/self/fd/{handle}"):
                raise SourceRefused(OUTSIDE)
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise

    def _is_inside(self, path: str) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders)


def webcam(path: str) -> str:
    """The device behind a path of /dev, wherever links lead. Raises SourceRefused, OSError."""
    real = os.path.realpath(path)
    found = Path(real).stat()
    if not (real.startswith("/dev/") and stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == V4L2_MAJOR):
        raise SourceRefused(NO_WEBCAM)
    return real


def _embedded(ip: IpAddress) -> list[IpAddress]:
    """The IPv4 addresses that an IPv6 address may lead to: mapped, compatible, 6to4, Teredo, NAT64."""
    if ip.version == 4:
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [form for form in found if form is not None]


def _is_this_box(ip: IpAddress) -> bool:
    """Whether an address is one of this machine's: a packet to it would come from it, too. Nothing is sent."""
    if ip.is_loopback or ip.is_unspecified or (ip.version == 4 and ip in _THIS_NETWORK):
        return True
    with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(ip), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == ip
        except OSError:
            return False  # no way leads there
