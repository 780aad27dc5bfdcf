"""A person's own page: password, and tokens for programs."""

from __future__ import annotations

import logging
from typing import Any

from bottle import HTTPError, request

from appliance.accounts.audit import Action, record
from appliance.accounts.audit_subjects import TOKEN_OF
from appliance.accounts.guard import Visitor
from appliance.accounts.sign_in import too_many_tries
from appliance.accounts.site import Accounts, Store
from appliance.errors import InputError, UserError, about
from appliance.language import N_, _
from appliance.names import clean_name
from appliance.secrets import digest, new_token, password_matches
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, query_value, secret_field, see_other
from appliance.web.pages import Page

log = logging.getLogger(__name__)
TOKEN_DAYS = {"30": N_("30 days"), "90": N_("90 days"), "365": N_("1 year"), "730": N_("2 years")}
"""How long a token may last, as the form sends it and as people read it."""
DEFAULT_DAYS = "90"
CHANGED_PASSWORD = N_("Your password is changed. Your other sessions have ended.")
CHANGED_ALL = N_("Your password is changed. Your other sessions and your tokens have ended.")


def add_routes(app: App, accounts: Accounts) -> None:
    """The account page and its forms."""

    @app.get("/account", access=Access.SIGNED_IN)
    def account(store: Store, visitor: Visitor, now: Now) -> Page:
        return _page(accounts, store, visitor, now)

    @app.post("/account/password", access=Access.SIGNED_IN)
    def change_password(store: Store, visitor: Visitor, now: Now) -> Page:
        keep_tokens = bool(field("keep_tokens"))
        try:
            _change_password(accounts, store, visitor, now, keep_tokens)
        except UserError as error:
            return _page(accounts, store, visitor, now, problem=error)
        return accounts.pages.done("/account", _(CHANGED_PASSWORD if keep_tokens else CHANGED_ALL))

    @app.post("/account/tokens", access=Access.SIGNED_IN)
    def make_token(store: Store, visitor: Visitor, now: Now) -> Page:
        token, days = new_token(), field("days") or DEFAULT_DAYS
        try:
            name = clean_name(field("name"), N_("Give the program a name."))
            if days not in TOKEN_DAYS:
                choices = ", ".join(_(each) for each in TOKEN_DAYS.values())
                raise InputError(_("Choose how long the token lasts: {choices}.", choices=choices), "days")
            with store.saving():
                person_id, expires_utc = visitor.person.id, now.utc + int(days) * 86400
                store.people.add_token(person_id, name, digest(token), now.utc, expires_utc)
                store.audit.add(Action.TOKEN_MADE, name, days=int(days))
        except UserError as error:
            return _page(accounts, store, visitor, now, problem=error, name=field("name"), days=days)
        log.info("%s made the token %s for %s", visitor.name, name, TOKEN_DAYS[days])
        accounts.shown.keep("token", visitor.person.id, token, now, name=name)
        return see_other("/account?token=new")

    @app.post("/account/tokens/<token_id:int>/revoke", access=Access.SIGNED_IN)
    def revoke(store: Store, visitor: Visitor, token_id: int) -> Page:
        revoke_token(store, visitor, token_id, own_only=True)
        return accounts.pages.done("/account", _("The token was revoked."))


def revoke_token(store: Store, visitor: Visitor, token_id: int, own_only: bool) -> None:
    """End a token of the visitor's own, or anybody's. Raises HTTPError 404, NotSaved."""
    with store.saving():
        gone = store.people.remove_token(token_id, visitor.person.id if own_only else None)
        if gone is not None:
            store.audit.add(Action.TOKEN_REVOKED, TOKEN_OF.format(name=gone.name, owner=gone.owner.name))
    if gone is None:
        words = _("This token is already gone, or is not yours.") if own_only else _("This token is already gone.")
        raise HTTPError(404, words)
    log.info("%s revoked the token %s of %s", visitor.name, gone.name, gone.owner.name)


def _page(accounts: Accounts, store: Store, visitor: Visitor, now: Now, **values: Any) -> Page:
    tokens = store.people.tokens(visitor.person.id)
    form = {"name": "", "days": DEFAULT_DAYS, "choices": {days: _(words) for days, words in TOKEN_DAYS.items()}}
    shown = accounts.shown.of("token", visitor.person.id, now) if query_value("token") == "new" else None
    if shown and store.people.token(digest(shown.secret)) is None:
        shown = None  # revoked since
    server = accounts.pages.address.seen_at(request.headers.get("Host", ""))
    curl = f'curl -H "Authorization: Bearer TOKEN" "{server}/api/v1/status"'
    defaults: dict[str, Any] = {
        "curl": curl,
        "shown": shown,
        "tokens": tokens,
        "now_utc": now.utc,
        **form,
    }
    return accounts.pages.page("account.html", **{**defaults, **values})


def _change_password(accounts: Accounts, store: Store, visitor: Visitor, now: Now, keep_tokens: bool) -> None:
    """Raises InputError, NotSaved."""
    refuse_wrong_password(accounts, store, visitor, now)
    password_hash = accounts.new_password_hash(visitor.name)
    with store.saving():
        store.people.set_password(visitor.person.id, password_hash, visitor.session, keep_tokens)
        store.audit.add(Action.PASSWORD_CHANGED, visitor.name, keep_tokens=keep_tokens)
    log.info("%s has a new password%s", visitor.name, "" if keep_tokens else "; tokens have ended")


@about("current")
def refuse_wrong_password(accounts: Accounts, store: Store, visitor: Visitor, now: Now) -> None:
    """Before what a stolen session must not do: the field `current` holds the password. Raises InputError, NotSaved."""
    # Counted by session: whoever has stolen one and guesses there does not hold up the person in another.
    guess = accounts.guesses.by_known_device(f"session {visitor.session}")
    wait_s = accounts.guesses.wait_s(guess, now.uptime_s)
    if wait_s > 0:
        raise InputError(too_many_tries(wait_s))
    with accounts.hashing:
        right = password_matches(secret_field("current"), visitor.person.password_hash)
    if not right:
        log.warning("%s was not let change anything: the current password was wrong", visitor.name)
        record(store, Action.PASSWORD_WRONG, visitor.name)
        raise InputError(_("The current password is wrong; nothing was changed."))
    accounts.guesses.take_back(guess, now.uptime_s)
