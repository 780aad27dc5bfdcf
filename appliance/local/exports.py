"""Handing the record on: a page of what can be had, the files themselves, and a copy of the whole record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from bottle import HTTPResponse

from appliance.accounts.audit import Action, record
from appliance.accounts.audit_subjects import COPY
from appliance.accounts.guard import Visitor
from appliance.errors import InputError
from appliance.exports.columns import DETECTIONS, SUMS
from appliance.exports.drafts import Draft, sending
from appliance.exports.export import FORMATS, Export, What, file_name
from appliance.exports.formats import Format
from appliance.exports.sheets import stamp
from appliance.faces import State
from appliance.language import N_, _
from appliance.local.pages import Site
from appliance.local.requested import parts_set, requested
from appliance.rules import recovery
from appliance.store import DetectionFilter, Store
from appliance.store.trends import Step
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value
from appliance.web.pages import Page

FORM_WORDS = {Format.CSV: "CSV", Format.JSON_LINES: N_("JSON lines"), Format.SQLITE: "SQLite", Format.ZIP: "ZIP"}
STEP_WORDS = {Step.QUARTER: N_("15 minutes"), Step.HOUR: N_("Hours"), Step.DAY: N_("Days")}
Choice = TypeVar("Choice", What, Format, Step)


def add_routes(app: App, site: Site) -> None:
    """The page, and what it leads to."""

    @app.get("/export", access=Access.SIGNED_IN)
    def page(store: Store, visitor: Visitor, now: Now) -> Page:
        filters = requested()
        streams = store.streams.all(now)
        return site.pages.page(
            "export.html",
            filters=filters,
            parts=parts_set(filters.filter),
            problem=filters.problem,
            persons=store.trends.counts(filters.filter).total,
            has_images=visitor.is_admin or any(stream.owner_id == visitor.person.id for stream in streams),
            streams=streams,
            statistics=store.privacy.statistics_only(),
            zone=store.trends.zone(),
            tables=(DETECTIONS, SUMS),
            forms={form.value: words for form, words in FORM_WORDS.items()},
            states=State,
            steps=STEP_WORDS,
        )

    @app.get("/export/detections", access=Access.SIGNED_IN)
    def detections(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        return _asked_on_the_page(site, store, visitor, now, What.DETECTIONS)

    @app.get("/export/sums", access=Access.SIGNED_IN)
    def sums(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        return _asked_on_the_page(site, store, visitor, now, What.SUMS)

    @app.get("/export/faces", access=Access.SIGNED_IN)
    def faces(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        return _asked_on_the_page(site, store, visitor, now, What.FACES)

    @app.post("/export/record", access=Access.ADMIN)
    def whole_record(store: Store, now: Now) -> HTTPResponse:
        name = f"mb9k-{site.config.box}-{stamp(now.utc)}.db"

        def begin() -> tuple[Iterator[bytes], int]:
            record(store, Action.DOWNLOADED, COPY, file=name)
            draft = Draft(site.config.state, lambda path: recovery.copy_unnoted(site.config, path))
            return draft.parts(), draft.size_bytes

        return site.downloads.answer(name, Format.SQLITE.mime_type, begin)


def _asked_on_the_page(site: Site, store: Store, visitor: Visitor, now: Now, what: What) -> HTTPResponse:
    """What a link of the page asks for. Raises InputError: nothing is handed out that was not meant."""
    filters = requested()
    if filters.problem:
        raise InputError(filters.problem)
    form = chosen("format", FORMATS[what], query_value("format"))
    step = chosen("step", tuple(Step), query_value("step"))
    return download(site, store, visitor, now, what, form, filters.filter, step)


def chosen(name: str, among: tuple[Choice, ...], text: str) -> Choice:
    """The choice of this value; the first one where nothing is said (for a step: an hour). Raises InputError."""
    for choice in among:
        if text == choice.value:
            return choice
    if text:
        raise InputError(
            _("{name} must be one of {among}.", name=name, among=", ".join(choice.value for choice in among))
        )
    return next((choice for choice in among if choice is Step.HOUR), among[0])


def download(
    site: Site, store: Store, visitor: Visitor, now: Now, what: What, form: Format, where: DetectionFilter, step: Step
) -> HTTPResponse:
    """The file, made while it is sent. Images are only of streams that the visitor may edit."""

    def begin() -> tuple[Iterator[bytes], int | None]:
        record(store, Action.EXPORTED, what.value, format=form.value, **where.parameters())
        reading = Store.open_readonly(site.config.store_path)  # the request's is closed before the file is sent
        zone, box = reading.trends.zone(), site.config.box
        export = Export(
            what, form, where, reading, site.images, zone, box, now.utc,
            may=lambda stream: visitor.may_edit(stream.owner_id), step=step,
        )  # fmt: skip
        rows = (export.total_rows() or 0) if form is Format.SQLITE else 0
        return sending(export, site.config.state, rows, reading.close)

    return site.downloads.answer(file_name(site.config.box, what, form, now.utc), form.mime_type, begin)
