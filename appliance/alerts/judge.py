"""When an alert is raised, is over, and is told: a pure state machine, asked again and again whether something is so.

An alert is raised once it was so for as long as the rule says, without a break, and is over as soon as it is not so.
It is told once when it is raised and once when it is over. After the former, for the length of the cool-down, nobody is
told that it is so again, and in quiet hours nobody is told anything; what is still true when they end is told then.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from appliance.times import Now


class Phase(str, enum.Enum):
    """How it is with a rule and one subject."""

    IDLE = "idle"  # it is not so
    PENDING = "pending"  # it is so, not yet for long enough
    OPEN = "open"  # it was raised, and is so


class What(str, enum.Enum):
    """What an entry of the log, or a message, says."""

    RAISED = "raised"
    OVER = "over"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class State:
    """since: when it came to be so (IDLE: when that ended). owes: the message about the last change is yet to be told.

    told: when it was last told that it is so; None: so long ago that it does not matter. log_id: the entry about the
    last change.
    """

    phase: Phase
    since: Now
    owes: bool = False
    told: Now | None = None
    log_id: int | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """held_s: for how long it must be so. cool_down_s: after a message. is_quiet: nobody is to be told anything now."""

    held_s: float
    cool_down_s: float
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """state: to be kept; None: nothing needs to be. happened: goes into the log. tell: is to be told now.

    What happened and what is told may be of different entries: what is told is always about the last change.
    """

    state: State | None
    happened: What | None = None
    tell: What | None = None


def judge(state: State | None, holds: bool | None, moment: Now, timing: Timing) -> Verdict:
    """What follows from what is so now. holds None: it is not known, so nothing is raised and nothing is over."""
    before = State(Phase.IDLE, moment) if state is None else _in_this_start(state, moment)
    after, happened = _moved(before, holds, moment, timing.held_s)
    is_cooling = after.told is not None and moment.uptime_s - after.told.uptime_s < timing.cool_down_s
    tell = None
    if after.owes and not timing.is_quiet and not (after.phase is Phase.OPEN and is_cooling):
        tell = What.RAISED if after.phase is Phase.OPEN else What.OVER
        after = replace(after, owes=False, told=moment if tell is What.RAISED else after.told)
    if after.phase is Phase.IDLE and not after.owes and not is_cooling:
        return Verdict(None, happened, tell)
    return Verdict(after, happened, tell)


def _moved(state: State, holds: bool | None, moment: Now, held_s: float) -> tuple[State, What | None]:
    if state.phase is Phase.OPEN:
        if holds is not False:
            return state, None
        # Who was not told that it is so need not hear that it is over.
        return replace(state, phase=Phase.IDLE, since=moment, owes=not state.owes, log_id=None), What.OVER
    if not holds:
        return (replace(state, phase=Phase.IDLE, since=moment) if state.phase is Phase.PENDING else state), None
    if state.phase is Phase.IDLE:
        state = replace(state, phase=Phase.PENDING, since=moment)
    if moment.uptime_s - state.since.uptime_s < held_s:
        return state, None
    # Who was told, and not yet that it was over, knows.
    return replace(state, phase=Phase.OPEN, owes=not state.owes, log_id=None), What.RAISED


def _in_this_start(state: State, moment: Now) -> State:
    """The same, by the uptime clock of this start of the machine: nobody knows how long it was off.

    What was pending begins again. Since a message, so much has passed as the wall clock says, which may be wrong, and
    never less than nothing.
    """
    since, told = state.since, state.told
    if since.boot_id != moment.boot_id:
        at_s = moment.uptime_s
        since = replace(moment, utc=moment.utc if state.phase is Phase.PENDING else since.utc, uptime_s=at_s)
    if told is not None and told.boot_id != moment.boot_id:
        told = Now(told.utc, moment.boot_id, moment.uptime_s - max(0.0, moment.utc - told.utc))
    return replace(state, since=since, told=told)
