"""The fleet: every box at a glance, problems first, as tiles, as a table and as a map."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from appliance.accounts.guard import Visitor
from appliance.central.store import Box, CentralStore, Scope, Site, Watched
from appliance.central.store.sums import total
from appliance.central.viewer import ranges, series
from appliance.central.viewer.alerts import open_now
from appliance.central.viewer.condition import Condition, Severity, completeness, condition
from appliance.central.viewer.pages import Centre
from appliance.language import N_, _, n_
from appliance.rates import Rate, compliance
from appliance.retold import retold
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value, whole_number
from appliance.web.maps import SMALL_WIDTH, WIDTH, Point, map_of
from appliance.web.pages import Page

TILES, ROWS = 60, 300
"""Of one page."""
FULL = N_("The disk of the centre is full, so what boxes send may have to wait with them. Make room on it.")


@dataclass(frozen=True, slots=True)
class Tile:
    """A box with how it is and whom it saw today. streams: how many it has.

    newer: the newest version in the fleet, where its own is older.
    """

    box: Box
    condition: Condition
    today: Watched
    streams: int
    newer: str = ""

    @property
    def rate(self) -> Rate | None:
        """Today's compliance."""
        return compliance(self.today.counts)

    def is_called(self, search: str) -> bool:
        """Whether its name, id or site has this in it."""
        return search.casefold() in f"{self.box.title}\n{self.box.id}\n{self.box.site or ''}".casefold()


def tiles(store: CentralStore, person: int | None, now_utc: float, site_id: int | None = None) -> list[Tile]:
    """Every box that a person sees, problems first; revoked ones come last."""
    today = store.sums.by_box(Scope(person, site_id), ranges.today(now_utc, store.zone()))
    streams = Counter(stream.box_id for stream in store.boxes.streams(person, site_id=site_id))
    found, boxes = [], store.boxes.all(person, site_id)
    fleet = boxes if site_id is None else store.boxes.all(person)
    newest = max((box.version for box in fleet if box.revoked_utc is None), key=_release, default="")
    for box in boxes:
        sums = today.get(box.id, Watched())
        newer = newest if () != _release(box.version) < _release(newest) else ""
        found.append(Tile(box, condition(box, now_utc, sums.unverified), sums, streams[box.id], newer))
    found.sort(key=lambda tile: (tile.box.revoked_utc is not None, -tile.condition.severity))
    return found


@lru_cache(maxsize=1000)
def _release(version: str) -> tuple[int, ...]:
    """A version as it is sorted; nothing where it is none of ours."""
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,3}", version, re.ASCII) else ()


