"""What is past its time is forgotten: detections and images of each stream after as many days as were chosen for it.

How old a detection is, is not the difference of two readings of a clock that may be wrong. Every MARK_S the box notes
up to which id there are detections, and when that was by its running time and by the wall clock, if that is believed
(see retention.py): a detection is as old as the first mark that has it, which is never more than the truth and at most
MARK_S less. So it goes within the hour, and what is gone is gone from the file, its free pages and its write-ahead log:
SQLite overwrites what it deletes, the log is emptied every LOG_S, and images are overwritten in their day file.

The sums stay: these persons were counted. The audit has one entry a day and stream, with how many went.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from appliance.accounts.audit import Action
from appliance.keeping import Keeping
from appliance.rules import streams as rules
from appliance.store import BoxClock, Store
from appliance.store.detections import Gone
from appliance.store.forgotten import Forgotten

log = logging.getLogger(__name__)

DAY_S = 86400.0
MARK_S = 900.0
LOG_S = 900.0
AT_ONCE = 500  # rows in a transaction: others must not wait long


class Forgetting:
    """Does it within the watcher: `step` once a minute, and again at once while there is more."""

    def __init__(self, keep_days: int) -> None:
        self.keep_days = keep_days
        self._mark_due_s = self._log_due_s = 0.0  # by running time

    def step(self, store: Store, clock: BoxClock) -> bool:
        """Forget some of what is past its time; whether there is more. Raises sqlite3.Error."""
        if clock.running_s >= self._mark_due_s:
            with store.writing():
                if not store.ages.has_marks():
                    store.ages.mark_first_detections(clock)
                store.ages.mark_detections(clock)
            self._mark_due_s = clock.running_s + MARK_S
        self._tell(store, clock.running_s)
        return self._forget(store, clock, store.streams.keeping())

    def _forget(self, store: Store, clock: BoxClock, keeping: Mapping[int, Keeping]) -> bool:
        more = False
        past: dict[int, int] = {}  # the last id that is past so many days
        for stream_id, chosen in keeping.items():
            image_days = chosen.days(self.keep_days)
            for days in {image_days, chosen.detections_days or image_days} - past.keys():
                past[days] = store.ages.last_older_than(days * DAY_S, clock)
            detections_id, images_id = store.streams.forgotten(stream_id)
            last_detection = past[chosen.detections_days] if chosen.detections_days else 0
            if max(last_detection - detections_id, past[image_days] - images_id) > 0:
                last_image = past[image_days]
                more |= self._forget_stream(store, stream_id, last_detection, last_image, clock.running_s)
        return more

    def _forget_stream(
        self, store: Store, stream_id: int, last_detection: int, last_image: int, running_s: float
    ) -> bool:
        with store.writing():
            detections_id, images_id = store.streams.forgotten(stream_id)
            gone = gone_images = Gone(0)
            if last_detection > detections_id:
                with store.without_row.kept_in_sums():
                    gone = store.detections.forget(stream_id, detections_id, last_detection, AT_ONCE)
                detections_id = gone.last_id or last_detection
            if last_image > images_id:
                gone_images = store.detections.forget_images_of(stream_id, images_id, last_image, AT_ONCE)
                images_id = gone_images.last_id or last_image
            store.streams.note_forgotten(stream_id, detections_id, images_id)
            store.forgotten_untold.add(Forgotten(stream_id, gone.number, gone_images.number), running_s)
        return gone.last_id is not None or gone_images.last_id is not None

    def _tell(self, store: Store, running_s: float) -> None:
        """The audit says once a day what of each stream was forgotten."""
        if not store.forgotten_untold.due(running_s):
            return
        with store.writing():
            for each in store.forgotten_untold.due(running_s):
                numbers = {"detections": each.detections, "images": each.images}
                store.audit.add(Action.FORGOTTEN, rules.named(store, each.stream_id), **numbers)
                store.forgotten_untold.told(each.stream_id)

    def leave_nothing(self, store: Store, clock: BoxClock, now_utc: float) -> None:
        """Empty the write-ahead log every LOG_S, and as soon as somebody waits for a receipt. Raises sqlite3.Error."""
        busy = store.deletions.under_way() or store.erasures.count() or store.privacy.has_files_to_remove()
        unfinished = 0 if busy else store.receipts.unfinished()
        if unfinished or clock.running_s >= self._log_due_s:
            if not store.empty_log():
                return  # somebody still reads; at the next step
            self._log_due_s = clock.running_s + LOG_S
            if unfinished:
                with store.writing():
                    store.receipts.finish(unfinished, now_utc)
