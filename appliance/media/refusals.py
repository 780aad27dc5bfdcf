"""Why publishers and readers are refused, in sentences for a person, and the record of it.

Both ingests lead to these sentences: what they send to the gate, and what MediaMTX refuses without asking it.
"""

from __future__ import annotations

import contextlib
import queue
import re
import sqlite3
import time
from collections import Counter
from pathlib import Path

from appliance.store import Store

MAX_QUEUED_REFUSALS = 1000
RECORD_S = 1.0  # a flood of refusals is one transaction a second

UNKNOWN_KEY = "The stream key is not known here; copy it again, or make a new one on the stream's page."
DEACTIVATED = "This stream is deactivated; activate it on its page."
NO_KEY = (
    "No stream key came with it; publish to rtmp://<this box>/live with the stream key, or to .../live/<stream key>."
)
NOT_A_KEY = "What came as the stream key is none: a blank or another sign is in it that no key has; copy it again."
WRONG_NAME = "The address must go on with /live after the box's name, in small letters: rtmp://<this box>/live."
LIVE_TWICE = "“live” came twice: it belongs into the server's address, and the stream key alone into the field for it."
TOO_MUCH = "More than the stream key came after live/; it must be the last part of the address, and the only one."
SLASH = "There is a slash too many in the address or after the stream key; take it away."
QUESTION_MARK = (
    "The stream key came after a question mark, where none is looked for; take the “?” away and all after it."
)
READING = "Reading needs the box's own secret; a stream key lets somebody publish, never read."
NOT_OFFERED = "This box offers no such thing to the outside."
SECOND = "Somebody else is already publishing to this stream; the first one stays."


def wrong_address(path: str, query: str = "") -> str:
    """What is wrong with a path that holds no stream key where one belongs: what its sender typed."""
    first, *rest = [part for part in path.split("/") if part] or [""]
    if first in ("", "live") and not rest:
        return QUESTION_MARK if query else NO_KEY
    if first != "live":
        return WRONG_NAME
    if "live" in rest:
        return LIVE_TWICE
    if len(rest) > 1:
        return TOO_MUCH
    return SLASH if re.fullmatch(r"[0-9a-zA-Z_-]{1,64}", rest[0]) else NOT_A_KEY


class Refusals:
    """Records refusals without ever keeping an answer waiting: a bounded queue, one transaction a second."""

    def __init__(self) -> None:
        self.queue: queue.Queue[tuple[str, str, str]] = queue.Queue(maxsize=MAX_QUEUED_REFUSALS)

    def add(self, remote: str, action: str, reason: str) -> None:
        """Somebody was refused. In a flood the surplus is dropped: it would all say the same."""
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait((remote, action, reason))

    def save(self, path: Path) -> None:
        """Write what is queued, over a connection of its own. Raises sqlite3.Error, StoreError."""
        if self.queue.empty():
            return
        store = Store.open_existing(path)
        try:
            self.write(store)
        finally:
            store.close()

    def write(self, store: Store) -> None:
        """Write what is queued, the same only once. Raises sqlite3.Error; what was taken is then put back."""
        refusals: Counter[tuple[str, str, str]] = Counter()
        with contextlib.suppress(queue.Empty):
            while True:
                refusals[self.queue.get_nowait()] += 1
        try:
            with store.writing():
                for (remote, action, reason), times in refusals.items():
                    store.streams.add_refusal(remote, action, reason, times, time.time())
        except sqlite3.Error:
            for refusal in refusals.elements():
                self.add(*refusal)
            raise
