"""The site on the box: `make_app` builds it, `serve` runs it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bottle import HTTPResponse

from appliance.accounts import account, sign_in
from appliance.accounts.guard import Guard
from appliance.config import Config
from appliance.local import api, dashboard, detections, fleet, people, stream_forms, streams
from appliance.local.access import owned_stream
from appliance.local.pages import Site
from appliance.secrets import claim_code
from appliance.service import http_status, keep_alive, reachable_host, repeat, serve_http
from appliance.store import Heartbeat, Store
from appliance.store.schedule import BackupSchedule
from appliance.times import Now
from appliance.times import now as clock_now
from appliance.web.access import Access, App
from appliance.web.server import CLIENT_TIMEOUT_S, make_server

log = logging.getLogger(__name__)
BACKUP_POLL_S = 60.0
MODULES = (dashboard, streams, stream_forms, detections, people, fleet, api)


def make_app(config: Config, open_store: Callable[[], Store], clock: Callable[[], Now] = clock_now) -> App:
    """The whole site as a WSGI application. open_store: a new Store for each request. Raises OSError."""
    site = Site.made_from(config)
    app = App(site.pages.error_page, site.pages.address)
    app.install(Guard(site.accounts, open_store, clock, owned_stream))
    site.pages.static.add_routes(app)
    sign_in.add_routes(app, site.accounts)
    account.add_routes(app, site.accounts)
    for module in MODULES:
        module.add_routes(app, site)

    @app.get("/health", access=Access.ANYONE)
    def health(store: Store) -> HTTPResponse:
        """Whether the site answers and can read its store."""
        store.people.count()
        text = "ok, but the disk is full\n" if site.reserve.is_needed() else "ok\n"
        return HTTPResponse(text, headers={"Content-Type": "text/plain; charset=utf-8"})

    return app


def serve(config: Config) -> None:
    """Run the site until SIGTERM or SIGINT. Raises UserError."""
    store = Store.open(config.store_path)  # makes or migrates the file, and says early what is wrong
    claimed = store.people.count() > 0
    with store.writing():  # before anybody enters, corrects or deletes anything
        store.summaries.begin_epoch(clock_now(), store.ages.believes(clock_now()))
    store.close()
    app = make_app(config, lambda: Store.open_existing(config.store_path))
    server = make_server(app, config.web.host, config.web.port, proxies=app.address.proxies)
    if not claimed:
        claim_code(config.claim_code_path)
        log.warning("this box has no admin yet: open its page and enter the code in %s", config.claim_code_path)
    stopping = threading.Event()
    try:
        schedule = BackupSchedule(config, clock_now())
        repeat(lambda: schedule.step(clock_now()), BACKUP_POLL_S, "the backup", stopping)
        heartbeat = Heartbeat(config.store_path, "serve", lambda: schedule.problem)
        keep_alive(heartbeat.write, lambda: _answers(config), stopping)
        log.info("the site is on port %d", config.web.port)
        serve_http(server)
    finally:
        stopping.set()


def _answers(config: Config) -> bool:
    """Whether the site answers as it answers people."""
    host = reachable_host(config.web.host)
    return http_status(host, config.web.port, "GET", "/health", timeout_s=CLIENT_TIMEOUT_S) == 200
