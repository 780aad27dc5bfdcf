"""What an admin changes of other people, on every site: role, password, tokens. The site shows the list itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.accounts import changes
from appliance.accounts.account import revoke_token
from appliance.accounts.guard import Visitor
from appliance.accounts.people import Role
from appliance.accounts.site import Accounts, Store
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field
from appliance.web.pages import Page


def add_routes(app: App, accounts: Accounts, roles: Sequence[Role], page: Callable[..., Page]) -> None:
    """The forms of `_change_person.html` and `_tokens.html`.

    page: the site's page of people, called as page(store, now, problem=..., open_id=...).
    """

    @app.post("/people/<person_id:int>/role", access=Access.ADMIN)
    def change_role(store: Store, now: Now, person_id: int) -> Page:
        person = changes.find(store, person_id)
        try:
            changes.change_role(store, person, changes.role_named(field("role"), roles), accounts.pages.noun)
        except UserError as error:
            return page(store, now, problem=error, open_id=person_id)
        return accounts.pages.done("/people", _("{name} has another role now.", name=person.name))

    @app.post("/people/<person_id:int>/password", access=Access.ADMIN)
    def set_password(store: Store, now: Now, visitor: Visitor, person_id: int) -> Page:
        person, keep_tokens = changes.find(store, person_id), bool(field("keep_tokens"))
        try:
            if person.id == visitor.person.id:
                raise InputError(_("Change your own password on the page Account; it asks for the current one."))
            password_hash = accounts.new_password_hash(person.name)
            changes.set_password(store, person, password_hash, keep_tokens=keep_tokens)
        except UserError as error:
            return page(store, now, problem=error, open_id=person_id)
        words = N_("{name} has a new password; their sessions and tokens have ended.")
        if keep_tokens:
            words = N_("{name} has a new password; their sessions have ended.")
        return accounts.pages.done("/people", _(words, name=person.name))

    @app.post("/people/tokens/<token_id:int>/revoke", access=Access.ADMIN)
    def revoke(store: Store, visitor: Visitor, token_id: int) -> Page:
        revoke_token(store, visitor, token_id, own_only=False)
        return accounts.pages.done("/people#tokens", _("The token was revoked."))
