"""What admins have root do on the machine, from the page Settings: its names, its zone, ssh, its power, a reset."""

from __future__ import annotations

import logging
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from bottle import HTTPResponse

from appliance.accounts.account import refuse_wrong_password
from appliance.accounts.guard import Visitor
from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.interfaces import networks
from appliance.language import N_, _
from appliance.local.pages import Site
from appliance.machine import naming, ssh
from appliance.machine.asking import ask, can
from appliance.machine.keys import key
from appliance.machine.requests import FactoryReset, Name, Request, Restart, ShutDown, Ssh, TimeZone, verb_of
from appliance.sections import Verb
from appliance.store import Store
from appliance.times import Now
from appliance.update.releases import Releases
from appliance.update.versions import UpdateError
from appliance.web.access import Access, App
from appliance.web.forms import field, query_value, see_other
from appliance.web.pages import Page

log = logging.getLogger(__name__)
RUN = secrets.token_hex(8)
"""Of this run of the site: another one means that the page is back."""
REFRESH_S = 2
BY_HAND: dict[Verb, str] = {
    "name": N_("As root type `hostnamectl set-hostname NAME`, and restart the box."),
    "time_zone": N_("As root type `timedatectl set-timezone ZONE`, and restart the box."),
    "ssh": N_("As root type `systemctl enable --now ssh` or `systemctl disable --now ssh`."),
    "restart": N_("As root type `systemctl reboot`."),
    "shut_down": N_("As root type `systemctl poweroff`."),
    "factory_reset": N_("Stop the box, delete all in its `state_dir`, and start it again."),
}
"""What to type where the page may not ask root for it."""


@dataclass(frozen=True)
class Deed:
    """What is asked once more before it is done.

    ask, now: the title as a question, and while it happens. wait: what to expect then.
    """

    verb: Verb
    title: str
    ask: str
    now: str
    button: str
    question: str
    wait: str


DEEDS = {
    "/settings/restart-machine": Deed(
        "restart",
        N_("Restart the machine"),
        N_("Restart the machine?"),
        N_("The machine restarts"),
        N_("Restart"),
        N_("Streams are cut off, and nothing is counted until it is back, mostly within a minute or two."),
        N_("Streams come back by themselves."),
    ),
    "/settings/shut-down": Deed(
        "shut_down",
        N_("Shut the machine down"),
        N_("Shut the machine down?"),
        N_("The machine shuts down"),
        N_("Shut down"),
        N_("Nothing is counted any more. To start it again somebody must cut its power and give it back."),
        N_("Wait half a minute, or until its lights rest, before you cut the power. It starts when power comes back."),
    ),
    "/settings/reset": Deed(
        "factory_reset",
        N_("Factory reset"),
        N_("Factory reset?"),
        N_("The box is being reset"),
        N_("Wipe the box"),
        N_("The box forgets whom it belonged to and what it saw. This cannot be undone."),
        N_(
            "Then it has a new claim code, on its screen or by `mb9k claim`, and with HTTPS another certificate, of"
            " which browsers warn: open its page again."
        ),
    ),
}


class SettingsPage(Protocol):
    """The page Settings. problem: why something was not done."""

    def __call__(self, store: Store, now: Now, **values: Any) -> Page:
        """Shown with these values."""


def shown(config: Config) -> dict[str, Any]:
    """What the page shows of the machine."""
    return {
        "can": lambda verb: can(config, verb),
        "by_hand": BY_HAND,
        "host": socket.gethostname(),
        "networks": networks(),
        "zone": naming.zone(),
        "zones": naming.zones(),
        "ssh": ssh.access(config),
        "release": _release(config),
    }


def _release(config: Config) -> str:
    """The release that runs, where there are any."""
    try:
        return Releases(Path(config.update.releases)).current()
    except UpdateError:
        return ""


