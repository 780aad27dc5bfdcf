"""Whose request is it, and may they? The one place where a route's declared access is enforced.

A handler is passed what it names among its arguments: `store` (a connection of its own, closed afterwards), `visitor`,
`now`, what the address holds, and for OWNER what the site's `find_owned` adds.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from bottle import HTTPError, HTTPResponse, request, response

from appliance.accounts.audit import Action, Actor, ActorKind, record
from appliance.accounts.people import TOUCH_S, Person, Token
from appliance.accounts.site import Accounts, Store
from appliance.accounts.unsent import bring_back, kept_at
from appliance.errors import InputError, NameTaken, NotAllowed, NotFound, NotSaved, UserError
from appliance.language import N_, _
from appliance.secrets import digest
from appliance.times import Now, utc_seconds
from appliance.web.access import Access, wants_json
from appliance.web.address import client_address
from appliance.web.cookies import SAFE_METHODS, has_csrf_token, is_same_origin
from appliance.web.forms import see_other
from appliance.web.turns import Turns

log = logging.getLogger(__name__)
VISITOR = "mb9k.visitor"
STATUS: dict[type[UserError], int] = {InputError: 400, NotAllowed: 403, NotFound: 404, NameTaken: 409}
"""How an error for a person is answered where no form is shown again; every other is 503."""
NOT_OUR_FORM = N_("This form was not sent from a page of this box, or is too old. Go back, reload it, send again.")
NOT_OUR_FORM_OF_CENTRE = N_(
    "This form was not sent from a page of this centre, or is too old. Go back, reload it, send again."
)
MONITORS_ONLY = "Send `Authorization: Bearer TOKEN` with the metrics token, which an admin makes."


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who signed in, or a program with a token of theirs (then session and csrf_token are None).

    session: the digest of the session's id. token: the name of the token.
    """

    person: Person
    session: str | None = None
    csrf_token: str | None = None
    token: str | None = None

    @property
    def name(self) -> str:
        """Their name."""
        return self.person.name

    @property
    def is_admin(self) -> bool:
        """Whether they see and edit all."""
        return self.person.is_admin

    @property
    def sees_only(self) -> int | None:
        """Whose things they see and edit, by id; None: everybody's."""
        return None if self.is_admin else self.person.id

    @property
    def actor(self) -> Actor:
        """As whom the audit knows them."""
        if self.token is None:
            return Actor(ActorKind.PERSON, self.name, self.person.id, client_address())
        return Actor(ActorKind.TOKEN, f"{self.name} ({self.token})", self.person.id, client_address())

    def may_edit(self, owner_id: int) -> bool:
        """Whether they see and edit what this person owns."""
        return self.is_admin or owner_id == self.person.id


FindOwned: TypeAlias = Callable[[Any, Now, Visitor, Mapping[str, Any]], dict[str, Any]]
"""(the open store, now, visitor, what the address holds) -> what an OWNER route is passed besides.

Raises HTTPError 404 both where there is nothing and where it belongs to others: nobody learns which.
"""


def visitor_now() -> Visitor | None:
    """Whose request it is, as far as the guard has found out."""
    visitor: Visitor | None = request.environ.get(VISITOR)
    return visitor


