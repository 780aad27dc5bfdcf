"""Which rows a question is about: only the conditions that are set, so that an index can answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.faces import State
from appliance.times import utc_text

STREAMS = "from streams join people on people.id = owner_id and streams.receipt_id is null"
"""With their owners: all there are for people, without those that are being deleted (deletions.py)."""
TITLE = "people.name || ':' || streams.name"
OF_STREAMS = {
    "stream_id": "streams.id = :stream_id",
    "owner_id": "owner_id = :owner_id",
    "search": f"instr(lower({TITLE}), lower(:search))",
}
OF_DETECTIONS = {
    "state": "state = :state",
    "since": "first_seen_utc >= :since",
    "until": "first_seen_utc < :until",
    "before_id": "(first_seen_utc, id) < (:before_utc, :before_id)",
    "after_id": "(first_seen_utc, id) > (:after_utc, :after_id)",
    "reviewed": "reviewed_utc is not null",
    "not_reviewed": "reviewed_utc is null",
    "up_to_id": "+id <= :up_to_id",  # +: the index by first_seen_utc stays the one that is used
}


def conditions(possible: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
    """Those conditions that have a parameter, as SQL. `:x is null or ...` would keep every index from being used."""
    return " and ".join(["true", *(sql for name, sql in possible.items() if name in parameters)])


@dataclass(frozen=True, slots=True)
class DetectionFilter:
    """Which detections: every field that is not None (or empty) must hold.

    since_utc <= first seen < until_utc, in seconds since 1970; search: part of owner:name, in any case; reviewed:
    whether somebody looked at it and marked it.
    """

    stream_id: int | None = None
    state: State | None = None
    since_utc: float | None = None
    until_utc: float | None = None
    search: str = ""
    reviewed: bool | None = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the conditions that are set."""
        every = {
            "stream_id": self.stream_id,
            "state": self.state and self.state.value,
            "since": None if self.since_utc is None else utc_text(self.since_utc),
            "until": None if self.until_utc is None else utc_text(self.until_utc),
            "search": self.search or None,
            "reviewed": self.reviewed or None,
            "not_reviewed": True if self.reviewed is False else None,
        }
        return {name: value for name, value in every.items() if value is not None}
