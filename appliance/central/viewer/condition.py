"""How a box is, from what it told and when: pure functions of a moment."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.board import HOT_C
from appliance.central.store import Box
from appliance.central.viewer.recorded import told
from appliance.language import N_, _
from appliance.retold import retold
from appliance.web.words import duration, number, size_words

FRESH_S, LATE_S = 180, 900
"""How old the newest data of a box may be before it is late, and before it is stale."""
MANY_ROWS = 500  # of backlog: more than an hour of eight streams
LITTLE_DISK_MB = 500
NOTHING_CAME = N_("nothing has come for {time}")
GONE = {
    "stopped": N_("switched off on purpose, nothing for {time}"),
    "gone": N_("its connection was lost, nothing has come for {time}"),
}
"""That nothing comes from a box, by its status."""


class Age(enum.Enum):
    """How old the newest data of a box is. The age decides, not what a broker says of a connection."""

    FRESH = "fresh"
    LATE = "late"
    STALE = "stale"
    NEVER = "never"


class Severity(enum.IntEnum):
    """How much somebody should look at a box."""

    WELL = 0
    NOTICE = 1
    PROBLEM = 2

    @property
    def mark(self) -> str:
        """The CSS class."""
        return ("well", "notice-mark", "problem-mark")[self]


@dataclass(frozen=True, slots=True)
class Condition:
    """age_s: of the newest data, None: there is none. words: what is wrong, worst first; empty when all is well.

    bad: how many of the words, from the first on, tell of a problem. is_revoked: then its age is of no interest.
    """

    age: Age
    age_s: float | None
    severity: Severity
    words: tuple[str, ...]
    bad: int = 0
    is_revoked: bool = False

    @property
    def mark(self) -> str:
        """The CSS class."""
        return "off-mark" if self.is_revoked else self.severity.mark


def age_of(box: Box, now_utc: float) -> tuple[Age, float | None]:
    """How old the newest data of a box is, and in seconds. A clock that is ahead makes nothing younger than now."""
    if box.heard_utc is None:
        return Age.NEVER, None
    age_s = max(0.0, now_utc - box.heard_utc)
    return (Age.FRESH if age_s < FRESH_S else Age.LATE if age_s < LATE_S else Age.STALE), age_s


def condition(box: Box, now_utc: float, unverified: int = 0) -> Condition:
    """How a box is. unverified: rows of today whose time nothing confirmed."""
    age, age_s = age_of(box, now_utc)
    if box.revoked_utc is not None:
        return Condition(age, age_s, Severity.WELL, (_("revoked"),), is_revoked=True)
    bad = [told(box.told), retold(box.problem)]
    if age is Age.STALE:
        assert age_s is not None
        bad.insert(0, _(GONE.get(box.status, NOTHING_CAME), time=duration(age_s)))
    mild = []
    if age is Age.NEVER:
        mild.append(_("joined, but has not told anything yet"))
    if age is Age.LATE:
        mild.append(_("its data is late"))
    if box.backlog > MANY_ROWS:
        mild.append(_("{rows} rows are still to come", rows=number(box.backlog)))
    if box.disk_free_mb is not None and box.disk_free_mb < LITTLE_DISK_MB:
        mild.append(_("only {room} of its disk is free", room=size_words(1e6 * box.disk_free_mb)))
    if box.temperature_c is not None and box.temperature_c >= HOT_C:
        mild.append(_("it is {degrees} °C hot", degrees=f"{box.temperature_c:.0f}"))
    if (box.hello_utc is not None and box.clock != "believed") or unverified:
        mild.append(_("nothing has confirmed its clock, so its times may be wrong"))
    bad = [words for words in bad if words]
    severity = Severity.PROBLEM if bad else Severity.NOTICE if mild else Severity.WELL
    return Condition(age, age_s, severity, (*bad, *mild), len(bad))


@dataclass(frozen=True, slots=True)
class Completeness:
    """How many of how many boxes have told everything up to a moment; None: none has told everything yet."""

    complete: int
    boxes: int
    upto_utc: int | None


def completeness(boxes: Sequence[Box], now_utc: float) -> Completeness:
    """Up to when those that are in touch have told everything, and how many of all these are.

    A box that fell silent long ago does not hold the moment back: it is counted among those that are missing.
    """
    known = [min(box.complete_utc, int(now_utc)) for box in boxes if box.revoked_utc is None and box.complete_utc]
    in_touch = [upto for upto in known if now_utc - upto < LATE_S] or known
    count = sum(box.revoked_utc is None for box in boxes)
    if not in_touch:
        return Completeness(0, count, None)
    upto_utc = min(in_touch) if now_utc - max(in_touch) < LATE_S else max(in_touch)
    return Completeness(sum(upto >= upto_utc for upto in known), count, upto_utc)
