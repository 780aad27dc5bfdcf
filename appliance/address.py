"""The address of a camera: taken as people paste it, kept percent-encoded, shown without its secrets. Pure functions.

Passwords are pasted as they are, `rtsp://admin:2024#Spring@camera/1`, although a URL would want %23 there. What can be
meant in one way only is understood so; what can be meant in two is refused, in words that do not repeat it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from appliance.errors import InputError
from appliance.language import N_, _

HIDDEN = "•••"
UNREADABLE = N_("This address cannot be read; it looks like rtsp://user:password@camera/path.")
AMBIGUOUS = N_(
    "This address can be read in two ways. Give user and password in fields of their own,"
    " or write @ as %40, / as %2F, ? as %3F and # as %23 in them."
)
# Parameters whose values are shown; any other may be a password, and their names are many: pw, pwd, psw, u, sid ...
HARMLESS = frozenset(
    {"action", "camera", "ch", "channel", "channelno", "codec", "compression", "fps", "framerate", "height", "mode"}
    | {"profile", "quality", "rate", "res", "resolution", "size", "stream", "streamtype", "subtype", "type", "unicast"}
    | {"video", "videocodec", "width"}
)
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_PAIR = re.compile(r"([^/?&;#=]*)=([^/?&;#]*)")
_SEGMENT_WITH_COLON = re.compile(r"(?<=/)[^/?#]*:[^/?#]*")
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AS_IT_IS = "!$&'()*+,;=%"  # these may stand in user and password; % by then begins an escape


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in its parts. user, password: percent-encoded, None: there is none. tail: path, parameters, fragment."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    tail: str

    def __repr__(self) -> str:
        return f"Address({self.scheme}://{self.host})"  # whatever prints it, no secret is in it

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password in plain text; None if it has neither."""
        if self.user is None:
            return None
        return unquote(self.user), unquote(self.password or "")

    def with_credentials(self, user: str | None, password: str | None) -> Address:
        """The same address with these instead, in plain text. Raises InputError."""
        if user is not None and ":" in user:
            raise InputError(_("The user of a camera may not hold a colon."))
        quoted = [None if text is None else quote(text, safe="") for text in (user, password)]
        return replace(self, user=quoted[0], password=quoted[1])

    def netloc(self) -> str:
        """camera:554, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        password = "" if self.password is None else f":{self.password}"
        user = "" if self.user is None else f"{self.user}{password}@"
        return f"{self.scheme}://{user}{self.netloc()}{self.tail}"


def parse(text: str) -> Address:
    """Understand an address. Raises InputError, whose words repeat nothing of it."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InputError(_(UNREADABLE))
    rest = match["rest"]
    at = _at(rest)
    host, port, tail = _place(rest[at + 1 :])
    user, colon, password = rest[:at].partition(":") if at >= 0 else ("", "", "")
    return Address(
        match["scheme"],
        _encoded(user) if at >= 0 else None,
        _encoded(password) if colon else None,
        host,
        port,
        tail,
    )


def shown(text: str) -> str:
    """An address without its secrets: rtsp://•••@camera/path?channel=1. Also of what cannot be understood."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return text
    rest = match["rest"]
    try:
        parse(text)
        at = _at(rest)
    except InputError:  # rather too much is hidden than too little
        at = rest.rfind("@")
    place, tail = _split(rest[at + 1 :])
    user = f"{HIDDEN}@" if at >= 0 else ""
    return f"{match['scheme']}://{user}{place}{_without_secrets(tail)}"


def _without_secrets(tail: str) -> str:
    tail = _SEGMENT_WITH_COLON.sub(HIDDEN, tail)
    return _PAIR.sub(lambda pair: pair[0] if pair[1].lower() in HARMLESS else f"{pair[1]}={HIDDEN}", tail)


def _at(rest: str) -> int:
    """Where user and password end: the index of their @, -1 if there are none. Raises InputError."""
    place, tail = _split(rest)
    narrow = place.rfind("@")
    if "@" not in tail:
        return narrow
    wide, port = rest.rindex("@"), place[narrow + 1 :].partition(":")[2]
    # A part after # means nothing to a camera, what is no port is a password, and no path holds an address in numbers.
    leads_on = "#" in tail[: tail.index("@")] or _is_ip(_split(rest[wide + 1 :])[0])
    if ":" not in place or (narrow < 0 and _is_ip(place)):
        if not leads_on:
            return narrow  # an @ in the path, after what can only be a host
    elif tail.count("@") == 1 and (leads_on or (port and not port.isdigit()) or place.endswith(":")):
        return wide
    raise InputError(_(AMBIGUOUS))


def _is_ip(place: str) -> bool:
    """Whether this is an address in numbers, with or without a port."""
    host = place[1 : place.find("]")] if place.startswith("[") else place.partition(":")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(rest: str) -> tuple[str, str]:
    """What stands before the path, and the rest."""
    end = next((at for at, character in enumerate(rest) if character in "/?#"), len(rest))
    return rest[:end], rest[end:]


def _place(text: str) -> tuple[str, int | None, str]:
    """Host, port, and what follows. Raises InputError."""
    place, tail = _split(text)
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::([0-9]{0,5}))?", place)
    if match is None:
        raise InputError(_(UNREADABLE))
    host = match[1].strip("[]")
    if match[1].startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise InputError(_(UNREADABLE)) from error
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise InputError(_(UNREADABLE))
    return host, port, tail


def _encoded(text: str) -> str:
    """User or password, percent-encoded: escapes that are there stay, all else that may not stand there becomes one."""
    return quote(_NO_ESCAPE.sub("%25", text), safe=_AS_IT_IS)
