"""Who may ask for what: declared at each route, so that nothing can be reached by forgetting to say."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from bottle import Bottle, HTTPError, request

from appliance.web.headers import SECURITY_HEADERS

Handler = TypeVar("Handler", bound=Callable[..., Any])
ErrorPage = Callable[[HTTPError], Any]


class Access(enum.Enum):
    """Who may use a route."""

    ANYONE = "anyone"  # also people who have not signed in
    SIGNED_IN = "signed_in"
    OWNER = "owner"  # whoever owns the thing that the address names, and admins
    ADMIN = "admin"


class App(Bottle):  # type: ignore[misc]
    """A Bottle whose every route says who may use it, and whose every answer carries the strict headers.

    `bearer`: programs may use the route with a token of theirs instead of a session; by default only below /api/.
    """

    def __init__(self, error_page: ErrorPage) -> None:
        super().__init__()
        self._error_page = error_page

    def get(self, path: str, *, access: Access, bearer: bool | None = None) -> Callable[[Handler], Handler]:
        """Add a route that changes nothing."""
        return self._route("GET", path, access, bearer)

    def post(self, path: str, *, access: Access, bearer: bool | None = None) -> Callable[[Handler], Handler]:
        """Add a route that changes something, from a form or a program."""
        return self._route("POST", path, access, bearer)

    def patch(self, path: str, *, access: Access, bearer: bool | None = None) -> Callable[[Handler], Handler]:
        """Add a route that changes a part of something, for programs."""
        return self._route("PATCH", path, access, bearer)

    def delete(self, path: str, *, access: Access, bearer: bool | None = None) -> Callable[[Handler], Handler]:
        """Add a route that removes something, for programs."""
        return self._route("DELETE", path, access, bearer)

    def _route(self, method: str, path: str, access: Access, bearer: bool | None) -> Callable[[Handler], Handler]:
        for_programs = path.startswith("/api/") if bearer is None else bearer

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

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            named = {name.lower() for name, _ in headers}
            strict = [(name, value) for name, value in SECURITY_HEADERS.items() if name.lower() not in named]
            return start_response(status, headers + strict, exc_info)

        answer: Iterable[bytes] = super().wsgi(environ, start)
        return answer


def wants_json() -> bool:
    """Whether the request comes from a program, for which pages are no use."""
    return bool(
        request.path.startswith("/api/") or request.headers.get("Authorization", "").lower().startswith("bearer ")
    )
