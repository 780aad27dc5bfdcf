"""The site on the box: `make_app` builds it, `serve` runs it."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import closing

from bottle import HTTPResponse

from appliance.accounts import account, audit_site, sign_in, unsent
from appliance.accounts.guard import Guard
from appliance.config import Config
from appliance.disk import Reserve
from appliance.exports.drafts import sweep
from appliance.https import Keeper
from appliance.images import ImageFiles
from appliance.language import speak
from appliance.local import (
    alerts,
    api,
    calibration,
    dashboard,
    detections,
    exports,
    fleet,
    monitoring,
    people,
    privacy,
    receipts,
    reports,
    settings,
    stream_forms,
    stream_keys,
    stream_list,
    streams,
    trends,
    updates,
    wifi,
    zones,
)
from appliance.local.access import owned_stream
from appliance.local.openapi import document
from appliance.local.pages import Site
from appliance.rules.audit import drop_old_entries
from appliance.rules.streams import go_on_deleting
from appliance.secrets import claim_code
from appliance.service import http_status, keep_alive, reachable_host, repeat, serve_http
from appliance.store import Heartbeat, Store
from appliance.store.schedule import BackupSchedule
from appliance.time_zone import time_zone
from appliance.times import Now
from appliance.times import now as clock_now
from appliance.web import installed, languages, reference_page
from appliance.web.access import Access, App
from appliance.web.redirect import leading_to_https
from appliance.web.server import CLIENT_TIMEOUT_S, make_server

log = logging.getLogger(__name__)
BACKUP_POLL_S = 60.0
AUDIT_POLL_S = 3600.0
DELETION_POLL_S = 2.0
DELETION_PAUSE_S = 0.05  # between two steps of a deletion: whoever waits to write comes in
CERTIFICATE_POLL_S = 10.0
REDIRECT_THREADS = 2
MODULES = (
    dashboard,
    trends,
    reports,
    stream_list,
    streams,
    stream_forms,
    stream_keys,
    calibration,
    zones,
    detections,
    exports,
    receipts,
    monitoring,
    alerts,
    privacy,
    people,
    fleet,
    settings,
    wifi,
    updates,
    api,
)


def make_app(
    config: Config, open_store: Callable[[], Store], clock: Callable[[], Now] = clock_now, keeper: Keeper | None = None
) -> App:
    """The whole site as a WSGI application. open_store: a new Store for each request. Raises OSError.

    keeper: of the certificate, where the site speaks HTTPS.
    """
    site = Site.made_from(config, keeper)
    app = App(site.pages.error_page, site.pages.address)
    app.install(Guard(site.accounts, open_store, clock, owned_stream))
    site.pages.static.add_routes(app)
    languages.add_routes(app, site.pages)
    sign_in.add_routes(app, site.accounts)
    unsent.add_routes(app, site.accounts)
    account.add_routes(app, site.accounts)
    audit_site.add_routes(app, site.accounts)
    installed.add_routes(app, site.pages)
    reference_page.add_routes(app, site.pages, document())
    for module in MODULES:
        module.add_routes(app, site)

    @app.get("/health", access=Access.ANYONE)
    def health(store: Store) -> HTTPResponse:
        """Whether the site answers and can read its store."""
        store.people.count()
        text = "ok, but the disk is full\n" if site.reserve.is_needed() else "ok\n"
        return HTTPResponse(text, headers={"Content-Type": "text/plain; charset=utf-8"})

    return app


def _begin_epoch(store: Store) -> None:
    """Before anybody enters, corrects or deletes anything. Raises sqlite3.Error."""
    with store.writing():
        store.summaries.begin_epoch(clock_now(), store.ages.believes(clock_now()))
        store.trends.follow_zone(time_zone())


def serve(config: Config) -> None:
    """Run the site until SIGTERM or SIGINT. Raises UserError."""
    speak(config.language)
    sweep(config.state)
    store = Store.open(config.store_path)  # makes or migrates the file, and says early what is wrong
    claimed = store.people.count() > 0
    Reserve(config.state).spend(lambda: _begin_epoch(store))
    store.close()
    web, keeper = config.web, Keeper(config) if config.web.https else None
    if keeper:
        keeper.refresh(clock_now().utc)
    app = make_app(config, lambda: Store.open_existing(config.store_path), keeper=keeper)
    proxies = app.address.proxies
    server = make_server(
        app, web.host, web.port, proxies=proxies, tls=keeper.context if keeper else None, admit=app.admit
    )
    beside = []
    if keeper and web.http_port:
        leading = leading_to_https(app.address, web.port)
        beside.append(make_server(leading, web.host, web.http_port, "web.http_port", REDIRECT_THREADS, proxies=proxies))
    gc.collect()
    gc.freeze()  # what stays until the end is looked at no more: else every full collection holds up a page
    if not claimed:
        claim_code(config.claim_code_path)
        log.warning("this box has no admin yet: open its page and enter the code in %s", config.claim_code_path)
    stopping = threading.Event()
    try:
        schedule = BackupSchedule(config, clock_now())
        repeat(lambda: schedule.step(clock_now()), BACKUP_POLL_S, "the backup", stopping)
        repeat(lambda: drop_old_entries(config, clock_now()), AUDIT_POLL_S, "the audit", stopping)
        repeat(lambda: _go_on_deleting(config, stopping), DELETION_POLL_S, "the deletion of a stream", stopping)
        heartbeat = Heartbeat(config.store_path, "serve", lambda: schedule.problem)
        if keeper:
            repeat(lambda: _refresh(keeper), CERTIFICATE_POLL_S, "the certificate", stopping)
        keep_alive(heartbeat.write, lambda: _answers(config), stopping)
        log.info("the site is on port %d%s", web.port, " (HTTPS)" if keeper else "")
        serve_http(server, *beside)
    finally:
        stopping.set()


def _go_on_deleting(config: Config, stopping: threading.Event) -> None:
    """Take all the steps there are. Raises StoreError, sqlite3.Error."""
    with closing(Store.open_existing(config.store_path)) as store:
        files = ImageFiles(config.images_dir)
        while go_on_deleting(store, files):
            if stopping.wait(DELETION_PAUSE_S):
                return


def _refresh(keeper: Keeper) -> None:
    keeper.refresh(clock_now().utc)


def _answers(config: Config) -> bool:
    """Whether the site answers as it answers people, and also where plain HTTP is led on."""
    web, host = config.web, reachable_host(config.web.host)
    status = http_status(host, web.port, "GET", "/health", timeout_s=CLIENT_TIMEOUT_S, https=web.https)
    leads_on = not (web.https and web.http_port) or http_status(host, web.http_port, "GET", "/health") == 301
    return status == 200 and leads_on