def add_routes(app: App, centre: Centre) -> None:
    """The fleet in its three forms."""

    @app.get("/", access=Access.SIGNED_IN)
    def home(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        return _page(centre, store, visitor, now, "fleet.html", TILES)

    @app.get("/boxes", access=Access.SIGNED_IN)
    def table(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        return _page(centre, store, visitor, now, "boxes.html", ROWS)

    @app.get("/map", access=Access.SIGNED_IN)
    def on_a_map(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        sites = store.sites.all(visitor.sees_only)
        found = tiles(store, visitor.sees_only, now.utc)
        points = points_of(sites, found)
        widths = (WIDTH, SMALL_WIDTH) if points else ()  # of which a screen shows one
        drawing = "".join(map_of(points, _("Sites on a map"), width) for width in widths)
        placeless = [site for site in sites if not site.has_place]
        return centre.pages.page("map.html", drawing=drawing, points=points, placeless=placeless, form="map")


def _page(centre: Centre, store: CentralStore, visitor: Visitor, now: Now, view: str, at_once: int) -> Page:
    person = visitor.sees_only
    everything = tiles(store, person, now.utc)
    search, site_id = query_value("search")[:100], whole_number(query_value("site"))
    found = [tile for tile in everything if tile.is_called(search) and site_id in (None, tile.box.site_id)]
    present = found if view == "boxes.html" else [tile for tile in found if tile.box.revoked_utc is None]
    number = max(1, whole_number(query_value("page")) or 1)
    values: dict[str, Any] = overview(store, person, now, everything)
    values["alerts"] = open_now(store, visitor, now)
    return centre.pages.page(
        view,
        tiles=present[(number - 1) * at_once : number * at_once],
        count=len(present),
        number=number,
        last=max(1, -(-len(present) // at_once)),
        search=search,
        site_id=site_id,
        sites=store.sites.all(person),
        form="tiles" if view == "fleet.html" else "table",
        **values,
    )


def overview(store: CentralStore, person: int | None, now: Now, everything: Sequence[Tile]) -> dict[str, Any]:
    """How the whole of what a person sees is doing: counts of today, completeness, a chart of a day."""
    today = total(tile.today for tile in everything)
    span = ranges.span_of(now.utc - 86400, now.utc + 1, store.zone(), "hour")
    hours = store.sums.series(Scope(person), span)
    present = [tile for tile in everything if tile.box.revoked_utc is None]
    return {
        "today": today,
        "today_words": ranges.today_words(now.utc, store.zone()),
        "rate": compliance(today.counts),
        "complete": completeness([tile.box for tile in present], now.utc),
        "chart": series.chart(hours, span, now.utc, _("all boxes, the last 24 hours")) if hours else "",
        "severities": Counter(tile.condition.severity for tile in present),
        "boxes": len(present),
        "Severity": Severity,
        "silent": [] if person is not None else silent(store, now.utc),
        "refused": 0 if person is not None else store.records.count_letters(now.utc - 86400),
    }


def silent(store: CentralStore, now_utc: float, kind: str = "") -> list[str]:
    """What of the centre itself does not run, in words. kind: only of this kind of process, where it is given."""
    processes = [process for process in store.records.processes() if kind in ("", process.kind)]
    alive = [process for process in processes if process.is_alive(now_utc)]
    found = [f"{process.name}: {retold(process.problem)}" for process in alive if process.problem]
    if store.db.is_full():
        return [_(FULL), *found]
    if kind in ("", "ingest") and not any(process.kind == "ingest" for process in alive):
        words = _("The ingest of this centre does not run, so nothing that boxes send is taken; they keep it.")
        found.insert(0, words)
    return found


def worst_of(found: Sequence[Tile]) -> dict[int | None, Severity]:
    """How the box of each site is that is worst off."""
    worst: dict[int | None, Severity] = {}
    for tile in found:
        site_id = tile.box.site_id
        worst[site_id] = max(worst.get(site_id, Severity.WELL), tile.condition.severity)
    return worst


def mark_of(site: Site, worst: Mapping[int | None, Severity]) -> str:
    """The CSS class of how a site is; one without boxes is neither well nor a problem. worst: as `worst_of` says."""
    return worst.get(site.id, Severity.WELL).mark if site.boxes else "off-mark"


def _about(site: Site, severity: Severity) -> str:
    if not site.boxes:
        return _("no box yet; its page says what to do")
    if severity is Severity.PROBLEM:
        return n_("{n} box, a problem", "{n} boxes, a problem", site.boxes)
    if severity is Severity.NOTICE:
        return n_("{n} box, something to look at", "{n} boxes, something to look at", site.boxes)
    return n_("{n} box, all is well", "{n} boxes, all is well", site.boxes)


def points_of(sites: Sequence[Site], found: Sequence[Tile]) -> list[Point]:
    """The sites that have a place, those with the worst problem first."""
    worst = worst_of(found)
    points = []
    for site in sorted(sites, key=lambda each: -worst.get(each.id, Severity.WELL)):
        if site.latitude is not None and site.longitude is not None:
            about = _about(site, worst.get(site.id, Severity.WELL))
            place = site.latitude, site.longitude
            points.append(Point(*place, site.name, f"/sites/{site.id}", mark_of(site, worst), about))
    return points
