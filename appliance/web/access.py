"""Who may ask for what: declared at each route, so that nothing can be reached by forgetting to say."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from bottle import Bottle, HTTPError, HTTPResponse, request

from appliance.language import _, speaking, spoken
from appliance.web.address import SiteAddress, host_in
from appliance.web.compression import compressing
from appliance.web.forms import MAX_ID, whole_number
from appliance.web.headers import SECURITY_HEADERS
from appliance.web.uploads import Admit, note_arrival

Handler = TypeVar("Handler", bound=Callable[..., Any])
ErrorPage = Callable[[HTTPError], Any]
READ_HEADERS = (
    "Host",
    "Origin",
    "Sec-Fetch-Site",
    "Authorization",
    "If-None-Match",
    "Referer",
    "X-CSRF-Token",
    "X-By-Script",
)
"""Every header that this program reads."""


class Access(enum.Enum):
    """Who may use a route."""

    ANYONE = "anyone"  # also people who have not signed in
    SIGNED_IN = "signed_in"
    OWNER = "owner"  # whoever owns the thing that the address names, and admins
    ADMIN = "admin"
    METRICS = "metrics"  # a program with the metrics token, which opens nothing else, and admins


class App(Bottle):  # type: ignore[misc]
    """A Bottle whose every route says who may use it, and whose every answer carries the strict headers.

    `bearer`: programs may use the route with a token of theirs instead of a session, as they may all below /api/.
    `admit`: which requests bring a file (uploads.py), where a server runs it.
    `language_of`: the language of an answer, by its request (languages.py).
    Addresses, in routes and in answers, are written as if the site had its host to itself; `address` knows the rest.
    """

    admit: Admit | None = None
    language_of: Callable[[dict[str, Any]], str] = staticmethod(lambda _environ: spoken())

    def __init__(self, error_page: ErrorPage, address: SiteAddress | None = None) -> None:
        super().__init__()
        self._error_page = error_page
        self.address = address or SiteAddress()
        self.router.add_filter("int", _id_filter)
        self.add_hook("before_request", _refuse_unreadable_headers)
        self.add_hook("before_request", self._refuse_other_hosts)

    def get(self, path: str, *, access: Access, bearer: bool = False) -> Callable[[Handler], Handler]:
        """Add a route that changes nothing."""
        return self._route("GET", path, access, bearer)

    def post(self, path: str, *, access: Access, bearer: bool = False) -> Callable[[Handler], Handler]:
        """Add a route that changes something, from a form or a program."""
        return self._route("POST", path, access, bearer)

    def patch(self, path: str, *, access: Access) -> Callable[[Handler], Handler]:
        """Add a route that changes a part of something, for programs."""
        return self._route("PATCH", path, access)

    def put(self, path: str, *, access: Access) -> Callable[[Handler], Handler]:
        """Add a route that puts something in the place of what there is, for programs."""
        return self._route("PUT", path, access)

    def delete(self, path: str, *, access: Access) -> Callable[[Handler], Handler]:
        """Add a route that removes something, for programs."""
        return self._route("DELETE", path, access)

    def _route(self, method: str, path: str, access: Access, bearer: bool = False) -> Callable[[Handler], Handler]:
        for_programs = bearer or path.startswith("/api/")

        def add(handler: Handler) -> Handler:
            self.route(path, method, handler, access=access, bearer=for_programs)
            return handler

        return add

    def add_route(self, route: Any) -> None:
        """Refuse, at start, a route that does not say who may use it. Raises ValueError."""
        if not isinstance(route.config.get("access"), Access):
            raise ValueError(f"{route.method} {route.rule}: say who may use it (access=Access....)")
        if route.config["access"] is Access.OWNER and not re.search(r"<\w+", route.rule):
            raise ValueError(f"{route.method} {route.rule}: OWNER needs an address that names the thing owned")
        super().add_route(route)

    def default_error_handler(self, error: HTTPError) -> Any:
        """The page of an error, instead of Bottle's own."""
        return self._error_page(error)

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer, with the strict headers on whatever the answer turns out to be."""
        self.address.enter(environ)
        note_arrival(environ)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            named = {name.lower() for name, _value in headers}
            strict = [(name, value) for name, value in SECURITY_HEADERS.items() if name.lower() not in named]
            sent = [
                (name, self.address.rooted(value) if name.lower() == "location" else value) for name, value in headers
            ]
            return start_response(status, sent + strict, exc_info)

        with speaking(self.language_of(environ)):
            return compressing(super().wsgi, environ, start)

    def _refuse_other_hosts(self) -> None:
        """Refuse who was led here by a name that is not ours. In plain text: our style sheet would be refused, too."""
        host = request.headers.get("Host", "")
        if self.address.answers_to(host):
            return
        name = repr((host_in(host) or "?")[:100])
        message = _(
            "This site is not known by the name {name}. Open it by its IP address, or by the name of its machine;"
            " to use this name, too, add it to web.names in the configuration file and restart.",
            name=name,
        )
        if wants_json():
            raise HTTPResponse(msgspec.json.encode({"error": message}), 421, {"Content-Type": "application/json"})
        raise HTTPResponse(f"{message}\n", 421, {"Content-Type": "text/plain; charset=utf-8"})


def _refuse_unreadable_headers() -> None:
    """Refuse what Bottle would fail on as soon as it is looked at. Others may hold what they like."""
    for name in READ_HEADERS:
        try:
            request.headers.get(name)
        except UnicodeDecodeError as error:
            raise HTTPError(400, _("The header {name} cannot be read: it is not UTF-8.", name=name)) from error


def _id_filter(_config: str) -> tuple[str, Callable[[str], int], None]:
    """What `<name:int>` in an address takes: an id. One that SQLite cannot hold becomes one that nothing has."""

    def to_id(text: str) -> int:
        number = whole_number(text)
        return MAX_ID if number is None else number

    return r"[0-9]+", to_id, None


def wants_json() -> bool:
    """Whether the request comes from a program, for which pages are no use."""
    return bool(
        request.path.startswith("/api/") or request.environ.get("HTTP_AUTHORIZATION", "").lower().startswith("bearer ")
    )
