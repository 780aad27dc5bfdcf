"""The list of streams: those with a problem first, then those that are LIVE, fifty to a page."""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from appliance.accounts.guard import Visitor
from appliance.language import N_, _, n_
from appliance.local.access import streams_of_others
from appliance.local.alerts import open_now
from appliance.local.pages import Site
from appliance.local.trend_steps import lists_of
from appliance.local.troubles import troubles
from appliance.reception import Reception, ReceptionState, box_at_fault, receptions
from appliance.store import DetectionFilter, Store, Stream
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value
from appliance.web.pages import Page

PAGE_SIZE = 50
MAX_SEARCH = 100
MAX_PLACE = 200
REFUSALS = 8
_NUMBER = re.compile("[0-9]+")


class Show(str, enum.Enum):
    """Which streams the list shows."""

    ALL = ""
    PROBLEM = "problem"
    LIVE = "live"
    OFFLINE = "offline"
    UNKNOWN = "unknown"
    INACTIVE = "deactivated"

    @property
    def label(self) -> str:
        """On its link."""
        return _(_LABELS[self])


_LABELS = {
    Show.ALL: N_("All"),
    Show.PROBLEM: N_("With a problem"),
    Show.LIVE: N_("LIVE"),
    Show.OFFLINE: N_("Offline"),
    Show.UNKNOWN: N_("Not known"),
    Show.INACTIVE: N_("Deactivated"),
}
_SHOWN_AS = {
    ReceptionState.LIVE: Show.LIVE,
    ReceptionState.OFFLINE: Show.OFFLINE,
    ReceptionState.REFUSED: Show.PROBLEM,  # its mark says so, and Home does not count it among those that are offline
    ReceptionState.UNKNOWN: Show.UNKNOWN,
    ReceptionState.INACTIVE: Show.INACTIVE,
}
_RANKS = {Show.PROBLEM: 0, Show.LIVE: 1, Show.OFFLINE: 2, Show.UNKNOWN: 2, Show.INACTIVE: 3}


@dataclass(frozen=True, slots=True)
class Row:
    """A stream in the list. is_wrong, has_alert: as `troubles` says."""

    stream: Stream
    received: Reception
    is_wrong: bool
    has_alert: bool

    @property
    def kinds(self) -> tuple[Show, ...]:
        """Every filter that lets it through but ALL."""
        state = _SHOWN_AS[self.received.state]
        return (Show.PROBLEM, state) if self.is_wrong and state is not Show.PROBLEM else (state,)

    @property
    def place(self) -> str:
        """Where it stands, as it is written in an address: in the order of these texts the rows are listed."""
        title = _NUMBER.sub(lambda digits: digits[0].zfill(9), self.stream.title.casefold())  # cam 2 before cam 10
        return f"{_RANKS[self.kinds[0]]}{title}\t{self.stream.id:019d}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. place: of the last row of the page before; empty: the first page."""

    search: str = ""
    show: Show = Show.ALL
    place: str = ""

    def address(self, **other: str) -> str:
        """The list with something of it asked otherwise; another list begins at its first page."""
        values = {"search": self.search, "show": self.show.value, **other}
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/streams?{query}" if query else "/streams"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list. first: the number of its first row, from 1. total: how many rows the whole list has.

    counts: of those that the search finds, how many each filter lets through. previous, following: addresses.
    """

    asked: Asked
    rows: Sequence[Row]
    first: int
    total: int
    counts: Mapping[Show, int]
    previous: str | None
    following: str | None

    @property
    def last(self) -> int:
        """The number of its last row."""
        return self.first + len(self.rows) - 1

    @property
    def everything(self) -> int:
        """How many streams the search finds."""
        return self.counts[Show.ALL]

    @property
    def why_empty(self) -> str:
        """Which filter excludes everything; empty where there is nothing to exclude."""
        found, label, search = self.everything, self.asked.show.label, self.asked.search
        if not found:
            return _("No stream is called like {search}.", search=search) if search else ""
        if search:
            return n_(
                "{n} stream is called like {search}, but the filter “{label}” excludes it.",
                "{n} streams are called like {search}, but the filter “{label}” excludes all of them.",
                found,
                search=search,
                label=label,
            )
        return n_(
            "There is {n} stream, but the filter “{label}” excludes it.",
            "There are {n} streams, but the filter “{label}” excludes all of them.",
            found,
            label=label,
        )


def listed(rows: Collection[Row], asked: Asked) -> Listed:
    """The page that was asked for. It begins behind a place, so it stays where it is while others come and go."""
    counts = dict.fromkeys(Show, 0)
    counts[Show.ALL] = len(rows)
    for row in rows:
        for kind in row.kinds:
            counts[kind] += 1
    chosen = [row for row in rows if asked.show is Show.ALL or asked.show in row.kinds]
    chosen.sort(key=lambda row: row.place)
    start = bisect_right([row.place for row in chosen], asked.place) if asked.place else 0
    if start >= len(chosen):  # what stood there has gone
        start = max(0, (len(chosen) - 1) // PAGE_SIZE * PAGE_SIZE)
    end = start + PAGE_SIZE
    return Listed(
        asked,
        chosen[start:end],
        start + 1,
        len(chosen),
        counts,
        _page_behind(chosen, start - PAGE_SIZE, asked) if start else None,
        _page_behind(chosen, end, asked) if end < len(chosen) else None,
    )


def _page_behind(chosen: Sequence[Row], start: int, asked: Asked) -> str:
    return asked.address(after=chosen[start - 1].place) if start > 0 else asked.address()


def add_routes(app: App, site: Site) -> None:
    """The page."""

    @app.get("/streams", access=Access.SIGNED_IN)
    def streams(store: Store, visitor: Visitor, now: Now) -> Page:
        asked = _asked()
        found = store.streams.all(now, visitor.sees_only, asked.search)
        received = receptions(store, found, now, site.reserve.is_needed())
        of = troubles(found, received, open_now(store, visitor, found))
        rows = [Row(each, received[each.id], each.id in of.wrong, each.id in of.alerted) for each in found]
        page, list_of = listed(rows, asked), lists_of(store)
        on_page, midnight_utc = [row.stream.id for row in page.rows], store.trends.midnight_utc(now.utc)
        return site.pages.page(
            "streams.html",
            listed=page,
            shows=[show for show in Show if show is not Show.UNKNOWN or page.counts[show] or show is asked.show],
            today=store.trends.by_stream(on_page, midnight_utc),
            persons_of=lambda each: list_of(DetectionFilter(each, since_utc=midnight_utc)),
            statistics=store.privacy.statistics_only(),
            others=streams_of_others(store, visitor),
            refusals=store.senders.lost(REFUSALS) if visitor.is_admin else [],
            unknown=box_at_fault(received.values()),
            going=store.deletions.progress(None if visitor.is_admin else visitor.name),
            now=now,
        )


def _asked() -> Asked:
    try:
        show = Show(query_value("show"))
    except ValueError:
        show = Show.ALL
    place = query_value("after")[:MAX_PLACE]
    return Asked(query_value("search")[:MAX_SEARCH], show, place)
