"""Letting boxes in by a join code, shown to who made it, for a while, and shutting them out."""

from __future__ import annotations

from typing import Any

from bottle import HTTPError

from appliance.accounts.guard import Visitor
from appliance.central import authority, members
from appliance.central.config import CentralConfig
from appliance.central.store import Box, CentralStore
from appliance.central.viewer.pages import Centre
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, query_value, see_other, whole_number
from appliance.web.pages import Page

VALID_S = {
    "hour": (N_("an hour"), 3600),
    "day": (N_("a day"), 86400),
    "week": (N_("a week"), 7 * 86400),
    "month": (N_("30 days"), 30 * 86400),
}
"""How long a join code may be used, as the form sends it and as people read it."""
FIELDS = ("title", "site", "boxes", "valid", "again")


def add_routes(app: App, centre: Centre) -> None:
    """The form, the code, and taking one back."""

    @app.get("/add-box", access=Access.ADMIN)
    def form(store: CentralStore, now: Now) -> Page:
        return _form(centre, store, now, typed={name: query_value(name) for name in FIELDS})

    @app.post("/add-box", access=Access.ADMIN)
    def add(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        typed = {name: field(name) for name in FIELDS}
        try:
            code, boxes = _invite(centre.config, store, visitor.name, now, typed)
        except UserError as error:
            return _form(centre, store, now, problem=error, typed=typed)
        about = {"boxes": boxes, "title": typed["title"], "valid": _(VALID_S[typed["valid"] or "hour"][0])}
        centre.accounts.shown.keep("join code", visitor.person.id, code, now, **about)
        return see_other("/add-box/code")

    @app.get("/add-box/code", access=Access.ADMIN)
    def new_code(visitor: Visitor, now: Now) -> Page:
        shown = centre.accounts.shown.of("join code", visitor.person.id, now)
        if shown is None:
            raise HTTPError(410, _("This join code is not shown any more. If nobody copied it, make another one."))
        return centre.pages.page("join_code.html", code=shown.secret, until_utc=shown.until_utc, **shown.about)

    @app.post("/add-box/<join_id:int>/withdraw", access=Access.ADMIN)
    def withdraw(store: CentralStore, visitor: Visitor, now: Now, join_id: int) -> Page:
        members.withdraw(store.db, join_id, visitor.name, now.utc)
        return centre.pages.done("/add-box", _("The join code was withdrawn."))


def _invite(config: CentralConfig, store: CentralStore, by: str, now: Now, typed: dict[str, str]) -> tuple[str, int]:
    """A join code and for how many boxes it is. Raises InputError, UserError."""
    boxes = whole_number(typed["boxes"] or "1")
    if boxes is None:
        raise InputError(_("For how many boxes? Give a whole number."))
    if (typed["valid"] or "hour") not in VALID_S:
        choices = ", ".join(_(words) for words, _seconds in VALID_S.values())
        raise InputError(_("Choose how long the code can be used: {choices}.", choices=choices))
    site_id = whole_number(typed["site"]) if typed["site"] else None
    code = members.invite(
        store.db,
        config,
        authority.prepare(config, now.utc),
        now.utc,
        by=by,
        title=typed["title"],
        site_id=site_id,
        boxes=boxes,
        valid_s=VALID_S[typed["valid"] or "hour"][1],
        again=typed["again"] or None,
    )
    return code, boxes


def _form(centre: Centre, store: CentralStore, now: Now, **values: Any) -> Page:
    lists = {
        "sites": store.sites.all(None),
        "boxes": store.boxes.all(None),
        "open_codes": store.records.open_joins(now.utc),
        "valid": VALID_S,
        "typed": dict.fromkeys(FIELDS, ""),
    }
    return centre.pages.page("add_box.html", **{**lists, **values})


def revoke(config: CentralConfig, store: CentralStore, box: Box, by: str, now: Now) -> bool:
    """Shut a box out; whether the broker was told, too. Raises UserError."""
    return members.revoke(store.db, config, authority.prepare(config, now.utc), box.id, by, now.utc)
