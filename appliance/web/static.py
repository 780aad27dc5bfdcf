"""Files that never change under their name: the name carries the content's hash, so browsers may keep them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bottle import HTTPError, HTTPResponse

from appliance.web.access import Access, App
from appliance.web.headers import IMMUTABLE

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


KIT_STATIC = Path(__file__).parent / "static"


class Static:
    """The files of the kit and of a site's own folders, read once, at start."""

    def __init__(self, *folders: Path) -> None:
        self._addresses: dict[str, str] = {}
        self._files: dict[str, tuple[str, bytes]] = {}
        for folder in (KIT_STATIC, *folders):
            for path in sorted(folder.iterdir()):
                if path.suffix in TYPES:
                    self._add(path)

    def _add(self, path: Path) -> None:
        content = path.read_bytes()
        hashed = f"{path.stem}-{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
        self._addresses[path.name] = f"/static/{hashed}"
        self._files[hashed] = (TYPES[path.suffix], content)

    def url(self, name: str) -> str:
        """Where a file is: /static/app-<hash>.css for app.css. Raises KeyError."""
        return self._addresses[name]

    def text(self, name: str) -> str:
        """What is in a file, for what is served under another address. Raises KeyError."""
        return self._files[self._addresses[name].rsplit("/", 1)[1]][1].decode()

    def add_routes(self, app: App) -> None:
        """Serve them."""

        @app.get("/static/<name>", access=Access.ANYONE)
        def static(name: str) -> HTTPResponse:
            if name not in self._files:
                raise HTTPError(404)
            kind, content = self._files[name]
            return HTTPResponse(content, headers={"Content-Type": kind, "Cache-Control": IMMUTABLE})
