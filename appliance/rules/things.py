"""What was counted and is no person, a poster or a screen: it is deleted, and its place becomes a `never` zone."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.accounts.people import Person
from appliance.errors import InputError
from appliance.faces import Detection
from appliance.images import ImageFiles
from appliance.language import N_, _
from appliance.rules import detections, zones
from appliance.store import Store
from appliance.times import Now
from appliance.zones import Point, Zone, ZoneKind, checked, is_excluded

AROUND = 0.25  # of a face's sides, beyond each of them: a face is not always found in quite the same place
SMALLEST_SIDE = 0.02  # of the picture
NO_PLACE = N_("It is not known where in the picture this was, so only deleting it is possible.")


def mark(store: Store, files: ImageFiles, by: Person, detection_id: int, now: Now) -> int:
    """Nobody is counted any more where this detection was, and it leaves record and sums: all of it or nothing.

    The id of the receipt. Raises InputError (no place; too many zones), NotFound, NotSaved.
    """
    with store.saving():
        gone = detections.find(store, detection_id)
        after = with_place_of(gone.detection, store.zones.of(gone.stream_id))
        zones.change(store, gone.stream_id, after)
        receipt_id = detections.take_away(store, by, gone, now)
    detections.erase_some(store, files)
    return receipt_id


def has_place(seen: Detection) -> bool:
    """Whether it is known where in the picture it was; not if somebody entered it by hand."""
    return bool(seen.frame_width and seen.frame_height)


def with_place_of(seen: Detection, zones_before: Sequence[Zone]) -> tuple[Zone, ...]:
    """The zones, with one more around the place of this detection unless nobody is counted there already.

    Raises InputError.
    """
    if not has_place(seen):
        raise InputError(_(NO_PLACE))
    left, top, right, bottom = seen.bbox_px
    (x0, x1), (y0, y1) = _around(left, right, seen.frame_width), _around(top, bottom, seen.frame_height)
    middle: Point = ((left + right) / 2 / seen.frame_width, (top + bottom) / 2 / seen.frame_height)
    if is_excluded(zones_before, middle):
        return tuple(zones_before)
    taken = {zone.name.casefold() for zone in zones_before}
    name = next(name for number in range(1, len(taken) + 2) if (name := f"No person {number}").casefold() not in taken)
    return checked([*zones_before, Zone(ZoneKind.NEVER, name, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))])


def _around(start_px: float, end_px: float, frame_px: int) -> tuple[float, float]:
    """From where to where the zone reaches, 0 to 1 of the frame."""
    middle, half = (start_px + end_px) / 2 / frame_px, (end_px - start_px) / frame_px * (0.5 + AROUND)
    half = max(half, SMALLEST_SIDE / 2)
    return max(0.0, min(middle - half, 1 - SMALLEST_SIDE)), min(1.0, max(middle + half, SMALLEST_SIDE))
