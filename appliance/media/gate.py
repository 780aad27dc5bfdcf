"""The gate: may this client publish, may that one read? A small service of its own on loopback.

MediaMTX waits for the answer in one goroutine that all its paths share, and an OBS that was refused does not come
back. So the answer must come within milliseconds, also while the site restarts, and must call nothing back.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bottle
import msgspec

from appliance.config import Config
from appliance.media.mediamtx import key_sha256
from appliance.secrets import digest, equal_in_constant_time, secret_from_file
from appliance.service import http_status, keep_alive, refuse_busy_port, repeat, serve_http
from appliance.store import Heartbeat, Store, StoreError
from appliance.times import now
from appliance.web.server import make_server

log = logging.getLogger(__name__)

THREADS = 8
MAX_REQUEST_BYTES = 16_384
MAX_QUEUED_REFUSALS = 1000
RECORD_S = 1.0  # a flood of refusals is one transaction a second
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

UNKNOWN_KEY = "The stream key is not known here; copy it again from the stream's page."
DEACTIVATED = "This stream is deactivated; activate it on its page."
NO_KEY = (
    "No stream key came with it; publish to rtmp://<this box>/live with the stream key, or to .../live/<stream key>."
)
READING = "Reading needs the box's own token; a stream key lets somebody publish, never read."
NOT_OFFERED = "This box offers no such thing to the outside."
SECOND = "Somebody else is already publishing to this stream; the first one stays."


class AuthRequest(msgspec.Struct):
    """What MediaMTX asks. More fields may come; they are ignored."""

    action: str
    path: str = ""
    ip: str = ""
    token: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. refusal: what to record for people, also of a second publisher, whom the ingest will refuse."""

    allowed: bool
    refusal: str | None = None


def authorise(request: AuthRequest, store: Store, reader_token_sha256: str) -> Decision:
    """Whether the request's action is allowed. Raises sqlite3.Error."""
    if request.action == "read":
        token = request.token or request.password
        allowed = request.ip in LOOPBACK and equal_in_constant_time(digest(token), reader_token_sha256)
        return Decision(allowed, None if allowed else READING)
    if request.action != "publish":
        return Decision(False, NOT_OFFERED)
    key = key_sha256(request.path)
    if key is None:
        return Decision(False, NO_KEY)
    stream = store.streams.with_key(key, now())
    if stream is None or not stream.active:
        return Decision(False, DEACTIVATED if stream else UNKNOWN_KEY)
    # The ingest itself refuses a second publisher. A refusal here would make OBS give up for good, also when it is
    # the first one who comes back while its lost connection is still timing out.
    return Decision(True, SECOND if stream.live else None)


class Refusals:
    """Records refusals without ever keeping an answer waiting: a bounded queue, one transaction a second."""

    def __init__(self) -> None:
        self.queue: queue.Queue[tuple[str, str, str]] = queue.Queue(maxsize=MAX_QUEUED_REFUSALS)

    def add(self, remote: str, action: str, reason: str) -> None:
        """Somebody was refused. In a flood the surplus is dropped: it would all say the same."""
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait((remote, action, reason))

    def write(self, store: Store) -> None:
        """Write what is queued, the same only once. Raises sqlite3.Error; what was taken is then put back."""
        refusals: Counter[tuple[str, str, str]] = Counter()
        with contextlib.suppress(queue.Empty):
            while True:
                refusals[self.queue.get_nowait()] += 1
        try:
            with store.writing():
                for (remote, action, reason), times in refusals.items():
                    store.streams.add_refusal(remote, action, reason, times, time.time())
        except sqlite3.Error:
            for refusal in refusals.elements():
                self.add(*refusal)
            raise


class Gate:
    """The service: answers, and records whom it refused."""

    def __init__(self, config: Config) -> None:
        self.config = config
        # Makes the file if we are the first, and stays open: without anybody who writes there is no shared memory
        # beside the file, and those who only read could not open it.
        self._anchor = Store.open(config.store_path)
        self.reader_token_sha256 = digest(secret_from_file(config.reader_token_path))
        self.refusals = Refusals()
        self._local = threading.local()

    def status_for(self, body: bytes) -> int:
        """The HTTP status for a request: 204 yes, 401 no, 400 unreadable, 503 we cannot tell (which is a no, too)."""
        try:
            request = msgspec.json.decode(body, type=AuthRequest)
        except msgspec.DecodeError:
            return 400
        try:
            decision = self._decide(request)
        except (sqlite3.Error, StoreError) as error:
            log.error("the store cannot be read, so nobody is let in: %s", error)
            return 503
        if decision.refusal:
            self.refusals.add(request.ip or "?", request.action, decision.refusal)
        return 204 if decision.allowed else 401

    def _decide(self, request: AuthRequest) -> Decision:
        """The decision; a broken connection to the store is replaced once. Raises sqlite3.Error, StoreError."""
        try:
            return authorise(request, self._store(), self.reader_token_sha256)
        except (sqlite3.Error, StoreError) as error:
            log.warning("opening the store again: %s", error)
            self._local.store = None
            return authorise(request, self._store(), self.reader_token_sha256)

    def _store(self) -> Store:
        store: Store | None = getattr(self._local, "store", None)
        if store is None:
            store = Store.open_readonly(self.config.store_path)
            self._local.store = store
        return store

    def write_refusals(self) -> None:
        """Write what is queued, over a connection of its own. Raises sqlite3.Error, StoreError."""
        if self.refusals.queue.empty():
            return
        store = Store.open_existing(self.config.store_path)
        try:
            self.refusals.write(store)
        finally:
            store.close()

    def answers(self) -> bool:
        """Whether our port answers, asked from outside as MediaMTX does."""
        return http_status("127.0.0.1", self.config.media.gate_port, "POST", "/auth", b"{}") == 400

    def app(self) -> Callable[..., Any]:
        """The WSGI application."""
        app = bottle.Bottle()

        @app.post("/auth")  # type: ignore[untyped-decorator, unused-ignore]
        def auth() -> str:
            # The body of a refusal stands in MediaMTX's log: it stays empty.
            too_long = bottle.request.content_length > MAX_REQUEST_BYTES
            bottle.response.status = 413 if too_long else self.status_for(bottle.request.body.read())
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
        repeat(gate.write_refusals, RECORD_S, "the record of refusals", stopping)
        keep_alive(Heartbeat(config.store_path, "gate").write, gate.answers, stopping)
        log.info("answering on port %d", port)
        serve_http(server)
    finally:
        stopping.set()
