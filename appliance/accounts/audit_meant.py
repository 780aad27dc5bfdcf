"""What a search of the audit may mean on record, in the words that its page has for who reads it.

On record entries are in English, as programs read them. All that the page says in words of its own is looked through
for the text, in the language spoken: what was done, of what, the details. As many words as the program has, no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from appliance.accounts.audit import Action
from appliance.accounts.audit_details import NAMES, VALUES, called, detail_words
from appliance.accounts.audit_subjects import ROUTES, SUBJECTS
from appliance.accounts.audit_words import ACTIONS, words_of
from appliance.language import n_, p_
from appliance.retold import values_in

FEWEST_LETTERS = 3
"""Fewer stand in nearly every word: they are looked for on record alone."""
PLACE = re.compile(r"\{(\w+)\}")
"""Where a value stands in what is marked."""


@dataclass(frozen=True, slots=True)
class Meant:
    """Which entries say it on the page. actions, actor_kinds: any of these.

    subjects: (action, subject), any text in its places. details: any of these parts of their JSON.
    """

    actions: tuple[str, ...] = ()
    actor_kinds: tuple[str, ...] = ()
    subjects: tuple[tuple[str, str], ...] = ()
    details: tuple[str, ...] = ()


NOTHING = Meant()


def meant(text: str, actors: Mapping[str, str]) -> Meant:
    """What it may mean in the language spoken. actors: what the page says of each kind, by the kind."""
    wanted = text.lower()
    if sum(map(str.isalpha, wanted)) < FEWEST_LETTERS:
        return NOTHING
    return Meant(
        tuple(action for action in ACTIONS if wanted in words_of(action).lower()),
        tuple(kind for kind, words in actors.items() if wanted in words.lower()),
        tuple(dict.fromkeys(_subjects(wanted))),
        tuple(_details(wanted)),
    )


def _subjects(wanted: str) -> Iterator[tuple[str, str]]:
    for action, marked in SUBJECTS.items():
        for english, told in _forms(marked):
            values = values_in(wanted, told.lower())
            if values is not None:
                yield action.value, PLACE.sub(lambda place: values.get(place[1], place[0]), english)  # noqa: B023
            elif wanted in PLACE.sub("", told).lower():
                yield action.value, english
    for route, words in ROUTES.items():
        if wanted in p_("audit", words).lower():
            yield Action.CHANGED.value, route.replace("<site_id:int>/remove", "{id}/remove")


def _forms(marked: Iterable[str | tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each as it is on record and as it is told, with the places of its values; and up to the first of these."""
    for each in marked:
        if isinstance(each, tuple):
            yield from ((form, n_(*each, n).replace(str(n), "{n}")) for n, form in enumerate(each, 1))
            continue
        told = p_("audit", each)
        yield each, told
        first, of_told = PLACE.search(each), PLACE.search(told)
        if first and of_told and first[0] == of_told[0] and first.start() and of_told.end() < len(told):
            yield f"{each[: first.end()]}{{rest}}", told[: of_told.end()]


def _details(wanted: str) -> Iterator[str]:
    for each in NAMES:
        if wanted in called(each).lower():
            yield f'"{each.replace(" ", "_")}":'
    for name, values in VALUES.items():
        yield from (f'"{name}":"{each}"' for each in values if wanted in detail_words(name, each).lower())
