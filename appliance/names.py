"""How people, streams and programs may be called: pure functions."""

from __future__ import annotations

import unicodedata

from appliance.errors import InputError, about

MAX_LENGTH = 40


@about("name", "title")
def clean_name(text: str, what: str, without: str = "") -> str:
    """A name as it is stored. Raises InputError.

    Printable characters only: no line breaks, nothing invisible, nothing that turns the writing direction.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InputError(f"Give {what} a name.")
    if len(name) > MAX_LENGTH:
        raise InputError(f"A name has at most {MAX_LENGTH} characters; this one has {len(name)}.")
    if not name.isprintable():
        raise InputError("A name may hold letters, digits, spaces and signs, but nothing invisible.")
    if any(sign in name for sign in without):
        raise InputError(f"This name may not hold {' or '.join(without)}.")
    return name


def stream_name(text: str) -> str:
    """A stream's name as it is stored. Raises InputError."""
    return clean_name(text, "the stream")


def person_name(text: str, who: str = "the person") -> str:
    """A person's name as it is stored: without the `:` that ends it in a stream's title. Raises InputError."""
    return clean_name(text, who, without=":")
