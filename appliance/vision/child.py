"""A process of ours that speaks with a vendor's library: what that does, by a crash or a hang, it does to itself alone.

It is told over a pipe what to do and answers there, since libraries write to stdout what they like. It ends with the
thread that started it (processes.py), so that thread must live as long.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from appliance.processes import start_child
from appliance.vision.gpu_errors import ChildCrashed

END_S = 5.0
LIKELIEST_TO_END = "1000"  # proc(5), oom_score_adj: when memory is short, the box does best without the GPU


class Child:
    """The process. Raises OSError; when it is spoken with, ChildCrashed. Not for several threads, but for `kill`.

    module: of ours, which gets the number of its end of the pipe (see `parent`) and the words; name: for people.
    """

    def __init__(self, name: str, module: str, words: Sequence[str] = (), pass_fds: Sequence[int] = ()) -> None:
        self._name = name
        ours, theirs = socket.socketpair()
        with theirs:
            self._pipe = Connection(ours.detach())
            try:
                self._process = start_child(
                    [sys.executable, "-m", module, str(theirs.fileno()), *words],
                    end_signal=signal.SIGKILL,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *pass_fds],
                )
            except BaseException:
                self._pipe.close()
                raise

    def send(self, content: bytes) -> None:
        """Tell it something."""
        try:
            self._pipe.send_bytes(content)
        except OSError as error:
            raise self._crashed() from error

    def has_news(self, timeout_s: float) -> bool:
        """Whether it says something within the time, or ended."""
        try:
            return self._pipe.poll(timeout_s)
        except OSError as error:
            raise self._crashed() from error

    def content(self) -> bytes:
        """What it sends."""
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._crashed() from error

    def kill(self) -> None:
        """Let it end. Whoever waits for it hears so at once; `end` is still to be called."""
        self._process.kill()

    def end(self) -> None:
        """End it, however it is."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # a driver may hold it; it ends when that lets go
            self._process.wait(END_S)
        self._pipe.close()

    def _crashed(self) -> ChildCrashed:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        code = self._process.returncode
        if code is not None and code < 0:
            return ChildCrashed(f"{self._name} crashed ({signal.Signals(-code).name})")
        return ChildCrashed(f"{self._name} ended by itself")


def parent() -> Connection:
    """In the child: the pipe to whoever started it."""
    with suppress(OSError):  # the sandbox of a service may forbid it
        Path("/proc/self/oom_score_adj").write_text(LIKELIEST_TO_END)
    return Connection(int(sys.argv[1]))
