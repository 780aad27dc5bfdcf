"""The details of an entry of the audit in the reader's language: what each is called, and the values that are words.

On record both are in English, as programs read them, and so they are shown in English. What a person has typed stays
as it is in every language: only the details named in `VALUES` hold words of ours, and only those words are told again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timezone
from typing import Any

import msgspec

from appliance.accounts.audit import Entry
from appliance.accounts.audit_subjects import STREAM
from appliance.language import (
    ENGLISH,
    P_,
    _,
    days_words,
    full_date,
    month_of_year,
    p_,
    spoken,
)
from appliance.retold import told_as

BY_THE_BOX = P_("audit", "as the box")
TOO_OLD = P_("audit", "too old")
DISK_FULL = P_("audit", "the disk is nearly full")
ALL = P_("audit", "all")
LEARN = P_("audit", "learn")
NAMES = (
    P_("audit", "about"),
    P_("audit", "active"),
    P_("audit", "after"),
    P_("audit", "at"),
    P_("audit", "before"),
    P_("audit", "box"),
    P_("audit", "cool down minutes"),
    P_("audit", "copy"),
    P_("audit", "days"),
    P_("audit", "detail"),
    P_("audit", "detection id"),
    P_("audit", "detections"),
    P_("audit", "detections days"),
    P_("audit", "drawn"),
    P_("audit", "faces"),
    P_("audit", "failures before"),
    P_("audit", "file"),
    P_("audit", "format"),
    P_("audit", "had image"),
    P_("audit", "host"),
    P_("audit", "hours"),
    P_("audit", "id"),
    P_("audit", "images"),
    P_("audit", "images days"),
    P_("audit", "join id"),
    P_("audit", "keep tokens"),
    P_("audit", "kind"),
    P_("audit", "last"),
    P_("audit", "made again"),
    P_("audit", "minutes"),
    P_("audit", "model"),
    P_("audit", "name"),
    P_("audit", "not reviewed"),
    P_("audit", "of"),
    P_("audit", "owner id"),
    P_("audit", "percent"),
    P_("audit", "person id"),
    P_("audit", "persons"),
    P_("audit", "quarters"),
    P_("audit", "receipt"),
    P_("audit", "receipt id"),
    P_("audit", "recipient id"),
    P_("audit", "recipients"),
    P_("audit", "removed"),
    P_("audit", "reviewed"),
    P_("audit", "role"),
    P_("audit", "rule"),
    P_("audit", "rule id"),
    P_("audit", "schedule id"),
    P_("audit", "search"),
    P_("audit", "security"),
    P_("audit", "sender"),
    P_("audit", "set aside"),
    P_("audit", "signed"),
    P_("audit", "since"),
    P_("audit", "site"),
    P_("audit", "site id"),
    P_("audit", "source"),
    P_("audit", "state"),
    P_("audit", "step"),
    P_("audit", "stream"),
    P_("audit", "stream id"),
    P_("audit", "streams"),
    P_("audit", "to"),
    P_("audit", "token id"),
    P_("audit", "until"),
    P_("audit", "user"),
    P_("audit", "view"),
    P_("audit", "watch"),
    P_("audit", "way"),
    P_("audit", "where"),
    P_("audit", "why"),
    P_("audit", "zones"),
)
"""What details are called."""

STATES = (P_("audit", "mask"), P_("audit", "no_mask"), P_("audit", "incorrect"), P_("audit", "unknown"))
ROLES = (P_("audit", "admin"), P_("audit", "data_scientist"), P_("audit", "analyst"))
MODES = (P_("audit", "full"), P_("audit", "eyes_pixelated"), P_("audit", "no_images"))
WAYS = (P_("audit", "webhook"), P_("audit", "email"), P_("audit", "mqtt"))
SECURITY = (P_("audit", "starttls"), P_("audit", "tls"), P_("audit", "none"))
SPANS = (P_("audit", "minute"), P_("audit", "hour"), P_("audit", "day"), P_("audit", "week"), P_("audit", "month"))
ZONES = (P_("audit", "count"), P_("audit", "never"), P_("audit", "line"))
KINDS = (
    P_("audit", "rate"),
    P_("audit", "nobody"),
    P_("audit", "offline"),
    P_("audit", "picture"),
    P_("audit", "disk"),
    P_("audit", "service"),
    P_("audit", "clock"),
    P_("audit", "centre"),
    P_("audit", "gone"),
    P_("audit", "backlog"),
)
VALUES: Mapping[str, tuple[str, ...]] = {
    "about": (ALL,),
    "after": (*STATES, *ROLES),
    "before": (*STATES, *ROLES),
    "detections_days": (BY_THE_BOX,),
    "images": (*MODES, BY_THE_BOX),
    "images_days": (BY_THE_BOX,),
    "kind": KINDS,
    "of": SPANS,
    "recipients": (ALL,),
    "role": ROLES,
    "security": SECURITY,
    "state": STATES,
    "step": SPANS,
    "view": (LEARN,),
    "way": WAYS,
    "why": (TOO_OLD, DISK_FULL),
}
"""The details whose values may be words of ours, by their names on record, and these words."""
_KNOWN = frozenset(NAMES)
_NEXT_ZONE = re.compile(f", (?=(?:{'|'.join(ZONES)}): )")


def details_of(entry: Entry) -> dict[str, Any] | None:
    """The details as they are on record; None: this version cannot read them."""
    try:
        return msgspec.json.decode(entry.details, type=dict[str, Any]) if entry.details else {}
    except msgspec.DecodeError:
        return None


def detail_words(name: str, value: Any) -> str:
    """A detail as people read it: what it is called, and its value. name: on record."""
    return with_name(called(name), _value(name, value))


def called(name: str) -> str:
    """What a detail is called. name: on record."""
    words = name.replace("_", " ")
    return p_("audit", words) if words in _KNOWN else words


def with_name(name: str, value: str) -> str:
    """A value after what it is called."""
    return p_("audit", "{name}: {value}", name=name, value=value)


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name == "drawn" and isinstance(value, str):  # as it once was on record
        value = _NEXT_ZONE.split(value)
    if isinstance(value, list):
        return ", ".join(_text(name, str(each)) for each in value)
    return p_("audit", "none") if value is None else _text(name, str(value))


def _text(name: str, text: str) -> str:
    """A value in the language spoken."""
    if text in VALUES.get(name, ()):
        return text.replace("_", " ") if spoken() == ENGLISH else p_("audit", text)
    if spoken() == ENGLISH:
        return text
    return _TEXTS[name](text) if name in _TEXTS else text


def _zone(text: str) -> str:
    """A zone with its kind, `count: Door`. Its name may look like the next zone."""
    kind, between, name = text.partition(": ")
    return with_name(p_("audit", kind), name) if between and kind in ZONES else text


def _period(text: str) -> str:
    """The days of a report: Monday, 23 November 2026."""
    first, between, last = text.partition(" to ")
    with suppress(ValueError):
        if between:
            end = _day(last, "%d %B %Y")
            begin = _day(first if first[-4:].isdecimal() else f"{first} {end.year}", "%d %B %Y")
            return days_words(
                begin if begin <= end else begin.replace(year=end.year - 1), end
            )  # as it once was written
        return full_date(_day(text, "%A, %d %B %Y")) if "," in text else month_of_year(_day(text, "%B %Y"))
    return text


def _day(text: str, form: str) -> date:
    """Raises ValueError."""
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc).date()


_TEXTS: Mapping[str, Callable[[str], str]] = {
    "drawn": _zone,
    "of": _period,
    "streams": lambda text: told_as(text, "audit", STREAM),
}
