"""What may be done to a person who may sign in, on every site. A password comes as its hash (secrets.hash_password)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from appliance.accounts.audit import Action
from appliance.accounts.people import ROLE_WORDS, Person, Role
from appliance.accounts.site import Store
from appliance.errors import InputError, NotFound, about
from appliance.language import N_, _
from appliance.names import person_name
from appliance.web.forms import MAX_ID

log = logging.getLogger(__name__)
LAST_ADMIN = N_("This is the only admin, and a box needs one. Make another person an admin first.")
LAST_ADMIN_OF_CENTRE = N_("This is the only admin, and a centre needs one. Make another person an admin first.")


def find(store: Store, person_id: int) -> Person:
    """The person with this id. Raises NotFound."""
    person = store.people.get(person_id) if person_id <= MAX_ID else None
    if person is None:
        raise NotFound(_("This person was removed, or never was; choose another."))
    return person


@about("role")
def role_named(text: str, roles: Sequence[Role]) -> Role:
    """The role of this name, of those that the site has. Raises InputError."""
    for role in roles:
        if role.value == text:
            return role
    one, other = (role.value for role in roles)
    raise InputError(_("Choose a role: {one} or {other}.", one=one, other=other))


def add(store: Store, name: str, password_hash: str, role: Role, now_utc: float) -> int:
    """Add a person; the new id. Raises InputError, NotSaved."""
    name = person_name(name)
    with store.saving():
        person_id = store.people.add(name, password_hash, role, now_utc)
        store.audit.add(Action.PERSON_ADDED, name, role=role.value)
    log.info("%s was added as %s", name, ROLE_WORDS[role.value])
    return person_id


def change_role(store: Store, person: Person, role: Role, noun: str = "box") -> None:
    """Give a person another role. Raises InputError for the last admin, NotSaved."""
    with store.saving():
        changed = store.people.set_role(person.id, role)
        if changed:
            store.audit.add(Action.ROLE_CHANGED, person.name, before=person.role.value, after=role.value)
    if not changed:
        raise InputError(_(LAST_ADMIN_OF_CENTRE if noun == "centre" else LAST_ADMIN))


def set_password(
    store: Store, person: Person, password_hash: str, keep_session: str | None = None, keep_tokens: bool = False
) -> None:
    """Give a person another password; tokens end, and sessions but for the one with this digest. Raises NotSaved."""
    with store.saving():
        store.people.set_password(person.id, password_hash, keep_session, keep_tokens)
        store.audit.add(Action.PASSWORD_CHANGED, person.name, keep_tokens=keep_tokens)
    log.info("%s was given a new password%s", person.name, "" if keep_tokens else "; tokens have ended")


def remove(store: Store, person: Person, told: Callable[[], Mapping[str, int]] = dict) -> bool:
    """Remove a person with sessions and tokens; False: it is the last admin, or owns something. Raises NotSaved.

    told: done in the same transaction, if the person is removed; what the audit says of it.
    """
    with store.saving():
        removed = store.people.remove(person.id)
        if removed:
            store.audit.add(Action.PERSON_REMOVED, person.name, **told())
    if removed:
        log.info("%s was removed, with all sessions and tokens", person.name)
    return removed
