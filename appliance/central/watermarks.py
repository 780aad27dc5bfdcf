"""Up to where everything of an epoch is here: ranges of sequence numbers, and the statements about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from appliance.central.database import Database

MAX_AHEAD = 32
"""Ranges of an epoch that are remembered until their turn; one that was forgotten is sent again."""
Key = tuple[str, str]
"""A box and an epoch."""
Range = tuple[int, int]
"""(after, upto]: all rows of the epoch with a seq in it."""


class Covered(NamedTuple):
    """What is here of one epoch: everything up to a seq, and ranges after it. gaps: how often one came too early."""

    upto: int = 0
    ahead: tuple[Range, ...] = ()
    gaps: int = 0

    def with_ranges(self, ranges: Iterable[Range]) -> Covered:
        """What is here when these came, too, in whatever order."""
        upto, ahead, gaps = self.upto, list(self.ahead), self.gaps
        for after, to in ranges:
            if after <= upto and not ahead:  # as nearly all do: in its turn
                upto = max(upto, to)
                continue
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
        database.put("watermarks (box_id, epoch, at_utc)", [(*key, now_utc) for key in keys], "on conflict do nothing")
        for_update = " order by box_id, epoch for update"
    rows = database.among(
        f"select box_id, epoch, upto, ahead, gaps from watermarks where (box_id, epoch) in {{keys}}{for_update}", keys
    )
    before = {
        (box, epoch): Covered(upto, () if ahead == "[]" else tuple(map(tuple, json.loads(ahead))), gaps)
        for box, epoch, upto, ahead, gaps in rows
    }
    after = {key: before.get(key, Covered()).with_ranges(ranges[key]) for key in keys}
    database.put(
        "watermarks (box_id, epoch, upto, ahead, gaps, at_utc)",
        [
            (*key, is_.upto, json.dumps(is_.ahead) if is_.ahead else "[]", is_.gaps, now_utc)
            for key, is_ in after.items()
        ],
        "on conflict (box_id, epoch) do update set upto = excluded.upto, ahead = excluded.ahead, gaps = excluded.gaps,"
        " at_utc = excluded.at_utc",
    )
    return {key: is_.upto for key, is_ in after.items()}


def of_boxes(database: Database, boxes: Iterable[str]) -> dict[str, dict[str, int]]:
    """Every watermark of these boxes, by box and epoch. Raises sqlite3.Error."""
    found: dict[str, dict[str, int]] = {}
    names = [(box,) for box in sorted(boxes)]
    for box, epoch, upto in database.among("select box_id, epoch, upto from watermarks where box_id in {keys}", names):
        found.setdefault(box, {})[epoch] = upto
    return found
