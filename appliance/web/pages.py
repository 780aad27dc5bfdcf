"""A site's pages: what every page needs, the page of an error, and what both say in which words."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import msgspec
from bottle import HTTPError, HTTPResponse, html_escape, request, response

from appliance.errors import InputError, UserError
from appliance.language import LANGUAGES, N_, _, spoken
from appliance.times import utc_text
from appliance.web.access import wants_json
from appliance.web.address import SiteAddress
from appliance.web.compression import keep_apart
from appliance.web.cookies import Cookie, form_token
from appliance.web.forms import see_other
from appliance.web.markup import Markup
from appliance.web.refill import refilled
from appliance.web.render import Renderer, answer_with_etag
from appliance.web.script_words import script_words
from appliance.web.static import Static
from appliance.web.told import Happened, Told, is_looked_at
from appliance.web.unsent import UNSENT_ID, UNSENT_PAGE, unsent_now
from appliance.web.wrong_field import pointed

log = logging.getLogger(__name__)
Page: TypeAlias = str | HTTPResponse

NOUNS = (N_("box"), N_("centre"))  # what a `noun` may be
ERROR_WORDS = {
    400: (N_("That did not work"), N_("Something in what was sent could not be read. Go back and try again.")),
    401: (N_("Sign in first"), N_("You are signed out.")),
    403: (N_("You may not do this"), N_("Ask an admin of this box, or go back.")),
    404: (N_("There is nothing here"), N_("It may have been deleted, or the address is wrong.")),
    405: (N_("That did not work"), N_("This address does not take what was sent. Go back and try again.")),
    410: (N_("That is gone"), N_("It was there for a short time only.")),
    413: (N_("That is too much"), N_("What was sent is too long. Go back and shorten it.")),
    429: (N_("Too many tries"), N_("Wait a moment, then try again.")),
    500: (
        N_("Something went wrong"),
        N_("It is written in the log of the box. Try again; if it stays, tell an admin."),
    ),
    503: (N_("The box cannot do this just now"), N_("Wait a moment and try again.")),
}
"""Of a box; a centre says some of them of itself."""
ERROR_WORDS_OF_CENTRE = {
    **ERROR_WORDS,
    403: (N_("You may not do this"), N_("Ask an admin of this centre, or go back.")),
    500: (
        N_("Something went wrong"),
        N_("It is written in the log of the centre. Try again; if it stays, tell an admin."),
    ),
    503: (N_("The centre cannot do this just now"), N_("Wait a moment and try again.")),
}


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation. also: how the addresses of other pages begin that belong to it."""

    address: str
    label: str
    admin_only: bool = False
    also: tuple[str, ...] = ()


class Viewer(Protocol):
    """Who looks at a page, as far as a page needs to know. csrf_token: None for a program."""

    @property
    def name(self) -> str: ...
    @property
    def is_admin(self) -> bool: ...
    @property
    def csrf_token(self) -> str | None: ...


