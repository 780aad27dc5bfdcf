"""Plain HTTP that leads on to HTTPS, under the names of the site only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from appliance.language import N_, _, speaking
from appliance.web.address import SiteAddress, host_in
from appliance.web.cookies import SAFE_METHODS
from appliance.web.headers import SECURITY_HEADERS
from appliance.web.languages import language_of


def leading_to_https(address: SiteAddress, port: int) -> Callable[..., Iterable[bytes]]:
    """A WSGI application that answers nothing but where the site is. port: of HTTPS.

    No other site is led to: a name that is not ours is refused, as the site itself does. Whatever is sent is not
    passed on: a password that came by plain HTTP has been read by others already, and its form must be sent again.
    """

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with speaking(language_of(environ)):
            return answered(environ, start_response)

    def answered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        authority = environ.get("HTTP_HOST", "")
        host = host_in(authority)
        headers = [*SECURITY_HEADERS.items(), ("Content-Type", "text/plain; charset=utf-8")]
        if host is None or not address.answers_to(authority):
            start_response("421 Misdirected Request", headers)
            words = N_("This site is not known by this name. Open it by its IP address, or by the name of its machine.")
            return _line(_(words))
        base = address.base_url or f"https://{host}{'' if port == 443 else f':{port}'}"
        if environ["REQUEST_METHOD"] not in SAFE_METHODS:
            start_response("403 Forbidden", headers)
            words = N_("Nothing is taken over plain HTTP. Open {address} and send it there.")
            return _line(_(words, address=f"{base}/"))
        path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/~:@!$&'()*+,;=-._")
        query = quote(environ.get("QUERY_STRING", "").encode("latin-1", "replace"), safe="/~:@!$&'()*+,;=-._?%")
        where = f"{base}{path}{'?' if query else ''}{query}"
        start_response("301 Moved Permanently", [*headers, ("Location", where)])
        return _line(_("This box is at {address}", address=f"{base}/"))

    return application


def _line(words: str) -> list[bytes]:
    return [f"{words}\n".encode()]
