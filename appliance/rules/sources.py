"""Where a stream may be fetched from, and how that is shown: pure functions."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from appliance.errors import InputError, NotAllowed

SCHEMES = ("rtsp", "rtsps", "http", "https")
MAX_LENGTH = 500
HIDDEN = "•••"
_SECRET_PARAMETER = re.compile(r"(?i)([?&;][^=&;]*(?:pass|pwd|token|key|auth|secret)[^=&;]*=)[^&;#]*")
_NUMERIC_HOST = re.compile(r"(?i)((0x[0-9a-f]*|[0-9]+)\.?)+")
_USER = re.compile(r"(?<=://)[^/?#]*@")


def clean_source(text: str, by_admin: bool) -> str:
    """A source as it is stored. Raises InputError.

    by_admin: admins may also name a file or a webcam of the box, and addresses on the box itself.
    """
    source = text.strip()
    if not source:
        raise InputError("Say where the box should fetch the stream: rtsp://... as the camera's manual gives it.")
    if len(source) > MAX_LENGTH or not source.isprintable() or HIDDEN in source:
        raise InputError(f"The source must be plain text of at most {MAX_LENGTH} characters; type it again.")
    if source.startswith("/"):
        if not by_admin:
            raise NotAllowed("Only an admin may have the box read a file or a webcam of its own.")
        return source
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError("This address cannot be read; it looks like rtsp://user:password@camera/path.") from error
    if parts.scheme.lower() not in SCHEMES or not host or " " in host:
        also = "; a file or a webcam of the box starts with /" if by_admin else ""
        raise InputError(
            f"The source must start with rtsp://, rtsps://, http:// or https:// and name the camera{also}."
        )
    if not by_admin and _is_this_box(host):
        raise NotAllowed("Only an admin may have the box fetch from itself.")
    return source


def _is_this_box(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # Not an address as people write them; 127.1 or 0x7f000001 would still lead here.
        return host.rstrip(".").lower().endswith("localhost") or _NUMERIC_HOST.fullmatch(host) is not None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified or address.is_link_local


def shown(source: str) -> str:
    """The source without its secrets: rtsp://•••@camera/path."""
    return _SECRET_PARAMETER.sub(rf"\g<1>{HIDDEN}", _USER.sub(f"{HIDDEN}@", source))
