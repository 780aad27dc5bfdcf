"""Claiming a new site, signing in, signing out."""

from __future__ import annotations

import logging

from bottle import HTTPResponse

from appliance.accounts.guard import Visitor
from appliance.accounts.site import Accounts, Store
from appliance.accounts.throttle import client_address
from appliance.errors import InputError, UserError
from appliance.names import person_name
from appliance.secrets import claim_code, digest, equal_in_constant_time, new_token, password_matches
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, local_path, query_value, secret_field, see_other
from appliance.web.pages import Page

log = logging.getLogger(__name__)
FREE_TRIES_NAME = 5
FREE_TRIES_ADDRESS = 20


def plain_code(code: str) -> str:
    """A code as compared: without dashes and spaces, upper and lower case alike."""
    return "".join(sign for sign in code.upper() if sign.isalnum())


def add_routes(app: App, accounts: Accounts) -> None:
    """The pages by which people come in and leave."""

    @app.get("/claim", access=Access.ANYONE)
    def claim_form(store: Store) -> Page:
        if store.people.count():
            return see_other("/sign-in")
        claim_code(accounts.claim_code_path)  # it must be there to be read
        return _claim_page(accounts)

    @app.post("/claim", access=Access.ANYONE)
    def claim(store: Store, now: Now) -> Page:
        if store.people.count():
            return see_other("/sign-in")
        return _claim(accounts, store, now)

    @app.get("/sign-in", access=Access.ANYONE)
    def sign_in_form(store: Store, visitor: Visitor | None) -> Page:
        then = local_path(query_value("next"))
        if visitor:
            return see_other(then)
        if store.people.count() == 0:
            return see_other("/claim")
        return _sign_in_page(accounts, "", then)

    @app.post("/sign-in", access=Access.ANYONE)
    def sign_in(store: Store, now: Now, visitor: Visitor | None) -> Page:
        return _sign_in(accounts, store, now, visitor)

    @app.post("/sign-out", access=Access.SIGNED_IN)
    def sign_out(store: Store, visitor: Visitor) -> Page:
        if visitor.session:
            with store.saving():
                store.people.end_session(visitor.session)
        answer = see_other("/sign-in")
        accounts.session_cookie.clear(answer)
        return answer


def _claim(accounts: Accounts, store: Store, now: Now) -> Page:
    """Make the first admin for whoever knows the code."""
    name, code, noun = field("name"), field("code"), accounts.pages.noun
    address = client_address(accounts.session_cookie.https)
    free_tries = {"claim": FREE_TRIES_ADDRESS, f"claim from {address}": FREE_TRIES_NAME}
    wait_s = accounts.throttle.wait_s(free_tries, now.uptime_s)
    if wait_s > 0:
        return _claim_page(accounts, 429, problem=too_many_tries(wait_s), name=name, code=code)
    try:
        if not equal_in_constant_time(plain_code(code), plain_code(claim_code(accounts.claim_code_path))):
            raise InputError(
                f"This is not the code of this {noun}. It is in the text that the {noun} printed at its start."
            )
        clean = person_name(name, "yourself")
        password_hash = accounts.new_password_hash()
        with store.saving():
            person_id = store.people.add_first(clean, password_hash, now.utc)
    except UserError as error:
        return _claim_page(accounts, 400, problem=str(error), name=name, code=code)
    if person_id is None:
        return see_other("/sign-in")
    try:
        accounts.claim_code_path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the claim code is used up, but its file could not be removed: %s", error.strerror)
    log.info("the %s was claimed by %s", noun, clean)
    return _begin_session(accounts, store, now, person_id, "/")


def _claim_page(accounts: Accounts, status: int = 200, **values: str) -> Page:
    defaults = {"name": "", "code": "", "code_file": accounts.claim_code_path.name}
    return accounts.pages.page("claim.html", status=status, **{**defaults, **values})


def _sign_in(accounts: Accounts, store: Store, now: Now, visitor: Visitor | None) -> Page:
    name, then = field("name"), local_path(field("next"))
    address = client_address(accounts.session_cookie.https)
    by_name, by_address = f"name {name.casefold()[:64]}", f"from {address}"
    free_tries = {by_name: FREE_TRIES_NAME, by_address: FREE_TRIES_ADDRESS}
    wait_s = accounts.throttle.wait_s(free_tries, now.uptime_s)
    if wait_s > 0:
        return _sign_in_page(accounts, name, then, 429, too_many_tries(wait_s))
    person = store.people.named(name)
    with accounts.hashing:
        right = password_matches(secret_field("password"), person.password_hash if person else None)
    if person is None or not right:
        log.warning("a sign-in from %s failed", address)
        return _sign_in_page(accounts, name, then, 400, "Name or password is wrong.")
    accounts.throttle.succeeded(forget=by_name, uncount=by_address)
    with store.saving():
        if visitor and visitor.session:
            store.people.end_session(visitor.session)
        store.people.forget_old_sessions(now.utc)
    return _begin_session(accounts, store, now, person.id, then)


def _sign_in_page(accounts: Accounts, name: str, then: str, status: int = 200, problem: str | None = None) -> Page:
    return accounts.pages.page("sign_in.html", status=status, problem=problem, name=name, then=then)


def _begin_session(accounts: Accounts, store: Store, now: Now, person_id: int, then: str) -> HTTPResponse:
    """A new id at every sign-in: one that somebody planted in the browser before is worth nothing."""
    session_id = new_token()
    with store.saving():
        store.people.add_session(digest(session_id), person_id, new_token(), now.utc)
    answer = see_other(then)
    accounts.session_cookie.set(answer, session_id)
    return answer


def too_many_tries(wait_s: float) -> str:
    """What to tell a person who has to wait before the next try."""
    return f"Too many wrong tries. Wait {int(wait_s) + 1} s, then try again."
