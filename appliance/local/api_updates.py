"""Updates for programs of admins: how they stand, a bundle sent or fetched, what it would change, begin, go back."""

from __future__ import annotations

from typing import Annotated, Literal

from bottle import HTTPResponse
from msgspec import Meta, Struct

from appliance.accounts.guard import Visitor
from appliance.errors import InputError
from appliance.local.api_types import Time
from appliance.local.pages import Site
from appliance.local.update_desk import TICKET_S
from appliance.rules import updates as rules
from appliance.times import Now, utc_text
from appliance.update.uploads import Upload
from appliance.web.access import Access, App
from appliance.web.api import answer, body
from appliance.web.openapi import Operation


class UpdateBundle(Struct, kw_only=True):
    """A signed bundle that the box has taken, and what it would change, a sentence each. by: who sent it."""

    name: str
    size_bytes: int
    by: str
    sent: str
    before: str
    after: str
    changes: list[str]


class UpdateFetch(Struct, kw_only=True):
    """A bundle on its way from an address. total_bytes: null: the other side has not said."""

    address: str
    received_bytes: int
    total_bytes: int | None


class UpdateProgress(Struct, kw_only=True):
    """An update that is under way. step `asked`: it begins. trouble: why it is being undone, or empty."""

    step: Literal[
        "asked", "building", "stopping", "copying", "switching", "checking", "settling", "undoing", "writing", "trying"
    ]
    before: str
    after: str
    begun: str
    trouble: str


class UpdateOutcome(Struct, kw_only=True):
    """How an update ended. runs: what ran then. trouble: why it was undone, or empty. record: what became of it."""

    begun: str
    before: str
    after: str
    runs: str
    trouble: str
    record: str


class Updates(Struct, kw_only=True):
    """How the box stands with updates. release: what runs; null: it has none, and `problem` says why.

    releases: all that are kept. back: the one to go back to. can: whether root may be asked from here. bundle: null:
    none, or an update is under way. fetch_problem: why the last one fetched was not taken. outcomes: newest first.
    """

    release: str | None
    releases: list[str]
    back: str | None
    can: bool
    problem: str
    bundle: UpdateBundle | None
    fetch: UpdateFetch | None
    fetch_problem: str
    progress: UpdateProgress | None
    outcomes: list[UpdateOutcome]


class UpdateAddress(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a bundle is, https only. sha256: which it must have."""

    address: Annotated[str, Meta(extra_json_schema={"pattern": "^https://"})]
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


class UploadPlace(Struct, kw_only=True):
    """Where a bundle may be sent until then: POST the file as the whole body, of application/octet-stream."""

    address: str
    expires: Time


class Begun(Struct, kw_only=True):
    """What happens now."""

    words: str


OPERATIONS = (
    Operation("GET", "/api/v1/updates", "How the box stands with updates (admin)", Updates, also=(403,)),
    Operation(
        "POST", "/api/v1/updates/upload", "Ask where a bundle may be sent (admin)", UploadPlace, 201, also=(403,)
    ),
    Operation("DELETE", "/api/v1/updates/upload", "Forget the bundle there is (admin)", status=204, also=(403,)),
    Operation(
        "POST", "/api/v1/updates/fetch", "Have the box fetch a bundle (admin)", Updates, 202, UpdateAddress, also=(403,)
    ),
    Operation("DELETE", "/api/v1/updates/fetch", "Stop fetching (admin)", status=204, also=(403,)),
    Operation("POST", "/api/v1/updates/start", "Update by the bundle there is (admin)", Begun, 202, also=(403,)),
    Operation("POST", "/api/v1/updates/back", "Go back to the release before (admin)", Begun, 202, also=(403,)),
)


def add_routes(app: App, site: Site) -> None:
    """Add the operations."""
    desk = site.desk

    @app.get("/api/v1/updates", access=Access.ADMIN)
    def updates(now: Now) -> HTTPResponse:
        return answer(_updates(site, now))

    @app.post("/api/v1/updates/upload", access=Access.ADMIN)
    def upload_place(now: Now) -> HTTPResponse:
        address = f"{site.pages.address.prefix}/updates/upload/{desk.ticket(now.utc)}"
        return answer(UploadPlace(address=address, expires=utc_text(now.utc + TICKET_S)), 201)

    @app.delete("/api/v1/updates/upload", access=Access.ADMIN)
    def forget() -> HTTPResponse:
        desk.forget()
        return HTTPResponse(status=204)

    @app.post("/api/v1/updates/fetch", access=Access.ADMIN)
    def fetch(now: Now, visitor: Visitor) -> HTTPResponse:
        wanted = body(UpdateAddress)
        there = rules.standing(site.config, now.utc)
        if not there.is_idle:
            raise InputError(there.problem or "This box cannot be updated from here, or is being updated just now.")
        desk.begin_fetch(wanted.address, visitor.name, wanted.sha256)
        return answer(_updates(site, now), 202)

    @app.delete("/api/v1/updates/fetch", access=Access.ADMIN)
    def stop_fetch() -> HTTPResponse:
        desk.end_fetch()
        return HTTPResponse(status=204)

    @app.post("/api/v1/updates/start", access=Access.ADMIN)
    def start(now: Now, visitor: Visitor) -> HTTPResponse:
        return answer(Begun(words=rules.start(site.config, desk.uploads, visitor.name, now.utc)), 202)

    @app.post("/api/v1/updates/back", access=Access.ADMIN)
    def back(now: Now, visitor: Visitor) -> HTTPResponse:
        return answer(Begun(words=rules.back(site.config, visitor.name, now.utc)), 202)


def _updates(site: Site, now: Now) -> Updates:
    there, fetch = rules.standing(site.config, now.utc), site.desk.fetch
    has_bundle = there.current is not None and not there.is_at_work
    upload = rules.usable_upload(site.config, site.desk.uploads, now.utc) if has_bundle else None
    fetching = None
    if fetch is not None:
        at = fetch.progress
        fetching = UpdateFetch(address=fetch.address, received_bytes=at.received_bytes, total_bytes=at.total_bytes)
    return Updates(
        release=there.current,
        releases=there.releases,
        back=there.before,
        can=there.can,
        problem=there.problem,
        bundle=_bundle(upload) if upload else None,
        fetch=fetching,
        fetch_problem=site.desk.problem,
        progress=_progress(there),
        outcomes=[
            UpdateOutcome(
                begun=utc_text(each.utc),
                before=each.before,
                after=each.after,
                runs=each.runs,
                trouble=each.trouble,
                record=each.record,
            )
            for each in there.outcomes
        ],
    )


def _bundle(upload: Upload) -> UpdateBundle:
    return UpdateBundle(
        name=upload.name,
        size_bytes=upload.size_bytes,
        by=upload.by,
        sent=utc_text(upload.utc),
        before=upload.plan.before,
        after=upload.plan.after,
        changes=upload.plan.lines,
    )


def _progress(there: rules.Standing) -> UpdateProgress | None:
    at, asked = there.progress or there.trial, there.asked
    if at is not None:
        trouble = there.progress.trouble if there.progress else ""
        begun = utc_text(at.begun_utc)
        return UpdateProgress(step=at.step.value, before=at.before, after=at.after, begun=begun, trouble=trouble)
    if asked is not None:
        begun = utc_text(asked.utc)
        return UpdateProgress(step="asked", before=there.current or "", after=asked.to, begun=begun, trouble="")
    return None
