"""Whom this box tells what, for admins: the centre (how it goes, joining, leaving, its commands), a broker on site."""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import asdict

from appliance.accounts.guard import Visitor
from appliance.errors import UserError
from appliance.language import N_, _
from appliance.local.pages import Site
from appliance.retold import retold
from appliance.rules import fleet as rules
from appliance.rules import on_site, updates
from appliance.sections import Mqtt
from appliance.store import CommandRecord, Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, secret_field, see_other, whole_number
from appliance.web.pages import Page

log = logging.getLogger(__name__)
COMMANDS_SHOWN = 50
ACTIONS = {
    "restart": N_("Restart the service {detail}"),
    "send_again": N_("Send everything again"),
    "rotate_key": N_("New key for stream {detail}"),
    "identify": N_("Show which box this is"),
    "update": N_("Update by {detail}"),
}


def add_routes(app: App, site: Site) -> None:
    """See, join, leave."""

    @app.get("/fleet", access=Access.ADMIN)
    def fleet(store: Store, now: Now) -> Page:
        return _page(site, store, now)

    @app.post("/fleet", access=Access.ADMIN)
    def join(store: Store, now: Now) -> Page:
        try:
            joined = rules.join(site.config, store, field("code"), now)
        except UserError as error:
            return _page(site, store, now, problem=error)
        words = [_("The box has joined the centre."), *([joined.notice] if joined.notice else [])]
        return site.pages.done("/fleet", " ".join(words), is_whole=not joined.notice)

    @app.get("/fleet/leave", access=Access.ADMIN)
    def confirm_leave(store: Store, now: Now) -> Page:
        return site.pages.page("fleet_leave.html", fleet=rules.status(site.config, store, now), rules=rules)

    @app.post("/fleet/leave", access=Access.ADMIN)
    def leave(store: Store, now: Now) -> Page:
        try:
            done = rules.leave(site.config, store)
        except UserError as error:
            return _page(site, store, now, problem=error)
        return site.pages.done("/fleet", done)

    @app.post("/fleet/updates", access=Access.ADMIN)
    def let_update(store: Store, now: Now, visitor: Visitor) -> Page:
        allowed = field("allowed") == "yes"
        try:
            updates.let_centre_update(site.config, allowed)
        except UserError as error:
            return _page(site, store, now, problem=error)
        log.warning("%s %s the centre to update this box", visitor.name, "allows" if allowed else "no longer allows")
        may = _("The centre may update this box."), _("The centre may no longer update this box.")
        return site.pages.done("/fleet", may[0] if allowed else may[1])

    @app.get("/fleet/broker", access=Access.ADMIN)
    def broker() -> Page:
        return see_other("/fleet") if on_site.is_in_file(site.config) else _broker_page(site)

    @app.post("/fleet/broker", access=Access.ADMIN)
    def set_broker() -> Page:
        typed = {name: field(name) for name in ("host", "user", "topic", "discovery")}
        port, tls = whole_number(field("port")), bool(field("tls"))
        try:
            on_site.set_broker(site.config, port=port, tls=tls, password=secret_field("password"), **typed)
        except UserError as error:
            return _broker_page(site, typed={**typed, "port": field("port"), "tls": tls}, problem=error)
        return site.pages.done("/fleet", _("The broker was saved."))

    @app.post("/fleet/broker/remove", access=Access.ADMIN)
    def forget_broker() -> Page:
        try:
            on_site.forget_broker(site.config)
        except UserError as error:
            return _broker_page(site, problem=error)
        return site.pages.done("/fleet", _("The broker was removed."))


def action_words(command: CommandRecord) -> str:
    """What the centre asked for, as people read it."""
    words = ACTIONS.get(command.action)
    return _(words, detail=command.detail).strip() if words else command.action


def _broker_page(site: Site, typed: dict[str, Any] | None = None, problem: UserError | None = None) -> Page:
    try:
        now_set = on_site.in_force(site.config)
        is_set = bool(now_set.host)
    except UserError as unreadable:
        now_set, is_set, problem = Mqtt(), True, problem or unreadable
    return site.pages.page("fleet_broker.html", typed=typed or asdict(now_set), is_set=is_set, problem=problem)


def _broker_now(site: Site, store: Store, now: Now) -> dict[str, Any]:
    """The broker on site as the page shows it. problem: what `sync` says of it, or why nobody can say."""
    try:
        broker, unreadable = on_site.in_force(site.config), None
    except UserError as error:
        broker, unreadable = Mqtt(), str(error)
    of_sync = next((each for each in store.services.all(now) if each.name == "sync"), None)
    is_syncing = of_sync is not None and of_sync.alive
    # It also says what is wrong with the centre, before that.
    _before, of_broker, words = ((of_sync and of_sync.problem) or "").partition(on_site.SENTENCE)
    said = retold(f"{of_broker}{words}") if is_syncing else _("The service `sync` is not running.")
    return {
        "broker": broker,
        "broker_in_file": on_site.is_in_file(site.config),
        "broker_problem": unreadable or (said if broker.host else None) or None,
    }


def _page(site: Site, store: Store, now: Now, **values: Any) -> Page:
    shown = {
        "fleet": rules.status(site.config, store, now),
        "commands": store.fleet.commands(COMMANDS_SHOWN),
        "takes_commands": site.config.fleet.commands,
        "may_update": updates.centre_may_update(site.config),
        "may_update_in_file": site.config.fleet.allow_updates,
        "names": site.config.fleet.stream_names,
        "action_words": action_words,
        "rules": rules,
        "now_utc": now.utc,
        **_broker_now(site, store, now),
    }
    return site.pages.page("fleet.html", **{**shown, **values})
