"""Files of hundreds of megabytes in a request: written to the disk as they come, never in memory.

A server takes such a body only where its `Admit` says so when it has read the request's head. What the application
then reads as the body is the same form with the file in it empty; the file itself is the request's `Arrival`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from bottle import request

from appliance.language import N_, _
from appliance.outside import system_words

ARRIVAL = "mb9k.arrival"
FIELDS_BYTES = 16_384  # of a form, before its file
_FILE = re.compile(
    rb'content-disposition:[^\r\n]*;[ \t]*filename="([^"\r\n]*)"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n', re.IGNORECASE
)
_BOUNDARY = re.compile(r'multipart/form-data;.*\bboundary="?([A-Za-z0-9\'()+_,./:=?-]{1,70})"?', re.IGNORECASE)
NO_FILE = N_("No file came. Choose the file, and send it again.")
CUT_SHORT = N_("Not all of the file came. Send it again.")


class Arrival:
    """The file of one request. path: where it is written; None: what comes is thrown away, and `problem` says why.

    name: as the sender calls it, believed by nobody. It goes when the request is answered, unless it was `taken`.
    """

    def __init__(self, path: Path | None, problem: str = "") -> None:
        self.problem, self.name, self.size_bytes = problem, "", 0
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Add what came. On a full disk the rest is thrown away: a browser reads no answer before it has sent all."""
        if self._path is None:
            return
        try:
            if self._file is None:
                self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
            self._file.write(data)
            self.size_bytes += len(data)
        except OSError as error:
            words = N_("The file could not be written ({problem}). Make room on the disk, and send it again.")
            self.fail(_(words, problem=system_words(error)))

    def fail(self, problem: str) -> None:
        """Throw it away."""
        self.problem = self.problem or problem
        self.close()

    def taken(self) -> Path:
        """The file, on the disk; it is the caller's from now on. Raises OSError."""
        path, file = self._path, self._file
        if path is None or file is None:
            raise FileNotFoundError("no file came")
        self._path = self._file = None
        try:
            with file:
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def close(self) -> None:
        """Remove it if nobody has taken it."""
        path, file = self._path, self._file
        self._path = self._file = None
        try:
            if file is not None:
                file.close()
        except OSError:
            pass  # the disk is full, and it goes anyway
        if path is not None:
            path.unlink(missing_ok=True)


Admit: TypeAlias = Callable[[str, int], Arrival | None]
"""(path of a request, size of its body in bytes) -> where its file goes; None: this address takes no file.

Called in the server's one loop: it must be quick.
"""


class Body:
    """What waitress writes such a body to (its buffers' interface). The file of a form must be its last field."""

    def __init__(self, arrival: Arrival, content_type: str) -> None:
        self.arrival = arrival
        kind = _BOUNDARY.match(content_type)
        self._end = f"\r\n--{kind[1]}--".encode("ascii") if kind else b""
        self._fields = b""
        self._is_in_file = not kind
        self._held = b""  # it may be the end of the form

    def append(self, data: bytes) -> None:
        """Take what came."""
        if not self._is_in_file:
            self._fields += data
            found = _FILE.search(self._fields)
            if not found:
                if len(self._fields) > FIELDS_BYTES:
                    self.arrival.fail(NO_FILE)
                    self._fields = self._fields[:FIELDS_BYTES]
                return
            self.arrival.name = found[1].decode("utf-8", "replace")
            data, self._fields = self._fields[found.end() :], self._fields[: found.end()]
            self._is_in_file = True
        if not self._end:
            self.arrival.write(data)
            return
        together = self._held + data
        kept_bytes = len(self._end) + 2
        self._held = together[-kept_bytes:]
        if len(together) > kept_bytes:
            self.arrival.write(together[:-kept_bytes])

    def finish(self) -> None:
        """All of the body has come."""
        if not self._end:
            return
        before, end, _rest = self._held.rpartition(self._end)
        if not self._is_in_file:
            self.arrival.fail(NO_FILE)
        elif not end:
            self.arrival.fail(CUT_SHORT)
        else:
            self.arrival.write(before)
            self._fields += self._end + b"\r\n"

    def __len__(self) -> int:
        return len(self._fields)

    def getfile(self) -> BinaryIO:
        """What the application reads as the body."""
        return _Fields(self._fields, self.arrival)

    def getbuf(self) -> Body:
        """The buffer that waitress closes."""
        return self

    def close(self) -> None:
        """The request is answered, or lost."""
        self.arrival.close()


class _Fields(io.BytesIO):
    def __init__(self, content: bytes, arrival: Arrival) -> None:
        super().__init__(content)
        self.arrival = arrival


def note_arrival(environ: dict[str, object]) -> None:
    """Remember the arrival of a request before anybody reads its body."""
    body = environ.get("wsgi.input")
    environ[ARRIVAL] = body.arrival if isinstance(body, _Fields) else None


def arrival_now() -> Arrival | None:
    """The file of the present request; None: it was not taken as a file."""
    found: Arrival | None = request.environ.get(ARRIVAL)
    return found
