"""Handing the sums of boxes on: a page of what can be had, and the files themselves."""

from __future__ import annotations

from collections.abc import Iterator

from bottle import HTTPResponse

from appliance.accounts.audit import Action, record
from appliance.accounts.audit_subjects import SUMS
from appliance.accounts.guard import Visitor
from appliance.central.sheets import STEPS, Wanted, file_name, format_named, most_rows, sheet, step_named
from appliance.central.store import CentralStore, Scope
from appliance.central.viewer import ranges
from appliance.central.viewer.pages import Centre
from appliance.errors import InputError
from appliance.exports.columns import SUMS_OF_BOXES
from appliance.exports.drafts import sending
from appliance.exports.formats import Format
from appliance.exports.sheets import TABULAR
from appliance.language import N_, _
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import moment_utc, query_value, whole_number
from appliance.web.pages import Page

FORM_WORDS = {Format.CSV: "CSV", Format.JSON_LINES: N_("JSON lines"), Format.SQLITE: "SQLite"}
STEP_WORDS = {"minute": N_("Minutes"), "hour": N_("Hours"), "day": N_("Days")}


def add_routes(app: App, centre: Centre) -> None:
    """The page, and what it leads to."""

    @app.get("/export", access=Access.SIGNED_IN)
    def page(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        asked = ranges.asked(now.utc, store.zone(), default="month")
        boxes, sites = store.boxes.all(visitor.sees_only), store.sites.all(visitor.sees_only)
        return centre.pages.page(
            "export.html",
            problem=asked.problem,
            asked=asked,
            boxes=boxes,
            sites=sites,
            box_id=next((box.id for box in boxes if box.id == query_value("box")), ""),
            site_id=next((site.id for site in sites if str(site.id) == query_value("site")), None),
            forms={form.value: _(FORM_WORDS[form]) for form in TABULAR},
            steps={step: _(STEP_WORDS[step]) for step in reversed(STEPS)},
            keep=centre.config.keep,
            zone=asked.span.zone,
            table=SUMS_OF_BOXES,
        )

    @app.get("/export/sums", access=Access.SIGNED_IN)
    def sums(store: CentralStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """What a link of the page asks for."""
        ends = [moment_utc(query_value(name), name) if query_value(name) else None for name in ("since", "until")]
        site_id = whole_number(query_value("site")) if query_value("site") else None
        scope = Scope(visitor.sees_only, site_id, query_value("box") or None)
        wanted = Wanted(scope, step_named(query_value("step")), *ends)
        return download(centre, store, now, wanted, format_named(query_value("format")))


def download(centre: Centre, store: CentralStore, now: Now, wanted: Wanted, form: Format) -> HTTPResponse:
    """The file, made while it is sent. Raises InputError."""
    if wanted.since_utc is not None and wanted.until_utc is not None and wanted.until_utc <= wanted.since_utc:
        raise InputError(_("The range ends before it begins; swap its ends."))
    name = centre.config.name

    def begin() -> tuple[Iterator[bytes], int | None]:
        record(store, Action.EXPORTED, SUMS, format=form.value, **wanted.parameters())
        reading = centre.open_store()  # the request's is closed before the file is sent
        made = sheet(reading, wanted, form, name, now.utc)
        rows = most_rows(reading, wanted) if form is Format.SQLITE else 0
        return sending(made, centre.config.state, rows, reading.close)

    return centre.downloads.answer(file_name(name, form, now.utc), form.mime_type, begin)
