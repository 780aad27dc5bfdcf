"""The server that mail goes out through, set on a page by an admin, and tried out there."""

from __future__ import annotations

from typing import Any

from appliance import mail
from appliance.accounts.audit import Action
from appliance.accounts.audit_subjects import MAIL_SERVER, NONE
from appliance.alerts.alerts import AlertStore
from appliance.alerts.site import AlertSite, send_test_mail
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.mail import MailServer, Security
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, secret_field, see_other, whole_number
from appliance.web.pages import Page

PAGE = "/alerts/mail"
SECURITIES = (
    (
        Security.STARTTLS,
        "STARTTLS",
        N_("begins in the clear and is encrypted before anything is said; mostly port 587"),
    ),
    (Security.TLS, "TLS", N_("encrypted from its beginning; mostly port 465")),
    (Security.NONE, N_("Not encrypted"), N_("for a relay on the same site that asks for no password; mostly port 25")),
)
TYPED = ("host", "port", "security", "user", "sender", "authority")


def add_routes(app: App, site: AlertSite) -> None:
    """See, set, try, forget."""

    @app.get(PAGE, access=Access.ADMIN)
    def mail_server(now: Now) -> Page:
        return _page(site, now)

    @app.post(PAGE, access=Access.ADMIN)
    def set_mail_server(store: AlertStore, now: Now) -> Page:
        typed = {name: field(name) for name in TYPED}
        try:
            server = _typed_server(typed)
            with store.saving():
                kept = mail.checked(server, _known(site))
                told = {"host": kept.where, "security": kept.security.value, "user": kept.user, "sender": kept.sender}
                store.audit.add(Action.MAIL_SERVER_CHANGED, kept.where, **told)
                mail.save(site.folder, kept)
        except UserError as error:
            return _page(site, now, typed=typed, problem=error)
        return site.done(PAGE, "mail-saved")

    @app.post(f"{PAGE}/test", access=Access.ADMIN)
    def try_mail_server(store: AlertStore, now: Now) -> Page:
        try:
            if mail.load(site.folder) is None:
                raise InputError(_("Set the mail server first, then send a test."))
            send_test_mail(site, store, field("to"), now)
        except UserError as error:
            return _page(site, now, problem=error, test_to=field("to"))
        return see_other(PAGE)

    @app.post(f"{PAGE}/remove", access=Access.ADMIN)
    def forget_mail_server(store: AlertStore, now: Now) -> Page:
        try:
            with store.saving():
                store.audit.add(Action.MAIL_SERVER_CHANGED, NONE)
                mail.save(site.folder, None)
        except UserError as error:
            return _page(site, now, problem=error)
        return site.done("/alerts/recipients", "mail-removed")


def _typed_server(typed: dict[str, str]) -> MailServer:
    """What was typed, not yet checked. Raises InputError."""
    port = whole_number(typed["port"])
    if port is None:
        raise InputError(
            _("The port is a number from 1 to 65535: with STARTTLS mostly 587, with TLS mostly 465."), "port"
        )
    try:
        security = Security(typed["security"])
    except ValueError as error:
        raise InputError(
            _("Choose how the connection is encrypted: STARTTLS, TLS, or not at all."), "security"
        ) from error
    return MailServer(
        host=typed["host"],
        sender=typed["sender"],
        port=port,
        security=security,
        user=typed["user"],
        password=secret_field("password"),
        authority=typed["authority"],
    )


def _known(site: AlertSite) -> MailServer | None:
    """The server that is set, as far as its file can be read: setting it again mends it."""
    try:
        return mail.load(site.folder)
    except UserError:
        return None


def _page(site: AlertSite, now: Now, typed: dict[str, str] | None = None, **values: Any) -> Page:
    problem, server = values.pop("problem", None), None
    try:
        server = mail.load(site.folder)
    except UserError as unreadable:
        problem = problem or unreadable
    shown = server or MailServer(host="", sender="")
    as_set = {
        "host": shown.host,
        "port": str(shown.port),
        "security": shown.security.value,
        "user": shown.user,
        "sender": shown.sender,
        "authority": shown.authority,
    }
    return site.page(
        "mail_server.html",
        typed=typed or as_set,
        securities=[(security.value, _(title), _(about)) for security, title, about in SECURITIES],
        has_password=bool(shown.password),
        is_set=server is not None,
        test=site.trials.of(MAIL_SERVER, now),
        problem=problem,
        **{"test_to": "", **values},
    )
