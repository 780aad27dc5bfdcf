"""How people, streams and programs may be called: pure functions."""

from __future__ import annotations

import re
import unicodedata

from appliance.errors import InputError, about
from appliance.language import N_, _

MAX_LENGTH = 40
ZWNJ, ZWJ = "\u200c", "\u200d"
_VIRAMA = 9  # the combining class of a sign after which a joiner says how two letters are written
# Scripts whose letters are written joined: a joiner between two of them says that they are, or are not.
_JOINED = re.compile("[\u0600-\u07ff\u0840-\u085f\u0860-\u08ff\u1800-\u18af\ua840-\ua877\ufb50-\ufdff\ufe70-\ufefc]")
# Arabic letters that join nothing after them: a joiner behind one changes nothing that could be seen.
_NEVER_JOINS = (
    "\u0621-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0677\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf\u06d2-\u06d5"
)
_IDLE = re.compile(f"([{_NEVER_JOINS}])[{ZWNJ}{ZWJ}]+")
# What emoji of several parts begin and go on with (Unicode's emoji-zwj-sequences), and their signs of style.
_PICTURE = re.compile("[\u26d3\u26f9\u2764\U0001f300-\U0001f3fa\U0001f400-\U0001faff]")
_PART = re.compile(
    "[\u2194\u2195\u2620\u2640\u2642\u2695\u2696\u26a7\u2708\u2764\u27a1\u2b1b\U0001f300-\U0001f3fa\U0001f400-\U0001faff]"
)
_STYLE = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]+$")


@about("name", "title")
def clean_name(text: str, unnamed: str, without: str = "") -> str:
    """A name as it is stored. Raises InputError. unnamed: what to tell whoever gives none, marked for translation.

    Printable characters only: no line breaks, nothing invisible, nothing that turns the writing direction. The two
    joiners are letters where they join something: in Persian and the scripts of India, and within an emoji.
    Several spaces are one.
    """
    name, before = text, ""
    while name != before:  # what is taken out may bring together what becomes one letter
        before, name = name, _IDLE.sub(r"\1", re.sub(" {2,}", " ", unicodedata.normalize("NFC", name).strip()))
    if not name:
        raise InputError(_(unnamed))
    if len(name) > MAX_LENGTH:
        raise InputError(
            _("A name has at most {most} characters; this one has {length}.", most=MAX_LENGTH, length=len(name))
        )
    if not is_readable(name):
        raise InputError(_("A name may hold letters, digits, spaces and signs, but nothing invisible."))
    if any(sign in name for sign in without):
        raise InputError(_("This name may not hold {signs}.", signs=", ".join(without)))
    return name


def is_readable(name: str) -> bool:
    """Whether each character of it is seen, or is a joiner that joins something that is."""
    return without_joiners(name).isprintable()


def without_joiners(name: str) -> str:
    """The name without the joiners that are letters in it; one that joins nothing stays, and is not printable."""
    return "".join(
        letter
        for at, letter in enumerate(name)
        if letter not in (ZWNJ, ZWJ) or not _joins(letter, name[:at], name[at + 1 : at + 2])
    )


def _joins(joiner: str, before: str, after: str) -> bool:
    """Whether a joiner is a letter between what stands before it and the one character after it (RFC 5892, A.1-2)."""
    if not before or not after:
        return False
    if unicodedata.combining(before[-1]) == _VIRAMA:
        return unicodedata.category(after)[0] == "L"
    if joiner == ZWJ and _PART.match(after):
        return bool(_PICTURE.match(_STYLE.sub("", before)[-1:]))
    base = next((letter for letter in reversed(before) if not unicodedata.combining(letter)), "")
    return _is_joined(base) and _is_joined(after)


def _is_joined(letter: str) -> bool:
    return bool(_JOINED.match(letter)) and unicodedata.category(letter)[0] == "L"


def stream_name(text: str) -> str:
    """A stream's name as it is stored. Raises InputError."""
    return clean_name(text, N_("Give the stream a name."))


def person_name(text: str, unnamed: str = N_("Give the person a name.")) -> str:
    """A person's name as it is stored: without the `:` that ends it in a stream's title. Raises InputError."""
    return clean_name(text, unnamed, without=":")
