"""A centre at which something is wrong, as its service that watches would have left it: for tests of what shows it."""

from __future__ import annotations

from appliance.alerts.judge import Phase, State, What
from appliance.alerts.kinds import ALL, Gone, Of, Subject
from appliance.alerts.recipients import Way
from appliance.times import Now
from tests.alerted import OFFICE, note
from tests.fleets import Fleet

LOBBY, DOCK = Subject(Of.BOX, "lobby"), Subject(Of.BOX, "dock")


def something_is_wrong(fleet: Fleet) -> None:
    """Rule 1 watches for boxes that are gone; `lobby` and `dock` are."""
    alerts, moment = fleet.store.alerts, Now(fleet.clock.now.utc, "boot", 9.0)
    alerts.recipients.add(Way.EMAIL, "Office", OFFICE, "", moment.utc)
    rule_id = alerts.rules.add(Gone(), ALL, 60, None, moment.utc)
    for subject in (LOBBY, DOCK):
        entry = note(alerts, What.RAISED, moment.utc, subject, subject.id, f"{subject.id} is gone.", rule_id)
        alerts.states.put(rule_id, subject, State(Phase.OPEN, moment, told=moment, log_id=entry))
