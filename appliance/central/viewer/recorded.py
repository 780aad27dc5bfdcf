"""What is on record in English, in the language of who reads it. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from appliance.central import intake, members, status
from appliance.language import N_, _
from appliance.messages import MALFORMED
from appliance.retold import retold

ASKED = N_("asked for: {command}")
TOKEN_MADE = N_("another metrics token was made")
TOKEN_ENDED = N_("the metrics token was ended")
EVENTS = (*members.EVENTS, intake.CAME_BACK, TOKEN_MADE, TOKEN_ENDED)
OF_WHAT = N_("{action}: {what}")
"""What a box was asked for, and of what."""
REFUSED_BECAUSE = N_("the database refuses it: {error}")


def event(what: str, actions: Mapping[str, str]) -> str:
    """What happened. actions: what a box can be asked for, in English."""
    asked = _values(ASKED, what)
    return _(ASKED, command=_command(asked["command"], actions)) if asked else _again(what, EVENTS)


def told(problem: str) -> str:
    """What the centre sees wrong with a box."""
    refused = _values(status.NOT_TAKEN, problem)
    return _(status.NOT_TAKEN, reason=reason(refused["reason"])) if refused else _again(problem, status.TOLD)


def reason(of_letter: str) -> str:
    """Why a message could not be taken."""
    refused = _values(REFUSED_BECAUSE, of_letter)
    if refused:
        return _(REFUSED_BECAUSE, error=retold(refused["error"]))
    return _again(of_letter, (intake.NOT_FOR_BOXES, *MALFORMED))


def _command(words: str, actions: Mapping[str, str]) -> str:
    for action in actions.values():
        if words == action or words.startswith(f"{action}: "):
            what = words.removeprefix(action).removeprefix(": ")
            return _(OF_WHAT, action=_(action), what=what) if what else _(action)
    return words


def _again(text: str, sentences: Sequence[str]) -> str:
    """Of the sentences the one that this text is, with its values; a text without values is one by itself."""
    for sentence in () if text in sentences else sentences:
        values = _values(sentence, text)
        if values:
            return _(sentence, **values)
    return _(text)


def _values(sentence: str, text: str) -> dict[str, str]:
    """What stands in a text at the names in braces of its sentence; nothing where it is another."""
    parts = re.split(r"\{(\w+)\}", sentence)
    pattern = "".join(
        f"(?P<{part}>{'[0-9]+' if part == 'count' else '.*'})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    match = re.fullmatch(pattern, text, re.DOTALL)
    return match.groupdict() if match else {}
