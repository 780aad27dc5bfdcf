"""Pages from templates: one .html per page, partials start with `_`, all rest on base.html; {{value}} escapes."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

from bottle import HTTPResponse, SimpleTemplate, request, response

from appliance import language
from appliance.web.markup import m_, mn_

KIT_VIEWS = Path(__file__).parent / "views"
SPEAKING = {"_": language._, "n_": language.n_, "p_": language.p_, "m_": m_, "mn_": mn_}
"""What every view can say its sentences with."""


class Renderer:
    """The templates of a site; the kit's own come last, so that a site may replace them."""

    def __init__(self, *folders: Path) -> None:
        self._lookup = [str(folder) for folder in (*folders, KIT_VIEWS)]
        self._templates: dict[str, Any] = {}
        self._lock = threading.Lock()

    def render(self, name: str, values: dict[str, Any]) -> str:
        """The page `name` with these values."""
        with self._lock:
            template = self._templates.get(name)
            if template is None:
                template = self._templates[name] = SimpleTemplate(name=name, lookup=self._lookup)
        return str(template.render({**SPEAKING, **values}))


def answer_with_etag(page: str) -> HTTPResponse | str:
    """The page, or 304 where the browser (renew.js, keeping a page up to date) already has just this one."""
    etag = f'"{hashlib.sha256(page.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match", "").removeprefix("W/") == etag:  # weak where it was packed
        return HTTPResponse(status=304, headers={"ETag": etag})
    response.set_header("ETag", etag)
    return page
