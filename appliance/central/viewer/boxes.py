"""One box: how it is, its streams, what it was asked to do; and what an admin may change of it."""

from __future__ import annotations

import re
import secrets
from typing import Any

from appliance.accounts.guard import Visitor
from appliance.alerts.kinds import Of, Subject
from appliance.central.store import Box, CentralStore, Command, Scope
from appliance.central.store.sums import total
from appliance.central.viewer import ranges, recorded, series, words
from appliance.central.viewer.alerts import open_of
from appliance.central.viewer.condition import condition
from appliance.central.viewer.fleet import silent
from appliance.central.viewer.joins import revoke
from appliance.central.viewer.pages import Centre
from appliance.central.viewer.words import ACTIONS, SERVICES
from appliance.errors import InputError, NotFound, UserError, about
from appliance.language import ENGLISH, N_, _, speaking
from appliance.names import clean_name
from appliance.rates import compliance
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, whole_number
from appliance.web.pages import Page

COMMAND_S = 3600
"""For how long a command waits for its box."""
NO_BROKER_HERE = N_(
    "The box is shut out: nothing of it is counted any more. No mosquitto of ours runs on this machine: bring"
    " `{folder}` to the broker, if it is elsewhere, so that it ends the connection, too."
)


def add_routes(app: App, centre: Centre) -> None:
    """See a box, and change, ask or revoke it."""

    @app.get("/boxes/<box_id>", access=Access.OWNER)
    def box_page(store: CentralStore, visitor: Visitor, now: Now, box: Box) -> Page:
        return _page(centre, store, visitor, now, box)

    @app.post("/boxes/<box_id>/edit", access=Access.ADMIN)
    def edit(store: CentralStore, visitor: Visitor, now: Now, box_id: str) -> Page:
        box = found(store, box_id)
        typed = {name: field(name) for name in ("title", "site", "note")}
        try:
            title = clean_name(typed["title"], N_("Give the box a name.")) if typed["title"] else ""
            site_id = site_named(store, typed["site"])
            with store.saving():
                store.boxes.change(box.id, title, site_id, typed["note"][:500])
        except UserError as error:
            return _page(centre, store, visitor, now, box, problem=error, typed=typed)
        return centre.pages.done(f"/boxes/{box.id}", _("The box {box} was changed.", box=box.name))

    @app.post("/boxes/<box_id>/commands", access=Access.ADMIN)
    def ask(store: CentralStore, visitor: Visitor, now: Now, box_id: str) -> Page:
        box = found(store, box_id)
        try:
            detail = f"{field('address')} {field('sha256')}" if field("action") == "update" else field("detail")
            give_command(store, box, field("action"), detail, visitor.name, now)
        except UserError as error:
            return _page(centre, store, visitor, now, box, problem=error)
        return centre.pages.done(f"/boxes/{box.id}#commands", _("The command waits for the box to fetch it."))

    @app.get("/boxes/<box_id>/revoke", access=Access.ADMIN)
    def confirm(store: CentralStore, box_id: str) -> Page:
        return centre.pages.page("box_revoke.html", box=found(store, box_id))

    @app.post("/boxes/<box_id>/revoke", access=Access.ADMIN)
    def revoke_box(store: CentralStore, visitor: Visitor, now: Now, box_id: str) -> Page:
        was_told = revoke(centre.config, store, found(store, box_id), visitor.name, now)
        words = _("The box was revoked.") if was_told else _(NO_BROKER_HERE, folder=centre.config.broker_dir)
        return centre.pages.done(f"/boxes/{box_id}", words, is_whole=was_told)


def found(store: CentralStore, box_id: str) -> Box:
    """The box of an admin's address. Raises NotFound."""
    box = store.boxes.get(box_id, None)
    if box is None:
        raise NotFound(_("There is no box of this name."))
    return box


@about("site")
def site_named(store: CentralStore, text: str) -> int | None:
    """The site that a form chose, by its id; None: none. Raises InputError."""
    if not text:
        return None
    site_id = whole_number(text)
    if site_id is None or store.sites.get(site_id, None) is None:
        raise InputError(_("This site was removed; choose another."))
    return site_id


def give_command(store: CentralStore, box: Box, action: str, detail: str, by: str, now: Now) -> None:
    """Put a command on record; ingest sends it. Raises InputError, NotSaved."""
    if action not in ACTIONS:
        raise InputError(_("Choose what the box is to do."))
    if box.revoked_utc is not None:
        raise InputError(_("This box was revoked; nothing can be sent to it."))
    if not box.takes_commands:
        raise InputError(_("This box is set to take no commands (fleet.commands in its mb9k.toml)."))
    if action == "restart" and detail not in SERVICES:
        raise InputError(_("Choose a service: {services}.", services=", ".join(SERVICES)))
    streams = {str(stream.number): stream for stream in store.boxes.streams(None, box.id)}
    if action == "rotate_key" and detail not in streams:
        raise InputError(_("Choose the stream that is to have a new key."))
    if action == "update":
        detail = bundle_named(detail)
    detail = detail if action in ("restart", "rotate_key", "update") else ""
    given = int(now.utc)
    command = Command(secrets.token_hex(8), box.id, action, detail, by, given, given + COMMAND_S, None, None, "", None)
    with store.saving():
        store.records.give_command(command)
        with speaking(ENGLISH):  # the record is in one language
            names = {number: stream.title for number, stream in streams.items()}
            asked = recorded.ASKED.format(command=words.command(action, detail, names))
            store.records.note(now.utc, asked, by, box.id)


def bundle_named(text: str) -> str:
    """A bundle as a command's detail has it: its address, a space, its sha-256. Raises InputError."""
    address, _space, sha256 = text.partition(" ")
    if not re.fullmatch(r"https://[^\s/@]+/[!-~]{1,400}", address):
        raise InputError(_("Give the address of the bundle: https://updates.example.org/mb9k-0.2.0.mb9k."))
    if not re.fullmatch("[0-9a-f]{64}", sha256.strip().lower()):
        raise InputError(_("Give the bundle's sha-256, 64 digits and letters a to f: `sha256sum FILE` prints it."))
    return f"{address} {sha256.strip().lower()}"


def _page(centre: Centre, store: CentralStore, visitor: Visitor, now: Now, box: Box, **values: Any) -> Page:
    asked = ranges.asked(now.utc, store.zone())
    scope = Scope(visitor.sees_only, box_id=box.id)
    steps = store.sums.series(scope, asked.span)
    sums = total(steps.values())
    streams = store.boxes.streams(visitor.sees_only, box.id)
    typed = {"title": box.title, "site": str(box.site_id or ""), "note": box.note}
    shown = {
        "box": box,
        "alerts": open_of(store, Subject(Of.BOX, box.id)),
        "condition": condition(box, now.utc, sums.unverified),
        "asked": asked,
        "sums": sums,
        "rate": compliance(sums.counts),
        "chart": series.chart(steps, asked.span, now.utc, box.name),
        "rate_chart": series.rate_chart(steps, asked.span, now.utc, box.name),
        "streams": streams,
        "stream_names": {str(stream.number): stream.title for stream in streams},
        "by_stream": store.sums.by_stream(scope, asked.span),
        "letters": store.records.letters(visitor.sees_only, box.id, 10),
        "commands": store.records.commands(box.id),
        "sites": store.sites.all(None) if visitor.is_admin else [],
        "typed": typed,
        "now": now,
        "compliance": compliance,
        "silent": silent(store, now.utc, "ingest") if visitor.is_admin else [],
    }
    return centre.pages.page("box.html", **{"problem": asked.problem, **shown, **values})