@dataclass(frozen=True)
class Pages:
    """The pages of one site; may be used by several threads at once.

    name: what stands beside the brand. noun: what people call the machine (box, centre). viewer: who signed in, if
    anybody. form_cookie: holds the CSRF token of those who did not. values: what the site's own views use.
    address: where the site is reached; views write their links as if it had its host to itself.
    title: what stands beside the brand instead of the name, which people may change meanwhile.
    """

    name: str
    noun: str
    renderer: Renderer
    static: Static
    form_cookie: Cookie
    viewer: Callable[[], Viewer | None]
    navigation: Sequence[Link]
    values: Mapping[str, Any] = field(default_factory=dict)
    address: SiteAddress = field(default_factory=SiteAddress)
    title: Callable[[], str] | None = None
    told: Told = field(default_factory=Told)

    @property
    def site_name(self) -> str:
        """What stands beside the brand."""
        return self.title() if self.title else self.name

    def page(
        self,
        view: str,
        *,
        status: int = 200,
        problem: UserError | str | None = None,
        wrong_field: str = "",
        **values: Any,
    ) -> Page:
        """The page `view`, for its viewer. problem: why a form was not accepted; an error brings its own status.

        wrong_field: of the form, by name, where the error does not say it.
        """
        wrong = (problem.fields if isinstance(problem, InputError) else ()) or (wrong_field,)
        if isinstance(problem, UserError):
            status, problem = 400 if isinstance(problem, InputError) else 503, str(problem)
        viewer = self.viewer()
        csrf = viewer.csrf_token if viewer else form_token(self.form_cookie, response)
        happened = self._told(viewer) if status == 200 else None
        text = self._render(view, viewer, csrf=csrf, problem=problem, happened=happened, **values)
        if problem and request.method == "POST":
            text = pointed(text, self.address.rooted(request.path), wrong)
        response.status = status
        unsent = unsent_now()
        if unsent and status == 200 and request.path != UNSENT_PAGE:
            filled = refilled(text, unsent, self.address.rooted(unsent.action))
            if filled is None:
                return see_other(f"{UNSENT_PAGE}?{UNSENT_ID}={unsent.id}")
            text = filled
        return answer_with_etag(text) if status == 200 and request.method == "GET" else text

    def done(self, path: str, sentence: str, is_whole: bool = True) -> HTTPResponse:
        """Lead on to a page of ours after a form; the page says, once, what was done.

        is_whole: False: the sentence also says what was not, or what is left to do, and stands out like a warning.
        """
        viewer = self.viewer()
        if viewer and viewer.csrf_token:
            self.told.keep(viewer.csrf_token, Happened(sentence, is_whole))
        return see_other(path)

    def done_by_nobody(self, path: str, sentence: str) -> HTTPResponse:
        """As `done`, for a browser in which nobody is signed in any more."""
        answer = see_other(path)
        self.told.keep(form_token(self.form_cookie, answer), Happened(sentence))
        return answer

    def _told(self, viewer: Viewer | None) -> Happened | None:
        session = viewer.csrf_token if viewer else self.form_cookie.read()
        return self.told.take(session) if session and is_looked_at() else None

    def error_page(self, error: HTTPError) -> str:
        """What went wrong and the next step: a page for people, JSON for programs. Never a traceback."""
        if error.exception is not None and error.status_code >= 500:
            log.error("%s %s", request.method, error.exception, exc_info=error.exception)
        known = ERROR_WORDS_OF_CENTRE if self.noun == "centre" else ERROR_WORDS
        title, default = (_(text) for text in known.get(error.status_code, known[500]))
        # Bottle's own texts are for developers; ours end in a full stop, as does one of its own.
        ours = isinstance(error.body, str) and error.body.endswith(".") and error.body != "Method not allowed."
        message = error.body if ours else default
        if wants_json():
            response.content_type = "application/json"
            return msgspec.json.encode({"error": message}).decode()
        response.content_type = "text/html; charset=utf-8"
        viewer = self.viewer()
        csrf = viewer.csrf_token if viewer else ""
        return self._render("error.html", viewer, csrf=csrf, title=title, message=message, code=error.status_code)

    def _render(self, view: str, viewer: Viewer | None, **values: Any) -> str:
        keep_apart(values.get("csrf"))
        common = {
            "site_name": self.site_name,
            "noun": self.noun,
            "static": self.static.url,
            "path": request.path,
            "language": spoken(),
            "languages": LANGUAGES,
            "script_words": script_words,
            "visitor": viewer,
            "navigation": [link for link in self.navigation if not link.admin_only or (viewer and viewer.is_admin)],
            "utc_text": utc_text,
            "clock_utc": clock_utc,
            "marked": marked,
            "moment": moment,
            "problem": None,
        }
        return self.address.rooted_links(self.renderer.render(view, {**common, **self.values, **values}))


def marked(text: str) -> Markup:
    """A sentence as markup, what stands between backticks as code: what people type at a command line."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", html_escape(text)))


def moment(utc: float | str) -> Markup:
    """A time as markup, to be put into a sentence; the browser's script shows it in the browser's zone."""
    text = utc if isinstance(utc, str) else utc_text(utc)
    return Markup(f'<time datetime="{html_escape(text)}">{html_escape(clock_utc(utc))}</time>')


def clock_utc(utc: float | str) -> str:
    """A time for people whose browser runs no script: 2026-11-23 16:00:05 UTC."""
    text = utc if isinstance(utc, str) else utc_text(utc)
    return f"{text[:10]} {text[11:19]} UTC"
