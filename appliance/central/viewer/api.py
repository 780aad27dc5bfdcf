"""The JSON API of a centre, for programs with tokens; every list also as CSV. `openapi.py` documents it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import msgspec
from bottle import HTTPResponse

from appliance.accounts.guard import Visitor
from appliance.central.sheets import Wanted, format_named, step_named
from appliance.central.store import Box, CentralStore, Scope, Span, Watched
from appliance.central.store.sums import STEP_S, total
from appliance.central.viewer import api_types as shapes
from appliance.central.viewer import ranges
from appliance.central.viewer.compare import KINDS, compared
from appliance.central.viewer.condition import Severity, completeness
from appliance.central.viewer.exports import download
from appliance.central.viewer.fleet import silent, tiles
from appliance.central.viewer.openapi import OPERATIONS, document
from appliance.central.viewer.pages import Centre
from appliance.central.viewer.series import bars
from appliance.errors import InputError
from appliance.messages import BOX
from appliance.times import Now, utc_text
from appliance.web.access import Access, App
from appliance.web.api import KnownParameters, answer, id_parameter, parameters
from appliance.web.forms import moment_utc
from appliance.web.tables import csv_answer

MOST_LETTERS = 1000


def add_routes(app: App, centre: Centre) -> None:
    """Add every route of the API."""
    app.install(KnownParameters(OPERATIONS))
    _add_lists(app)
    _add_counts(app)
    _add_export(app, centre)

    @app.get("/api/openapi.json", access=Access.ANYONE)
    def openapi() -> HTTPResponse:
        """What this API is, for programs and for generators of clients."""
        return answer(document(centre.config.web.base_url or "/"))

    @app.get("/api/v1/status", access=Access.SIGNED_IN)
    def status(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """How the fleet is."""
        present = [tile for tile in tiles(store, visitor.sees_only, now.utc) if tile.box.revoked_utc is None]
        complete = completeness([tile.box for tile in present], now.utc)
        return answer(
            shapes.Status(
                centre=centre.config.name,
                time=utc_text(now.utc),
                boxes=len(present),
                complete_boxes=complete.complete,
                complete=shapes.text_or_none(complete.upto_utc),
                problems=sum(tile.condition.severity is Severity.PROBLEM for tile in present),
                silent=silent(store, now.utc) if visitor.is_admin else [],
                **shapes.counted(total(tile.today for tile in present)),
            )
        )


def _add_lists(app: App) -> None:
    @app.get("/api/v1/boxes", access=Access.SIGNED_IN)
    def boxes(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """The boxes that the visitor sees."""
        found = tiles(store, visitor.sees_only, now.utc, id_parameter("site"))
        return _listed("boxes", shapes.BoxList, [shapes.box_json(tile) for tile in found])

    @app.get("/api/v1/boxes/<box_id>", access=Access.OWNER)
    def one_box(store: CentralStore, visitor: Visitor, now: Now, box: Box) -> HTTPResponse:
        """One box."""
        found = tiles(store, visitor.sees_only, now.utc, box.site_id)
        return answer(next(shapes.box_json(tile) for tile in found if tile.box.id == box.id))

    @app.get("/api/v1/boxes/<box_id>/commands", access=Access.OWNER)
    def commands(store: CentralStore, now: Now, box: Box) -> HTTPResponse:
        """What a box was asked to do."""
        found = store.records.commands(box.id, MOST_LETTERS)
        return _listed("commands", shapes.CommandList, [shapes.command_json(each, now.utc) for each in found])

    @app.get("/api/v1/sites", access=Access.SIGNED_IN)
    def sites(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """The sites that the visitor sees."""
        today = store.sums.by_site(Scope(visitor.sees_only), ranges.today(now.utc, store.zone()))
        found = [shapes.site_json(site, today.get(site.id, Watched())) for site in store.sites.all(visitor.sees_only)]
        return _listed("sites", shapes.SiteList, found)

    @app.get("/api/v1/streams", access=Access.SIGNED_IN)
    def streams(store: CentralStore, visitor: Visitor) -> HTTPResponse:
        """The streams that the visitor sees."""
        live = {box.id: box.live for box in store.boxes.all(visitor.sees_only)}
        found = store.boxes.streams(visitor.sees_only, _box_parameter(), id_parameter("site"))
        return _listed("streams", shapes.StreamList, [shapes.stream_json(each, live[each.box_id]) for each in found])

    @app.get("/api/v1/letters", access=Access.ADMIN)
    def letters(store: CentralStore) -> HTTPResponse:
        """Messages that could not be taken."""
        found = store.records.letters(None, limit=MOST_LETTERS)
        return _listed("letters", shapes.LetterList, [shapes.letter_json(each) for each in found])

    @app.get("/api/v1/events", access=Access.ADMIN)
    def events(store: CentralStore) -> HTTPResponse:
        """What happened."""
        found = store.records.events(_box_parameter(), MOST_LETTERS, before_id=id_parameter("before"))
        return _listed("events", shapes.EventList, [shapes.event_json(each) for each in found])


def _add_counts(app: App) -> None:
    @app.get("/api/v1/counts", access=Access.SIGNED_IN)
    def counts(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """Persons over time, of what the visitor sees."""
        span = _span(store, now, parameters().get("step"))
        scope = Scope(visitor.sees_only, id_parameter("site"), _box_parameter(), id_parameter("stream"))
        series = store.sums.series(scope, span)
        steps = [
            shapes.Step(
                start=utc_text(bar.start_utc),
                is_gap=bar.is_gap,
                **shapes.counted(series.get(int(bar.start_utc), Watched())),
            )
            for bar in bars(series, span, now.utc)
        ]
        about = {
            "time_zone": span.zone.name,
            "step": span.step,
            "since": utc_text(span.since_utc),
            "until": utc_text(span.until_utc),
        }
        return _listed("counts", shapes.Series, steps, **about)

    @app.get("/api/v1/compare", access=Access.SIGNED_IN)
    def compare(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """Sites, groups or boxes beside each other."""
        kind = parameters().get("by", "site")
        if kind not in KINDS:
            raise InputError(f"by must be one of {', '.join(KINDS)}.")
        span = _span(store, now, None)
        found = [shapes.compared_json(each) for each in compared(store, visitor.sees_only, span, kind)]
        about = {"since": utc_text(span.since_utc), "until": utc_text(span.until_utc)}
        return _listed("compare", shapes.Comparison, found, **about)


def _add_export(app: App, centre: Centre) -> None:
    @app.get("/api/v1/export/sums", access=Access.SIGNED_IN)
    def sums(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """The sums of boxes as a file."""
        given = parameters()
        ends = [moment_utc(given[name], name) if name in given else None for name in ("since", "until")]
        scope = Scope(visitor.sees_only, id_parameter("site"), _box_parameter(), id_parameter("stream"))
        wanted = Wanted(scope, step_named(given.get("step", "")), *ends)
        return download(centre, store, now, wanted, format_named(given.get("format", "")))


def _box_parameter() -> str | None:
    """The box that is asked for; None if none is. Raises InputError."""
    box_id = parameters().get("box")
    if box_id is not None and not re.fullmatch(BOX, box_id):
        raise InputError(f"box must be the name of a box: {BOX}.")
    return box_id


def _span(store: CentralStore, now: Now, step: str | None) -> Span:
    """The range that the address asks for. Raises InputError."""
    given = parameters()
    until_utc = moment_utc(given["until"], "until") if "until" in given else now.utc + 1
    since_utc = moment_utc(given["since"], "since") if "since" in given else max(0.0, until_utc - 86400)
    if step is not None and step not in STEP_S:
        raise InputError(f"step must be one of {', '.join(STEP_S)}.")
    return ranges.span_of(since_utc, until_utc, store.zone(), step)


def _listed(name: str, shape: type[msgspec.Struct], rows: Sequence[msgspec.Struct], **about: Any) -> HTTPResponse:
    """A list as JSON, or, where the address asks for it, as CSV: its last field is the list. Raises InputError."""
    kind = parameters().get("format", "json")
    if kind not in ("json", "csv"):
        raise InputError("format must be json or csv.")
    field = msgspec.structs.fields(shape)[-1]
    if kind == "csv":
        return csv_answer(name, get_args(field.type)[0], rows)
    return answer(shape(**about, **{field.name: rows}))
