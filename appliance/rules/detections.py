"""What people may do to the record: enter a detection by hand, correct one, delete one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence

from appliance.accounts.audit import Action, listed
from appliance.accounts.audit_subjects import DETECTION, DETECTIONS
from appliance.accounts.people import Person
from appliance.errors import InputError, NotFound
from appliance.faces import Detection, State
from appliance.images import ImageFiles
from appliance.language import N_, P_, _
from appliance.store import BY_HAND, Kind, Store, StoredDetection
from appliance.times import Now

log = logging.getLogger(__name__)
STATISTICS_ONLY = N_(
    "This box keeps statistics only, so none is entered; an admin can change that on /settings/privacy."
)
ERASED_AT_ONCE = 100  # a slow card overwrites that many in a fraction of a second


def find(store: Store, detection_id: int) -> StoredDetection:
    """The detection with this id. Raises NotFound."""
    found = store.detections.get(detection_id) if detection_id < 2**63 else None
    if found is None:
        raise NotFound(_("This detection was deleted, or never was."))
    return found


def enter(
    store: Store,
    by: Person,
    stream_id: int,
    state: State,
    confidence: float,
    first_seen_utc: float,
    last_seen_utc: float,
) -> int:
    """Enter a detection by hand, for instance from an older system; its id. Raises InputError, NotSaved."""
    if store.privacy.statistics_only():
        raise InputError(_(STATISTICS_ONLY))
    if stream_id not in store.streams.ids():
        raise NotFound(_("There is no such stream; look it up in the list of streams."))
    if last_seen_utc < first_seen_utc:
        raise InputError(_("It was last seen before it was first seen; exchange the two times."))
    bbox_px, model = (0.0, 0.0, 0.0, 0.0), f"{BY_HAND} {by.name}"
    entered = Detection(first_seen_utc, last_seen_utc, state, confidence, 0, bbox_px, 0, 0, model)
    with store.saving():
        detection_id = store.detections.add(stream_id, entered)
        store.audit.add(Action.DETECTION_ENTERED, subject_of([detection_id]), stream=stream_id, state=state.value)
    return detection_id


def correct(store: Store, by: Person, detection_id: int, state: State, now: Now) -> None:
    """Say what the state really is; by that it is reviewed. Raises NotFound, NotSaved."""
    with store.saving():
        _correct(store, by, detection_id, state, now)


def _correct(store: Store, by: Person, detection_id: int, state: State, now: Now) -> None:
    before = find(store, detection_id).detection.state
    store.detections.correct_state(detection_id, state, by.name, now.utc)
    states = {"before": before.value, "after": state.value}
    store.audit.add(Action.DETECTION_CORRECTED, subject_of([detection_id]), **states)


def review(store: Store, by: Person, detection_id: int, is_reviewed: bool, now: Now) -> None:
    """Mark that somebody looked at it, or take that back. Raises NotFound, NotSaved."""
    with store.saving():
        find(store, detection_id)
        if store.detections.review(detection_id, by.name if is_reviewed else None, now.utc):
            action = Action.DETECTION_REVIEWED if is_reviewed else Action.REVIEW_TAKEN_BACK
            store.audit.add(action, subject_of([detection_id]))


def review_several(store: Store, by: Person, ids: Iterable[int], state: State | None, now: Now) -> list[int]:
    """Correct several at once, or (None) mark them as reviewed: all of it or nothing. Those that still were there.

    Raises NotSaved.
    """
    with store.saving():
        there = [detection_id for detection_id in ids if store.detections.get(detection_id)]
        if state is not None:
            for detection_id in there:
                _correct(store, by, detection_id, state, now)
            return there
        marked = [each for each in there if store.detections.review(each, by.name, now.utc)]
        if marked:
            store.audit.add(Action.DETECTION_REVIEWED, subject_of(marked), detections=listed(marked))
    return there


def subject_of(ids: Sequence[int]) -> str:
    """What an entry of the audit calls them."""
    return DETECTION.format(id=ids[0]) if len(ids) == 1 else DETECTIONS[1].format(n=len(ids))


def delete(store: Store, files: ImageFiles, by: Person, detection_id: int, now: Now) -> int:
    """Delete a detection, then erase its image. The id of the receipt. Raises NotFound, NotSaved."""
    with store.saving():
        receipt_id = take_away(store, by, find(store, detection_id), now)
    erase_some(store, files)
    return receipt_id


TITLE = P_("receipt", "detection {id} of {stream}")
"""What a receipt calls it."""


def take_away(store: Store, by: Person, gone: StoredDetection, now: Now) -> int:
    """Take it out of record and sums, within a transaction; `erase_some` comes after it. The id of the receipt."""
    deleted = store.receipts.measure("id = ?", gone.id)
    title = TITLE.format(id=gone.id, stream=gone.stream)
    receipt_id = store.receipts.add(Kind.DETECTION, title, by.name, deleted, now.utc)
    store.detections.remove(gone.id)
    # Not when that was, nor how the mask was worn: a deletion leaves nothing behind.
    told = {"stream": gone.stream_id, "receipt": receipt_id}
    store.audit.add(Action.DETECTION_DELETED, subject_of([gone.id]), **told, had_image=gone.image is not None)
    return receipt_id


def erase_some(store: Store, files: ImageFiles) -> bool:
    """Erase images that no detection has any more, at most ERASED_AT_ONCE; whether there are more.

    The deletion that took their rows away has noted them, so nothing is lost by a crash or a disk that refuses: what is
    left is done by the watcher, which asks every minute and when it starts.
    """
    if not store.erasures.count():
        return False
    try:
        with store.writing():  # nobody enters an image meanwhile, so what is in use is known
            return _erase(store, files)
    except sqlite3.Error as error:
        log.error("whether images were erased cannot be noted, trying again: %s", error)
        return False


def _erase(store: Store, files: ImageFiles) -> bool:
    waiting = store.erasures.oldest(ERASED_AT_ONCE)
    refused: set[str] = set()
    for day in {place.day for place in waiting.values()}:
        places = [place for place in waiting.values() if place.day == day]
        try:
            files.erase(day, store.detections.not_in_use(day, places))
        except OSError as error:
            refused.add(day)
            log.error("images whose detections were deleted cannot be erased yet, trying again: %s", error)
    store.erasures.postpone([each for each, place in waiting.items() if place.day in refused])
    store.erasures.remove([each for each, place in waiting.items() if place.day not in refused])
    return len(waiting) == ERASED_AT_ONCE and not refused
