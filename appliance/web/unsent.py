"""Forms that came after their sign-in had ended, kept in memory until their person is back and sends them again.

Never on the disk, never a secret, and for nobody but who filled them in. Nothing is done until one is sent again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from bottle import request

from appliance.language import _
from appliance.secrets import new_token
from appliance.times import Now

KEPT_S = 3600
FORM_CHARACTERS = 32_768  # of one form
OF_ONE_PERSON, OF_ALL = 4, 100
"""How many are kept; the oldest goes."""
SECRET_FIELDS = frozenset({"csrf", "password", "current", "secret", "source_password", "code"})
"""What is never kept, by the names of the fields; also `again` beside a `password`, which it repeats."""
UNSENT_ID = "unsent"  # in the address of the page to which a form comes back: the id of what is kept
UNSENT_PAGE = "/unsent"
UNSENT = "mb9k.unsent"
_LOGIN = re.compile(r"://[^/\s]*@")  # rtsp://user:password@camera


@dataclass(frozen=True, slots=True)
class Unsent:
    """A form that was not accepted. action: the path it was sent to. fields: name and value, in the form's order.

    has_secrets: something was typed that is not kept.
    """

    id: str
    person_id: int
    action: str
    fields: tuple[tuple[str, str], ...]
    has_secrets: bool
    until_uptime_s: float


class UnsentForms:
    """The newest of them. For all threads of the site; a restart forgets them."""

    def __init__(self) -> None:
        self._kept: dict[str, Unsent] = {}
        self._lock = threading.Lock()

    def keep(self, person_id: int, action: str, sent: Iterable[tuple[str, str]], now: Now) -> Unsent | None:
        """This person sent it. None: it is too long to be kept."""
        sent = list(sent)
        secret = SECRET_FIELDS | ({"again"} if any(name == "password" for name, _rest in sent) else set())
        fields = tuple((name, value) for name, value in sent if name not in secret and not _LOGIN.search(value))
        if sum(len(name) + len(value) for name, value in fields) > FORM_CHARACTERS:
            return None
        has_secrets = any(value for name, value in sent if name != "csrf" and (name, value) not in fields)
        made = Unsent(new_token(), person_id, action, fields, has_secrets, now.uptime_s + KEPT_S)
        with self._lock:
            self._kept = {each.id: each for each in self._kept.values() if each.until_uptime_s > now.uptime_s}
            own = [each.id for each in self._kept.values() if each.person_id == person_id]
            for gone in own[: max(0, len(own) + 1 - OF_ONE_PERSON)]:
                del self._kept[gone]
            while len(self._kept) >= OF_ALL:
                del self._kept[next(iter(self._kept))]
            self._kept[made.id] = made
        return made

    def of(self, unsent_id: str, person_id: int, now: Now) -> Unsent | None:
        """The form with this id, for its person."""
        kept = self._living(unsent_id, now)
        return kept if kept and kept.person_id == person_id else None

    def holds(self, unsent_id: str, now: Now) -> bool:
        """Whether the form with this id is kept, whoever asks."""
        return self._living(unsent_id, now) is not None

    def forget(self, person_id: int, action: str) -> None:
        """This person has sent such a form, and it was accepted."""
        with self._lock:
            self._kept = {
                each.id: each for each in self._kept.values() if (each.person_id, each.action) != (person_id, action)
            }

    def _living(self, unsent_id: str, now: Now) -> Unsent | None:
        with self._lock:
            kept = self._kept.get(unsent_id)
        return kept if kept and kept.until_uptime_s > now.uptime_s else None


def nothing_changed(unsent: Unsent) -> str:
    """What a person reads above the form that came back."""
    said = [_("Nothing was changed: the sign-in from before had ended.")]
    if unsent.fields or unsent.has_secrets:
        said.append(_("The form is as you filled it in; look it over and send it again."))
    if unsent.has_secrets:
        said.append(_("Passwords and secrets have to be typed again."))
    return " ".join(said)


def taken_unsent(action: str) -> Unsent | None:
    """The form that comes back and led to this path, for a page that fills it in itself; else Pages does it."""
    found = unsent_now()
    if found is None or found.action != action:
        return None
    request.environ[UNSENT] = None
    return found


def unsent_now() -> Unsent | None:
    """The form that comes back on the page of the present request."""
    found: Unsent | None = request.environ.get(UNSENT)
    return found
