"""Cookies, and the proof that a write came from a page of ours."""

from __future__ import annotations

from typing import Any

from bottle import request

from appliance.secrets import equal_in_constant_time, new_token
from appliance.web.address import SiteAddress

MAX_ID_LENGTH = 100
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


class Cookie:
    """One cookie of ours, for what lies below `path`.

    Over HTTPS it has the __Host- prefix: no other host and no plain HTTP can set it. Browsers take that for the whole
    host only; a site below a path has __Secure-, which plain HTTP cannot set.

    keep_s: for how long the browser keeps it; None: until it is closed.
    """

    def __init__(self, name: str, https: bool, path: str = "/", keep_s: int | None = None) -> None:
        self.name = ("__Host-" if path == "/" else "__Secure-") + name if https else name
        self._flags = {"path": path, "httponly": True, "samesite": "lax", "secure": https}
        self._keep = {} if keep_s is None else {"max_age": keep_s}

    def read(self) -> str | None:
        """What the browser sent; None if nothing, or nonsense."""
        value = request.cookies.get(self.name)
        return value if value and len(value) <= MAX_ID_LENGTH else None

    def set(self, response: Any, value: str) -> None:
        """Send it to the browser. Never with Bottle's `secret=`: it would unpickle what comes back."""
        response.set_cookie(self.name, value, **self._flags, **self._keep)

    def clear(self, response: Any) -> None:
        """Have the browser forget it."""
        response.set_cookie(self.name, "", **self._flags, max_age=0, expires=0)


def form_token(cookie: Cookie, response: Any) -> str:
    """The CSRF token of someone who has not signed in; it lives in a cookie of its own."""
    token = cookie.read()
    if token is None:
        token = new_token()
        cookie.set(response, token)
    return token


def is_same_origin(address: SiteAddress) -> bool:
    """Whether the browser says, or does not deny, that this request came from a page of ours, which is at `address`."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:  # browsers send it over HTTPS and from localhost
        return fetch_site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or address.is_own_origin(origin, request.headers.get("Host", ""))


def has_csrf_token(expected: str | None) -> bool:
    """Whether the request carries this token, as the form field `csrf` or the header X-CSRF-Token."""
    sent = request.headers.get("X-CSRF-Token") or request.forms.get("csrf") or ""
    return expected is not None and equal_in_constant_time(sent, expected)
