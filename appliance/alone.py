"""One of each service on one state folder: a lock that the kernel lets go when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from appliance.errors import UserError

ENDING_S = 25.0  # longer than a service takes to end when it was asked to (service.END_S)
POLL_S = 0.1
log = logging.getLogger(__name__)
_held: list[int] = []  # until this process ends


def stay_alone(folder: Path, name: str, through_exec: bool = False) -> None:
    """Be the only `name` on this folder until this process ends. Raises UserError, which names the one there is.

    One whose parent is gone is ending (`mb9k run` was killed, and its services were asked to end): it is waited for.
    through_exec: a program that takes our place by exec goes on holding the lock.
    """
    handle = _lock(folder, name)
    os.set_inheritable(handle, through_exec)
    with suppress(OSError):  # a full disk keeps nobody from starting
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {os.getppid()}\n".encode(), 0)
    _held.append(handle)


def refuse_company(folder: Path, name: str) -> None:
    """Raise UserError if a `name` runs on this folder; one that is ending is waited for."""
    os.close(_lock(folder, name))


def _lock(folder: Path, name: str) -> int:
    """A handle that holds the lock."""
    path = folder / f"{name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the box must be able to write into its state_dir") from error
    begun_s = time.monotonic()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError as error:
            pid, parent = _holder(handle)
            if time.monotonic() - begun_s > ENDING_S or not _is_alive(pid) or _is_alive(parent):
                os.close(handle)
                raise UserError(
                    f"`mb9k {name}` runs on {folder} already (process {pid}); stop that one, or give this box a"
                    " state_dir of its own"
                ) from error
            log.debug("waiting until process %s has ended", pid)
            time.sleep(POLL_S)


def _holder(handle: int) -> tuple[str, str]:
    """The process that holds a lock, and the one that started it; "?" if it has not said yet."""
    pid, _, parent = os.pread(handle, 100, 0).decode("ascii", "replace").strip().partition(" ")
    return (pid, parent) if pid.isdecimal() and parent.isdecimal() else ("?", "?")


def _is_alive(pid: str) -> bool:
    """Whether there is such a process. 0, the parent of a container's first, is there."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return pid == "0"
    return state not in "ZX"  # killed, but not yet taken note of
