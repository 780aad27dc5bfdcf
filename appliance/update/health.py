"""Whether what was restarted is well: all of it, for long enough."""

from __future__ import annotations

import time
from collections.abc import Callable

from appliance.language import N_
from appliance.update.asking import Health

POLL_S = 1.0
UNSTEADY = N_("its services do not stay up")


def ailment(
    ask: Callable[[], Health],
    within_s: float,
    steady_s: float,
    was_ailing: bool,
    refuse: Callable[[], None] = lambda: None,
) -> str | None:
    """What keeps a box from being well; None as soon as it has been well for steady_s.

    Well: every service gives heartbeats, and is the same process as before; the site answers; the watcher has no
    problem, or had one before (was_ailing). refuse: raises when there is no more waiting.
    """
    deadline_s = time.monotonic() + within_s
    well: tuple[float, Health] | None = None
    while True:
        refuse()
        health, now_s = ask(), time.monotonic()
        ailing = [*health.missing, *([health.problem] if health.problem and not was_ailing else [])]
        if ailing:
            well = None
        elif well is None or well[1].pids != health.pids:
            well = now_s, health
        elif now_s - well[0] >= steady_s:
            return None
        if now_s > deadline_s:
            return "; ".join(ailing) or UNSTEADY
        time.sleep(POLL_S)
