"""The site on the box: `make_app` builds it, `serve` runs it."""

from __future__ import annotations

import http.client
import logging
import os
import sqlite3
import threading
from collections.abc import Callable

from bottle import HTTPResponse

from appliance.config import Config
from appliance.local import account, api, dashboard, detections, people, sign_in, stream_forms, streams
from appliance.local.access import Guard, OpenStore
from appliance.local.pages import Site
from appliance.store import Store, StoreError
from appliance.times import Now
from appliance.times import now as clock_now
from appliance.web.access import Access, App
from appliance.web.server import CLIENT_TIMEOUT_S, listen

log = logging.getLogger(__name__)
BEAT_S = 2.0
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
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(config, stop), name="beat", daemon=True)
    log.info("the site is on port %d", config.web.port)
    try:
        beat.start()
        server.serve()
    finally:
        stop.set()
        server.stop()
        beat.join(timeout=CLIENT_TIMEOUT_S)


def _beat(config: Config, stop: threading.Event) -> None:
    """Say every BEAT_S that the site is alive, but only while it answers like it answers people."""
    started_utc, trouble = clock_now().utc, ""
    while not stop.wait(BEAT_S):
        if not _answers(config):
            log.warning("the site does not answer itself")
            continue
        try:
            store = Store.open(config.store_path)
            try:
                store.services.beat("serve", os.getpid(), started_utc, None, clock_now())
            finally:
                store.close()
            trouble = ""
        except (StoreError, sqlite3.Error) as error:
            if str(error) != trouble:  # once, not every two seconds while the disk is full
                trouble = str(error)
                log.warning("no beat: %s", error)


def _answers(config: Config) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.web.host, config.web.host)
    connection = http.client.HTTPConnection(host, config.web.port, timeout=CLIENT_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
