"""Video by HTTP, read by us and handed to FFmpeg as a file: every connection and every redirect obeys `Reach`."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import av.error

from appliance.address import Address
from appliance.language import N_
from appliance.vision.reading.reach import ELSEWHERE, ENDLESS, MAX_PACKET_BYTES, Reach, SourceRefused

MAX_PLAYLIST_BYTES = 1_000_000
SKIP_BYTES = 262_144  # a seek so little forward is read over, which is quicker than to ask again
PLAYLIST = b"#EXTM3U"

OTHER_PARTS = N_("This playlist names parts that lie elsewhere or are encrypted; such a stream cannot be fetched.")
TOO_LONG = N_("This playlist is too long for a camera's.")
UNKNOWN_SIGN_IN = N_(
    "The camera asks for a way to sign in that this box does not know; allow Digest (MD5) or Basic on it."
)


class HttpClient:
    """Asks one host, with user and password of its address. stall_s: silence that ends an answer.

    open_s: within this the video must be open. refusal: why it was ended, once it was.
    """

    def __init__(self, address: Address, reach: Reach, stall_s: float, open_s: float) -> None:
        self.host = address.host
        self.url = str(Address(address.scheme.lower(), None, None, address.host, address.port, address.tail))
        self.refusal: SourceRefused | None = None
        self._reach = reach
        self._stall_s = stall_s
        self._until_s, self._left_bytes = time.monotonic() + open_s, MAX_PACKET_BYTES
        self._opener = self._make_opener(address.credentials)

    def expect_packet(self) -> None:
        """It is open, and another packet is asked for: time and bytes are counted from here."""
        self._until_s, self._left_bytes = time.monotonic() + self._stall_s, MAX_PACKET_BYTES

    def count(self, size: int) -> None:
        """So many bytes came. Raises TimeoutError: a byte now and then holds nothing up. Raises SourceRefused."""
        if time.monotonic() > self._until_s:
            raise TimeoutError
        self._left_bytes -= size
        if self._left_bytes < 0:
            self.refuse(ENDLESS)

    def refuse(self, why: str) -> NoReturn:
        """End it. Raises SourceRefused."""
        self.refusal = self.refusal or SourceRefused(why)
        raise self.refusal

    def get(self, url: str, first_byte: int = 0, end_byte: int | None = None) -> http.client.HTTPResponse:
        """The answer, from that byte on. Raises SourceRefused, OSError, FFmpeg's errors for status 401, 403 and 404."""
        self.count(0)
        last = "" if end_byte is None else end_byte - 1
        headers = {"User-Agent": "mb9k", "Accept": "*/*", "Range": f"bytes={first_byte}-{last}"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  the opener knows HTTP(S) alone
        try:
            answer: http.client.HTTPResponse = self._opener.open(request)
        except urllib.error.HTTPError as error:
            error.close()
            raise _error_of_status(error.code) from None
        except urllib.error.URLError as error:
            raise (error.reason if isinstance(error.reason, OSError) else OSError("no answer")) from None
        except http.client.HTTPException as error:
            raise OSError(type(error).__name__) from None
        except ValueError:
            raise SourceRefused(UNKNOWN_SIGN_IN) from None
        return answer

    def open_part(self, url: str, _flags: int, options: Mapping[str, str]) -> HttpFile:
        """What a playlist names, for PyAV's io_open. Raises SourceRefused, and from then on for every part."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname != self.host.lower() or parts.username is not None:
            self.refuse(OTHER_PARTS)
        if self.refusal is not None:
            raise self.refusal
        end = int(options.get("end_offset", 0))
        try:
            return HttpFile(self, url, int(options.get("offset", 0)), end or None)
        except SourceRefused as refusal:
            self.refuse(str(refusal))

    def _make_opener(self, credentials: tuple[str, str] | None) -> urllib.request.OpenerDirector:
        """An opener that knows HTTP(S) and nothing else: no file, no FTP, no proxy of the environment."""
        opener = urllib.request.OpenerDirector()
        handlers: list[urllib.request.BaseHandler] = [
            _Http(self._connect),
            _SameHost(self.host),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ]
        if credentials:
            passwords = _OnePassword(credentials)
            handlers += [
                _CloseRefused(),
                urllib.request.HTTPDigestAuthHandler(passwords),
                urllib.request.HTTPBasicAuthHandler(passwords),
            ]
        for handler in handlers:
            opener.add_handler(handler)
        return opener

    def _connect(self, host: str, port: int) -> Any:
        return self._reach.connect(host, port, self._stall_s)


class HttpFile:
    """An answer as a file to read; it can seek where the server can send from the middle."""

    def __init__(self, client: HttpClient, url: str, first_byte: int = 0, end_byte: int | None = None) -> None:
        self._client, self._end = client, end_byte
        self._answer: http.client.HTTPResponse | None = client.get(url, first_byte, end_byte)
        self.name = self._answer.geturl()  # FFmpeg finds the parts of a playlist beside it
        self.content_type = self._answer.headers.get_content_type()
        self._size = _whole_size(self._answer)
        self._at = first_byte if self._answer.status == 206 else 0
        self._ahead = b""
        self._playlist_left: int | None = None
        try:
            if self.beginning(len(PLAYLIST)).startswith(PLAYLIST):
                self._playlist_left = MAX_PLAYLIST_BYTES
        except BaseException:
            self.close()
            raise

    def beginning(self, size: int) -> bytes:
        """The first bytes, without taking them; fewer at the end. Only before the first read."""
        while len(self._ahead) < size and (more := self._receive(4096)):
            self._ahead += more
        return self._ahead

    def read(self, size: int) -> bytes:
        """Up to so many bytes, as soon as there are some; none at the end. Raises OSError, SourceRefused."""
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        data = data or self._receive(size)
        self._at += len(data)
        if self._playlist_left is not None:
            self._playlist_left -= len(data)
            if self._playlist_left < 0:
                self._client.refuse(TOO_LONG)
        return data

    def _receive(self, size: int) -> bytes:
        if self._answer is None:
            self._answer = self._client.get(self.name, self._at, self._end)
            if self._answer.status != 206:
                raise OSError("the server does not send from the middle any more")
        try:
            data = self._answer.read1(size)
        except http.client.HTTPException as error:
            raise OSError(type(error).__name__) from None
        self._client.count(len(data))
        return data

    def seekable(self) -> bool:
        """Whether the server sends from the middle."""
        return self._size is not None and self._end is None

    def tell(self) -> int:
        """The number of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a byte; the server is asked when it is read. Raises OSError."""
        at = offset + (0, self._at, self._size or 0)[whence]
        if not 0 <= at <= (self._size or 0):
            raise OSError("a seek beyond the end")
        while self._answer is not None and 0 < at - self._at <= SKIP_BYTES and self.read(at - self._at):
            pass
        if at != self._at:
            self.close()
            self._at, self._ahead = at, b""
        return at

    def close(self) -> None:
        """End the connection."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None


class _Connect(Protocol):
    def __call__(self, host: str, port: int) -> Any:
        """A socket that is connected to an address that was looked at."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, connect: _Connect, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._connect_to = connect

    def connect(self) -> None:
        self.sock = self._connect_to(self.host, self.port)


class _TlsConnection(_Connection):
    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        self.sock = unverified_tls().wrap_socket(self.sock, server_hostname=self.host)


class _Http(urllib.request.AbstractHTTPHandler):
    """Both schemes, by connections of ours."""

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, connect: _Connect) -> None:
        super().__init__()
        self._connect = connect

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, self._connect), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TlsConnection, self._connect), req)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a camera that changes path, port or to HTTPS, never to another host, never out of HTTPS."""

    def __init__(self, host: str) -> None:
        self._host = host.lower()

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request. Raises SourceRefused."""
        parts = urlsplit(newurl)
        if parts.hostname != self._host or parts.scheme not in ("https", req.type):
            fp.close()
            raise SourceRefused(ELSEWHERE)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _CloseRefused(urllib.request.BaseHandler):
    """Ends the connection of an answer that asks for a password, which the library leaves open."""

    handler_order = 400  # before those that ask again

    def http_error_401(self, _req: object, fp: Any, *_: object) -> None:
        fp.close()


class _OnePassword(urllib.request.HTTPPasswordMgr):
    """The password of the camera; nobody else is ever asked."""

    def __init__(self, credentials: tuple[str, str]) -> None:
        super().__init__()
        self._credentials = credentials

    def find_user_password(self, realm: str, authuri: str) -> tuple[str | None, str | None]:  # noqa: ARG002
        """The camera's, for whatever realm."""
        return self._credentials


def unverified_tls() -> ssl.SSLContext:
    """TLS with whoever answers: cameras have certificates of their own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _whole_size(answer: http.client.HTTPResponse) -> int | None:
    """How many bytes there are, if the server sends from the middle: Content-Range: bytes 0-99/100."""
    size = (answer.headers.get("Content-Range") or "").rpartition("/")[2] if answer.status == 206 else ""
    return int(size) if size.isascii() and size.isdigit() else None


def _error_of_status(status: int) -> Exception:
    """What FFmpeg would raise."""
    if status in (401, 403):
        return av.error.HTTPUnauthorizedError(status, "refused")
    if status == 404:
        return av.error.HTTPNotFoundError(status, "not found")
    return OSError(f"status {status}")
