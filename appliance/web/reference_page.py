"""The page about the JSON API: what OpenAPI says to programs, for people. The same for every site."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from bottle import request

from appliance.language import LANGUAGES, _, spoken
from appliance.web import reference
from appliance.web.access import Access, App
from appliance.web.pages import Page, Pages

PAGE = "/account/api"
SERVER = "{server}"
"""Stands in the command lines until somebody asks, who knows the site by one of its names."""


def add_routes(app: App, pages: Pages, document: dict[str, Any]) -> None:
    """The page. document: the site's OpenAPI document."""

    @lru_cache(len(LANGUAGES))
    def told(_language: str) -> dict[str, Any]:
        """The whole API in the language spoken, which is this one."""
        return {
            "about": _(document["info"]["description"]),
            "nouns": reference.nouns(document, SERVER, "TOKEN"),
            "shapes": reference.shapes(document),
            "refusals": reference.refusals(document),
        }

    @app.get(PAGE, access=Access.SIGNED_IN)
    def api_reference() -> Page:
        server = pages.address.seen_at(request.headers.get("Host", ""))
        return pages.page(
            "reference.html",
            **told(spoken()),
            at_server=lambda line: line.replace(SERVER, server),
            kind_markup=reference.kind_markup,
        )
