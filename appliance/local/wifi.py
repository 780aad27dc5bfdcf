"""The page on which an admin names the Wi-Fi that the box is to join."""

from __future__ import annotations

import logging

from appliance.accounts.guard import Visitor
from appliance.errors import UserError
from appliance.first_boot.wifi import checked
from appliance.local.pages import Site
from appliance.machine.asking import ask, can
from appliance.machine.requests import JoinWifi
from appliance.web.access import Access, App
from appliance.web.forms import field, secret_field
from appliance.web.pages import Page

log = logging.getLogger(__name__)
PAGE = "/settings/wifi"


def add_routes(app: App, site: Site) -> None:
    """The form, and what becomes of it."""
    config = site.config

    def shown(problem: UserError | None = None) -> Page:
        typed = {"ssid": field("ssid"), "country": field("country")} if problem else {"ssid": "", "country": ""}
        may = can(config, "wifi")
        return site.pages.page("wifi.html", problem=problem, can=may, typed=typed)

    @app.get(PAGE, access=Access.ADMIN)
    def form() -> Page:
        return shown()

    @app.post(PAGE, access=Access.ADMIN)
    def join(visitor: Visitor) -> Page:
        try:
            wanted = checked(field("ssid").strip(), secret_field("password"), field("country").strip())
            done = ask(config, JoinWifi(wanted.ssid, wanted.password, wanted.country))
        except UserError as error:
            return shown(error)
        log.warning("%s had the box join another Wi-Fi", visitor.name)
        return site.pages.done(PAGE, done.words)
