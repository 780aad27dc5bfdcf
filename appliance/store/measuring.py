"""How wrong the box is, by its own record: whom people corrected, and what labelled faces say of each camera."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from appliance.calibration import Estimate, combined, corrected, estimate
from appliance.faces import CLASSES, Counts
from appliance.rates import Rate, wilson
from appliance.store.calibrations import Calibration, Camera
from appliance.store.corrections import Corrected, as_judged
from appliance.store.filters import DetectionFilter
from appliance.time_zone import QUARTER_S

if TYPE_CHECKING:
    from appliance.store.database import Store


class Change(enum.Enum):
    """What is another than when a camera was calibrated."""

    MODEL = "model"
    PICTURE = "picture"  # its size
    SOURCE = "source"
    ZONES = "zones"
    VIEW = "view"  # what the camera looks at


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The newest finished calibration of a stream. errors: about MASK; None: too few labels to tell.

    changes: why it does not hold any more; empty: it does.
    """

    calibration: Calibration
    errors: Estimate | None
    changes: tuple[Change, ...]

    @property
    def holds(self) -> bool:
        """Whether rates can be corrected by it."""
        return self.errors is not None and not self.changes


@dataclass(frozen=True, slots=True)
class Measured:
    """How far counts can be trusted.

    wrong: of the persons whom the box judged, how many a person said to be of another state: at least so many were
    judged wrongly; None: nobody was corrected. corrected: the compliance, corrected for how the cameras err; None: not
    all of them are calibrated, or not for that time.
    """

    wrong: Rate | None = None
    corrected: Rate | None = None


def changes(then: Camera, now: Camera | None) -> tuple[Change, ...]:
    """What has changed since a calibration. A camera that nobody passes has not changed."""
    if now is None:
        return ()
    size = (then.frame_width, then.frame_height) != (now.frame_width, now.frame_height)
    differs = {
        Change.MODEL: then.model != now.model,
        Change.PICTURE: size,
        Change.SOURCE: then.source != now.source,
        Change.ZONES: then.zones != now.zones,
        Change.VIEW: then.view != now.view,
    }
    return tuple(change for change, is_so in differs.items() if is_so)


def calibrated(store: Store, stream_id: int) -> Calibrated | None:
    """The newest finished calibration of a stream, and whether it still holds; None: there is none."""
    for each in store.calibrations.of_stream(stream_id):
        if each.finished:
            errors = estimate(store.calibrations.labelled(each.id))
            return Calibrated(each, errors, changes(each.camera, store.calibrations.camera(stream_id)))
    return None


def errors_since(found: Calibrated | None) -> tuple[Estimate, int] | None:
    """How the box errs, and from which quarter of an hour on that can be said; None: not known, or not any more."""
    if found is None or found.errors is None or not found.holds:
        return None
    return found.errors, int(found.calibration.since_utc // QUARTER_S) * QUARTER_S


def measured(
    store: Store, stream_ids: Collection[int], since_utc: float | None = None, until_utc: float | None = None
) -> Measured:
    """What is known of the errors in the counts of some streams, first seen in [since_utc, until_utc)."""
    corrections = store.corrections.between(stream_ids, since_utc, until_utc)
    known = store.calibrations.streams()
    if not corrections and not known:
        return Measured()
    judged = {
        each: as_judged(counts, corrections.get(each, {}))
        for each, counts in _counts(store, stream_ids, since_utc, until_utc).items()
    }
    wrong = sum(wrongly(each) for each in corrections.values())
    return Measured(
        wilson(wrong, sum(each.classified for each in judged.values())) if wrong else None,
        _corrected(store, {each: counts for each, counts in judged.items() if counts.classified}, known, since_utc),
    )


def wrongly(of: Corrected) -> int:
    """How many of those whom people corrected the box had judged, and not only not known."""
    return sum(persons for (judged, _), persons in of.items() if judged in CLASSES)


def _counts(
    store: Store, stream_ids: Collection[int], since_utc: float | None, until_utc: float | None
) -> dict[int, Counts]:
    if all(edge is None or edge % QUARTER_S == 0 for edge in (since_utc, until_utc)):
        return store.trends.by_stream(stream_ids, since_utc, until_utc)
    of_time = DetectionFilter(since_utc=since_utc, until_utc=until_utc)
    return {each: store.trends.counts(replace(of_time, stream_id=each)) for each in stream_ids}


def _corrected(
    store: Store, judged: Mapping[int, Counts], known: Collection[int], since_utc: float | None
) -> Rate | None:
    """Of cameras that are all calibrated for all of that time."""
    if not judged.keys() <= set(known):
        return None
    rates = []
    for stream_id, counts in judged.items():
        found = errors_since(calibrated(store, stream_id))
        first_utc = store.trends.first_utc([stream_id]) if since_utc is None else since_utc
        if (
            found is None
            or first_utc is None
            or (first_utc < found[1] and _passed(store, stream_id, first_utc, found[1]))
        ):
            return None
        rate = corrected(counts, found[0])
        if rate is None:
            return None
        rates.append(rate)
    return rates[0] if len(rates) == 1 else combined(rates)


def _passed(store: Store, stream_id: int, since_utc: float, until_utc: float) -> bool:
    return store.trends.by_stream([stream_id], since_utc, until_utc)[stream_id].classified > 0