def add_routes(app: App, site: Site, page: SettingsPage) -> None:
    """Name, zone and ssh; then what is asked once more."""
    config = site.config

    @app.post("/settings/host", access=Access.ADMIN)
    def set_host(store: Store, now: Now, visitor: Visitor) -> Page:
        try:
            name = naming.host_name(field("host"))
            _ask(config, Name(name), visitor)
        except UserError as error:
            return page(store, now, problem=error, typed_host=field("host"), wrong_field="host")
        return _waiting("name", name)

    @app.post("/settings/time-zone", access=Access.ADMIN)
    def set_zone(store: Store, now: Now, visitor: Visitor) -> Page:
        try:
            words = _ask(config, TimeZone(field("zone")), visitor)
        except UserError as error:
            return page(store, now, problem=error, wrong_field="zone")
        return site.pages.done("/settings", words)

    _add_ssh(app, site, page)
    for path, deed in DEEDS.items():
        _add_deed(app, site, path, deed)

    @app.get("/settings/waiting", access=Access.ADMIN)
    def waiting() -> Page:
        if query_value("run") != RUN:
            return see_other("/settings")
        deed = next((each for each in DEEDS.values() if each.verb == query_value("for")), None)
        values: dict[str, Any] = {
            "deed": deed,
            "name": query_value("name"),
            "refresh": REFRESH_S,
            "address": _address(site),
        }
        return site.pages.page("machine_waiting.html", **values)


def _add_ssh(app: App, site: Site, page: SettingsPage) -> None:
    config = site.config

    @app.post("/settings/ssh", access=Access.ADMIN)
    def switch_ssh(store: Store, now: Now, visitor: Visitor) -> Page:
        there = ssh.access(config)
        try:
            words = _ask(config, Ssh(field("on") == "on", tuple(each.line for each in there.keys)), visitor)
        except UserError as error:
            return page(store, now, problem=error)
        return site.pages.done("/settings", words)

    @app.post("/settings/ssh/add", access=Access.ADMIN)
    def add_key(store: Store, now: Now, visitor: Visitor) -> Page:
        there = ssh.access(config)
        try:
            added = key(field("key"))
            if added.fingerprint in {each.fingerprint for each in there.keys}:
                raise InputError(_("This key is in the list already."))
            refuse_wrong_password(site.accounts, store, visitor, now)
            _ask(config, Ssh(there.on, tuple(each.line for each in (*there.keys, added))), visitor)
        except UserError as error:
            return page(store, now, problem=error, typed_key=field("key"))
        words = _("The key {fingerprint} is in the list.", fingerprint=added.fingerprint)
        return site.pages.done("/settings", words)

    @app.post("/settings/ssh/remove", access=Access.ADMIN)
    def remove_key(store: Store, now: Now, visitor: Visitor) -> Page:
        there = ssh.access(config)
        left = tuple(each.line for each in there.keys if each.fingerprint != field("fingerprint"))
        try:
            if len(left) == len(there.keys):
                raise InputError(_("This key is not in the list any more."))
            words = _ask(config, Ssh(there.on and bool(left), left), visitor)
        except UserError as error:
            return page(store, now, problem=error)
        return site.pages.done("/settings", _("The key is removed.") + f" {words}")


def _add_deed(app: App, site: Site, path: str, deed: Deed) -> None:
    def shown_deed(problem: UserError | None = None) -> Page:
        return site.pages.page(
            "machine_confirm.html",
            problem=problem,
            deed=deed,
            path=path,
            config=site.config,
            by_hand=BY_HAND,
            host=socket.gethostname(),
            can=can(site.config, deed.verb),
        )

    @app.get(path, access=Access.ADMIN)
    def confirm() -> Page:
        return shown_deed()

    @app.post(path, access=Access.ADMIN)
    def do(visitor: Visitor) -> Page:
        try:
            _ask(site.config, _request(deed.verb), visitor)
        except UserError as error:
            return shown_deed(error)
        return _waiting(deed.verb)


def _request(verb: Verb) -> Request:
    """What is asked of root for a deed."""
    if verb == "factory_reset":
        return FactoryReset(field("confirmed"))
    return ShutDown() if verb == "shut_down" else Restart()


def _ask(config: Config, request: Request, visitor: Visitor) -> str:
    """Have root do it; its words. Raises UserError."""
    done = ask(config, request)
    log.warning("%s had root act: %s", visitor.name, verb_of(request))
    return done.words


def _waiting(deed: str, name: str = "") -> HTTPResponse:
    """On to a page that comes back by itself."""
    return see_other("/settings/waiting?" + urlencode({"for": deed, "run": RUN, **({"name": name} if name else {})}))


def _address(site: Site) -> str:
    """How the page is opened by another name: what stands around it."""
    web = site.config.web
    scheme, usual = ("https", 443) if web.https else ("http", 80)
    return f"{scheme}://{{}}.local" + ("" if web.port == usual else f":{web.port}")
