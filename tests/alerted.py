"""A site where something is wrong, as the service that watches would have left it: for tests of what shows it."""

from __future__ import annotations

from appliance.alerts.alerts import Alerts
from appliance.alerts.judge import Phase, State, What
from appliance.alerts.kinds import ALL, Offline, Subject, stream
from appliance.alerts.log import Event, new_uid
from appliance.alerts.recipients import Way
from appliance.times import Now

OFFLINE = "ann:door is offline for 5 min."
OFFICE = "office@example.org"


def note(alerts: Alerts, what: What, at_utc: float, subject: Subject, title: str, words: str, rule_id: int = 1) -> int:
    """An entry of the log; its id. In a transaction, or alone."""
    return alerts.log.add(
        Event(new_uid(), new_uid(), what, at_utc, at_utc - 300, rule_id, "offline", subject, title, words, {})
    )


def something_is_wrong(alerts: Alerts, moment: Now) -> None:
    """Rule 1 watches each stream, recipient 1 (the office) was told that stream 1 is offline, and that is so now."""
    alerts.recipients.add(Way.EMAIL, "Office", OFFICE, "", moment.utc)
    rule_id = alerts.rules.add(Offline(), ALL, 60, None, moment.utc)
    entry = note(alerts, What.RAISED, moment.utc, stream(1), "ann:door", OFFLINE, rule_id)
    alerts.log.note_sent(alerts.log.tell(entry, alerts.recipients.all(), moment.utc), moment.utc)
    alerts.states.put(rule_id, stream(1), State(Phase.OPEN, moment, told=moment, log_id=entry))
