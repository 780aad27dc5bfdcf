"""Reading forms and addresses, and leading on."""

from __future__ import annotations

import re
from datetime import datetime

from bottle import HTTPResponse, request

from appliance.errors import InputError
from appliance.language import _

MAX_ID = 2**63 - 1
EARLIEST_UTC, LATEST_UTC = 0, 32503680000  # the years 1970 to 3000
_EXAMPLE = "2026-11-23T16:00:00Z or 2026-11-23T17:00:00+01:00"
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:(?<=:\d\d:\d\d)[.,](\d{1,9}))?([Zz]|[+ -]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


def field(name: str) -> str:
    """A field of the form that was sent; empty if it is missing or is not text."""
    return str(request.forms.getunicode(name) or "").strip()


def fields(name: str) -> list[str]:
    """All fields of this name in the form that was sent, in their order; empty where one is not text."""
    return [_recoded(value).strip() for value in request.forms.getall(name)]


def all_fields() -> list[tuple[str, str]]:
    """The form that was sent: names and values in its order, as they were typed."""
    return [(_recoded(name), _recoded(value)) for name, value in request.forms.allitems()]


def _recoded(value: str) -> str:
    """Bottle hands on bytes as latin-1, but those of multipart forms."""
    try:
        return value.encode("latin1").decode() if request.forms.recode_unicode else value
    except UnicodeError:
        return ""


def secret_field(name: str) -> str:
    """A password exactly as typed: spaces may belong to it."""
    return str(request.forms.getunicode(name) or "")


def query_value(name: str) -> str:
    """A value of the address (after the `?`); empty if it is missing or is not text."""
    return str(request.query.getunicode(name) or "").strip()


def whole_number(text: str) -> int | None:
    """A number that may be an id in SQLite; None if it is none. Python refuses to read thousands of digits at all."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)) else None
    return number if number is not None and number <= MAX_ID else None


def moment_utc(text: str, name: str, zone_needed: bool = True) -> float:
    """A time as people and programs write it, in seconds since 1970. Raises InputError.

    Where `+` was not escaped in an address, a space stands before the zone; it is taken as it was meant.
    name: what to call it in the error. zone_needed: else a time without a zone is UTC.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        raise InputError(_("{name} must be a time such as {example}.", name=name, example=_EXAMPLE))
    day, clock, fraction, zone = match.groups(default="")
    if zone_needed and not zone:
        raise InputError(_("{name} does not say its time zone; write it as in {example}.", name=name, example=_EXAMPLE))
    sign = "-" if zone.startswith("-") else "+"
    hours, minutes = zone[1:3] or "00", zone[3:].lstrip(":") or "00"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{sign}{hours}:{minutes}").timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError(_("{name} must be a time such as {example}.", name=name, example=_EXAMPLE)) from error
    if not EARLIEST_UTC <= moment < LATEST_UTC:
        raise InputError(_("{name} must be a time between 1970 and 3000.", name=name))
    return moment + float(f"0.{fraction or 0}")


def local_path(text: str) -> str:
    """A path on this site to go on to; `/` for everything that could lead elsewhere."""
    if not text.startswith("/") or text[1:2] in ("/", "\\") or not text.isprintable():
        return "/"
    return text


def see_other(path: str) -> HTTPResponse:
    """Go there with a GET. Relative, so that a false Host header leads nobody away."""
    return HTTPResponse(status=303, headers={"Location": path})
