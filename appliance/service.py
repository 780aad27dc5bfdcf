"""The frame of every service: its place in the list, logging, signals, retry, heartbeat, watchdog, port check.

A service is a module with `serve(config)`, which works until the process is told to end. The frame knows no store:
what writes a heartbeat is handed in (appliance/store/heartbeat.py).
"""

from __future__ import annotations

import errno
import faulthandler
import http.client
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from appliance.errors import UserError
from appliance.language import N_


class HttpServer(Protocol):
    """What `serve_http` runs, see appliance/web/server.py."""

    def prepare(self) -> None:
        """Start its threads."""

    def serve(self) -> None:
        """Answer, until a signal's exception ends it."""

    def stop(self) -> None:
        """End what is open."""


log = logging.getLogger(__name__)

LOG_LEVELS = ("debug", "info", "warning", "error")
LINES_A_MINUTE = 30
MAX_KINDS = 1000
HEARTBEAT_S = 2.0
NOTIFY_TIMEOUT_S = 0.5
END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
END_S = 20  # a service that has not ended so long after it was asked to is hung
RETRIED = (sqlite3.Error, OSError, UserError)
"""What may pass by itself: a full disk, a busy store, a network that is down."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a box. module: has its `serve`. without_it: what people must know while it is not running.

    is_newer: boxes that were set up before there was this service may have no unit for it, and are well without.
    """

    name: str
    module: str
    summary: str
    without_it: str | None = None
    is_newer: bool = False

    @property
    def unit(self) -> str:
        """Its unit as systemctl is told of it: by a pattern, which may match nothing, where there may be none."""
        return f"mb9k-{self.name}.service{'*' if self.is_newer else ''}"


SERVICES = (
    Service(
        "gate",
        "appliance.media.gate",
        N_("Answer who may publish and who may read."),
        N_("The gate is not running, so no stream can be let in."),
    ),
    Service("ingest", "appliance.media.ingest", N_("Take RTMP streams: MediaMTX, or without it the embedded ingest.")),
    Service(
        "watch",
        "appliance.watch",
        N_("Judge the streams and keep the record."),
        N_("The watcher is not running, so nothing is being judged."),
    ),
    Service("serve", "appliance.local.site", N_("Show the box's own page.")),
    Service("sync", "appliance.sync", N_("Tell a centre what was counted, if the box has joined one.")),
    Service(
        "notify",
        "appliance.notify",
        N_("Raise alerts by the rules, and tell whoever is to be told."),
        N_("The service that raises alerts is not running, so nobody is told when something is wrong."),
        is_newer=True,
    ),
)
"""In the order of starting: the gate must answer before the ingest asks it."""


class LogLimit(logging.Filter):
    """Bounds the log: of one kind of line, LINES_A_MINUTE; strangers must not fill the disk with what they do wrong.

    A kind is what one place in the code says, whatever it is about. clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}  # since when, how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written. The last one of a minute says so, the next one how many are missing."""
        kind, now_s = (record.name, record.levelno, str(record.msg)), self._clock()
        since_s, count = self._kinds.get(kind, (now_s, 0))
        if now_s - since_s >= 60:
            if count > LINES_A_MINUTE:
                record.msg = f"{record.msg} ({count - LINES_A_MINUTE} more like this were left out)"
            since_s, count = now_s, 0
        count += 1
        if count == LINES_A_MINUTE:
            record.msg = f"{record.msg} (more like this are left out for a minute)"
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()
        self._kinds[kind] = since_s, count
        return count <= LINES_A_MINUTE


def prepare(name: str, log_level: str = "info") -> None:
    """What every service does first: log to stderr under its name, end on SIGTERM and SIGINT."""
    logging.basicConfig(
        level=log_level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogLimit())
    # Explicitly: whoever was started in the background by a shell has SIGINT ignored.
    for number in END_SIGNALS:
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    begin_end()
    sys.exit(0 if number == signal.SIGTERM else 128 + number)  # so that a shell sees Ctrl-C


def begin_end() -> None:
    """End in order; after END_S by force, saying where each thread hung. What was committed is safe either way."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    notify("STOPPING=1")
    faulthandler.dump_traceback_later(END_S, exit=True)


def notify(state: str) -> None:
    """Tell whoever started us (READY=1, WATCHDOG=1, STOPPING=1) if it listens; never wait long for it.

    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(NOTIFY_TIMEOUT_S)
            channel.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        log.warning("%s was not heard: %s", state, error)


def repeat(action: Callable[[], None], every_s: float, what: str, stopping: threading.Event) -> threading.Thread:
    """Call `action` every `every_s` in a thread of its own, until `stopping`.

    Trouble that may pass is logged once, and once more when it is over. Anything else ends the process: that is seen,
    and it is started again. what: a noun for the log, "the heartbeat".
    """

    def run() -> None:
        trouble = ""
        while not stopping.wait(every_s):
            try:
                action()
            except RETRIED as error:
                if str(error) != trouble:
                    log.error("%s cannot be written, trying again: %s", what, error)
                trouble = str(error)
            except BaseException:
                log.exception("%s failed", what)
                os._exit(1)
            else:
                if trouble:
                    log.info("%s can be written again", what)
                trouble = ""

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    return thread


def keep_alive(
    write_heartbeat: Callable[[], None], is_healthy: Callable[[], bool], stopping: threading.Event
) -> threading.Thread:
    """Give a heartbeat, to the store and to systemd's watchdog, for as long as `is_healthy`.

    is_healthy asks the service as others do, so that heartbeats end when it hangs.
    """

    def heartbeat() -> None:
        if is_healthy():
            notify("WATCHDOG=1")
            write_heartbeat()
        else:
            log.warning("the service does not answer itself")

    return repeat(heartbeat, HEARTBEAT_S, "the heartbeat", stopping)


def serve_http(server: HttpServer, *beside: HttpServer) -> None:
    """Answer until the process is told to end; the servers beside the first one in a thread each."""
    try:
        # A signal that comes while its threads start would leave some that nobody ends; and they inherit the mask, so
        # that signals come to the main thread only, at once.
        signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        for each in (server, *beside):
            each.prepare()
        for each in beside:
            threading.Thread(target=each.serve, name="server", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
        notify("READY=1")
        server.serve()
    finally:
        for each in (server, *beside):
            each.stop()


def reachable_host(host: str) -> str:
    """Where to reach ourselves, listening on this host."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def http_status(
    host: str,
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 2.0,
    https: bool = False,
) -> int | None:
    """The status with which one of our own HTTP ports answers; None: it does not."""
    connection = _connection(host, port, timeout_s, https)
    try:
        connection.request(method, path, body, dict(headers or {}))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _connection(host: str, port: int, timeout_s: float, https: bool) -> http.client.HTTPConnection:
    if not https:
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    import ssl  # late: most services never need it

    # Nobody can stand between us and ourselves, and no certificate is for whatever address this machine listens on.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def refuse_busy_port(host: str, port: int, setting: str) -> None:
    """Say early, in one line, that a port cannot be had: libraries name neither the reason nor the setting.

    setting: where the port stands in the configuration. Raises UserError.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise port_error(error, host, port, setting) from error


def port_error(error: OSError, host: str, port: int, setting: str) -> UserError:
    """Why a port cannot be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        reason = f"is taken by another program; stop it, or set another {setting}"
    elif error.errno == errno.EACCES:
        reason = f"may not be used by this user; set {setting} above 1023"
    else:
        reason = f"on {host} cannot be used ({error.strerror or error}); see {setting}"
    return UserError(f"port {port} {reason} in the configuration file")
