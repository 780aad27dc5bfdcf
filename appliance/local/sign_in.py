"""Claiming the box, signing in, signing out."""

from __future__ import annotations

import logging

from bottle import HTTPResponse, request

from appliance.config import Config
from appliance.errors import InputError, UserError, saving
from appliance.local.access import Visitor
from appliance.local.pages import Page, Site
from appliance.rules.names import person_name
from appliance.secrets import digest, hash_password, kept_secret, new_claim_code, new_token, password_matches, same
from appliance.store import Store
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import asked, field, local_path, secret_field, see_other
from appliance.web.sessions import ABSOLUTE_S, IDLE_S
from appliance.web.throttle import who_asks

log = logging.getLogger(__name__)
FREE_TRIES_NAME = 5
FREE_TRIES_ADDRESS = 20


def claim_code(config: Config) -> str:
    """The code that proves who stands before the box; made at the first call. Raises OSError."""
    return kept_secret(config.claim_code_path, new_claim_code)


def plain_code(code: str) -> str:
    """A code as compared: without dashes and spaces, upper and lower case alike."""
    return "".join(sign for sign in code.upper() if sign.isalnum())


def add_routes(app: App, site: Site) -> None:
    """The doors."""

    @app.get("/claim", access=Access.ANYONE)
    def claim_form(store: Store) -> Page:
        if store.people.count():
            return see_other("/sign-in")
        claim_code(site.config)  # it must be there to be read
        return site.page("claim.html", name="", code="")

    @app.post("/claim", access=Access.ANYONE)
    def claim(store: Store, now: Now) -> Page:
        if store.people.count():
            return see_other("/sign-in")
        return _claim(site, store, now)

    @app.get("/sign-in", access=Access.ANYONE)
    def sign_in_form(store: Store, visitor: Visitor | None) -> Page:
        then = local_path(asked("next"))
        if visitor:
            return see_other(then)
        if store.people.count() == 0:
            return see_other("/claim")
        return site.page("sign_in.html", name="", then=then)

    @app.post("/sign-in", access=Access.ANYONE)
    def sign_in(store: Store, now: Now, visitor: Visitor | None) -> Page:
        return _sign_in(site, store, now, visitor)

    @app.post("/sign-out", access=Access.SIGNED_IN)
    def sign_out(store: Store, visitor: Visitor) -> Page:
        if visitor.session:
            store.people.end_session(visitor.session)
        answer = see_other("/sign-in")
        site.session_cookie.clear(answer)
        return answer


def _claim(site: Site, store: Store, now: Now) -> Page:
    """Make the first admin for whoever knows the code."""
    name, code = field("name"), field("code")
    thing = {"claim": FREE_TRIES_ADDRESS, f"claim from {_address(site)}": FREE_TRIES_NAME}
    wait_s = site.throttle.wait_s(thing, now.uptime_s)
    if wait_s > 0:
        return _slow_down(site, wait_s, "claim.html", name=name, code=code)
    try:
        if not same(plain_code(code), plain_code(claim_code(site.config))):
            raise InputError("This is not the code of this box. It is in the text that the box printed at its start.")
        clean = person_name(name, "yourself")
        password_hash = new_password_hash(site)
        with saving(store):
            person_id = store.people.add_first(clean, password_hash, now.utc)
    except UserError as error:
        return site.page("claim.html", status=400, problem=str(error), name=name, code=code)
    if person_id is None:
        return see_other("/sign-in")
    try:
        site.config.claim_code_path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the claim code is used up, but its file could not be removed: %s", error.strerror)
    log.info("the box was claimed by %s", clean)
    return _begin_session(site, store, now, person_id, "/")


def _sign_in(site: Site, store: Store, now: Now, visitor: Visitor | None) -> Page:
    name, then = field("name"), local_path(field("next"))
    by_name, by_address = f"name {name.casefold()[:64]}", f"from {_address(site)}"
    tries = {by_name: FREE_TRIES_NAME, by_address: FREE_TRIES_ADDRESS}
    wait_s = site.throttle.wait_s(tries, now.uptime_s)
    if wait_s > 0:
        return _slow_down(site, wait_s, "sign_in.html", name=name, then=then)
    person = store.people.named(name)
    with site.hashing:
        right = password_matches(secret_field("password"), person.password_hash if person else None)
    if person is None or not right:
        log.warning("a sign-in from %s failed", _address(site))
        return site.page("sign_in.html", status=400, problem="Name or password is wrong.", name=name, then=then)
    site.throttle.succeeded(forget=by_name, uncount=by_address)
    if visitor and visitor.session:
        store.people.end_session(visitor.session)
    store.people.forget_old_sessions(now.utc - IDLE_S, now.utc - ABSOLUTE_S)
    return _begin_session(site, store, now, person.id, then)


def _begin_session(site: Site, store: Store, now: Now, person_id: int, then: str) -> HTTPResponse:
    """A new id at every sign-in: one that somebody planted in the browser before is worth nothing."""
    session_id = new_token()
    store.people.add_session(digest(session_id), person_id, new_token(), now.utc)
    answer = see_other(then)
    site.session_cookie.set(answer, session_id)
    return answer


def new_password_hash(site: Site) -> str:
    """The hash of the form's new password, typed twice. Raises InputError."""
    password = secret_field("password")
    if password != secret_field("again"):
        raise InputError("The two passwords differ; type the same one twice.")
    with site.hashing:
        return hash_password(password)


def _slow_down(site: Site, wait_s: float, view: str, **values: str) -> Page:
    problem = f"Too many wrong tries. Wait {int(wait_s) + 1} s, then try again."
    return site.page(view, status=429, problem=problem, **values)


def _address(site: Site) -> str:
    behind_proxy = site.config.web.https and request.environ.get("REMOTE_ADDR") in ("127.0.0.1", "::1")
    return who_asks(behind_proxy)
