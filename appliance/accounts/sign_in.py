"""Claiming a new site, signing in, signing out."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import nullcontext
from typing import Any

from bottle import HTTPResponse

from appliance.accounts.audit import Action, Actor, ActorKind, record
from appliance.accounts.audit_subjects import NOBODY
from appliance.accounts.guard import Visitor
from appliance.accounts.guesses import Guess
from appliance.accounts.people import Person
from appliance.accounts.site import Accounts, Store
from appliance.accounts.unsent import is_kept, marked_token
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.names import person_name
from appliance.secrets import claim_code, digest, equal_in_constant_time, new_token, password_matches
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.address import client_address
from appliance.web.forms import field, local_path, query_value, secret_field, see_other
from appliance.web.pages import Page

log = logging.getLogger(__name__)
WRONG_CODE = N_("This is not the code of this box. It is in the text that the box printed at its start.")
WRONG_CODE_OF_CENTRE = N_(
    "This is not the code of this centre. It is in the text that the centre printed at its start."
)


def plain_code(code: str) -> str:
    """A code as compared: without dashes and spaces, upper and lower case alike."""
    return "".join(character for character in code.upper() if character.isalnum())


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
    def sign_in_form(store: Store, now: Now, visitor: Visitor | None) -> Page:
        then = local_path(query_value("next"))
        if visitor:
            return see_other(then)
        if store.people.count() == 0:
            return see_other("/claim")
        return _sign_in_page(accounts, now, "", then)

    @app.post("/sign-in", access=Access.ANYONE)
    def sign_in(store: Store, now: Now, visitor: Visitor | None) -> Page:
        return _sign_in(accounts, store, now, visitor)

    @app.post("/sign-out", access=Access.SIGNED_IN)
    def sign_out(store: Store, visitor: Visitor) -> Page:
        if visitor.session:
            with store.saving():
                store.people.end_session(visitor.session)
                store.audit.add(Action.SIGNED_OUT)
        answer = accounts.pages.done_by_nobody("/sign-in", _("You are signed out."))
        accounts.session_cookie.clear(answer)
        return answer


def _claim(accounts: Accounts, store: Store, now: Now) -> Page:
    """Make the first admin for whoever knows the code."""
    name, code, noun = field("name"), field("code"), accounts.pages.noun
    guess = accounts.guesses.of_claim_code(client_address())
    wait_s = accounts.guesses.wait_s(guess, now.uptime_s)
    if wait_s > 0:
        return _claim_page(accounts, 429, problem=too_many_tries(wait_s), name=name, code=code)
    try:
        if not equal_in_constant_time(plain_code(code), plain_code(claim_code(accounts.claim_code_path))):
            raise InputError(_(WRONG_CODE_OF_CENTRE if noun == "centre" else WRONG_CODE))
        accounts.guesses.take_back(guess, now.uptime_s)
        clean = person_name(name, N_("Give yourself a name."))
        password_hash = accounts.new_password_hash(clean)
        with store.saving():
            person_id = store.people.add_first(clean, password_hash, now.utc)
            if person_id is not None:
                store.audit.act_for(Actor(ActorKind.PERSON, clean, person_id, client_address()), now.utc)
                store.audit.add(Action.CLAIMED)
    except UserError as error:
        return _claim_page(accounts, problem=error, name=name, code=code)
    if person_id is None:
        return see_other("/sign-in")
    try:
        accounts.claim_code_path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the claim code is used up, but its file could not be removed: %s", error.strerror)
    log.info("the %s was claimed by %s", noun, clean)
    return _begin_session(accounts, store, now, person_id, "/")


def _claim_page(accounts: Accounts, status: int = 200, **values: Any) -> Page:
    defaults = {"wrong_field": "code", "name": "", "code": "", "code_file": accounts.claim_code_path.name}
    return accounts.pages.page("claim.html", status=status, **{**defaults, **values})


def _sign_in(accounts: Accounts, store: Store, now: Now, visitor: Visitor | None) -> Page:
    name, then = field("name"), local_path(field("next"))
    address = client_address()
    person = store.people.named(name)
    guess = _guess(accounts, store, now, person, address)
    wait_s = accounts.guesses.wait_s(guess, now.uptime_s)
    if wait_s > 0:
        return _sign_in_page(accounts, now, name, then, 429, too_many_tries(wait_s))
    right = _is_right(accounts, guess, person)
    if right is None:
        accounts.guesses.take_back(guess, now.uptime_s)
        busy = _("Too many people sign in just now. Try again in a moment.")
        return _sign_in_page(accounts, now, name, then, 503, busy)
    if person is None or not right:
        log.warning("a sign-in from %s failed", address)
        _note_failure(accounts, store, now, person)
        return _sign_in_page(accounts, now, name, then, 400, _("Name or password is wrong."))
    accounts.guesses.take_back(guess, now.uptime_s)
    with store.saving():
        if visitor and visitor.session:
            store.people.end_session(visitor.session)
        store.people.forget_old_sessions(now.utc)
        store.audit.act_for(Actor(ActorKind.PERSON, person.name, person.id, address), now.utc)
        store.audit.add(Action.SIGNED_IN, **accounts.failures.left_out())
    return _begin_session(accounts, store, now, person.id, then)


def _note_failure(accounts: Accounts, store: Store, now: Now, person: Person | None) -> None:
    """Not what was typed as a name: it may have been the password."""
    before = accounts.failures.count(now.uptime_s)
    if before is None:
        return
    try:
        of = {"person_id": person.id} if person else {}  # which tells a name from what we call nobody
        record(store, Action.SIGN_IN_FAILED, person.name if person else NOBODY, **of, **before)
    except UserError as error:
        log.error("not on record: a failed sign-in: %s", error)


def _guess(accounts: Accounts, store: Store, now: Now, person: Person | None, address: str) -> Guess:
    device = accounts.device_cookie.read()
    if device and person and store.people.knows_device(digest(device), now.utc, person.id):
        return accounts.guesses.by_known_device(digest(device))
    return accounts.guesses.by_stranger(address, person.id if person else None)


def _is_right(accounts: Accounts, guess: Guess, person: Person | None) -> bool | None:
    """Whether the form's password is the person's; None if too many strangers ask just now."""
    password, password_hash = secret_field("password"), person.password_hash if person else None
    with accounts.stranger_checks() if guess.by_stranger else nullcontext(True) as has_place:
        if not has_place:
            return None
        with accounts.hashing:
            return password_matches(password, password_hash)


def _remembered_device(accounts: Accounts, store: Store, now: Now, person_id: int) -> str | None:
    """The id by which this person's browser is known from now on; None: it cannot be stored.

    A browser keeps its id for all who sign in there; one that nobody knows (planted, or too old) is not taken on.
    """
    device = accounts.device_cookie.read()
    try:
        if device is None or not store.people.knows_device(digest(device), now.utc):
            device = new_token()
        store.people.remember_device(digest(device), person_id, now.utc)
    except sqlite3.Error as error:
        log.warning("this browser could not be remembered (its person signed in): %s", error)
        return None
    return device


def _sign_in_page(
    accounts: Accounts, now: Now, name: str, then: str, status: int = 200, problem: str | None = None
) -> Page:
    form_waits = is_kept(accounts, then, now)
    values: dict[str, Any] = {"name": name, "then": then, "form_waits": form_waits, "wrong_field": "password"}
    return accounts.pages.page("sign_in.html", status=status, problem=problem, **values)


def _begin_session(accounts: Accounts, store: Store, now: Now, person_id: int, then: str) -> HTTPResponse:
    """A new id at every sign-in: one that somebody planted in the browser before is worth nothing."""
    session_id = new_token()
    device = _remembered_device(accounts, store, now, person_id)
    csrf_token = marked_token(device, person_id) if device else new_token()
    with store.saving():
        store.people.add_session(digest(session_id), person_id, csrf_token, now.utc)
    answer = see_other(then)
    accounts.session_cookie.set(answer, session_id)
    if device:
        accounts.device_cookie.set(answer, device)
    return answer


def too_many_tries(wait_s: float) -> str:
    """What to tell a person who has to wait before the next try."""
    return _("Too many wrong tries. Wait {seconds} s, then try again.", seconds=int(wait_s) + 1)
