"""Root's side: one process for one connection. It believes nothing of what it is told.

systemd hands the connection over as standard input (Accept=yes). The socket's mode lets the box's user in; who asks is
looked at once more here, since a mode is changed by mistake sooner than code.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.machine import doing
from appliance.machine.requests import (
    MAX_LINE_BYTES,
    Answer,
    Done,
    Refused,
    Request,
    Said,
    as_line,
    request_in,
    verb_of,
)

log = logging.getLogger(__name__)
LISTEN_S = 10.0
NOT_UNDERSTOOD = N_("This was not understood ({error}).")
DID_NOT_WORK = N_("It did not work ({kind}); `journalctl -u 'mb9k-machine@*'` says why.")
ROOT = 0
Clock = Callable[[], float]


def answer(connection: socket.socket, config: Config, clock: Clock = time.monotonic) -> None:
    """Read what is asked, do it, answer; then do what must wait until the page has answered, such as a restart."""
    try:
        line = _line(connection, clock)  # also from others: closing on what was not read would lose them the answer
        refuse_others(connection, config)
        request = request_in(line)
        log.info("asked: %s", verb_of(request))
        refuse_what_may_not(request, config)
        with alone(config):
            done, afterwards = doing.do(config, request, lambda words: _tell(connection, Said(words)))
            _finish(connection, done)
            if afterwards:
                afterwards()
    except InputError as error:
        _finish(connection, Refused(str(error), "input"))
    except msgspec.DecodeError as error:
        _finish(connection, Refused(NOT_UNDERSTOOD.format(error=error), "input"))
    except UserError as error:
        _finish(connection, Refused(str(error)))
    except Exception as error:  # who asked must hear that it did not work
        log.exception("it did not work")
        words = DID_NOT_WORK.format(kind=type(error).__name__)
        _finish(connection, Refused(words))


def refuse_others(connection: socket.socket, config: Config) -> None:
    """Raise UserError if who asks is neither the box's user, whose the state folder is, nor root."""
    uid = peer_uid(connection)
    try:
        owner = config.state.stat().st_uid
    except OSError:
        owner = ROOT
    if uid not in (ROOT, owner):
        raise UserError(_("Only the box's own services may ask for this."))


def refuse_what_may_not(request: Request, config: Config) -> None:
    """Raise UserError for a verb that this box's configuration leaves out."""
    if verb_of(request) not in config.machine.may:
        raise UserError(
            _("This box does not do that for its page: {verb} is not in machine.may.", verb=verb_of(request))
        )


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """Do one thing at a time. Raises UserError: another one is at work."""
    handle = os.open(f"{config.machine.socket}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets it go, however this process ends
        yield
    except BlockingIOError as error:
        raise UserError(
            _("The machine is being changed just now, perhaps updated; try again in some minutes.")
        ) from error
    finally:
        os.close(handle)


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end, as the kernel noted when it connected. Raises OSError."""
    size = struct.calcsize("=iII")
    _pid, uid, _gid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _line(connection: socket.socket, clock: Clock) -> bytes:
    """The one line that is asked. Raises InputError."""
    data, until_s = b"", clock() + LISTEN_S
    while not data.endswith(b"\n"):
        left_s = until_s - clock()
        if left_s <= 0:
            raise InputError(_("No whole line came in time."))
        connection.settimeout(left_s)
        try:
            part = connection.recv(MAX_LINE_BYTES + 1 - len(data))
        except TimeoutError:
            continue
        data += part
        if not part or len(data) > MAX_LINE_BYTES:
            raise InputError(_("No whole line came, or one too long."))
    return data


def _finish(connection: socket.socket, outcome: Done | Refused) -> None:
    """Give the last answer, and close."""
    if isinstance(outcome, Done):
        log.info("done")  # its words may hold a name
    else:
        log.warning("refused: %s", outcome.words)
    _tell(connection, outcome)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _tell(connection: socket.socket, answer: Answer) -> None:
    """Answer whoever still listens: the page may be restarted by what it asked for, which goes on all the same."""
    with suppress(OSError):
        connection.settimeout(LISTEN_S)
        connection.sendall(as_line(answer))
