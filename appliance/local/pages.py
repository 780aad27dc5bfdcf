"""How a handler makes its page: the template, and what every page of this site needs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeAlias

import msgspec
from bottle import HTTPError, HTTPResponse, request, response

from appliance.config import Config
from appliance.images import ImageFiles
from appliance.local import words
from appliance.local.access import visitor_now
from appliance.previews import Previews
from appliance.times import Now, utc_text
from appliance.web.access import wants_json
from appliance.web.render import Renderer, answer_with_etag
from appliance.web.sessions import Cookie, form_token
from appliance.web.static import Static
from appliance.web.throttle import Throttle

log = logging.getLogger(__name__)
Page: TypeAlias = str | HTTPResponse
VIEWS = Path(__file__).parent / "views"
KIT_STATIC = Path(__file__).parent.parent / "web" / "static"

ERROR_WORDS = {
    400: ("That did not work", "Something in what was sent could not be read. Go back and try again."),
    401: ("Sign in first", "You are signed out."),
    403: ("This is not yours to do", "Ask an admin of this box, or go back."),
    404: ("There is nothing here", "It may have been deleted, or the address is wrong."),
    405: ("That did not work", "This address does not take what was sent. Go back and try again."),
    413: ("That is too much", "What was sent is too long. Go back and shorten it."),
    429: ("Too many tries", "Wait a moment, then try again."),
    500: ("Something went wrong", "It is written in the log of the box. Try again; if it stays, tell an admin."),
    503: ("The box cannot do this just now", "Wait a moment and try again."),
}


@dataclass(frozen=True)
class Site:
    """What the pages share. All of it may be used by several threads at once."""

    config: Config
    clock: Callable[[], Now]
    static: Static
    renderer: Renderer
    session_cookie: Cookie
    form_cookie: Cookie
    images: ImageFiles
    previews: Previews
    throttle: Throttle = field(default_factory=Throttle)
    hashing: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(2))
    """Argon2 takes 64 MiB at a time: at most two at once, however many sign in."""

    @classmethod
    def made_from(cls, config: Config, clock: Callable[[], Now]) -> Site:
        """The site of a box."""
        https = config.web.https
        return cls(
            config=config,
            clock=clock,
            static=Static(KIT_STATIC),
            renderer=Renderer(VIEWS),
            session_cookie=Cookie("mb9k_session", https),
            form_cookie=Cookie("mb9k_form", https),
            images=ImageFiles(config.images_dir),
            previews=Previews(config.run),
        )

    def page(self, view: str, *, status: int = 200, **values: Any) -> Page:
        """The page `view`, for whoever asks. With a status of its own where a form was not accepted."""
        visitor = visitor_now()
        csrf = visitor.csrf_token if visitor else form_token(self.form_cookie, response)
        text = self._render(view, visitor=visitor, csrf=csrf, **values)
        response.status = status
        return answer_with_etag(text) if status == 200 and request.method == "GET" else text

    def _render(self, view: str, **values: Any) -> str:
        common = {
            "static": self.static.url,
            "box": self.config.box,
            "path": request.path,
            "words": words,
            "utc_text": utc_text,
            "problem": None,
        }
        return self.renderer.render(view, {**common, **values})

    def error_page(self, error: HTTPError) -> str:
        """What went wrong and the next step: a page for people, JSON for programs. Never a traceback."""
        if error.exception is not None and error.status_code >= 500:
            log.error("%s %s", request.method, error.exception, exc_info=error.exception)
        title, standard = ERROR_WORDS.get(error.status_code, ERROR_WORDS[500])
        # Bottle's own texts are for developers; ours end in a full stop.
        said = error.body if isinstance(error.body, str) and error.body.endswith(".") else standard
        if wants_json():
            response.content_type = "application/json"
            return msgspec.json.encode({"error": said}).decode()
        response.content_type = "text/html; charset=utf-8"
        visitor = visitor_now()
        csrf = visitor.csrf_token if visitor else ""
        return self._render("error.html", visitor=visitor, csrf=csrf, title=title, said=said, code=error.status_code)
