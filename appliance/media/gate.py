"""The gate: may this one send, may that one watch? A small service of its own on loopback.

MediaMTX waits for the answer in one goroutine that all its paths share, and an OBS that was refused does not come
back. So the answer must come within milliseconds, also while the site restarts, and must call nothing back.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import os
import queue
import re
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bottle
import msgspec
from cheroot import wsgi

from appliance.config import Config
from appliance.errors import UserError
from appliance.media.mediamtx import KEY_PATHS
from appliance.secrets import digest, kept_secret, owner_of, same
from appliance.store import Store, StoreError
from appliance.times import now

log = logging.getLogger(__name__)

THREADS = 8
MAX_QUESTION_BYTES = 16_384
MAX_WAITING_REFUSALS = 1000
RECORD_S = 1.0  # a flood of refusals is one transaction a second
BEAT_S = 2.0
KEY_PATH = re.compile(KEY_PATHS)
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

UNKNOWN_KEY = "The stream key is not known here; copy it again from the stream's page."
DEACTIVATED = "This stream is deactivated; activate it on its page."
NO_KEY = "No stream key came with it; send to rtmp://<this box>/live with the stream key, or to .../live/<stream key>."
WATCHING = "Watching needs the box's own token; a stream key lets somebody send, never watch."
NOT_OFFERED = "This box offers no such thing to the outside."
SECOND = "Somebody else is already sending to this stream; the first one stays."


class Question(msgspec.Struct):
    """What MediaMTX asks. More fields may come; they are ignored."""

    action: str
    path: str = ""
    ip: str = ""
    token: str = ""
    password: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. remark: what to record for people, also of somebody who was let in."""

    allowed: bool
    remark: str | None = None


def judge(question: Question, store: Store, reader_token_sha256: str) -> Verdict:
    """Whether the question's action is allowed. Raises sqlite3.Error."""
    if question.action == "read":
        token = question.token or question.password
        allowed = question.ip in LOOPBACK and same(digest(token), reader_token_sha256)
        return Verdict(allowed, None if allowed else WATCHING)
    if question.action != "publish":
        return Verdict(False, NOT_OFFERED)
    match = KEY_PATH.match(question.path)
    if match is None:
        return Verdict(False, NO_KEY)
    key = match.group(1)
    stream_id = owner_of(key, store.streams.active_keys())
    if stream_id is None:
        inactive = owner_of(key, store.streams.inactive_keys()) is not None
        return Verdict(False, DEACTIVATED if inactive else UNKNOWN_KEY)
    stream = store.streams.get(stream_id, now())
    # The ingest itself turns a second publisher away. A refusal here would make OBS give up for good, also when it is
    # the first one who comes back while its lost connection is still timing out.
    return Verdict(True, SECOND if stream is not None and stream.live else None)


@dataclass
class Refusals:
    """Records refusals without ever keeping an answer waiting: a bounded queue, one transaction a second."""

    path: Path
    waiting: queue.Queue[tuple[str, str, str]] = field(
        default_factory=lambda: queue.Queue(maxsize=MAX_WAITING_REFUSALS)
    )

    def note(self, remote: str, action: str, reason: str) -> None:
        """Somebody was turned away. In a flood the surplus is dropped: it would all say the same."""
        with contextlib.suppress(queue.Full):
            self.waiting.put_nowait((remote, action, reason))

    def write(self, store: Store) -> None:
        """Write what is waiting, the same only once. Raises sqlite3.Error; what was taken is then put back."""
        taken: Counter[tuple[str, str, str]] = Counter()
        with contextlib.suppress(queue.Empty):
            while True:
                taken[self.waiting.get_nowait()] += 1
        if not taken:
            return
        try:
            with store.writing():
                for (remote, action, reason), times in taken.items():
                    store.streams.add_refusal(remote, action, reason, times, time.time())
        except sqlite3.Error:
            for refusal in taken:
                self.note(*refusal)
            raise