class Guard:
    """The plugin that stands before every route."""

    api = 2
    name = "guard"

    def __init__(
        self, accounts: Accounts, open_store: Callable[[], Store], clock: Callable[[], Now], find_owned: FindOwned
    ) -> None:
        self.accounts = accounts
        self.open_store = open_store
        self.clock = clock
        self.find_owned = find_owned
        self.expired_tokens: set[int] = set()
        self.turns = Turns()

    def apply(self, handler: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap a route's handler (called by Bottle)."""
        access: Access = route.config["access"]
        names = set(inspect.signature(route.callback).parameters)
        if access is Access.ANYONE and not names & {"store", "visitor", "now"}:
            return handler  # static files and the like: no store, nothing private

        @functools.wraps(handler)
        def guarded(**arguments: Any) -> Any:
            if request.method not in SAFE_METHODS:  # a form may wait for a mail server, or check a password
                return answered(**arguments)
            with self.turns.taken():
                return answered(**arguments)

        def answered(**arguments: Any) -> Any:
            now = self.clock()
            try:
                store = self.open_store()
            except UserError as error:
                log.error("%s", error)
                raise HTTPError(503, self.accounts.explain(error)) from error
            try:
                admitted = self._admit_or_note(store, now, access, route, arguments)
                passed = {**arguments, "store": store, "now": now, **admitted}
                result = handler(**{name: value for name, value in passed.items() if name in names})
                _note_change(store, route, result, arguments)
                self._forget_unsent(result)
                return result
            except UserError as error:
                raise HTTPError(STATUS.get(type(error), 503), str(error)) from error
            except (sqlite3.Error, OSError) as error:
                log.error("%s %s: %s", request.method, route.rule, error)
                raise HTTPError(503, self.accounts.explain(error)) from error
            finally:
                store.close()

        return guarded

    def _admit_or_note(
        self, store: Store, now: Now, access: Access, route: Any, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """`_admit`; what it refuses to somebody who signed in is on record."""
        store.audit.act_for(Actor(ActorKind.STRANGER, address=client_address()), now.utc)
        try:
            return self._admit(store, now, access, route, arguments)
        except HTTPError as error:
            if error.status_code == 403 and visitor_now() is not None:
                _note(store, Action.REFUSED, f"{request.method} {route.rule}")
            raise

    def _admit(self, store: Store, now: Now, access: Access, route: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """The visitor, and what of theirs the address names. Raises HTTPResponse where they may not go on."""
        if access is Access.METRICS and self._is_monitor():
            return {"visitor": None}
        visitor = self._by_token(store, now) if route.config["bearer"] else None
        visitor = visitor or self._by_session(store, now)
        request.environ[VISITOR] = visitor
        if visitor is not None:
            store.audit.act_for(visitor.actor, now.utc)
            bring_back(self.accounts, visitor.person.id, now)
        if access is not Access.ANYONE and visitor is None:
            raise _token_refused(MONITORS_ONLY) if access is Access.METRICS else self._sign_in_first(store, now)
        if request.method not in SAFE_METHODS:
            self._check_write(store, now, visitor, access)
        if access in (Access.ADMIN, Access.METRICS) and visitor is not None and not visitor.is_admin:
            raise HTTPError(403, _("Only an admin may do this. Ask one, or go back."))
        if access is Access.OWNER and visitor is not None:
            return {"visitor": visitor, **self.find_owned(store, now, visitor, arguments)}
        return {"visitor": visitor}

    def _is_monitor(self) -> bool:
        token = _bearer_token()
        known = self.accounts.metrics_token
        return token is not None and known is not None and known.is_right(token)

    def _by_token(self, store: Store, now: Now) -> Visitor | None:
        token = _bearer_token()
        if token is None:
            return None
        token_digest = digest(token)
        known = store.people.token(token_digest)
        if known is None:
            raise _token_refused("This token is not known; make one on your account page.")
        if known.is_over(now.utc):
            self._log_expired(known)
            raise _token_refused(f"This token expired on {known.expires_utc[:10]}; make another on your account page.")
        with suppress(sqlite3.Error):  # a full disk keeps nobody from looking
            store.people.touch_token(token_digest, now.utc)
        return Visitor(known.owner, token=known.name)

    def _log_expired(self, token: Token) -> None:
        """Once per token, however often its program asks."""
        if token.id not in self.expired_tokens:
            self.expired_tokens.add(token.id)
            log.warning("the token %s of %s has expired and is refused", token.name, token.owner.name)

    def _by_session(self, store: Store, now: Now) -> Visitor | None:
        token = self.accounts.session_cookie.read()
        if token is None:
            return None
        token_digest = digest(token)
        session = store.people.session(token_digest)
        if session is None:
            return None
        if session.is_over(now.utc):
            with suppress(sqlite3.Error):
                store.people.end_session(token_digest)
            return None
        if now.utc - utc_seconds(session.last_used_utc) > TOUCH_S:
            with suppress(sqlite3.Error):
                store.people.touch_session(token_digest, now.utc)
        return Visitor(session.person, token_digest, session.csrf_token)

    def _sign_in_first(self, store: Store, now: Now) -> HTTPResponse:
        if wants_json():
            return _token_refused("Send `Authorization: Bearer TOKEN`; make one on your account page.")
        if store.people.count() == 0:
            return see_other("/claim")
        if request.method not in SAFE_METHODS:
            then = kept_at(self.accounts, store, now)
            if then is None:
                return HTTPError(401, _("You are signed out, so nothing was changed. Sign in, then do it again."))
            return see_other(_sign_in_address(then))
        query = f"?{request.query_string}" if request.query_string else ""
        return see_other(_sign_in_address(request.path + query))

    def _forget_unsent(self, result: Any) -> None:
        """What was sent and accepted comes back no more."""
        visitor = visitor_now()
        if request.method == "POST" and visitor is not None and _status(result) < 400:
            self.accounts.unsent.forget(visitor.person.id, request.path)

    def _check_write(self, store: Store, now: Now, visitor: Visitor | None, access: Access) -> None:
        """Refuse a write that another site's page may have sent in the visitor's name.

        A form of theirs from a sign-in before is not carried out either: it comes back, to be sent again.
        """
        if visitor is not None and visitor.session is None:
            return  # a program: no browser adds a token by itself
        own_form = visitor is not None and has_csrf_token(visitor.csrf_token)
        anyones_form = access is Access.ANYONE and has_csrf_token(self.accounts.pages.form_cookie.read())
        of_this_site = is_same_origin(self.accounts.pages.address)
        if of_this_site and visitor is not None and not own_form and access is not Access.ANYONE:
            then = kept_at(self.accounts, store, now, visitor.person.id)
            if then is not None:
                raise see_other(then)
        if not of_this_site or not (own_form or anyones_form):
            raise HTTPError(403, self._not_ours(of_this_site))

    def _not_ours(self, of_this_site: bool) -> str:
        words = _("This form was not sent from a page of this box, or is too old. Go back, reload it, send again.")
        if self.accounts.pages.noun == "centre":
            words = _(
                "This form was not sent from a page of this centre, or is too old. Go back, reload it, send again."
            )
        if of_this_site:
            return words
        # A proxy that is not configured comes first of what people see of this.
        return " ".join((words, _("Behind a proxy, web.base_url must be the address in the browser.")))


def _bearer_token() -> str | None:
    kind, _space, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _note_change(store: Store, route: Any, result: Any, arguments: Mapping[str, Any]) -> None:
    """See that whatever was sent and accepted is on record, also where its handler knows nothing of the audit."""
    if request.method in SAFE_METHODS or store.audit.added or visitor_now() is None:
        return
    if _status(result) < 400:
        numbers = {name: value for name, value in arguments.items() if isinstance(value, int)}
        _note(store, Action.CHANGED, f"{request.method} {route.rule}", **numbers)


def _status(result: Any) -> int:
    return int(result.status_code if isinstance(result, HTTPResponse) else response.status_code)


def _note(store: Store, action: Action, subject: str, **details: int) -> None:
    """An entry of what has been done or refused already, so that a disk that refuses it changes nothing."""
    try:
        record(store, action, subject, **details)
    except NotSaved as error:
        log.error("not on record: %s %s: %s", action.words, subject, error)


def _token_refused(message: str) -> HTTPError:
    return HTTPError(401, message, **{"WWW-Authenticate": "Bearer"})


def _sign_in_address(then: str) -> str:
    return "/sign-in" if then == "/" else f"/sign-in?next={quote(then, safe='/')}"
