"""Where a stream may be fetched from: what may be stored. Where it really leads is seen when it is opened."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from appliance import address
from appliance.address import HIDDEN, Address, shown
from appliance.errors import InputError, NotAllowed, UserError, about
from appliance.language import _
from appliance.vision.reading.reach import SourceRefused, webcam

SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""What a source may begin with, and the port that is meant where none is named."""
MAX_LENGTH = 500
_NUMERIC_HOST = re.compile(r"(?i)((0x[0-9a-f]*|[0-9]+)\.?)+")


@about("source")
def clean_source(text: str, by_admin: bool, user: str | None = None, password: str | None = None) -> str:
    """A source as it is stored, its user and password percent-encoded. Raises InputError.

    by_admin: admins may also name a file or a webcam of the box, and addresses on the box itself.
    user, password: from fields of their own, in plain text; they take the place of what the address has.
    """
    source = text.strip()
    if not source:
        raise InputError(_("Say where the box should fetch the stream: rtsp://... as the camera's manual gives it."))
    if HIDDEN in f"{source}{user}{password}":
        raise InputError(
            _("Take {hidden} out of it and type user and password again; they are never shown.", hidden=HIDDEN)
        )
    if any(len(part) > MAX_LENGTH or not part.isprintable() for part in (source, user or "", password or "")):
        raise InputError(
            _("The source must be plain text of at most {most} characters; type it again.", most=MAX_LENGTH)
        )
    if source.startswith("/"):
        if not by_admin:
            raise NotAllowed(_("Only an admin may have the box read a file or a webcam of its own."))
        if user or password:
            raise InputError(_("A file or a webcam of the box has no user and no password; leave them out."))
        if source.startswith("/dev/"):
            _refuse_other_device(source)
        return source
    parsed = address.parse(source)
    _refuse_scheme(parsed, by_admin)
    if _is_no_camera(parsed.host):
        raise InputError(_("There is no camera at this address; name the camera's own."))
    if not by_admin and _is_this_box(parsed.host):
        raise NotAllowed(_("Only an admin may have the box fetch from itself."))
    return str(_with_fields(parsed, user, password))


@about("watch")
def clean_watch(text: str, source: str, by_admin: bool, user: str | None = None, password: str | None = None) -> str:
    """A sub-stream as it is stored, by the rules of a source. Raises InputError.

    source: as it is stored. Its user and password are taken where none are given and the same port of the same camera
    is asked in the same way: whoever may change the sub-stream need not know them, and could listen at another port.
    """
    try:
        watch = clean_source(text, by_admin, user, password)
    except InputError as error:
        raise type(error)(_("Sub-stream: {problem}", problem=error)) from error
    if not watch.startswith("/") and not source.startswith("/"):
        small, main = address.parse(watch), address.parse(source)
        if small.credentials is None and _service(small) == _service(main):
            watch = str(replace(small, user=main.user, password=main.password))
    refuse_pair(source, watch)
    return watch


@about("watch")
def refuse_pair(source: str, watch: str) -> None:
    """Raise InputError if the one cannot be the sub-stream of the other; both as they are stored."""
    if source.startswith("/") or watch.startswith("/"):
        raise InputError(_("Only a camera in the network has a sub-stream; leave it empty for a file or a webcam."))
    if source == watch:
        raise InputError(
            _("The sub-stream is the source itself; give the address of the smaller picture, or leave it out.")
        )


def changed_credentials(stored: str, by_admin: bool, user: str | None, password: str | None) -> str:
    """A stored source with another user or password, the rest as it is. Raises InputError."""
    old = None if stored.startswith("/") else address.parse(stored).credentials
    # A password belongs to its user: another user has none until it is given.
    kept = old[1] if old and user in (None, "", old[0]) else None
    return clean_source(stored, by_admin, user or (old[0] if old else None), password or kept)


def followed(watch: str, before: str, source: str) -> str:
    """A sub-stream whose source was `before` and is now `source`; all three as they are stored.

    Where another user or password was given for the same source, and it had those of before on the same port of the
    same camera, it has them, too.
    """
    if watch.startswith("/") or source.startswith("/") or not same_place(before, source):
        return watch
    small, old, new = address.parse(watch), address.parse(before), address.parse(source)
    if small.credentials != old.credentials or _service(small) != _service(new):
        return watch
    return str(replace(small, user=new.user, password=new.password))


def same_place(source: str, other: str) -> bool:
    """Whether two sources, as they are stored, differ in user and password at most."""
    if source.startswith("/") or other.startswith("/"):
        return source == other
    first, second = (address.parse(each).with_credentials(None, None) for each in (source, other))
    return str(first) == str(second)


def refuse_readable_secret(source: str, instead: str) -> None:
    """Raise UserError if an argument of a command seems to hold a password: everybody on the machine can read it.

    instead: the option that asks for the address.
    """
    try:
        cleaned = clean_source(source, by_admin=True)
    except InputError:
        return  # the rules refuse it later, in the same words to everybody
    if HIDDEN in shown(cleaned):
        raise UserError(
            _(
                "other users of this machine can read this password in the list of processes; use {instead}",
                instead=instead,
            )
        )


def _service(parsed: Address) -> tuple[str, str, int]:
    """What is connected to: scheme, host and port."""
    scheme = parsed.scheme.lower()
    return scheme, parsed.host.lower(), parsed.port or SCHEMES[scheme]


@about("source_user")
def _with_fields(parsed: Address, user: str | None, password: str | None) -> Address:
    if not user and not password:
        return parsed
    if not user:
        in_address = parsed.credentials
        if in_address is None:
            raise InputError(_("A password needs its user; most cameras call theirs admin."))
        user = in_address[0]
    return parsed.with_credentials(user, password or None)


def _refuse_scheme(parsed: Address, by_admin: bool) -> None:
    scheme = parsed.scheme.lower()
    if scheme == "srt":
        raise InputError(
            _("This box cannot fetch SRT; give the camera's rtsp:// address, or let it send RTMP to the box.")
        )
    if scheme not in SCHEMES:
        if by_admin:
            raise InputError(
                _(
                    "The source must start with rtsp://, rtsps://, http:// or https:// and name the camera; a file or a"
                    " webcam of the box starts with /."
                )
            )
        raise InputError(_("The source must start with rtsp://, rtsps://, http:// or https:// and name the camera."))


def _refuse_other_device(path: str) -> None:
    """What is not there may come when it is plugged in."""
    try:
        webcam(path)
    except SourceRefused as refusal:
        raise InputError(str(refusal)) from refusal
    except OSError:
        return


def _numbers(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, if a host is one as people write them."""
    try:
        numbers = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (numbers.ipv4_mapped or numbers) if isinstance(numbers, ipaddress.IPv6Address) else numbers


def _is_no_camera(host: str) -> bool:
    numbers = _numbers(host)
    return numbers is not None and (numbers.is_link_local or numbers.is_multicast or numbers.is_unspecified)


def _is_this_box(host: str) -> bool:
    numbers = _numbers(host)
    if numbers is None:  # 127.1 or 0x7f000001 would still lead here
        return host.rstrip(".").lower().endswith("localhost") or _NUMERIC_HOST.fullmatch(host) is not None
    return numbers.is_loopback
