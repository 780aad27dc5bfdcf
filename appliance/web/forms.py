"""Reading forms and addresses, and leading on."""

from __future__ import annotations

from bottle import HTTPResponse, request

MAX_ID = 2**63 - 1


def field(name: str) -> str:
    """A field of the form that was sent; empty if it is missing or is not text."""
    return str(request.forms.getunicode(name) or "").strip()


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


def local_path(text: str) -> str:
    """A path on this site to go on to; `/` for everything that could lead elsewhere."""
    if not text.startswith("/") or text[1:2] in ("/", "\\") or not text.isprintable():
        return "/"
    return text


def see_other(path: str) -> HTTPResponse:
    """Go there with a GET. Relative, so that a false Host header leads nobody away."""
    return HTTPResponse(status=303, headers={"Location": path})
