"""The zones of a stream: a page to draw them on, which is a form of numbers where no script runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from bottle import request

from appliance.errors import InputError, UserError
from appliance.language import _
from appliance.local.pages import Site
from appliance.local.streams import newest_preview
from appliance.local.zone_drawing import KINDS, drawing_of
from appliance.local.zone_words import ZONE_WORDS
from appliance.rules import zones as rules
from appliance.store import Store, Stream
from appliance.web.access import Access, App
from appliance.web.forms import field, fields, query_value, see_other
from appliance.web.pages import Page
from appliance.web.unsent import nothing_changed, taken_unsent
from appliance.zones import DIGITS, MOST_POINTS, MOST_ZONES, Point, Zone, ZoneKind

COLUMNS = ("kind", "name", "points")  # the fields of a row
EMPTY_ROWS = 2  # for who has no script: saved, there are two more
_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,9})?", re.ASCII)
_BETWEEN = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A zone as it stands in the form. points: pairs of percent of the picture's width and height."""

    kind: str = ZoneKind.COUNT.value
    name: str = ""
    points: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nobody filled it in, or somebody emptied it to take the zone away."""
        return not self.name and not self.points


def add_routes(app: App, site: Site) -> None:
    """See the zones of a stream, and change them."""

    @app.get("/streams/<stream_id:int>/zones", access=Access.OWNER)
    def zones(store: Store, stream: Stream) -> Page:
        drawn = store.zones.of(stream.id)
        form = taken_unsent(request.path)
        if form:
            rows = _rows(*([value.strip() for name, value in form.fields if name == each] for each in COLUMNS))
            seen = dict(form.fields).get("seen", "")
            return _page(site, store, stream, rows, _readable(rows), problem=nothing_changed(form), seen=seen)
        return _page(site, store, stream, [_row(zone) for zone in drawn], drawn, is_saved=bool(query_value("saved")))

    @app.post("/streams/<stream_id:int>/zones", access=Access.OWNER)
    def save(store: Store, stream: Stream) -> Page:
        rows = _typed()
        try:
            rules.put(store, stream.id, _zones(rows), seen=field("seen"))
        except UserError as error:
            return _page(site, store, stream, rows, _readable(rows), problem=error)
        return see_other(f"/streams/{stream.id}/zones?saved=1")


def _page(
    site: Site,
    store: Store,
    stream: Stream,
    rows: list[Row],
    drawn: Sequence[Zone],
    problem: UserError | str | None = None,
    is_saved: bool = False,
    seen: str | None = None,
) -> Page:
    return site.pages.page(
        "zones.html",
        stream=stream,
        rows=rows,
        empty_rows=[Row()] * min(EMPTY_ROWS, max(0, MOST_ZONES - len(rows))),
        blank=Row(),
        kinds=KINDS,
        zone_words=ZONE_WORDS,
        drawing=drawing_of(drawn, stream.width, stream.height),
        version=rules.version_of(store.zones.of(stream.id)) if seen is None else seen,
        most_points=MOST_POINTS,
        most_zones=MOST_ZONES,
        is_saved=is_saved,
        statistics=store.privacy.statistics_only(),
        has_preview=newest_preview(site, store, stream) is not None,
        problem=problem,
    )


def _row(zone: Zone) -> Row:
    return Row(zone.kind.value, zone.name, " ".join(f"{_percent(x)},{_percent(y)}" for x, y in zone.points))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.{DIGITS - 2}f}".rstrip("0").rstrip(".")


def _typed() -> list[Row]:
    return _rows(*(fields(name) for name in COLUMNS))


def _rows(*columns: Sequence[str]) -> list[Row]:
    return [row for row in (Row(*values) for values in zip_longest(*columns, fillvalue="")) if not row.is_empty]


def _zones(rows: Sequence[Row]) -> list[Zone]:
    """What was typed, not checked yet. Raises InputError."""
    return [_zone(row, row.name or _("Zone {number}", number=number)) for number, row in enumerate(rows, 1)]


def _zone(row: Row, called: str) -> Zone:
    try:
        kind = ZoneKind(row.kind)
    except ValueError as error:
        raise InputError(_("{zone}: choose what it is for, then send again.", zone=called)) from error
    return Zone(kind, row.name, _points(row.points, called))


def _points(text: str, called: str) -> tuple[Point, ...]:
    written = _BETWEEN.split(text.strip())
    if len(written) % 2 or not all(_PERCENT.fullmatch(each) for each in written):
        raise InputError(_("{zone}: write its points as pairs of percent, such as 10,20 60,20 60,80.", zone=called))
    numbers = [round(float(each) / 100, DIGITS) for each in written]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _readable(rows: Sequence[Row]) -> list[Zone]:
    """Those of the rows that can be drawn, for a page that says what is wrong with another."""
    found = []
    for row in rows:
        try:
            zone = _zone(row, row.name)
        except InputError:
            continue
        is_line = zone.kind is ZoneKind.LINE
        if len(zone.points) == 2 if is_line else len(zone.points) > 2:
            found.append(zone)
    return found
