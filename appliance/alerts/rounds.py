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
from appliance.language import ENGLISH, _, speaking
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
    """Call `step` every few seconds, with a connection to the store.

    What is only pending is kept in memory: so much comes and goes that it would wear out an SD card, and a restart only
    begins to wait again.
    """

    def __init__(self) -> None:
        self._pending: dict[_Key, tuple[Rule, State]] = {}

    def step(self, store: Outbox, look: Look, moment: Now, zone: TimeZone) -> None:
        """Judge every active rule. Raises OSError, sqlite3.Error, NotSaved: nothing of that rule is noted."""
        with speaking(ENGLISH):  # the record is in one language
            self._step(store, look, moment, zone)

    def _step(self, store: Outbox, look: Look, moment: Now, zone: TimeZone) -> None:
        rules = [rule for rule in store.alerts.rules.all() if rule.active]
        states = store.alerts.states.all()
        local = zone.local(moment.utc)
        quiet = store.alerts.rules.quiet()
        is_quiet = quiet is not None and quiet.holds(local.hour * 60 + local.minute)
        self._pending = {key: each for key, each in self._pending.items() if each[0] in rules}
        trouble: OSError | None = None
        for rule in rules:
            timing = Timing(rule.parameters.held_s, rule.cool_down_minutes * MINUTE_S, is_quiet)
            try:
                self._step_rule(store, rule, look, states, moment, timing)
            except OSError as error:  # of a disk, say; the other rules are judged all the same
                trouble = trouble or error
        if trouble:
            raise trouble

    def _step_rule(
        self, store: Outbox, rule: Rule, look: Look, states: Mapping[_Key, State], moment: Now, timing: Timing
    ) -> None:
        """Judge one rule, in one transaction: so what happens together is told together."""
        seen: set[Subject] = set()
        pending: dict[_Key, tuple[Rule, State]] = {}
        changes: list[tuple[Finding, State | None, Verdict]] = []
        for finding in look(rule, lambda subject: _is_open(states.get((rule.id, subject)))):
            key = rule.id, finding.subject
            seen.add(finding.subject)
            kept = states.get(key)
            before = self._pending[key][1] if key in self._pending else kept
            verdict, waits = _kept(judge(before, finding.holds, moment, timing), kept)
            if waits:
                pending[key] = rule, waits
            if verdict.state != kept or verdict.happened or verdict.tell:
                changes.append((finding, kept, verdict))
        gone = [subject for rule_id, subject in states if rule_id == rule.id and subject not in seen]
        if changes or gone:
            with store.saving():
                for change in changes:
                    _write(store, rule, *change, moment)
                for subject in gone:
                    _forget(store, rule, subject, states[rule.id, subject], moment)
        self._pending = {key: each for key, each in self._pending.items() if key[0] != rule.id} | pending


def _kept(verdict: Verdict, kept: State | None) -> tuple[Verdict, State | None]:
    """A verdict with the state that is stored, and the state that is only kept in mind, if there is one."""
    after = verdict.state
    if after is None or after.phase is not Phase.PENDING:
        return verdict, None
    # What is stored meanwhile is what matters after a restart.
    stored = replace(after, phase=Phase.IDLE) if after.owes or after.told else None
    is_same = kept is not None and stored is not None and (kept.owes, kept.told) == (stored.owes, stored.told)
    return replace(verdict, state=kept if is_same else stored), after


def _forget(store: Outbox, rule: Rule, subject: Subject, state: State, moment: Now) -> None:
    """In a transaction: the rule is not about this any more, or it is gone."""
    store.alerts.states.put(rule.id, subject, None)
    raised = store.alerts.log.get(state.log_id) if state.log_id and state.phase is Phase.OPEN else None
    if raised:
        words = _("{title} is not watched for this any more.", title=raised.event.title)
        over = replace(raised.event, uid=new_uid(), what=What.OVER, at_utc=moment.utc, words=words, figures={})
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
