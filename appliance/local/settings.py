"""What admins set and see of the box itself: its name, its certificate, its services; and a bundle for support."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bottle import HTTPError, HTTPResponse, request

from appliance.accounts.audit import Action, record
from appliance.accounts.audit_subjects import BUNDLE
from appliance.accounts.guard import Visitor
from appliance.errors import UserError
from appliance.https import Certificate, Keeper, Source
from appliance.language import _
from appliance.local import bundle, machine
from appliance.local.health import model_id
from appliance.local.pages import Site
from appliance.media import mediamtx
from appliance.outside import system_words
from appliance.rules import boxes
from appliance.service import SERVICES
from appliance.store import Store
from appliance.times import Now
from appliance.version import version
from appliance.web.access import Access, App
from appliance.web.forms import field
from appliance.web.pages import Page

log = logging.getLogger(__name__)
MAX_FILE_BYTES = 60_000
ANSWER_S = 1.0
"""The site ends itself only so long after it was asked to, so that whoever asked gets an answer."""
SITE = "serve"


def add_routes(app: App, site: Site) -> None:
    """See, set, restart, and take a bundle along."""
    machine.add_routes(app, site, functools.partial(_page, site))
    _add_certificate_routes(app, site)

    @app.get("/settings", access=Access.ADMIN)
    def settings(store: Store, now: Now) -> Page:
        return _page(site, store, now)

    @app.post("/settings/title", access=Access.ADMIN)
    def set_title(store: Store, now: Now) -> Page:
        try:
            with _kept():
                boxes.set_box_title(site.config, field("title"))
        except UserError as error:
            return _page(site, store, now, problem=error)
        return site.pages.done("/settings", _("The box has its new name."))

    @app.post("/settings/screen", access=Access.ADMIN)
    def set_screen(store: Store, now: Now) -> Page:
        try:
            with _kept():
                boxes.let_screen_show_counts(site.config, field("counts") == "yes")
        except UserError as error:
            return _page(site, store, now, problem=error)
        return site.pages.done("/settings", _("The setting of the screen was saved."))

    @app.post("/settings/restart", access=Access.ADMIN)
    def restart(store: Store, now: Now, visitor: Visitor) -> Page:
        try:
            words = _restart(store, field("service"), now)
        except UserError as error:
            return _page(site, store, now, problem=error)
        log.warning("%s had the service %s end", visitor.name, field("service"))
        return site.pages.done("/settings", words)

    @app.get("/settings/bundle.zip", access=Access.ADMIN)
    def support_bundle(store: Store, now: Now) -> HTTPResponse:
        name = f"mb9k-{site.config.box}-{bundle.stamp(now.utc)}.zip"
        content = bundle.make(site.config, store, now, bundle.journal(), version(), model_id(site.config))
        kind = {"Content-Type": "application/zip", "Content-Disposition": f'attachment; filename="{name}"'}
        record(store, Action.DOWNLOADED, BUNDLE)
        return HTTPResponse(content, headers=kind)


def _add_certificate_routes(app: App, site: Site) -> None:
    """Give the box another certificate, take it back, save the one in force."""

    @app.post("/settings/certificate", access=Access.ADMIN)
    def give_certificate(store: Store, now: Now, visitor: Visitor) -> Page:
        keeper = _keeper(site)
        try:
            with _kept():
                keeper.give(_text("chain"), _text("key"), now.utc)
        except UserError as error:
            return _page(site, store, now, problem=error, gives=True)
        log.warning("%s gave the box another certificate", visitor.name)
        return site.pages.done("/settings", _("The new certificate is shown from now on; reload the page to see it."))

    @app.post("/settings/certificate/own", access=Access.ADMIN)
    def own_certificate(store: Store, now: Now, visitor: Visitor) -> Page:
        keeper = _keeper(site)
        try:
            with _kept():
                keeper.go_back(now.utc)
        except UserError as error:
            return _page(site, store, now, problem=error)
        log.warning("%s had the box show its own certificate again", visitor.name)
        return site.pages.done("/settings", _("The box shows its own certificate again."))

    @app.get("/settings/certificate.pem", access=Access.ADMIN)
    def certificate_file() -> HTTPResponse:
        kind = {"Content-Type": "application/x-pem-file", "Content-Disposition": 'attachment; filename="mb9k.pem"'}
        return HTTPResponse(_keeper(site).public_text(), headers=kind)


@contextmanager
def _kept() -> Iterator[None]:
    """Says of a file that cannot be written why. Raises UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            _("This could not be kept ({strerror}); see whether the disk is full.", strerror=system_words(error))
        ) from error


def _keeper(site: Site) -> Keeper:
    if site.keeper is None:
        raise HTTPError(404, _("This site speaks plain HTTP, so it has no certificate."))
    return site.keeper


def _text(name: str) -> str:
    """A file of a form, or what was pasted instead of it."""
    sent = request.files.get(f"{name}_file")
    content = sent.file.read(MAX_FILE_BYTES) if sent is not None else b""
    return str(content.decode(errors="replace")) if content.strip() else field(name)


def _restart(store: Store, name: str, now: Now) -> str:
    boxes.known_service(name)
    if name == SITE:
        threading.Timer(ANSWER_S, _end_site, [boxes.process_of(store, name, now)]).start()
        return _("The site ends now, and is back in a few seconds.")
    boxes.end_service(store, name, now)
    return _("The service {name} ends now, and is back in a few seconds.", name=name)


def _end_site(pid: int) -> None:
    try:
        boxes.end_process(pid)
    except UserError as error:
        log.error("%s", error)


def _page(site: Site, store: Store, now: Now, **values: Any) -> Page:
    config, known = site.config, {service.name: service for service in SERVICES}
    heard = {each.name: each for each in store.services.all(now)}
    services = [heard[name] for name in known if name in heard]
    shown = {
        "config": config,
        "box_title": boxes.box_title(config),
        "screen_counts": boxes.screen_shows_counts(config),
        **machine.shown(config),
        "version": version(),
        "model": model_id(config),
        "certificate": _certificate(site, now),
        "sources": Source,
        "is_named": bool(config.web.tls_certificate),
        "has_rtmps": mediamtx.has_rtmps(config),
        "services": services,
        "judging": next((each.judging for each in services if each.alive and each.judging), None),
        "summaries": {name: service.summary for name, service in known.items()},
        "now_utc": now.utc,
        "gives": False,
        "typed_host": "",
        "typed_key": "",
    }
    return site.pages.page("settings.html", **{**shown, **values})


def _certificate(site: Site, now: Now) -> Certificate | None:
    return site.keeper.certificate(now.utc) if site.keeper else None
