"""The site of a centre: `make_app` builds it, `serve` runs it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from bottle import HTTPResponse

from appliance.accounts import account, audit_site, sign_in, unsent
from appliance.accounts.guard import Guard
from appliance.central.config import CentralConfig
from appliance.central.opening import connect, open_database
from appliance.central.processes import note_alive
from appliance.central.store import CentralStore
from appliance.central.viewer import (
    alerts,
    api,
    boxes,
    compare,
    events,
    exports,
    fleet,
    joins,
    letters,
    metrics,
    people,
    reports,
    sites,
    streams,
)
from appliance.central.viewer.openapi import document
from appliance.central.viewer.pages import Centre, owned
from appliance.exports.drafts import sweep
from appliance.language import speak
from appliance.secrets import claim_code
from appliance.service import http_status, keep_alive, reachable_host, serve_http
from appliance.times import Now
from appliance.times import now as clock_now
from appliance.web import installed, languages, reference_page
from appliance.web.access import Access, App
from appliance.web.server import CLIENT_TIMEOUT_S, make_server

log = logging.getLogger(__name__)
MODULES = (
    alerts,
    reports,
    fleet,
    boxes,
    streams,
    sites,
    compare,
    exports,
    letters,
    events,
    metrics,
    joins,
    people,
    api,
)


def make_app(
    config: CentralConfig, open_store: Callable[[], CentralStore], clock: Callable[[], Now] = clock_now
) -> App:
    """The whole site as a WSGI application. open_store: a new one for each request. Raises OSError."""
    centre = Centre.made_from(config, open_store)
    app = App(centre.pages.error_page, centre.pages.address)
    app.install(Guard(centre.accounts, open_store, clock, owned))
    centre.pages.static.add_routes(app)
    languages.add_routes(app, centre.pages)
    sign_in.add_routes(app, centre.accounts)
    unsent.add_routes(app, centre.accounts)
    account.add_routes(app, centre.accounts)
    audit_site.add_routes(app, centre.accounts)
    installed.add_routes(app, centre.pages)
    reference_page.add_routes(app, centre.pages, document())
    for module in MODULES:
        module.add_routes(app, centre)

    @app.get("/health", access=Access.ANYONE)
    def health(store: CentralStore) -> HTTPResponse:
        """Whether the site answers and can read the database."""
        store.people.count()
        return HTTPResponse("ok\n", headers={"Content-Type": "text/plain; charset=utf-8"})

    return app


def serve(config: CentralConfig) -> None:
    """Run the site until SIGTERM or SIGINT. Raises UserError."""
    speak(config.language)
    address = config.database_address
    sweep(config.state)
    store = CentralStore(open_database(address))  # makes or migrates the tables, and says early what is wrong
    claimed = store.people.count() > 0
    store.close()
    app = make_app(config, lambda: CentralStore.open_existing(address, config.audit_head_path))
    server = make_server(app, config.web.host, config.web.port, proxies=app.address.proxies)
    if not claimed:
        claim_code(config.claim_code_path)
        log.warning("this centre has no admin yet: open its page and enter the code in %s", config.claim_code_path)
    stopping = threading.Event()
    started_utc = clock_now().utc

    def heartbeat() -> None:
        with closing(connect(address)) as database:
            note_alive(database, "serve", started_utc, clock_now().utc)

    try:
        keep_alive(heartbeat, lambda: _answers(config), stopping)
        log.info("the page is on port %d", config.web.port)
        serve_http(server)
    finally:
        stopping.set()


def _answers(config: CentralConfig) -> bool:
    """Whether the site answers as it answers people."""
    host = reachable_host(config.web.host)
    return http_status(host, config.web.port, "GET", "/health", timeout_s=CLIENT_TIMEOUT_S) == 200
