"""A bundle fetched from an address: over HTTPS only, begun again where it broke off, never larger than there is room.

Who may name an address is decided elsewhere. It may be one in this network: a box is often updated from a machine
beside it, and admins may reach that anyway.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from appliance.language import N_, _
from appliance.outside import certificate_words, quoted, system_words
from appliance.update.uploads import Uploads
from appliance.update.versions import UpdateError

CHUNK_BYTES = 1 << 16
SILENCE_S = 30.0
TRIES = 6
PAUSE_S = 2.0
LOOK_BYTES = 16_000_000  # so often it is looked whether there is room
MAX_ADDRESS = 500
ENDED = N_("It was ended.")
ENDED_EARLY = N_("the connection ended early")


@dataclass(slots=True)
class Progress:
    """How far it is. total_bytes: None: the other side has not said."""

    received_bytes: int = 0
    total_bytes: int | None = None


class _NoMore(Exception):
    """The connection ended early; what came counts."""


def checked_address(text: str) -> str:
    """An address that may be fetched from. Raises UpdateError."""
    address = text.strip()
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not address.isascii() or any(each <= " " for each in address) or len(address) > MAX_ADDRESS:
        raise UpdateError(_("This is no address; it must be like https://updates.example.org/mb9k-0.2.0.mb9k."))
    if parts.scheme != "https":
        raise UpdateError(_("The address must begin with https://, so that nobody on the way can hold an update back."))
    if parts.username is not None:
        raise UpdateError(_("Leave the user and the password out of the address: it is shown on pages."))
    return address


def name_in(address: str) -> str:
    """What the file at an address is called."""
    return urlsplit(address).path.rpartition("/")[2] or urlsplit(address).netloc


class Fetch:
    """One fetching. progress may be read by other threads."""

    def __init__(self, uploads: Uploads, address: str, wait: Callable[[float], bool]) -> None:
        """wait: for so many seconds; whether it is to end. Raises UpdateError."""
        self.address = checked_address(address)
        self.progress = Progress()
        self._uploads, self._wait = uploads, wait
        self._mark: str | None = None  # by which the other side tells that it still has the same file
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=ssl.create_default_context()), _HttpsOnly()
        )

    def run(self, sha256: str = "") -> Path:
        """Fetch it; a part that is on the disk, and the caller's. sha256: which it must have; empty: any.

        Raises UpdateError, OSError; then nothing is left.
        """
        part = self._uploads.new_part(0)
        try:
            with part.open("xb") as file:
                self._fetch(file)
                file.flush()
                os.fsync(file.fileno())
            if sha256 and _sum_of(part) != sha256:
                raise UpdateError(_("What is at the address is not what was meant: its sha-256 is another."))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def _fetch(self, file: IO[bytes]) -> None:
        for number in range(TRIES):
            came_bytes = self.progress.received_bytes
            try:
                return self._try(file)
            except _NoMore as error:
                trouble = str(error)
            if self.progress.received_bytes > came_bytes:
                continue  # it goes on
            if number + 1 < TRIES and self._wait(PAUSE_S * 2**number):
                raise UpdateError(_(ENDED))
        raise UpdateError(
            _(
                "It could not be fetched: {trouble}. See whether the address is right, and try again later.",
                trouble=trouble,
            )
        )

    def _try(self, file: IO[bytes]) -> None:
        """Go on where it broke off, if the other side can, else from the beginning. Raises _NoMore."""
        headers = {"User-Agent": "mb9k", "Accept-Encoding": "identity"}
        if self.progress.received_bytes and self._mark:
            headers |= {"Range": f"bytes={self.progress.received_bytes}-", "If-Range": self._mark}
        try:
            asked = urllib.request.Request(self.address, headers=headers)  # noqa: S310 - https alone, see above
            with self._opener.open(asked, timeout=SILENCE_S) as answer:
                self._begin(answer, file)
                self._take(answer, file)
        except HTTPError as error:
            with error:
                if error.code < 500:
                    raise UpdateError(
                        _(
                            "{address} has nothing there ({code}).",
                            address=urlsplit(self.address).hostname,
                            code=error.code,
                        )
                    ) from error
                raise _NoMore(
                    _("{host} answers {status}", host=urlsplit(self.address).hostname, status=error.code)
                ) from error
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise UpdateError(
                    _(
                        "The certificate of {address} is not trusted here ({verify_message}); name a"
                        " host whose certificate is.",
                        address=urlsplit(self.address).hostname,
                        verify_message=certificate_words(error.reason),
                    )
                ) from error
            raise _NoMore(_trouble(error.reason)) from error
        except (HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise _NoMore(_trouble(error)) from error

    def _begin(self, answer: HTTPResponse, file: IO[bytes]) -> None:
        """Look at the head of an answer. Raises UpdateError."""
        if answer.status != 206:
            self.progress.received_bytes = 0
        file.seek(self.progress.received_bytes)
        file.truncate()
        self._mark = _mark(answer.headers)
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal():
            self.progress.total_bytes = self.progress.received_bytes + int(length)
            self._refuse_too_much(self.progress.total_bytes, int(length))

    def _take(self, answer: HTTPResponse, file: IO[bytes]) -> None:
        looked_bytes = self.progress.received_bytes
        while chunk := answer.read(CHUNK_BYTES):
            file.write(chunk)
            self.progress.received_bytes += len(chunk)
            if self.progress.received_bytes - looked_bytes > LOOK_BYTES:
                looked_bytes = self.progress.received_bytes
                self._refuse_too_much(self.progress.received_bytes, 0)
            if self._wait(0):
                raise UpdateError(_(ENDED))
        if self.progress.total_bytes is not None and self.progress.received_bytes < self.progress.total_bytes:
            raise _NoMore(_(ENDED_EARLY))

    def _refuse_too_much(self, total_bytes: int, missing_bytes: int) -> None:
        self._uploads.refuse_too_large(total_bytes)
        if missing_bytes > self._uploads.room_bytes() or self._uploads.room_bytes() < 0:
            raise UpdateError(_("There is no room for it. Keep images for fewer days, and try again."))


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Follow, but never to plain HTTP. Raises UpdateError."""
        try:
            checked_address(newurl)
        except UpdateError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _trouble(error: BaseException | str) -> str:
    """Why a connection failed, in the language spoken where it is known."""
    if isinstance(error, TimeoutError):
        return _("it did not answer in time")
    if isinstance(error, (IncompleteRead, RemoteDisconnected)):
        return _(ENDED_EARLY)
    said = system_words(error) if isinstance(error, BaseException) else error
    return quoted(said or type(error).__name__)


def _mark(headers: Message) -> str | None:
    """What If-Range takes; a weak ETag says nothing of bytes."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        summed = hashlib.sha256()
        while chunk := file.read(1 << 20):
            summed.update(chunk)
    return summed.hexdigest()
