"""Persons whose state a person corrected: sums that stay, kept by triggers (calibration_schema.py)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict

from appliance.faces import Counts, State
from appliance.sqlite import Database
from appliance.time_zone import QUARTER_S
from appliance.times import utc_text

Corrected = Mapping[tuple[State, State], int]
"""How many persons of whom the box had judged the one state, and a person then said that it is the other."""

_SUMS = """
    select corrections.stream_id, {start} as start_utc, judged, state, sum(persons) as persons
    from json_each(:stream_ids) as wanted join corrections on corrections.stream_id = wanted.value
    where corrections.start_utc >= :since and corrections.start_utc < :until group by 1, 2, 3, 4
"""
_ROWS = """
    select judged_state as judged, state, count(*) as persons from detections
    where stream_id = :stream_id and first_seen_utc >= :since and first_seen_utc < :until and judged_state <> state
    group by 1, 2
"""
_ALWAYS = (-(2**40), 2**40)


class Corrections:
    """The statements. Times in seconds since 1970; streams by id."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def between(
        self, stream_ids: Collection[int], since_utc: float | None = None, until_utc: float | None = None
    ) -> dict[int, Corrected]:
        """Of the persons first seen then, by stream; streams without any are left out. To the moment, as counts are."""
        since = _ALWAYS[0] if since_utc is None else int(-(-since_utc // QUARTER_S)) * QUARTER_S
        until = _ALWAYS[1] if until_utc is None else int(until_utc // QUARTER_S) * QUARTER_S
        found: dict[int, Counter[tuple[State, State]]] = {}
        edges = []
        if since > until:
            edges.append((since_utc, until_utc))
        else:
            for row in self._sums("0", stream_ids, since, until):
                of_stream = found.setdefault(row["stream_id"], Counter())
                of_stream[State(row["judged"]), State(row["state"])] += row["persons"]
            edges += [(since_utc, since)] if since_utc is not None and since_utc < since else []
            edges += [(until, until_utc)] if until_utc is not None and until < until_utc else []
        for first_utc, end_utc in edges:
            for stream_id in stream_ids:
                at = {"stream_id": stream_id, "since": utc_text(first_utc or 0), "until": utc_text(end_utc or 0)}
                for row in self.db.execute(_ROWS, at):
                    of_stream = found.setdefault(stream_id, Counter())
                    of_stream[State(row["judged"]), State(row["state"])] += row["persons"]
        return dict(found)

    def by_quarter(self, stream_id: int, since_utc: int, until_utc: int) -> list[tuple[int, Corrected]]:
        """Of the quarters of an hour that begin then and have any: when each begins, and who was corrected."""
        found: dict[int, dict[tuple[State, State], int]] = {}
        for row in self._sums("start_utc", [stream_id], since_utc, until_utc):
            found.setdefault(row["start_utc"], {})[State(row["judged"]), State(row["state"])] = row["persons"]
        return sorted(found.items())

    def _sums(self, start: str, stream_ids: Collection[int], since_utc: int, until_utc: int) -> list[Mapping[str, int]]:
        wanted = json.dumps(sorted(set(stream_ids)))
        parameters = {"stream_ids": wanted, "since": since_utc, "until": until_utc}
        return self.db.execute(_SUMS.format(start=start), parameters).fetchall()


def as_judged(counts: Counts, corrected: Corrected) -> Counts:
    """What the box had judged of these persons: the counts without what people corrected."""
    states = asdict(counts)
    for (judged, state), persons in corrected.items():
        states[judged.value] += persons
        states[state.value] -= persons
    return Counts(**{name: max(0, persons) for name, persons in states.items()})
