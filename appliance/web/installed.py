"""A site as an app on a phone or a desktop: its manifest, and what it says while the machine cannot be reached.

The worker (static/worker.js) keeps one page that says so and the files which that page needs; nothing of people.
"""

from __future__ import annotations

import json

import msgspec
from bottle import HTTPResponse

from appliance.web.access import Access, App
from appliance.web.pages import Page, Pages

OFFLINE = "/offline"
OFFLINE_FILES = ("app.css", "charts.css", "print.css", "app.js", "offline.js", "icon.svg")
ICONS = (("icon-192.png", 192, "any"), ("icon-512.png", 512, "any"), ("icon-maskable-512.png", 512, "maskable"))
COLOUR, GROUND = "#14594f", "#f4f6f5"  # of the icon, and --ground of app.css
SHORT = 12  # characters below an icon


def add_routes(app: App, pages: Pages) -> None:
    """The manifest, the worker and its page: for whoever is signed in or not, so they hold nothing of anybody."""

    @app.get("/manifest.webmanifest", access=Access.ANYONE)
    def manifest() -> HTTPResponse:
        content = msgspec.json.encode(_manifest(pages))
        return HTTPResponse(content, headers={"Content-Type": "application/manifest+json"})

    @app.get("/worker.js", access=Access.ANYONE)
    def worker() -> HTTPResponse:
        """Its address says what it is for: all pages of the site, below a path too."""
        files = [OFFLINE, *(pages.static.url(name) for name in OFFLINE_FILES)]
        kept = json.dumps([pages.address.rooted(path) for path in files])
        script = f"const KEPT = {kept};\n{pages.static.text('worker.js')}"
        return HTTPResponse(script.encode(), headers={"Content-Type": "text/javascript; charset=utf-8"})

    @app.get(OFFLINE, access=Access.ANYONE)
    def offline() -> Page:
        return pages.page("offline.html")


def _manifest(pages: Pages) -> dict[str, object]:
    """Addresses in it are relative to its own, so they hold below a path."""
    name = pages.site_name
    return {
        "name": f"mb9k {name}",
        "short_name": name if len(name) <= SHORT else "mb9k",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "theme_color": COLOUR,
        "background_color": GROUND,
        "icons": [
            {
                "src": pages.address.rooted(pages.static.url(file)),
                "sizes": f"{px}x{px}",
                "type": "image/png",
                "purpose": purpose,
            }
            for file, px, purpose in ICONS
        ],
    }
