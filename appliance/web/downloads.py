"""Answers that are made while they are sent: a file of any size in little memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from bottle import HTTPError, HTTPResponse

from appliance.language import _

Begin = Callable[[], tuple[Iterator[bytes], int | None]]
"""Gives the parts of a file, and its size in bytes where that is known."""

log = logging.getLogger(__name__)


class Downloads:
    """How many downloads may be on their way at once. A slow reader of one holds a thread of the site, so few may."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._places = threading.Semaphore(at_once)

    def answer(
        self, name: str, mime_type: str, begin: Callable[[], tuple[Iterator[bytes], int | None]]
    ) -> HTTPResponse:
        """A file of this name. begin: called once there is a place.

        The first part is made here, so that what is wrong is said before anything was sent. Raises HTTPError 503.
        """
        if not self._places.acquire(blocking=False):
            raise HTTPError(
                503, _("{n} files are being made already. Wait until one of them is saved.", n=self.at_once)
            )
        try:
            parts, size_bytes = begin()
            body = _Sending(parts, self._places.release)
        except BaseException:
            self._places.release()
            raise
        headers: dict[str, Any] = {
            "Content-Type": mime_type,
            "Content-Disposition": f'attachment; filename="{name}"',
        }
        if size_bytes is not None:
            headers["Content-Length"] = str(size_bytes)
        return HTTPResponse(body, headers=headers)


class _Sending:
    """The parts of an answer, of which the first is there. done: called once, whether all was read or not."""

    def __init__(self, parts: Iterator[bytes], done: Callable[[], None]) -> None:
        self._parts, self._done = parts, done
        self._first: bytes | None = next(parts, None)
        self._is_open = True

    def __iter__(self) -> _Sending:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        try:
            return first if first is not None else next(self._parts)
        except StopIteration:
            self.close()
            raise
        except Exception as error:
            # The connection ends without its last part, so that nobody takes half of a file for the whole.
            log.error("a download broke off: %s", error)
            self.close()
            raise

    def close(self) -> None:
        """End it (called by the server)."""
        if self._is_open:
            self._is_open = False
            close = getattr(self._parts, "close", None)
            if close:
                close()
            self._done()
