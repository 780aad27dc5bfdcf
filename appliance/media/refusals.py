"""Why publishers and readers are refused, in sentences for a person, and the record of it.

Both ingests lead to these sentences: what they send to the gate, and what MediaMTX refuses without asking it.
"""

from __future__ import annotations

import contextlib
import queue
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from appliance.language import N_
from appliance.store import Store

MAX_QUEUED_REFUSALS = 1000
RECORD_S = 1.0  # a flood of refusals is one transaction a second

UNKNOWN_KEY = N_(
    "No stream has this stream key; make a new one on the page of the stream that is meant, and type"
    " it in where the video is sent from."
)
OLD_KEY = N_(
    "It came with an older stream key of this stream, which was replaced; type the present one in"
    " where the video is sent from, or make a new one on the stream's page."
)
DEACTIVATED = N_("This stream is deactivated; activate it on its page.")
NO_KEY = N_(
    "No stream key came with it; publish to rtmp://<this box>/live with the stream key, or to .../live/<stream key>."
)
NOT_A_KEY = N_("The stream key has a blank or another character that no key has; type it in again, or make a new one.")
WRONG_NAME = N_("The address must go on with /live after the box's name, in small letters: rtmp://<this box>/live.")
LIVE_TWICE = N_(
    "“live” came twice: it belongs into the server's address, and the stream key alone into the field for it."
)
TOO_MUCH = N_("Something stands before or after the stream key; the address must end with /live/<stream key>.")
SLASH = N_("There is a slash too many in the address or after the stream key; remove it.")
QUESTION_MARK = N_(
    "The stream key came after a “?”, where this box does not look; remove the “?” and put the key into its own field."
)
READING = N_("Reading needs the box's own secret; a stream key lets somebody publish, never read.")
NOT_OFFERED = N_("This box does not offer that.")
SECOND = N_("Somebody else is already publishing to this stream; the first one stays.")


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
        self.queue: queue.Queue[tuple[str, str, str, int | None]] = queue.Queue(maxsize=MAX_QUEUED_REFUSALS)

    def add(self, remote: str, action: str, reason: str, stream_id: int | None = None) -> None:
        """Somebody was refused. In a flood the surplus is dropped: it would all say the same.

        stream_id: the stream that was meant; None: not known.
        """
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait((remote, action, reason, stream_id))

    def save(self, path: Path, utc: float) -> None:
        """Write what is queued, the same only once, over a connection of its own. utc: now.

        Raises sqlite3.Error, StoreError; what was taken is then put back.
        """
        if self.queue.empty():
            return
        with contextlib.closing(Store.open_existing(path)) as store:
            refusals = Counter(self._take())
            try:
                with store.writing():
                    for (remote, action, reason, stream_id), times in refusals.items():
                        store.streams.add_refusal(remote, action, reason, times, utc, stream_id)
            except sqlite3.Error:
                for refusal in refusals.elements():
                    self.add(*refusal)
                raise

    def _take(self) -> Iterator[tuple[str, str, str, int | None]]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self.queue.get_nowait()
