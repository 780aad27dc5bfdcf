"""The centre that this box belongs to, for admins: how it goes, joining, leaving, and what the centre asked for."""

from __future__ import annotations

from typing import Any

from appliance.errors import UserError
from appliance.local.pages import Site
from appliance.rules import fleet as rules
from appliance.store import CommandRecord, Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, see_other
from appliance.web.pages import Page

COMMANDS_SHOWN = 50
ACTIONS = {
    "restart": "Restart the service {detail}",
    "send_again": "Send everything again",
    "rotate_key": "New key for stream {detail}",
    "identify": "Show which box this is",
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
        if joined.notice:
            return _page(site, store, now, notice=joined.notice)
        return see_other("/fleet")

    @app.get("/fleet/leave", access=Access.ADMIN)
    def confirm_leave(store: Store, now: Now) -> Page:
        return site.pages.page("fleet_leave.html", fleet=rules.status(site.config, store, now), rules=rules)

    @app.post("/fleet/leave", access=Access.ADMIN)
    def leave(store: Store, now: Now) -> Page:
        try:
            done = rules.leave(site.config, store)
        except UserError as error:
            return _page(site, store, now, problem=error)
        return _page(site, store, now, done=done)


def action_words(command: CommandRecord) -> str:
    """What the centre asked for, as people read it."""
    return ACTIONS.get(command.action, command.action).format(detail=command.detail).strip()


def _page(site: Site, store: Store, now: Now, **values: Any) -> Page:
    shown = {
        "fleet": rules.status(site.config, store, now),
        "commands": store.fleet.commands(COMMANDS_SHOWN),
        "takes_commands": site.config.fleet.commands,
        "names": site.config.fleet.stream_names,
        "action_words": action_words,
        "rules": rules,
        "now_utc": now.utc,
        "notice": None,
        "done": None,
    }
    return site.pages.page("fleet.html", **{**shown, **values})
