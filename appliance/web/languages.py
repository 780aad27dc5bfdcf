"""Which language a page speaks: what its reader chose, else what their browser wishes, else the site's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bottle import HTTPError, HTTPResponse, request

from appliance.language import ENGLISH, LANGUAGES, spoken, wished
from appliance.web.access import Access, App
from appliance.web.address import SiteAddress
from appliance.web.cookies import Cookie, is_same_origin
from appliance.web.forms import field, local_path, see_other
from appliance.web.pages import Pages

COOKIE = "mb9k_language"
KEEP_S = 365 * 86400
FOR_PROGRAMS = ("/api/", "/metrics")
_CHOSEN = re.compile(rf"(?:^|;)\s*(?:__Host-|__Secure-)?{COOKIE}=([a-z]+)\s*(?:;|$)")


def language_of(environ: Mapping[str, Any]) -> str:
    """The language of the answer to this request: a key of LANGUAGES. Programs are spoken to in English."""
    if str(environ.get("PATH_INFO", "")).startswith(FOR_PROGRAMS) or "HTTP_AUTHORIZATION" in environ:
        return ENGLISH
    chosen = _CHOSEN.search(environ.get("HTTP_COOKIE", ""))
    if chosen and chosen[1] in LANGUAGES:
        return chosen[1]
    return wished(environ.get("HTTP_ACCEPT_LANGUAGE", "")) or spoken()


def add_routes(app: App, pages: Pages) -> None:
    """The choice, at the foot of every page, also before anybody has signed in."""
    app.language_of = language_of
    cookie = Cookie(COOKIE, pages.address.https, pages.address.prefix or "/", keep_s=KEEP_S)

    @app.post("/language", access=Access.ANYONE)
    def choose() -> HTTPResponse:
        """It is kept in the browser and changes nothing else, so it needs no proof but where it comes from."""
        language = field("language")
        if language not in LANGUAGES:
            raise HTTPError(400)
        answer = see_other(_came_from(pages.address))
        if is_same_origin(pages.address):
            cookie.set(answer, language)
        return answer


def _came_from(address: SiteAddress) -> str:
    """The page of ours on which the choice was made, as the browser says; an address never stands in a page itself."""
    referer = urlsplit(request.headers.get("Referer", ""))
    return local_path(referer.path.removeprefix(address.prefix) + (f"?{referer.query}" if referer.query else ""))
