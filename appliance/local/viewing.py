"""What people are shown of images goes on record before they are: one entry for a page, and none again for a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from appliance.accounts.audit import Action, listed
from appliance.accounts.audit_subjects import IMAGES, STREAMS
from appliance.accounts.guard import Visitor
from appliance.errors import NotSaved
from appliance.store import Store, StoredDetection
from appliance.times import Now

log = logging.getLogger(__name__)
AGAIN_S = 600.0
"""What somebody was shown is not recorded again for so long: a page keeps itself up to date every few seconds."""
MOST, MOST_WALLS = 50_000, 1000


class Viewing:
    """What is on record of what people were shown of late, in memory; may be used by several threads at once.

    After a restart it knows nothing, and records again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until_s: dict[tuple[str, str], float] = {}
        self._recording = threading.Lock()
        self._walls: dict[str, frozenset[str]] = {}

    def page(self, store: Store, visitor: Visitor, now: Now, shown: Iterable[StoredDetection]) -> None:
        """A page has the addresses of these images. On a full disk it has, too, but they are not handed out."""
        images = {each.image.token: each for each in shown if each.image}
        unknown = [each for token, each in images.items() if not self._knows(visitor, token, now)]
        try:
            self._record(store, visitor, now, Action.IMAGES_VIEWED, unknown)
        except NotSaved as error:
            log.error("not on record, so these images are not shown: %s", error)

    def image(self, store: Store, visitor: Visitor, now: Now, found: StoredDetection) -> None:
        """One image is about to be handed out. Raises NotSaved: then it must not be."""
        if found.image and not self._knows(visitor, found.image.token, now):
            action = Action.IMAGES_VIEWED if visitor.session else Action.IMAGE_DOWNLOADED
            self._record(store, visitor, now, action, [found])

    def preview(self, store: Store, visitor: Visitor, now: Now, subject: str) -> None:
        """A live picture of a stream is about to be handed out. Raises NotSaved: then it must not be."""
        if not self._knows(visitor, subject, now):
            with store.saving():
                store.audit.add(Action.PREVIEW_WATCHED, subject)
            self._note(visitor, [subject], now)

    def wall(self, visitor: Visitor, subjects: Iterable[str]) -> None:
        """A page shows these streams side by side. None of it goes on record before one of the pictures goes out."""
        with self._lock:
            if len(self._walls) > MOST_WALLS:
                self._walls = {}
            self._walls[_who(visitor)] = frozenset(subjects)

    def glance(self, store: Store, visitor: Visitor, now: Now, subject: str) -> None:
        """A picture of a wall is about to be handed out: one entry for all that are side by side.

        Raises NotSaved: then it must not be.
        """
        with self._recording:  # a browser asks for all of them at once
            if self._knows(visitor, subject, now):
                return
            with self._lock:
                wall = self._walls.get(_who(visitor), frozenset())
            shown = sorted(each for each in wall | {subject} if not self._knows(visitor, each, now))
            with store.saving():
                if len(shown) == 1:
                    store.audit.add(Action.PREVIEW_WATCHED, subject)
                else:
                    store.audit.add(Action.PREVIEW_WATCHED, STREAMS[1].format(n=len(shown)), streams=shown)
            self._note(visitor, shown, now)

    def _record(
        self, store: Store, visitor: Visitor, now: Now, action: Action, shown: Iterable[StoredDetection]
    ) -> None:
        tokens = {each.id: each.image.token for each in shown if each.image}
        if not tokens:
            return
        ids = listed(tokens)
        with store.saving():
            store.audit.add(action, IMAGES[len(ids) != 1].format(n=len(ids)), detections=ids)
        self._note(visitor, tokens.values(), now)

    def _knows(self, visitor: Visitor, what: str, now: Now) -> bool:
        with self._lock:
            return self._until_s.get((_who(visitor), what), 0.0) > now.uptime_s

    def _note(self, visitor: Visitor, what: Iterable[str], now: Now) -> None:
        with self._lock:
            if len(self._until_s) > MOST:
                self._until_s = {key: until_s for key, until_s in self._until_s.items() if until_s > now.uptime_s}
            if len(self._until_s) > MOST:
                self._until_s = {}  # what is forgotten is only recorded once more
            self._until_s.update({(_who(visitor), each): now.uptime_s + AGAIN_S for each in what})


def _who(visitor: Visitor) -> str:
    return f"session {visitor.session}" if visitor.session else f"token {visitor.person.id} {visitor.token}"
