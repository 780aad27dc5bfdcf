"""The filter of a list of detections, as it stands in the address: reading it, writing it, and what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from appliance.errors import InputError
from appliance.faces import State
from appliance.language import N_, _, number
from appliance.store import DetectionFilter, Store
from appliance.times import Now, utc_text
from appliance.web.forms import moment_utc, query_value, whole_number

REVIEWED = {True: "yes", False: "no"}
"""How the address says whether somebody reviewed them."""
_UNREAD = {
    "stream": N_("stream"),
    "state": N_("state"),
    "since": N_("from"),
    "until": N_("until"),
    "reviewed": N_("reviewed"),
}


@dataclass(frozen=True, slots=True)
class Requested:
    """The filter that the address asks for. problem: what of it could not be read, for the person."""

    filter: DetectionFilter
    problem: str | None

    def query(self, **more: object) -> str:
        """The part of an address that asks for this again; empty where nothing is filtered."""
        return query_of(self.filter, **more)

    def __bool__(self) -> bool:
        return self.filter != DetectionFilter()


@dataclass(frozen=True, slots=True)
class Preset:
    """A filter that is asked for often. is_current: it is the one there is."""

    words: str
    address: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many more there were without one part of the filter, in words, and where they are listed."""

    words: str
    address: str


def query_of(only: DetectionFilter, **more: object) -> str:
    """The part of an address that asks for these; empty where all are asked for."""
    parts = {
        "stream": only.stream_id,
        "state": only.state.value if only.state else None,
        "since": None if only.since_utc is None else utc_text(only.since_utc),
        "until": None if only.until_utc is None else utc_text(only.until_utc),
        "search": only.search or None,
        "reviewed": None if only.reviewed is None else REVIEWED[only.reviewed],
        **more,
    }
    query = urlencode({name: value for name, value in parts.items() if value is not None})
    return f"?{query}" if query else ""


def requested() -> Requested:
    """The filter in the address. What cannot be read is left out, and said."""
    unread = []
    state = None
    if query_value("state"):
        try:
            state = State(query_value("state"))
        except ValueError:
            unread.append("state")
    times: dict[str, float | None] = {"since": None, "until": None}
    for name in times:
        if query_value(name):
            try:
                times[name] = moment_utc(query_value(name), name, zone_needed=False)
            except InputError:
                unread.append(name)
    stream_id = whole_number(query_value("stream"))
    if query_value("stream") and stream_id is None:
        unread.append("stream")
    reviewed = {text: value for value, text in REVIEWED.items()}.get(query_value("reviewed"))
    if query_value("reviewed") and reviewed is None:
        unread.append("reviewed")
    only = DetectionFilter(stream_id, state, times["since"], times["until"], query_value("search")[:100], reviewed)
    return Requested(only, _problem(unread))


def _problem(unread: Sequence[str]) -> str | None:
    if not unread:
        return None
    names = ", ".join(_(_UNREAD[name]) for name in unread)
    if not {"since", "until"}.intersection(unread):
        return _("Could not read: {names}. Choose it once more.", names=names)
    return _("Could not read: {names}. A time looks like 2026-11-23T16:00.", names=names)


def presets(store: Store, now: Now, only: DetectionFilter) -> list[Preset]:
    """What is asked for often. Days are those of the box; the stream that is chosen stays chosen."""
    today_utc = float(store.trends.midnight_utc(now.utc))
    yesterday_utc = float(store.trends.midnight_utc(today_utc - 1))
    of_stream = DetectionFilter(stream_id=only.stream_id)
    wanted = [
        (_("Today"), replace(of_stream, since_utc=today_utc)),
        (_("Yesterday"), replace(of_stream, since_utc=yesterday_utc, until_utc=today_utc)),
        (_("No mask today"), replace(of_stream, since_utc=today_utc, state=State.NO_MASK)),
        (_("Unknown"), replace(of_stream, state=State.UNKNOWN)),
        (_("Not reviewed"), replace(of_stream, reviewed=False)),
    ]
    return [Preset(words, f"/detections{query_of(each)}", each == only) for words, each in wanted]


def left_out(store: Store, only: DetectionFilter) -> list[LeftOut]:
    """Why a list is empty: which parts of the filter leave somebody out, by themselves. One count for each part."""
    wider = {
        N_("{n} without the stream"): replace(only, stream_id=None),
        N_("{n} without the state"): replace(only, state=None),
        N_("{n} without the times"): replace(only, since_utc=None, until_utc=None),
        N_("{n} without the search"): replace(only, search=""),
        N_("{n} if reviewed or not"): replace(only, reviewed=None),
    }
    counted = [(text, each, store.trends.counts(each).total) for text, each in wider.items() if each != only]
    return [LeftOut(_(text, n=number(n)), f"/detections{query_of(each)}") for text, each, n in counted if n]


def parts_set(only: DetectionFilter) -> int:
    """How many parts of the filter are set; from when and until when are one."""
    has_times = only.since_utc is not None or only.until_utc is not None
    has_parts = (only.stream_id is not None, only.state is not None, bool(only.search), only.reviewed is not None)
    return sum([has_times, *has_parts])
