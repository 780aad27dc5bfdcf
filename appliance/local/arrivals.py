"""A list of detections that stays as it is while a page renews itself, and what arrived since."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.store import DetectionFilter, Store
from appliance.web.forms import query_value, whole_number


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What a list may show, and how much it does not.

    up_to_id: the last detection that may be in the list, by when it arrived: one that arrives later may have been seen
    earlier, and would push the others aside.
    newest_id: the last one there is.
    newer: how many that belong in the list arrived after up_to_id; None: too many to count.
    """

    up_to_id: int
    newest_id: int
    newer: int | None


def arrivals(store: Store, only: DetectionFilter) -> Arrivals:
    """For a list of those that `only` chooses: as far as the address says (`up_to`), else all of them."""
    newest_id = store.detections.newest_id()
    asked = whole_number(query_value("up_to"))
    up_to_id = newest_id if asked is None else min(asked, newest_id)
    return Arrivals(up_to_id, newest_id, store.detections.newer(only, up_to_id))
