"""How wrong the box is, by its own record: whom people corrected, and what labelled faces say of each camera."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.calibration import Estimate, combined, corrected, estimate
from appliance.faces import CLASSES, Counts
from appliance.rates import Rate, wilson
from appliance.store.calibrations import Calibration, Camera
from appliance.store.corrections import Corrected, as_judged

if TYPE_CHECKING:
    from appliance.store.database import Store


class Change(enum.Enum):
    """What is another than when a camera was calibrated."""

    MODEL = "model"
    PICTURE = "picture"  # its size
    SOURCE = "source"
    ZONES = "zones"


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
    judged wrongly. corrected: the compliance, corrected for how the cameras err; None: not all of them are calibrated,
    or not for that time.
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
    }
    return tuple(change for change, is_so in differs.items() if is_so)


def calibrated(store: Store, stream_id: int) -> Calibrated | None:
    """The newest finished calibration of a stream, and whether it still holds; None: there is none."""
    for each in store.calibrations.of_stream(stream_id):
        if each.finished:
            errors = estimate(store.calibrations.labelled(each.id))
            return Calibrated(each, errors, changes(each.camera, store.calibrations.camera(stream_id)))
    return None


def errors_of(store: Store, stream_id: int, since_utc: float | None) -> Estimate | None:
    """How the box errs at a stream's camera, where that holds for all that was counted since then; None: not known.

    since_utc None: all there is.
    """
    found = calibrated(store, stream_id)
    if found is None or found.errors is None or not found.holds:
        return None
    first_utc = store.trends.first_utc([stream_id]) if since_utc is None else since_utc
    quarter_utc = found.calibration.since_utc // 900 * 900
    if first_utc is not None and first_utc < quarter_utc and _counted(store, stream_id, first_utc, quarter_utc):
        return None
    return found.errors


def measured(
    store: Store, stream_ids: Collection[int], since_utc: float | None = None, until_utc: float | None = None
) -> Measured:
    """What is known of the errors in the counts of some streams, of the whole quarters in [since_utc, until_utc)."""
    corrections = store.corrections.between(stream_ids, since_utc, until_utc)
    counts = store.trends.by_stream(stream_ids, since_utc, until_utc)
    judged = {each: as_judged(counts[each], corrections.get(each, {})) for each in stream_ids}
    wrong = sum(wrongly(each) for each in corrections.values())
    rates = []
    passed = [each for each in stream_ids if judged[each].classified]
    known = store.calibrations.streams() if passed else set()
    for each in passed if known.issuperset(passed) else []:
        errors = errors_of(store, each, since_utc)
        rates.append(corrected(judged[each], errors) if errors else None)
    whole = [rate for rate in rates if rate is not None]
    together = combined(whole) if len(whole) != 1 else whole[0]
    return Measured(
        wilson(wrong, sum(each.classified for each in judged.values())),
        together if len(whole) == len(passed) else None,
    )


def wrongly(of: Corrected) -> int:
    """How many of those whom people corrected the box had judged, and not only not known."""
    return sum(persons for (judged, _), persons in of.items() if judged in CLASSES)


def _counted(store: Store, stream_id: int, since_utc: float, until_utc: float) -> bool:
    found: Counts = store.trends.by_stream([stream_id], since_utc, until_utc)[stream_id]
    return found.classified > 0
