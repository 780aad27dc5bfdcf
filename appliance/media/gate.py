"""The gate: may this client publish, may that one read? A small service of its own on loopback.

MediaMTX waits for the answer in one goroutine that all its paths share, and an OBS that was refused does not come
back. So the answer must come within milliseconds, also while the site restarts, and must call nothing back.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bottle
import msgspec

from appliance.config import Config
from appliance.loopback import CHALLENGE, authorization, is_the_box, objection
from appliance.media.mediamtx import key_sha256
from appliance.media.refusals import (
    DEACTIVATED,
    NOT_OFFERED,
    OLD_KEY,
    READING,
    RECORD_S,
    SECOND,
    UNKNOWN_KEY,
    Refusals,
    wrong_address,
)
from appliance.secrets import secret_from_file
from appliance.service import http_status, keep_alive, refuse_busy_port, repeat, serve_http
from appliance.store import Heartbeat, Store, StoreError
from appliance.times import now
from appliance.web.server import make_server

log = logging.getLogger(__name__)

THREADS = 8
MAX_REQUEST_BYTES = 16_384
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class AuthRequest(msgspec.Struct):
    """What MediaMTX asks. More fields may come; they are ignored."""

    action: str
    path: str = ""
    query: str = ""
    protocol: str = ""
    ip: str = ""
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. refusal: what to record for people, also of a second publisher, whom the ingest will refuse.

    stream_id: of a refusal, the stream that was meant, also by an older key of it; None: not known.
    """

    allowed: bool
    refusal: str | None = None
    stream_id: int | None = None


def authorise(request: AuthRequest, store: Store, secret: str) -> Decision:
    """Whether the request's action is allowed. secret: the box's own. Raises sqlite3.Error."""
    if request.action in ("read", "api"):
        return _of_the_box(request, secret)
    if request.action != "publish" or request.protocol != "rtmp":
        return Decision(False, NOT_OFFERED)
    key = key_sha256(request.path)
    if key is None:
        return Decision(False, wrong_address(request.path, request.query))
    stream = store.streams.with_key(key, now())
    if stream is None:
        meant = store.senders.meant(key)
        return Decision(False, UNKNOWN_KEY if meant is None else OLD_KEY, meant)
    if not stream.active:
        return Decision(False, DEACTIVATED, stream.id)
    # The ingest itself refuses a second publisher. A refusal here would make OBS give up for good, also when it is
    # the first one who comes back while its lost connection is still timing out.
    return Decision(True, SECOND, stream.id) if stream.live else Decision(True)


def _of_the_box(request: AuthRequest, secret: str) -> Decision:
    """Whether it is the box itself that would read a stream, or asks the ingest's API."""
    if request.ip in LOOPBACK and is_the_box(request.user, request.password, secret):
        return Decision(True)
    # MediaMTX asks once without credentials, and only then asks its client for them: that is no refusal to record.
    first_of_two = request.ip in LOOPBACK and request.protocol != "rtmp" and not request.user + request.password
    return Decision(False, None if first_of_two else READING if request.action == "read" else NOT_OFFERED)


class Gate:
    """The service: answers, and records whom it refused."""

    def __init__(self, config: Config) -> None:
        self.config = config
        # Makes the file if we are the first, and stays open: without anybody who writes there is no shared memory
        # beside the file, and those who only read could not open it.
        self._anchor = Store.open(config.store_path)
        self.secret = secret_from_file(config.local_secret_path)
        (config.state / "reader-token").unlink(missing_ok=True)  # of earlier versions: a secret that nothing reads now
        self.refusals = Refusals()
        self._local = threading.local()

    def status_for(self, body: bytes) -> int:
        """The HTTP status for a request: 204 yes, 401 no, 400 unreadable, 503 we cannot tell (which is a no, too)."""
        try:
            request = msgspec.json.decode(body, type=AuthRequest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return 400
        try:
            decision = self._decide(request)
        except (sqlite3.Error, StoreError) as error:
            log.error("the store cannot be read, so nobody is let in: %s", error)
            return 503
        if decision.refusal:
            self.refusals.add(request.ip or "?", request.action, decision.refusal, decision.stream_id)
        return 204 if decision.allowed else 401

    def _decide(self, request: AuthRequest) -> Decision:
        """The decision; a broken connection to the store is replaced once. Raises sqlite3.Error, StoreError."""
        try:
            return authorise(request, self._store(), self.secret)
        except (sqlite3.Error, StoreError) as error:
            log.warning("opening the store again: %s", error)
            self._local.store = None
            return authorise(request, self._store(), self.secret)

    def _store(self) -> Store:
        store: Store | None = getattr(self._local, "store", None)
        if store is None:
            store = Store.open_readonly(self.config.store_path)
            self._local.store = store
        return store

    def answers(self) -> bool:
        """Whether our port answers, asked from outside as MediaMTX does."""
        headers = {"Authorization": authorization(self.secret), "Content-Type": "application/json"}
        return http_status("127.0.0.1", self.config.media.gate_port, "POST", "/auth", b"{}", headers) == 400

    def app(self) -> Callable[..., Any]:
        """The WSGI application."""
        app, port = bottle.Bottle(), self.config.media.gate_port

        @app.post("/auth")  # type: ignore[untyped-decorator, unused-ignore]
        def auth() -> str:
            # The body of a refusal stands in MediaMTX's log: it stays empty.
            status = objection(bottle.request.headers, port, self.secret, "application/json")
            if status == 401:
                bottle.response.headers["WWW-Authenticate"] = CHALLENGE
            elif status is None and bottle.request.content_length > MAX_REQUEST_BYTES:
                status = 413
            bottle.response.status = status or self.status_for(bottle.request.body.read())
            return ""

        return app  # type: ignore[no-any-return]


def serve(config: Config) -> None:
    """Answer until SIGTERM. Raises UserError if the port is taken."""
    port = config.media.gate_port
    refuse_busy_port("127.0.0.1", port, "media.gate_port")
    gate = Gate(config)
    server = make_server(gate.app(), "127.0.0.1", port, "media.gate_port", THREADS)
    stopping = threading.Event()
    try:
        repeat(lambda: gate.refusals.save(config.store_path, now().utc), RECORD_S, "the record of refusals", stopping)
        keep_alive(Heartbeat(config.store_path, "gate").write, gate.answers, stopping)
        log.info("answering on port %d", port)
        serve_http(server)
    finally:
        stopping.set()
