"""How people, streams and programs may be called: pure functions."""

from __future__ import annotations

import unicodedata

from appliance.errors import InputError
from appliance.language import N_, _

MAX_LENGTH = 40


def clean_name(text: str, unnamed: str, without: str = "") -> str:
    """A name as it is stored. Raises InputError. unnamed: what to tell whoever gives none, marked for translation.

    Printable characters only: no line breaks, nothing invisible, nothing that turns the writing direction.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InputError(_(unnamed))
    if len(name) > MAX_LENGTH:
        raise InputError(
            _("A name has at most {most} characters; this one has {length}.", most=MAX_LENGTH, length=len(name))
        )
    if not name.isprintable():
        raise InputError(_("A name may hold letters, digits, spaces and signs, but nothing invisible."))
    if any(sign in name for sign in without):
        raise InputError(_("This name may not hold {signs}.", signs=", ".join(without)))
    return name


def stream_name(text: str) -> str:
    """A stream's name as it is stored. Raises InputError."""
    return clean_name(text, N_("Give the stream a name."))


def person_name(text: str, unnamed: str = N_("Give the person a name.")) -> str:
    """A person's name as it is stored: without the `:` that ends it in a stream's title. Raises InputError."""
    return clean_name(text, unnamed, without=":")
