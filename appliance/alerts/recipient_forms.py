"""Who is told: listed, added, changed, removed and tried out, by admins."""

from __future__ import annotations

from typing import Any

from appliance import mail
from appliance.alerts import changes
from appliance.alerts.alerts import AlertStore
from appliance.alerts.recipients import Recipient, Way, way_named
from appliance.alerts.site import WAYS, AlertSite, send_test, trial_name
from appliance.errors import UserError
from appliance.language import N_, _
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, secret_field, see_other
from appliance.web.pages import Page
from appliance.web.words import listed

PAGE = "/alerts/recipients"
KINDS = (
    (Way.EMAIL, N_("By e-mail"), N_("through the mail server below")),
    (Way.WEBHOOK, N_("By webhook"), N_("a program of yours, or a chat, that takes JSON at an address")),
    (Way.MQTT, N_("By MQTT"), N_("whoever listens to a topic, such as Home Assistant")),
)


def add_routes(app: App, site: AlertSite) -> None:
    """List, add, try; then what changes one."""
    _add_changes(app, site)

    @app.get(PAGE, access=Access.ADMIN)
    def recipients(store: AlertStore, now: Now) -> Page:
        return _list(site, store, now)

    @app.post(PAGE, access=Access.ADMIN)
    def add(store: AlertStore, now: Now) -> Page:
        typed = _typed()
        try:
            way = way_named(typed["kind"])
            site.refuse(way)
            secret = secret_field("secret") if way is Way.WEBHOOK else ""
            changes.add_recipient(store, way, typed["name"], typed[way.value], secret, now.utc)
        except UserError as error:
            return _list(site, store, now, typed=typed, problem=error)
        return site.done(PAGE, "recipient-saved")

    @app.post(f"{PAGE}/<recipient_id:int>/test", access=Access.ADMIN)
    def test(store: AlertStore, now: Now, recipient_id: int) -> Page:
        recipient = changes.find_recipient(store, recipient_id)
        try:
            send_test(site, store, recipient, now)
        except UserError as error:
            return _list(site, store, now, problem=error)
        return see_other(PAGE)


def _add_changes(app: App, site: AlertSite) -> None:
    @app.get(f"{PAGE}/<recipient_id:int>", access=Access.ADMIN)
    def edit_form(store: AlertStore, recipient_id: int) -> Page:
        recipient = changes.find_recipient(store, recipient_id)
        return _form(site, recipient, {**_blank(recipient.way), "name": recipient.name, **_address(recipient)})

    @app.post(f"{PAGE}/<recipient_id:int>", access=Access.ADMIN)
    def edit(store: AlertStore, recipient_id: int) -> Page:
        recipient, typed = changes.find_recipient(store, recipient_id), _typed()
        secret = "" if field("unsigned") else secret_field("secret") or None
        try:
            changes.change_recipient(store, recipient, typed["name"], typed[recipient.way.value], secret)
        except UserError as error:
            return _form(site, recipient, {**typed, "kind": recipient.way.value}, problem=error)
        return site.done(PAGE, "recipient-saved")

    @app.get(f"{PAGE}/<recipient_id:int>/remove", access=Access.ADMIN)
    def confirm_removal(store: AlertStore, recipient_id: int) -> Page:
        recipient = changes.find_recipient(store, recipient_id)
        chosen = [rule for rule in store.alerts.rules.all() if recipient_id in (rule.recipient_ids or ())]
        return site.page("recipient_remove.html", recipient=recipient, rules=chosen)

    @app.post(f"{PAGE}/<recipient_id:int>/remove", access=Access.ADMIN)
    def remove(store: AlertStore, recipient_id: int) -> Page:
        changes.remove_recipient(store, changes.find_recipient(store, recipient_id))
        return site.done(PAGE, "recipient-removed")


def _typed() -> dict[str, str]:
    return {name: field(name) for name in ("kind", "name", *(way.value for way in Way))}


def _blank(way: Way = Way.EMAIL) -> dict[str, str]:
    return {"kind": way.value, "name": "", **{each.value: "" for each in Way}}


def _address(recipient: Recipient) -> dict[str, str]:
    return {recipient.way.value: recipient.address}


def _form(site: AlertSite, recipient: Recipient, typed: dict[str, str], **values: Any) -> Page:
    return site.page("recipient_form.html", recipient=recipient, typed=typed, mqtt=_(site.mqtt), **values)


def _list(site: AlertSite, store: AlertStore, now: Now, **values: Any) -> Page:
    rules = store.alerts.rules.all()
    try:
        server = mail.load(site.folder)
    except UserError as unreadable:
        server, values = None, {"problem": unreadable, **values}
    shown = {
        "recipients": [
            (each, sum(rule.is_for(each.id) for rule in rules), site.trials.of(trial_name(each.id), now))
            for each in store.alerts.recipients.all()
        ],
        "ways": {way: _(words) for way, words in WAYS.items()},
        "kinds": [(way.value, _(title), _(about)) for way, title, about in KINDS if way is not Way.MQTT or site.mqtt],
        "listed": listed,
        "mqtt": _(site.mqtt),
        "mail_server": server.where if server else None,
        "typed": _blank(),
        "problem": None,
    }
    return site.page("recipients.html", **{**shown, **values})
