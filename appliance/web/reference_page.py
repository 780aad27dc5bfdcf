"""The page about the JSON API: what OpenAPI says to programs, for people. The same for every site."""

from __future__ import annotations

from typing import Any

from bottle import request

from appliance.web import reference
from appliance.web.access import Access, App
from appliance.web.pages import Page, Pages

PAGE = "/account/api"
SERVER = "{server}"
"""Stands in the command lines until somebody asks, who knows the site by one of its names."""


def add_routes(app: App, pages: Pages, document: dict[str, Any]) -> None:
    """The page. document: the site's OpenAPI document."""
    nouns, shapes = reference.nouns(document, SERVER, "TOKEN"), reference.shapes(document)

    @app.get(PAGE, access=Access.SIGNED_IN)
    def api_reference() -> Page:
        server = pages.address.seen_at(request.headers.get("Host", ""))
        return pages.page(
            "reference.html",
            nouns=nouns,
            shapes=shapes,
            about=document["info"]["description"],
            at_server=lambda line: line.replace(SERVER, server),
            kind_markup=reference.kind_markup,
        )
