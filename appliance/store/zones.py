"""The zones of streams (appliance/zones.py), as people drew them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from appliance.sqlite import Database
from appliance.zones import Zone, ZoneKind


class Zones:
    """The statements. Streams are given by id."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def of(self, stream_id: int) -> tuple[Zone, ...]:
        """Those of a stream, in the order in which people gave them; empty: all are counted, everywhere."""
        return _grouped(self.db.execute("select * from zones where stream_id = ? order by position", [stream_id])).get(
            stream_id, ()
        )

    def all(self) -> dict[int, tuple[Zone, ...]]:
        """Those of each stream that has any."""
        return _grouped(self.db.execute("select * from zones order by stream_id, position"))

    def put(self, stream_id: int, zones: Sequence[Zone]) -> None:
        """A stream has these zones from now on (`zones.checked`) and no others. Belongs inside store.writing().

        Who crossed a line stays counted by its name. A line in the very place of one with another name was
        renamed.
        """
        before = {zone.points: zone.name for zone in self.of(stream_id) if zone.kind is ZoneKind.LINE}
        names = {zone.name for zone in zones}
        for zone in zones:
            old = before.get(zone.points)
            if zone.kind is ZoneKind.LINE and old is not None and old not in names:
                self._rename(stream_id, old, zone.name)
        self.db.execute("delete from zones where stream_id = ?", [stream_id])
        self.db.conn.executemany(
            "insert into zones (stream_id, position, kind, name, points) values (?, ?, ?, ?, ?)",
            [
                [stream_id, position, zone.kind.value, zone.name, json.dumps(zone.points)]
                for position, zone in enumerate(zones)
            ],
        )

    def _rename(self, stream_id: int, old: str, new: str) -> None:
        taken = self.db.execute(
            "select 1 from crossings where stream_id = ? and line = ? limit 1", [stream_id, new]
        ).fetchone()
        if not taken:
            self.db.execute("update crossings set line = ? where stream_id = ? and line = ?", [new, stream_id, old])


def _grouped(rows: Iterable[Any]) -> dict[int, tuple[Zone, ...]]:
    found: dict[int, tuple[Zone, ...]] = {}
    for row in rows:
        points = tuple((float(x), float(y)) for x, y in json.loads(row["points"]))
        zone = Zone(ZoneKind(row["kind"]), row["name"], points)
        found[row["stream_id"]] = (*found.get(row["stream_id"], ()), zone)
    return found
