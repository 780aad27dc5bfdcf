"""A person's own page: password, and tokens for programs."""

from __future__ import annotations

from typing import Any

from bottle import HTTPError

from appliance.accounts.guard import Visitor
from appliance.accounts.sign_in import FREE_TRIES_NAME, too_many_tries
from appliance.accounts.site import Accounts, Store
from appliance.errors import InputError, UserError
from appliance.names import clean_name
from appliance.secrets import digest, new_token, password_matches
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, secret_field, see_other
from appliance.web.pages import Page


def add_routes(app: App, accounts: Accounts) -> None:
    """The account page and its forms."""

    @app.get("/account", access=Access.SIGNED_IN)
    def account(store: Store, visitor: Visitor) -> Page:
        return _page(accounts, store, visitor)

    @app.post("/account/password", access=Access.SIGNED_IN)
    def change_password(store: Store, visitor: Visitor, now: Now) -> Page:
        try:
            _change_password(accounts, store, visitor, now)
        except UserError as error:
            return _page(accounts, store, visitor, status=400, problem=str(error))
        return _page(accounts, store, visitor, done="Your password is changed. Your other sessions have ended.")

    @app.post("/account/tokens", access=Access.SIGNED_IN)
    def make_token(store: Store, visitor: Visitor, now: Now) -> Page:
        token = new_token()
        try:
            name = clean_name(field("name"), "the program")
            with store.saving():
                store.people.add_token(visitor.person.id, name, digest(token), now.utc)
        except UserError as error:
            return _page(accounts, store, visitor, status=400, problem=str(error), name=field("name"))
        return _page(accounts, store, visitor, new_token=token, name_of_token=name)

    @app.post("/account/tokens/<token_id:int>/revoke", access=Access.SIGNED_IN)
    def revoke(store: Store, visitor: Visitor, token_id: int) -> Page:
        with store.saving():
            removed = token_id < 2**63 and store.people.remove_token(visitor.person.id, token_id)
        if not removed:
            raise HTTPError(404, "This token is already gone, or is not yours.")
        return see_other("/account")


def _page(accounts: Accounts, store: Store, visitor: Visitor, **values: Any) -> Page:
    defaults: dict[str, Any] = {"done": None, "new_token": None, "name": ""}
    return accounts.pages.page(
        "account.html", **{"tokens": store.people.tokens(visitor.person.id), **defaults, **values}
    )


def _change_password(accounts: Accounts, store: Store, visitor: Visitor, now: Now) -> None:
    """Raises InputError, NotSaved."""
    subject = f"own password of {visitor.person.id}"
    wait_s = accounts.throttle.wait_s({subject: FREE_TRIES_NAME}, now.uptime_s)
    if wait_s > 0:
        raise InputError(too_many_tries(wait_s))
    with accounts.hashing:
        right = password_matches(secret_field("current"), visitor.person.password_hash)
    if not right:
        raise InputError("The current password is wrong; nothing was changed.")
    accounts.throttle.succeeded(forget=subject, uncount="")
    password_hash = accounts.new_password_hash()
    with store.saving():
        store.people.set_password(visitor.person.id, password_hash, keep_session=visitor.session)
