"""The service that takes RTMP streams: MediaMTX where there is one, otherwise the embedded ingest.

Which one is decided here, once, at its start. The others hear it from its API (`mediamtx.Client.engine`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import IO

from appliance.config import Config
from appliance.media import embedded, mediamtx, mediamtx_log
from appliance.media.refusals import RECORD_S, Refusals
from appliance.processes import can_be_childless, start_child
from appliance.service import RETRIED, keep_alive, notify, reachable_host, repeat
from appliance.store import Heartbeat
from appliance.times import now

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 8192
STOP_S = 5.0
ANSWER_S = 2.0


def serve(config: Config) -> None:
    """Take streams until SIGTERM. Raises UserError."""
    if mediamtx.engine(config) == "embedded":
        embedded.serve(config)
    else:
        _run_mediamtx(config, mediamtx.command(config))


def _run_mediamtx(config: Config, command: list[str]) -> None:
    """Run MediaMTX as our child, which can start no process, and end with its exit code. Raises SystemExit, OSError."""
    childless = can_be_childless()
    if not childless:
        log.warning("this kernel has no seccomp filters, so MediaMTX could start other programs if it were told to")
    # Variables of these names would change its configuration.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MTX_")}
    process = start_child(
        command,
        childless=childless,
        end_signal=signal.SIGKILL,  # also one that hangs; it has nothing to save
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    assert process.stdout is not None
    refusals, stopping = Refusals(), threading.Event()
    try:
        repeat(lambda: refusals.save(config.store_path, now().utc), RECORD_S, "the record of refusals", stopping)
        keep_alive(Heartbeat(config.store_path, "ingest").write, lambda: _is_running(config), stopping)
        log.info("MediaMTX started (process %d); taking RTMP on port %d", process.pid, config.rtmp.port)
        code = process.wait() if _pass_on(process.stdout, refusals) else 1
    finally:
        stopping.set()
        _end(process)
        with contextlib.suppress(*RETRIED):  # those of the last second
            refusals.save(config.store_path, now().utc)
    sys.exit(128 - code if code < 0 else code)


def _pass_on(output: IO[bytes], refusals: Refusals) -> bool:
    """Pass on what MediaMTX says, until it ends, which is True, or no longer listens."""
    is_continued = False  # what comes next belongs to a line that is too long; its beginning was enough
    while line := output.readline(MAX_LINE_BYTES):
        if not is_continued:
            if b"[RTMP] started" in line:
                notify("READY=1")
            if not mediamtx_log.pass_on(line.decode(errors="replace"), refusals):
                log.error("MediaMTX takes no more connections, so it is ended and started again")
                return False
        is_continued = not line.endswith(b"\n")
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_running(config: Config) -> bool:
    """Whether MediaMTX still answers, by RTSP's OPTIONS, for which it need not ask the gate, and still takes RTMP."""
    read_port = config.media.read_port
    try:
        with socket.create_connection((reachable_host(config.rtmp.host), config.rtmp.port), ANSWER_S):
            pass
        with socket.create_connection(("127.0.0.1", read_port), ANSWER_S) as asking:
            asking.sendall(f"OPTIONS rtsp://127.0.0.1:{read_port}/ RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            return asking.recv(100).startswith(b"RTSP/1.0 200")
    except OSError:
        return False
