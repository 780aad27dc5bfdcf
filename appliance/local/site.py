"""The site on the box: `make_app` builds it, `serve` runs it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bottle import HTTPResponse

from appliance.config import Config
from appliance.local import account, api, dashboard, detections, people, sign_in, stream_forms, streams
from appliance.local.access import Guard, OpenStore
from appliance.local.pages import Site
from appliance.service import http_status, keep_alive, notify
from appliance.store import Heartbeat, Store
from appliance.times import Now
from appliance.times import now as clock_now
from appliance.web.access import Access, App
from appliance.web.server import CLIENT_TIMEOUT_S, listen

log = logging.getLogger(__name__)
MODULES = (sign_in, account, dashboard, streams, stream_forms, detections, people, api)


def make_app(config: Config, open_store: OpenStore, clock: Callable[[], Now] = clock_now) -> App:
    """The whole site as a WSGI application. open_store: a new Store for each request. Raises OSError."""
    site = Site.made_from(config, clock)
    app = App(site.error_page)
    app.install(Guard(open_store, clock, site.session_cookie, site.form_cookie))
    site.static.add_routes(app)
    for module in MODULES:
        module.add_routes(app, site)

    @app.get("/health", access=Access.ANYONE)
    def health(store: Store) -> HTTPResponse:
        """Whether the site answers and can read its store."""
        store.people.count()
        return HTTPResponse("ok\n", headers={"Content-Type": "text/plain; charset=utf-8"})

    return app


def serve(config: Config) -> None:
    """Run the site until SIGTERM or SIGINT. Raises UserError."""
    store = Store.open(config.store_path)  # makes or migrates the file, and says early what is wrong
    claimed = store.people.count() > 0
    store.close()
    server = listen(make_app(config, lambda: Store.open_existing(config.store_path)), config.web.host, config.web.port)
    if not claimed:
        sign_in.claim_code(config)
        log.warning("this box has no admin yet: open its page and enter the code in %s", config.claim_code_path)
    stopping = threading.Event()
    keep_alive(Heartbeat(config.store_path, "serve").write, lambda: _answers(config), stopping)
    log.info("the site is on port %d", config.web.port)
    notify("READY=1")
    try:
        server.serve()
    finally:
        stopping.set()
        server.stop()


def _answers(config: Config) -> bool:
    """Whether the site answers as it answers people."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.web.host, config.web.host)
    return http_status(host, config.web.port, "GET", "/health", timeout_s=CLIENT_TIMEOUT_S) == 200
