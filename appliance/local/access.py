"""Who is asking, and may they? The one place where a route's declared access is enforced.

A handler is given what it names among its arguments: `store` (a connection of its own, closed afterwards), `visitor`,
`now`, what the address holds, and for OWNER the `stream` that it names by `<stream_id:int>`.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bottle import HTTPError, HTTPResponse, request

from appliance.errors import InputError, NameTaken, NotAllowed, NotFound, UserError, busy_store
from appliance.secrets import digest
from appliance.store import Person, Store, StoreError, Stream
from appliance.times import Now, utc_seconds
from appliance.web.access import Access, wants_json
from appliance.web.forms import see_other
from appliance.web.sessions import SAFE_METHODS, TOUCH_S, Cookie, carries, is_over, is_same_origin

log = logging.getLogger(__name__)
OpenStore = Callable[[], Store]
VISITOR = "mb9k.visitor"
STATUS: dict[type[UserError], int] = {InputError: 400, NotAllowed: 403, NotFound: 404, NameTaken: 409}
"""How an error for a person is answered where no form is shown again; every other is 503."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who signed in, or a program with a token of theirs (then session and csrf_token are None).

    session: the digest of the session's id.
    """

    person: Person
    session: str | None = None
    csrf_token: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether they see and edit all."""
        return self.person.is_admin

    def may_edit(self, stream: Stream) -> bool:
        """Whether they see and edit this stream."""
        return self.is_admin or stream.owner_id == self.person.id


def visitor_now() -> Visitor | None:
    """Who is asking, as far as the guard has found out."""
    visitor: Visitor | None = request.environ.get(VISITOR)
    return visitor


class Guard:
    """The plugin that stands before every route."""

    api = 2
    name = "guard"

    def __init__(
        self, open_store: OpenStore, clock: Callable[[], Now], session_cookie: Cookie, form_cookie: Cookie
    ) -> None:
        self.open_store = open_store
        self.clock = clock
        self.session_cookie = session_cookie
        self.form_cookie = form_cookie

    def apply(self, handler: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap a route's handler (called by Bottle)."""
        access: Access = route.config["access"]
        names = set(inspect.signature(route.callback).parameters)
        if access is Access.ANYONE and not names & {"store", "visitor", "stream"}:
            return handler  # static files and the like: no store, nothing private

        @functools.wraps(handler)
        def guarded(**arguments: Any) -> Any:
            now = self.clock()
            try:
                store = self.open_store()
            except StoreError as error:
                log.error("%s", error)
                raise HTTPError(503, busy_store(error)) from error
            try:
                given = {**arguments, "store": store, "now": now, **self._admit(store, now, access, route, arguments)}
                wanted = {name: value for name, value in given.items() if name in names}
                return handler(**wanted)
            except UserError as error:
                raise HTTPError(STATUS.get(type(error), 503), str(error)) from error
            except (sqlite3.Error, OSError) as error:
                log.error("%s %s: %s", request.method, route.rule, error)
                raise HTTPError(503, busy_store(error)) from error
            finally:
                store.close()

        return guarded

    def _admit(self, store: Store, now: Now, access: Access, route: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """The visitor, and the stream the address names. Raises HTTPResponse where they may not go on."""
        visitor = self._by_token(store, now) if route.config["bearer"] else None
        visitor = visitor or self._by_session(store, now)
        request.environ[VISITOR] = visitor
        if access is not Access.ANYONE and visitor is None:
            raise _sign_in_first(store)
        if request.method not in SAFE_METHODS:
            self._check_write(visitor, access)
        if access is Access.ADMIN and visitor is not None and not visitor.is_admin:
            raise HTTPError(403, "Only an admin may do this. Ask one, or go back.")
        given: dict[str, Any] = {"visitor": visitor}
        if access is Access.OWNER and visitor is not None:
            given["stream"] = _stream_of(store, now, visitor, arguments.get("stream_id"))
        return given

    def _by_token(self, store: Store, now: Now) -> Visitor | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        token_digest = digest(token.strip())
        person = store.people.person_of_token(token_digest)
        if person is None:
            raise HTTPError(
                401, "This token is not known; make one on your account page.", **{"WWW-Authenticate": "Bearer"}
            )
        with suppress(sqlite3.Error):  # a full disk keeps nobody from looking
            store.people.touch_token(token_digest, now.utc)
        return Visitor(person)

    def _by_session(self, store: Store, now: Now) -> Visitor | None:
        token = self.session_cookie.read()
        if token is None:
            return None
        token_digest = digest(token)
        session = store.people.session(token_digest)
        if session is None:
            return None
        last_used_utc = utc_seconds(session.last_used_utc)
        if is_over(utc_seconds(session.created_utc), last_used_utc, now.utc):
            with suppress(sqlite3.Error):
                store.people.end_session(token_digest)
            return None
        if now.utc - last_used_utc > TOUCH_S:
            with suppress(sqlite3.Error):
                store.people.touch_session(token_digest, now.utc)
        return Visitor(session.person, token_digest, session.csrf_token)

    def _check_write(self, visitor: Visitor | None, access: Access) -> None:
        """Refuse a write that another site's page may have sent in the visitor's name."""
        if visitor is not None and visitor.session is None:
            return  # a program: no browser adds a token by itself
        own_form = visitor is not None and carries(visitor.csrf_token)
        anyones_form = access is Access.ANYONE and carries(self.form_cookie.read())
        if not is_same_origin() or not (own_form or anyones_form):
            raise HTTPError(
                403, "This form was not sent from a page of this box, or is too old. Go back, reload it, send again."
            )


def _sign_in_first(store: Store) -> HTTPResponse:
    if wants_json():
        return HTTPError(
            401, "Send `Authorization: Bearer TOKEN`; make one on your account page.", **{"WWW-Authenticate": "Bearer"}
        )
    if store.people.count() == 0:
        return see_other("/claim")
    if request.method not in SAFE_METHODS:
        return HTTPError(401, "You are signed out, so nothing was changed. Sign in, then do it again.")
    query = f"?{request.query_string}" if request.query_string else ""
    return see_other(_sign_in_address(request.path + query))


def _sign_in_address(then: str) -> str:
    return "/sign-in" if then == "/" else f"/sign-in?next={quote(then, safe='/')}"


def _stream_of(store: Store, now: Now, visitor: Visitor, stream_id: Any) -> Stream:
    """The stream. Raises HTTPError 404 both where there is none and where it is another's: neither is told apart."""
    stream = store.streams.get(stream_id, now) if isinstance(stream_id, int) and stream_id < 2**63 else None
    if stream is None or not visitor.may_edit(stream):
        raise HTTPError(404, "There is no such stream, or it is not yours.")
    return stream
