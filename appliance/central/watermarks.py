"""Up to where everything of an epoch is here: ranges of sequence numbers, and the statements about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.central.database import Database

MAX_AHEAD = 32
"""Ranges of an epoch that are remembered until their turn; one that was forgotten is sent again."""
KEYS = 400
"""How many keys one question names."""
Key = tuple[str, str]
"""A box and an epoch."""
Range = tuple[int, int]
"""(after, upto]: all rows of the epoch with a seq in it."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What is here of one epoch: everything up to a seq, and ranges after it. gaps: how often one came too early."""

    upto: int = 0
    ahead: tuple[Range, ...] = ()
    gaps: int = 0

    def with_ranges(self, ranges: Iterable[Range]) -> Covered:
        """What is here when these came, too, in whatever order."""
        upto, ahead, gaps = self.upto, list(self.ahead), self.gaps
        for after, to in ranges:
            gaps += after > upto
            ahead.append((after, to))
            upto = _reached(upto, ahead)
        return Covered(upto, tuple(sorted(one for one in ahead if one[1] > upto)[:MAX_AHEAD]), gaps)


def _reached(upto: int, ranges: list[Range]) -> int:
    """How far one gets from upto over ranges that touch."""
    for after, to in sorted(ranges):
        if after <= upto:
            upto = max(upto, to)
    return upto


def note(database: Database, ranges: Mapping[Key, Sequence[Range]], now_utc: int) -> dict[Key, int]:
    """Note that these ranges are here, in the transaction that brings their rows; the watermarks afterwards.

    Raises sqlite3.Error.
    """
    keys = sorted(ranges)
    for_update = ""
    if database.dialect == "postgresql":  # so that two processes with ranges of one epoch see each other's
        database.executemany(
            "insert into watermarks (box_id, epoch, at_utc) values (?, ?, ?) on conflict do nothing",
            [(box, epoch, now_utc) for box, epoch in keys],
        )
        for_update = " order by box_id, epoch for update"
    before: dict[Key, Covered] = {}
    for some in _slices(keys):
        places = ", ".join(["(?, ?)"] * len(some))
        rows = database.execute(
            "select box_id, epoch, upto, ahead, gaps from watermarks"
            f" where (box_id, epoch) in (values {places}){for_update}",
            [part for key in some for part in key],
        )
        for box, epoch, upto, ahead, gaps in rows:
            known = () if ahead == "[]" else tuple((after, to) for after, to in json.loads(ahead))
            before[box, epoch] = Covered(upto, known, gaps)
    after = {key: before.get(key, Covered()).with_ranges(ranges[key]) for key in keys}
    database.executemany(
        "insert into watermarks (box_id, epoch, upto, ahead, gaps, at_utc) values (?, ?, ?, ?, ?, ?)"
        " on conflict (box_id, epoch) do update set upto = excluded.upto, ahead = excluded.ahead,"
        " gaps = excluded.gaps, at_utc = excluded.at_utc",
        [(*key, is_.upto, json.dumps(is_.ahead), is_.gaps, now_utc) for key, is_ in after.items()],
    )
    return {key: is_.upto for key, is_ in after.items()}


def of_boxes(database: Database, boxes: Iterable[str]) -> dict[str, dict[str, int]]:
    """Every watermark of these boxes, by box and epoch. Raises sqlite3.Error."""
    found: dict[str, dict[str, int]] = {}
    for some in _slices(sorted(boxes)):
        places = ", ".join("?" * len(some))
        rows = database.execute(f"select box_id, epoch, upto from watermarks where box_id in ({places})", some)
        for box, epoch, upto in rows:
            found.setdefault(box, {})[epoch] = upto
    return found


def _slices(keys: list[Key] | list[str]) -> Iterable[list[Key] | list[str]]:
    return (keys[begin : begin + KEYS] for begin in range(0, len(keys), KEYS))
