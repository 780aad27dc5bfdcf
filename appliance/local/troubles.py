"""Which streams have a problem: one answer for Home, the list of streams and the page Health. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.alerts.log_page import Shown
from appliance.language import N_
from appliance.reception import Reception
from appliance.store import Stream

WHAT_COUNTS = N_(
    "A stream has a problem if its picture is not right, if nobody in it can be judged, if somebody who sends to it is"
    " refused, or if an alert about it is open. One that is only offline has none."
)


@dataclass(frozen=True, slots=True)
class Troubles:
    """Streams by their ids. wrong: those to which somebody has to see; alerted: those of which an alert is open."""

    wrong: frozenset[int]
    alerted: frozenset[int]


def troubles(streams: Sequence[Stream], received: Mapping[int, Reception], alerts: Iterable[Shown]) -> Troubles:
    """Which of these streams have a problem. received: of each; alerts: that are open."""
    addresses = {alert.address for alert in alerts}
    alerted = frozenset(each.id for each in streams if f"/streams/{each.id}" in addresses)
    seen = (each.id for each in streams if each.picture_fault is not None or received[each.id].is_wrong)
    return Troubles(alerted.union(seen), alerted)
