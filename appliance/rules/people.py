"""What may be done to a person who may sign in. A password comes as its hash; secrets.hash_password has its rules."""

from __future__ import annotations

import logging

from appliance.accounts.people import ROLES_OF_BOX, Person, Role
from appliance.errors import InputError, NotFound
from appliance.names import person_name
from appliance.store import Store
from appliance.times import Now

log = logging.getLogger(__name__)
LAST_ADMIN = "This is the only admin, and a box needs one. Make another person an admin first."


def named(store: Store, name: str) -> Person:
    """The person of this name. Raises InputError."""
    person = store.people.named(name)
    if person is None:
        raise InputError(f"There is nobody called {person_name(name)}; `mb9k user list` and the page People show all.")
    return person


def find(store: Store, person_id: int) -> Person:
    """The person with this id. Raises NotFound."""
    person = store.people.get(person_id) if person_id < 2**63 else None
    if person is None:
        raise NotFound("This person was removed, or never was; choose another.")
    return person


def role_named(text: str) -> Role:
    """The role of this name, of those that a box has. Raises InputError."""
    for role in ROLES_OF_BOX:
        if role.value == text:
            return role
    raise InputError(f"Choose a role: {' or '.join(role.value for role in ROLES_OF_BOX)}.")


def add(store: Store, name: str, password_hash: str, role: Role, now_utc: float) -> int:
    """Add a person; the new id. Raises InputError, NotSaved."""
    name = person_name(name)
    with store.saving():
        person_id = store.people.add(name, password_hash, role, now_utc)
    log.info("%s was added as %s", name, role.label)
    return person_id


def change_role(store: Store, person: Person, role: Role) -> None:
    """Give a person another role. Raises InputError for the last admin, NotSaved."""
    with store.saving():
        changed = store.people.set_role(person.id, role)
    if not changed:
        raise InputError(LAST_ADMIN)


def set_password(
    store: Store, person: Person, password_hash: str, keep_session: str | None = None, keep_tokens: bool = False
) -> None:
    """Give a person another password; tokens end, and sessions but for the one with this digest. Raises NotSaved."""
    with store.saving():
        store.people.set_password(person.id, password_hash, keep_session, keep_tokens)
    log.info("%s was given a new password%s", person.name, "" if keep_tokens else "; tokens have ended")


def remove(store: Store, person: Person, now: Now) -> None:
    """Remove a person with sessions and tokens. Raises InputError, which says why not, and NotSaved."""
    with store.saving():
        removed = store.people.remove(person.id)
    if removed:
        log.info("%s was removed, with all sessions and tokens", person.name)
        return
    owned = [stream.title for stream in store.streams.all(now, owner_id=person.id)]
    if not owned:
        raise InputError(LAST_ADMIN)
    titles = ", ".join(owned[:3]) + (" ..." if len(owned) > 3 else "")
    raise InputError(f"{person.name} still owns {titles}. Give these streams to someone else, or delete them, first.")
