"""What every interface of ours on loopback demands: MediaMTX's API and RTSP, the embedded ingest's, the gate.

Loopback alone is no lock: other users of this machine reach it, and so does any web page that is open on it. So whoever
asks must show the box's own secret, in a header, and must not be a browser.
"""

from __future__ import annotations

import base64
import hmac
from typing import Protocol

USER = "mb9k"
CHALLENGE = 'Basic realm="mb9k"'


class Headers(Protocol):
    """The headers of a request, by name in any case."""

    def get(self, name: str, /) -> str | None:
        """The value; None: there is no such header."""


def authorization(secret: str) -> str:
    """The value of the header Authorization that shows the secret."""
    return "Basic " + base64.b64encode(f"{USER}:{secret}".encode()).decode()


def credentials(authorization: str | None) -> tuple[str, str]:
    """User and password in a header Authorization; both empty where there are none."""
    kind, _, encoded = (authorization or "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # no base64, or no text in it
        return "", ""
    return (user, password) if kind.lower() == "basic" else ("", "")


def is_the_box(user: str, password: str, secret: str) -> bool:
    """Whether these are the credentials of the box itself, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(f"{user}:{password}"), _bytes(f"{USER}:{secret}"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def objection(headers: Headers, port: int, secret: str, content_type: str | None = None) -> int | None:
    """The HTTP status with which a request to one of our ports is refused; None: it is in order.

    Browsers name the Origin of a page that asks, and a Host that is not ours where a foreign name leads to loopback
    (DNS rebinding); what they may send unasked is text or a form. content_type: the one that the request must have;
    None: it has no body.
    """
    if headers.get("Origin") is not None or headers.get("Host") not in _names(port):
        return 403
    if not is_the_box(*credentials(headers.get("Authorization")), secret):
        return 401
    sent = (headers.get("Content-Type") or "").partition(";")[0].strip().lower() or None
    return None if sent == content_type else 415


def _names(port: int) -> tuple[str, ...]:
    return tuple(f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))
