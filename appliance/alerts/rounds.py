"""One round over all rules: what is so now, judged, noted in the log and, in the same transaction, in the outbox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.alerts.alerts import Outbox
from appliance.alerts.judge import Phase, State, Timing, Verdict, What, judge
from appliance.alerts.kinds import MINUTE_S, Subject
from appliance.alerts.log import KEPT_S, Event, new_uid
from appliance.alerts.rules import Rule
from appliance.time_zone import TimeZone
from appliance.times import Now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """How it is now with one subject of a rule. holds: whether what the rule watches for is so; None: not known.

    title: what the subject is called. words: that it is so, or is not so any more, as a sentence. figures: what was
    measured, as the message is to hold it.
    """

    subject: Subject
    holds: bool | None
    title: str
    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)


Look = Callable[[Rule, Callable[[Subject], bool]], Iterable[Finding]]
"""What is so now, for a rule; for each subject that it is about, at most once. The second says whether it is raised."""
_Key = tuple[int, Subject]


class Rounds:
    """Call `step` every few seconds, with a connection to the store. What is only pending is kept in memory: so much
    comes and goes that it would wear out an SD card, and a restart only begins to wait again.
    """

    def __init__(self) -> None:
        self._pending: dict[_Key, tuple[Rule, State]] = {}

    def step(self, store: Outbox, look: Look, moment: Now, zone: TimeZone) -> None:
        """Judge every active rule. Raises sqlite3.Error, NotSaved: nothing of the rule in question was noted."""
        rules = [rule for rule in store.alerts.rules.all() if rule.active]
        states = store.alerts.states.all()
        local = zone.local(moment.utc)
        quiet = store.alerts.rules.quiet()
        is_quiet = quiet is not None and quiet.holds(local.hour * 60 + local.minute)
        self._pending = {key: each for key, each in self._pending.items() if each[0] in rules}
        for rule in rules:
            timing = Timing(rule.parameters.held_s, rule.cool_down_minutes * MINUTE_S, is_quiet)
            seen = set()
            for finding in look(rule, lambda subject, rule=rule: _is_open(states.get((rule.id, subject)))):  # type: ignore[misc]
                seen.add(finding.subject)
                self._judge(store, rule, finding, states.get((rule.id, finding.subject)), moment, timing)
            gone = [subject for rule_id, subject in states if rule_id == rule.id and subject not in seen]
            for subject in gone:
                self._forget(store, rule, subject, states[rule.id, subject], moment)

    def _judge(
        self, store: Outbox, rule: Rule, finding: Finding, kept: State | None, moment: Now, timing: Timing
    ) -> None:
        key = rule.id, finding.subject
        before = self._pending[key][1] if key in self._pending else kept
        verdict = judge(before, finding.holds, moment, timing)
        after = verdict.state
        self._pending.pop(key, None)
        if after is not None and after.phase is Phase.PENDING:
            self._pending[key] = rule, after
            # What is kept meanwhile is what matters after a restart.
            after = replace(after, phase=Phase.IDLE) if after.owes or after.told else None
            is_same = kept is not None and after is not None and (kept.owes, kept.told) == (after.owes, after.told)
            after = kept if is_same else after
        if after == kept and verdict.happened is None and verdict.tell is None:
            return
        with store.saving():
            _write(store, rule, finding, kept, replace(verdict, state=after), moment)

    def _forget(self, store: Outbox, rule: Rule, subject: Subject, state: State, moment: Now) -> None:
        """The rule is not about this any more, or it is gone."""
        with store.saving():
            store.alerts.states.put(rule.id, subject, None)
            raised = store.alerts.log.get(state.log_id) if state.log_id and state.phase is Phase.OPEN else None
            if raised:
                words = f"{raised.event.title} is not watched for this any more."
                event = raised.event
                over = replace(event, uid=new_uid(), what=What.OVER, at_utc=moment.utc, words=words, figures={})
                store.alerts.log.add(over)


def _is_open(state: State | None) -> bool:
    return state is not None and state.phase is Phase.OPEN


def _write(store: Outbox, rule: Rule, finding: Finding, before: State | None, verdict: Verdict, moment: Now) -> None:
    """In a transaction: what happened, who is to be told, and how it is now."""
    state = verdict.state
    log_id = state.log_id if state else before.log_id if before else None
    if verdict.happened:
        raised = store.alerts.log.get(before.log_id) if before and before.log_id else None
        is_over = verdict.happened is What.OVER and raised is not None
        alert = raised.event.alert if is_over and raised else new_uid()
        # By the uptime clock: the other one may have been set since.
        lasted_s = moment.uptime_s - state.since.uptime_s if state and not is_over else 0.0
        since_utc = raised.event.since_utc if is_over and raised else moment.utc - lasted_s
        event = Event(
            new_uid(),
            alert,
            verdict.happened,
            moment.utc,
            since_utc,
            rule.id,
            rule.kind.name,
            finding.subject,
            finding.title,
            finding.words,
            finding.figures,
        )
        log_id = store.alerts.log.add(event)
        log.warning("%s: %s", verdict.happened.value, finding.words)
        state = None if state is None else replace(state, log_id=log_id)
    if verdict.tell and log_id is not None:
        told = [each for each in store.alerts.recipients.all() if rule.is_for(each.id)]
        store.alerts.log.tell(log_id, told, moment.utc)
    store.alerts.states.put(rule.id, finding.subject, state)


def forget_old(store: Outbox, now_utc: float) -> None:
    """Forget what is older than 90 days. Only while the clock is believed. Raises NotSaved, sqlite3.Error."""
    with store.saving():
        store.alerts.log.forget(now_utc - KEPT_S)
