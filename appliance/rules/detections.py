"""What people may do to the record: enter a detection by hand, correct one, delete one."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from appliance.accounts.people import Person
from appliance.errors import InputError, NotFound, NotSaved
from appliance.faces import Detection, State
from appliance.images import ImageFiles
from appliance.store import Store, StoredDetection, StoredImage

log = logging.getLogger(__name__)


def find(store: Store, detection_id: int) -> StoredDetection:
    """The detection with this id. Raises NotFound."""
    found = store.detections.get(detection_id) if detection_id < 2**63 else None
    if found is None:
        raise NotFound("This detection was deleted, or never was.")
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
    if stream_id not in store.streams.ids():
        raise NotFound("There is no such stream; look it up in the list of streams.")
    if last_seen_utc < first_seen_utc:
        raise InputError("It was last seen before it was first seen; exchange the two times.")
    bbox_px, model = (0.0, 0.0, 0.0, 0.0), f"by hand: {by.name}"
    entered = Detection(first_seen_utc, last_seen_utc, state, confidence, 0, bbox_px, 0, 0, model)
    with store.saving():
        return store.detections.add(stream_id, entered)


def correct(store: Store, by: Person, detection_id: int, state: State) -> None:
    """Say what the state really is. Raises NotFound, NotSaved."""
    find(store, detection_id)
    with store.saving():
        store.detections.correct_state(detection_id, state, by.name)


def delete(store: Store, files: ImageFiles, detection_id: int) -> None:
    """Delete a detection; its image is erased first. Raises NotFound, NotSaved."""
    with store.saving():
        image = find(store, detection_id).image
        erase_images(files, [image] if image else [])
        store.detections.remove(detection_id)


def erase_images(files: ImageFiles, images: Iterable[StoredImage]) -> None:
    """Overwrite images on the disk, before their rows go: without a row nobody would find them. Raises NotSaved."""
    try:
        for image in images:
            files.erase(image)
    except OSError as error:
        log.error("an image cannot be erased: %s", error)
        raise NotSaved(
            f"An image cannot be erased from the disk ({error.strerror}), so what it belongs to is not deleted."
            " Try again; if it stays, an admin can run `mb9k check` on the box."
        ) from error