class Gate:
    """The service: answers, records, gives signs of life."""

    def __init__(self, config: Config) -> None:
        self.config = config
        # Makes the file if we are the first, and stays open: without anybody who writes there is no shared memory
        # beside the file, and those who only read could not open it.
        self._anchor = Store.open(config.store_path)
        self.reader_token_sha256 = digest(kept_secret(config.reader_token_path))
        self.refusals = Refusals(config.store_path)
        self.stopping = threading.Event()
        self._local = threading.local()

    def answer(self, body: bytes) -> int:
        """The HTTP status for a question: 204 yes, 401 no, 400 no question, 503 we cannot tell (which also is a no)."""
        try:
            question = msgspec.json.decode(body, type=Question)
        except msgspec.DecodeError:
            return 400
        try:
            verdict = self._verdict(question)
        except (sqlite3.Error, StoreError) as error:
            log.error("the store cannot be read, so nobody is let in: %s", error)
            return 503
        if verdict.remark:
            self.refusals.note(question.ip or "?", question.action, verdict.remark)
        return 204 if verdict.allowed else 401

    def _verdict(self, question: Question) -> Verdict:
        """The verdict; a connection to the store that has broken is replaced once. Raises sqlite3.Error, StoreError."""
        try:
            return judge(question, self._store(), self.reader_token_sha256)
        except (sqlite3.Error, StoreError) as error:
            log.warning("opening the store anew: %s", error)
            self._local.store = None
            return judge(question, self._store(), self.reader_token_sha256)

    def _store(self) -> Store:
        store: Store | None = getattr(self._local, "store", None)
        if store is None:
            store = Store.open_readonly(self.config.store_path)
            self._local.store = store
        return store

    def keep_record(self) -> None:
        """Write refusals and beats until told to stop; trouble with the store is logged and tried again."""
        store: Store | None = None
        started_utc, beat_due_s, trouble = time.time(), 0.0, ""
        while not self.stopping.wait(RECORD_S):
            try:
                store = store or Store.open(self.config.store_path)
                self.refusals.write(store)
                if time.monotonic() >= beat_due_s and self.answers():
                    store.services.beat("gate", os.getpid(), started_utc, None, now())
                    beat_due_s = time.monotonic() + BEAT_S
                trouble = ""
            except (sqlite3.Error, StoreError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    log.error("refusals cannot be written, trying again: %s", error)
                store = None

    def answers(self) -> bool:
        """Whether our port answers, asked from outside: signs of life must end when the answering hangs."""
        ourselves = http.client.HTTPConnection("127.0.0.1", self.config.media.gate_port, timeout=BEAT_S)
        try:
            ourselves.request("POST", "/auth", b"{}")
            return ourselves.getresponse().status == 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            ourselves.close()

    def app(self) -> Callable[..., Any]:
        """The WSGI application."""
        app = bottle.Bottle()

        @app.post("/auth")  # type: ignore[untyped-decorator, unused-ignore]
        def auth() -> str:
            # The body of a refusal stands in MediaMTX's log: it stays empty.
            bottle.response.status = (
                413 if bottle.request.content_length > MAX_QUESTION_BYTES else self.answer(bottle.request.body.read())
            )
            return ""

        return app  # type: ignore[no-any-return]


def serve(config: Config) -> None:
    """Answer until SIGTERM. Raises UserError if the port is taken."""
    _refuse_busy_port(config.media.gate_port)
    gate = Gate(config)
    server = wsgi.Server(("127.0.0.1", config.media.gate_port), gate.app(), numthreads=THREADS, server_name="gate")
    # MediaMTX opens a new connection for each question.
    server.request_queue_size = 128
    server.prepare()
    recorder = threading.Thread(target=_keep_record_or_end, args=(gate,), name="record", daemon=True)
    recorder.start()
    log.info("answering on port %d", config.media.gate_port)
    try:
        server.serve()
    finally:
        gate.stopping.set()
        server.stop()


def _refuse_busy_port(port: int) -> None:
    """Tried by ourselves: cheroot's own error names neither the reason nor an errno. Raises UserError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
            raise UserError(f"port {port} {reason}; see media.gate_port") from error


def _keep_record_or_end(gate: Gate) -> None:
    """A recorder that dies takes the service with it, so that it is seen and both are started again."""
    try:
        gate.keep_record()
    except BaseException:
        log.exception("the recorder died")
        os._exit(1)
