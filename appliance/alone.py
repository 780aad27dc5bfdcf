"""One of each service on one state folder: a lock that the kernel lets go when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from appliance.errors import UserError
from appliance.language import N_, _
from appliance.outside import system_words

ENDING_S = 25.0  # longer than a service takes to end when it was asked to (service.END_S)
RUNS_ALREADY = N_(
    "`mb9k {name}` runs on {folder} already (process {process}); stop that one, or give this box a state_dir of its own"
)
POLL_S = 0.1
log = logging.getLogger(__name__)
_held: list[int] = []  # until this process ends


def stay_alone(folder: Path, name: str) -> None:
    """Be the only `name` on this folder until this process ends. Raises UserError, which names the one there is.

    One whose parent is gone is ending (`mb9k run` was killed, and its services were asked to end): it is waited for.
    """
    handle = _lock(folder, name)
    with suppress(OSError):  # a full disk keeps nobody from starting
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {os.getppid()}\n".encode(), 0)
    _held.append(handle)


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Be the only `name` on this folder until the end of the block. Raises UserError as stay_alone does."""
    handle = _lock(folder, name)
    try:
        yield
    finally:
        os.close(handle)


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
        words = N_("{path}: {error}; the box must be able to write into its state_dir")
        raise UserError(_(words, path=path, error=system_words(error))) from error
    begun_s, has_said = time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError as error:
            holder = _holder(handle)
            if time.monotonic() - begun_s > ENDING_S or holder is None or not _is_ending(*holder):
                os.close(handle)
                raise UserError(
                    _(RUNS_ALREADY, name=name, folder=folder, process=holder[0] if holder else "?")
                ) from error
            if not has_said:
                log.info("waiting until process %s has ended", holder[0])
                has_said = True
            time.sleep(POLL_S)


def _holder(handle: int) -> tuple[int, int] | None:
    """The process that holds a lock, and the one that started it; None: it has not said yet."""
    pid, _space, parent = os.pread(handle, 100, 0).decode("ascii", "replace").strip().partition(" ")
    return (int(pid), int(parent)) if pid.isdecimal() and parent.isdecimal() else None


def _is_ending(pid: int, parent: int) -> bool:
    """Whether a process outlived the one that started it."""
    return _is_alive(pid) and not _is_alive(parent)


def _is_alive(pid: int) -> bool:
    """Whether there is such a process. 1 is, even where we may not see it; 0 is the parent of a container's first."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return pid in (0, 1)
    return state not in "ZX"  # killed, but not yet taken note of
