"""Messages that could not be taken: kept with the reason, in words, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.central.database import Database
from appliance.language import N_

PAYLOAD_BYTES = 4096
SAME_S = 3600
"""Letters of one box with one reason within so long are one row, and counted."""
NEW_IN_A_BATCH = 50
"""What is more is counted in one row: whoever sends only nonsense must not cost others their time."""
LEFT_OUT = N_("further messages like those before were left out")
PER_BOX, IN_ALL = 200, 5000
"""How many rows are kept; the newest."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be taken. box: as its topic names it; empty: no topic of a box."""

    box: str
    topic: str
    reason: str
    payload: bytes = b""


def plain(text: str, most: int = 300) -> str:
    """Text that every database takes and no page stumbles over: without control characters and lone surrogates."""
    kept = text[:most].encode("utf-8", "replace").decode()
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in kept)


def keep(database: Database, letters: Iterable[Letter], now_utc: int) -> None:
    """Keep letters, those that are alike as one. Raises sqlite3.Error."""
    alike: dict[tuple[str, str, str], tuple[int, bytes]] = {}
    for letter in letters:
        key = plain(letter.box, 40), plain(letter.topic, 100), plain(letter.reason)
        if key not in alike and len(alike) >= NEW_IN_A_BATCH:
            key = "", "", LEFT_OUT
        times, payload = alike.get(key, (0, letter.payload))
        alike[key] = times + 1, payload
    for (box, topic, reason), (times, payload) in alike.items():
        again = database.execute(
            "update letters set times = times + ?, at_utc = ? where id = (select max(id) from letters"
            " where box_id = ? and topic = ? and reason = ? and at_utc > ?)",
            [times, now_utc, box, topic, reason, now_utc - SAME_S],
        )
        if again.rowcount == 0:
            database.execute(
                "insert into letters (at_utc, box_id, topic, reason, payload, times) values (?, ?, ?, ?, ?, ?)",
                [now_utc, box, topic, reason, payload[:PAYLOAD_BYTES], times],
            )


def forget(database: Database, before_utc: int) -> None:
    """Keep only the newest, of each box and in all, and none from before. Raises sqlite3.Error."""
    with database.writing():
        database.execute("delete from letters where at_utc < ?", [before_utc])
        database.execute("delete from letters where id <= (select max(id) from letters) - ?", [IN_ALL])
        crowded = database.execute("select box_id from letters group by box_id having count(*) > ?", [PER_BOX])
        for (box,) in crowded.fetchall():
            database.execute(
                "delete from letters where box_id = ? and id <= (select id from letters where box_id = ?"
                " order by id desc limit 1 offset ?)",
                [box, box, PER_BOX],
            )
