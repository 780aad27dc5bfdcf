"""Exports for programs: the same files as on the page, made while they are sent."""

from __future__ import annotations

from typing import Any

from bottle import HTTPResponse

from appliance.accounts.guard import Visitor
from appliance.exports.export import FORMATS, What
from appliance.local.api_query import FILTERS, detection_filter
from appliance.local.exports import chosen, download
from appliance.local.pages import Site
from appliance.store import Store
from appliance.store.trends import Step
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.api import parameters
from appliance.web.openapi import Operation

OF_TIME = {name: FILTERS[name] for name in ("stream", "since", "until", "search")}


def _forms(what: What) -> dict[str, tuple[dict[str, Any], str]]:
    forms = [form.value for form in FORMATS[what]]
    return {"format": ({"type": "string", "enum": forms}, f"in which form; {forms[0]} if left out")}


def _operation(what: What, summary: str, query: dict[str, tuple[dict[str, Any], str]]) -> Operation:
    files = tuple(form.mime_type.partition(";")[0] for form in FORMATS[what])
    return Operation("GET", f"/api/v1/export/{what.value}", summary, query=query, files=files)


OPERATIONS = (
    _operation(
        What.DETECTIONS,
        "Detections as a file, a row each; as a ZIP with the images of your streams, for an admin of all",
        {**_forms(What.DETECTIONS), **FILTERS},
    ),
    _operation(
        What.SUMS,
        "Persons by stream and time as a file, also of times whose detections are gone",
        {
            **_forms(What.SUMS),
            "step": ({"type": "string", "enum": [step.value for step in Step]}, "of a row; hour if left out"),
            **OF_TIME,
        },
    ),
    _operation(
        What.FACES,
        "Images of your streams (for an admin all) that a person corrected or the model was unsure of, to learn from",
        OF_TIME,
    ),
)


def add_routes(app: App, site: Site) -> None:
    """Add the operations."""

    @app.get("/api/v1/export/detections", access=Access.SIGNED_IN)
    def detections(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        return _asked(site, store, visitor, now, What.DETECTIONS)

    @app.get("/api/v1/export/sums", access=Access.SIGNED_IN)
    def sums(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        return _asked(site, store, visitor, now, What.SUMS)

    @app.get("/api/v1/export/faces", access=Access.SIGNED_IN)
    def faces(store: Store, visitor: Visitor, now: Now) -> HTTPResponse:
        return _asked(site, store, visitor, now, What.FACES)


def _asked(site: Site, store: Store, visitor: Visitor, now: Now, what: What) -> HTTPResponse:
    given = parameters()
    form = chosen("format", FORMATS[what], given.get("format", ""))
    step = chosen("step", tuple(Step), given.get("step", ""))
    return download(site, store, visitor, now, what, form, detection_filter(), step)
