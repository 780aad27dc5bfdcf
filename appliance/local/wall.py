"""The wall of Home: what is LIVE side by side, problems first, with small pictures and what each counted today."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bottle import HTTPResponse

from appliance.accounts.guard import Visitor
from appliance.keeping import ImageMode
from appliance.language import _
from appliance.local.pages import Site
from appliance.local.trend_steps import lists_of
from appliance.local.troubles import Troubles
from appliance.previews import AGE_HEADER
from appliance.reception import Reception, ReceptionState
from appliance.rules import streams as rules
from appliance.store import DetectionFilter, Store, Stream
from appliance.times import Now
from appliance.web.access import Access, App

log = logging.getLogger(__name__)
TILES_AT_MOST = 12
"""The rest is on the page of all streams: nobody takes in more at a glance, and a box has no more to give."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One stream on the wall. is_wrong, is_alerted: as `troubles` says. list: where its persons of today stand.

    It is empty where they stand nowhere. no_picture: why it shows none; empty: it may.
    """

    stream: Stream
    received: Reception
    is_wrong: bool
    is_alerted: bool
    today: int
    list: str
    no_picture: str
    has_picture: bool

    @property
    def shows(self) -> bool:
        """Whether it has a place for a picture."""
        return self.stream.live and not self.no_picture

    @property
    def subject(self) -> str:
        """The stream as the audit knows it."""
        return rules.subject_of(self.stream.id, self.stream.title)


@dataclass(frozen=True, slots=True)
class Wall:
    """live, wrong, offline: how many streams are. more: how many of the live or wrong ones have no tile."""

    tiles: Sequence[Tile]
    live: int
    wrong: int
    more: int
    offline: int


def wall_of(
    site: Site,
    store: Store,
    streams: Sequence[Stream],
    received: Mapping[int, Reception],
    troubled: Troubles,
    today_utc: float,
) -> Wall:
    """What the wall shows of these streams."""
    ranked = [(_rank(each, troubled), each) for each in streams]
    shown = sorted((pair for pair in ranked if pair[0] is not None), key=lambda pair: pair[0] or 0)
    chosen = [stream for _rank_of, stream in shown[:TILES_AT_MOST]]
    counted = store.trends.by_stream([each.id for each in chosen], today_utc)
    is_statistics = store.privacy.statistics_only() is not None
    list_of, tiles = lists_of(store), []
    for each in chosen:
        why = _no_picture(site, each, is_statistics)
        persons = list_of(DetectionFilter(each.id, since_utc=today_utc))
        has_picture = not why and look_at(site, each)
        today = counted[each.id].total
        of = each.id in troubled.wrong, each.id in troubled.alerted
        tiles.append(Tile(each, received[each.id], *of, today, persons, why, has_picture))
    return Wall(
        tiles,
        live=sum(each.live for each in streams),
        wrong=len(troubled.wrong),
        more=len(shown) - len(chosen),
        offline=sum(received[each.id].state is ReceptionState.OFFLINE for each in streams),
    )


def _rank(stream: Stream, troubled: Troubles) -> int | None:
    """Where it stands among the others, which are in the order of their titles; None: not on the wall."""
    if stream.id in troubled.wrong:
        return 0
    return 1 if stream.live else None


def _no_picture(site: Site, stream: Stream, is_statistics: bool) -> str:
    """Why the wall shows no picture of a stream; empty: it may."""
    if is_statistics:
        return _("No picture: this box keeps statistics only.")
    images = site.config.images
    if stream.keeping.mode(images.keep, images.pixelate_eyes) is ImageMode.NO_IMAGES:
        return _("No picture here, for no images are kept of this stream.")
    return ""


def look_at(site: Site, stream: Stream) -> bool:
    """Tell the watcher that somebody glances at a stream; whether there is a picture of just now."""
    if not stream.live:
        return False
    try:
        site.previews.glance(stream.id)
    except OSError as error:
        log.warning("no room for previews: %s", error.strerror)
        return False
    return site.previews.is_fresh(stream.id)


def add_routes(app: App, site: Site) -> None:
    """The pictures of the wall."""

    @app.get("/streams/<stream_id:int>/glance.jpg", access=Access.OWNER)
    def glance(store: Store, visitor: Visitor, stream: Stream, now: Now) -> HTTPResponse:
        if _no_picture(site, stream, store.privacy.statistics_only() is not None) or not look_at(site, stream):
            return HTTPResponse(status=204)
        newest = site.previews.read(stream.id)
        if newest is None:
            return HTTPResponse(status=204)
        site.viewing.glance(store, visitor, now, rules.named(store, stream.id))
        return HTTPResponse(newest.jpeg, headers={"Content-Type": "image/jpeg", AGE_HEADER: f"{newest.age_s:.1f}"})
