"""A message to try a recipient out: sent at once, with its result, which stands in the log as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from appliance.accounts.audit import Action
from appliance.alerts.alerts import AlertStore
from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL
from appliance.alerts.log import Event, Outcome, new_uid
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.sending import Send, Undelivered
from appliance.errors import UserError
from appliance.language import ENGLISH, N_, _, speaking
from appliance.retold import retold

TRIAL_S = 10.0
"""How long somebody waits for the result at most: it holds a thread of the site."""
POLL_S = 0.2
KIND = "test"
_LATE = N_("No answer within {seconds} s. See whether the message comes after all.")
WORDS = N_("This is a test. Alerts come like this.")


def send_test(store: AlertStore, ways: Mapping[Way, Send], recipient: Recipient, title: str, now_utc: float) -> str:
    """Send one message now; what came of it. title: what the site is called.

    ways: what can be sent from here. What cannot is put into the outbox, and whoever empties that is waited for. Raises
    UserError: it did not arrive, and why.
    """
    event = test_event(title, now_utc)
    with store.saving():
        store.audit.add(Action.RECIPIENT_TESTED, recipient.name, way=recipient.way.value)
    problem = None
    if recipient.way in ways:
        problem = why_not_sent(ways[recipient.way], recipient, event)
        with store.saving():
            outcome = Outcome.FAILED if problem else Outcome.SENT
            store.alerts.log.tell(store.alerts.log.add(event), [recipient], now_utc, outcome, problem or "")
    else:
        problem = _sent_by_others(store, recipient, event)
    if problem:
        raise Undelivered(retold(problem))
    return _("The test was taken: see whether it has come to {name}.", name=recipient.name)


def test_event(title: str, now_utc: float) -> Event:
    """What a test says. title: what the site is called."""
    return Event(new_uid(), new_uid(), What.TEST, now_utc, now_utc, None, KIND, ALL, title, WORDS, {})


def why_not_sent(send: Send, recipient: Recipient, event: Event) -> str | None:
    """Send it in a thread, which may last longer than it is waited for; why it did not arrive, for the record."""
    problems: list[str] = []

    def run() -> None:
        try:
            with speaking(ENGLISH):  # the record is in one language
                send(recipient, event)
        except UserError as error:
            problems.append(str(error))

    thread = threading.Thread(target=run, name="test of a recipient", daemon=True)
    thread.start()
    thread.join(TRIAL_S)
    return _LATE.format(seconds=round(TRIAL_S)) if thread.is_alive() else next(iter(problems), None)


def _sent_by_others(store: AlertStore, recipient: Recipient, event: Event) -> str | None:
    with store.saving():
        log_id = store.alerts.log.add(event)
        (delivery_id,) = store.alerts.log.tell(log_id, [recipient], event.at_utc)
    until_s = time.monotonic() + TRIAL_S
    while time.monotonic() < until_s:
        entry = store.alerts.log.get(log_id)
        delivery = entry.deliveries[0] if entry and entry.deliveries else None
        if delivery is None or delivery.outcome is Outcome.SENT:
            return None
        if delivery.tries:
            break
        time.sleep(POLL_S)
    else:
        delivery = None
    problem = (delivery.problem if delivery else "") or _LATE.format(seconds=round(TRIAL_S))
    with store.saving():  # nobody waits for a test that comes tomorrow
        store.alerts.log.note_trouble(delivery_id, problem, event.at_utc, is_given_up=True)
    return problem
