"""What may be done to a person who may sign in to a box. A password comes as its hash; secrets has its rules."""

from __future__ import annotations

from appliance.accounts import changes
from appliance.accounts.changes import add as add
from appliance.accounts.changes import change_role as change_role
from appliance.accounts.changes import find as find
from appliance.accounts.changes import set_password as set_password
from appliance.accounts.people import ROLE_WORDS, ROLES_OF_BOX, Person, Role
from appliance.errors import InputError
from appliance.language import _
from appliance.names import person_name
from appliance.store import Kind, Store
from appliance.times import Now


def named(store: Store, name: str) -> Person:
    """The person of this name. Raises InputError."""
    person = store.people.named(name)
    if person is None:
        raise InputError(
            _(
                "There is nobody called {name}; `mb9k user list` and the page People show all.",
                name=person_name(name),
            )
        )
    return person


def role_named(text: str) -> Role:
    """The role of this name, of those that a box has. Raises InputError."""
    return changes.role_named(text, ROLES_OF_BOX)


def remove(store: Store, by: Person, person: Person, now: Now) -> int:
    """Remove a person with sessions and tokens; the id of the receipt. Raises InputError, which says why not, NotSaved.

    Afterwards the name stands in the receipt and in the audit, and nowhere else.
    """
    receipts: list[int] = []

    def receipt() -> dict[str, int]:
        title = f"{person.name} ({ROLE_WORDS[person.role.value]})"  # a receipt is in one language
        deleted = store.receipts.measure_person(person)
        receipts.append(store.receipts.add(Kind.PERSON, title, by.name, deleted, now.utc))
        return {"receipt": receipts[-1]}

    if changes.remove(store, person, receipt):
        return receipts[-1]
    if store.deletions.of_owner(person.id):
        raise InputError(
            _(
                "A stream of {name} is still being deleted. Wait until its receipt says that it is gone.",
                name=person.name,
            )
        )
    owned = [stream.title for stream in store.streams.all(now, owner_id=person.id)]
    if not owned:
        raise InputError(_(changes.LAST_ADMIN))
    titles = ", ".join(owned[:3]) + (" ..." if len(owned) > 3 else "")
    raise InputError(
        _(
            "{name} still owns {titles}. Give these streams to someone else, or delete them, first.",
            name=person.name,
            titles=titles,
        )
    )
