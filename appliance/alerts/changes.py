"""What may be done to rules and recipients, on every site: with its checks and its entry in the audit.

Who may do it is for the site to say. A secret, and the path of a webhook, stand in no entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import msgspec

from appliance.accounts.audit import Action
from appliance.accounts.audit_details import ALL as EVERYBODY
from appliance.accounts.audit_subjects import NONE, QUIET
from appliance.alerts.alerts import AlertStore
from appliance.alerts.kinds import (
    ALL,
    Centre,
    Clock,
    Disk,
    Offline,
    Parameters,
    Picture,
    Rate,
    Service,
    Subject,
    kind_of,
    parameters_of,
    refuse_subject,
)
from appliance.alerts.recipients import MAX_RECIPIENTS, Recipient, Way, checked
from appliance.alerts.rules import COOL_DOWN_MINUTES, Quiet, Rule
from appliance.errors import InputError, NotFound, about
from appliance.language import N_, _

MAX_RULES = 500
MAX_COOL_DOWN_MINUTES = 7 * 1440
RECOMMENDED: tuple[Parameters, ...] = (Offline(), Picture(), Disk(), Service(), Clock(), Centre(), Rate())
"""What a box had best watch for, with the numbers that the kinds begin with."""


def find_rule(store: AlertStore, rule_id: int) -> Rule:
    """The rule with this id. Raises NotFound."""
    if rule := store.alerts.rules.get(rule_id):
        return rule
    raise NotFound(_("This rule was removed, or never was; choose another."))


def find_recipient(store: AlertStore, recipient_id: int) -> Recipient:
    """The recipient with this id. Raises NotFound."""
    if recipient := store.alerts.recipients.get(recipient_id):
        return recipient
    raise NotFound(_("This recipient was removed, or never was; choose another."))


def add_rule(
    store: AlertStore,
    kind: str,
    numbers: Mapping[str, object],
    subject: Subject,
    title: str,
    recipient_ids: Collection[int] | None,
    now_utc: float,
    kinds: Collection[type[Parameters]],
    cool_down_minutes: int = COOL_DOWN_MINUTES,
) -> int:
    """Add a rule; its id.

    numbers: its parameters; those that are missing are as the kind begins. title: what the subject is called, for the
    audit. recipient_ids: None: everybody. kinds: those that the site has. Raises InputError, NotSaved.
    """
    parameters = parameters_of(kind, numbers, kinds)
    refuse_subject(parameters, subject)
    _refuse(store, cool_down_minutes, recipient_ids)
    if len(store.alerts.rules.all()) >= MAX_RULES:
        raise InputError(_("There are {most} rules, which is the most there can be; remove one first.", most=MAX_RULES))
    with store.saving():
        rule_id = store.alerts.rules.add(parameters, subject, cool_down_minutes, recipient_ids, now_utc)
        details = _details(parameters, cool_down_minutes, recipient_ids)
        store.audit.add(Action.ALERT_RULE_ADDED, title, rule=rule_id, **subject.on_record, **details)
    return rule_id


def change_rule(
    store: AlertStore,
    rule: Rule,
    numbers: Mapping[str, object],
    title: str,
    recipient_ids: Collection[int] | None,
    kinds: Collection[type[Parameters]],
    cool_down_minutes: int,
    active: bool,
) -> None:
    """Change a rule. What was open of it, if it now watches for something else or nothing, is so no more, untold.

    Raises InputError, NotSaved.
    """
    parameters = parameters_of(rule.kind.name, numbers, kinds)
    _refuse(store, cool_down_minutes, recipient_ids)
    with store.saving():
        store.alerts.rules.change(rule.id, parameters, cool_down_minutes, recipient_ids, active)
        if parameters != rule.parameters or active != rule.active:
            store.alerts.states.forget(rule.id)
        of, details = rule.subject.on_record, _details(parameters, cool_down_minutes, recipient_ids)
        store.audit.add(Action.ALERT_RULE_CHANGED, title, rule=rule.id, active=active, **of, **details)


def remove_rule(store: AlertStore, rule: Rule, title: str) -> None:
    """Remove a rule; what it raised stays in the log. Raises NotSaved."""
    with store.saving():
        if store.alerts.rules.remove(rule.id):
            of = rule.subject.on_record
            store.audit.add(Action.ALERT_RULE_REMOVED, title, rule=rule.id, **of, kind=rule.kind.name)


def recommended(store: AlertStore, wanted: Iterable[Parameters] = RECOMMENDED) -> list[Parameters]:
    """What a site had best watch for, of kinds of which there is no rule about all yet."""
    there = {rule.kind.name for rule in store.alerts.rules.all() if rule.subject == ALL}
    return [each for each in wanted if kind_of(each).name not in there]


def add_recommended(
    store: AlertStore, title: str, now_utc: float, wanted: Iterable[Parameters] = RECOMMENDED
) -> list[int]:
    """Add the recommended rules that are missing, for everybody; their ids. Raises NotSaved."""
    made = []
    with store.saving():
        for parameters in recommended(store, wanted):
            rule_id = store.alerts.rules.add(parameters, ALL, COOL_DOWN_MINUTES, None, now_utc)
            details = _details(parameters, COOL_DOWN_MINUTES, None)
            store.audit.add(Action.ALERT_RULE_ADDED, title, rule=rule_id, **details)
            made.append(rule_id)
    return made


def add_recipient(store: AlertStore, way: Way, name: str, address: str, secret: str, now_utc: float) -> int:
    """Add a recipient; its id. Raises InputError, NotSaved."""
    name, address, secret = checked(way, name, address, secret)
    if store.alerts.recipients.count() >= MAX_RECIPIENTS:
        words = N_("There are {most} recipients, which is the most there can be; remove one first.")
        raise InputError(_(words, most=MAX_RECIPIENTS))
    with store.saving():
        recipient_id = store.alerts.recipients.add(way, name, address, secret, now_utc)
        there = Recipient(recipient_id, way, name, address, "")
        store.audit.add(Action.RECIPIENT_ADDED, name, way=way.value, where=there.where, signed=bool(secret))
    return recipient_id


def change_recipient(store: AlertStore, recipient: Recipient, name: str, address: str, secret: str | None) -> None:
    """Change a recipient. secret: None: as it was, unless the address leads to another server. Raises InputError,
    NotSaved.
    """
    changed = replace(recipient, address=address.strip())
    if secret is None:
        secret = recipient.secret if changed.where == recipient.where else ""
    name, address, secret = checked(recipient.way, name, address, secret)
    with store.saving():
        store.alerts.recipients.change(recipient.id, name, address, secret)
        store.audit.add(
            Action.RECIPIENT_CHANGED, name, way=recipient.way.value, where=changed.where, signed=bool(secret)
        )


def remove_recipient(store: AlertStore, recipient: Recipient) -> None:
    """Remove a recipient; what waits for them is not sent. Raises NotSaved."""
    with store.saving():
        if store.alerts.recipients.remove(recipient.id):
            store.audit.add(Action.RECIPIENT_REMOVED, recipient.name, way=recipient.way.value)


@about("from")
def set_quiet(store: AlertStore, quiet: Quiet | None) -> None:
    """Have these quiet hours, or none. Raises InputError, NotSaved."""
    if quiet is not None:
        minutes = (quiet.from_minute, quiet.until_minute)
        if not all(0 <= minute < 1440 for minute in minutes) or minutes[0] == minutes[1]:
            raise InputError(_("Quiet hours are from one time of the day to another, such as 22:00 to 07:00."))
    with store.saving():
        store.alerts.rules.set_quiet(quiet)
        words = NONE if quiet is None else _quiet_words(quiet)
        store.audit.add(Action.QUIET_HOURS_CHANGED, words)


def _quiet_words(quiet: Quiet) -> str:
    return QUIET.format(since=_clock(quiet.from_minute), until=_clock(quiet.until_minute))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@about("cool_down")
def _refuse(store: AlertStore, cool_down_minutes: int, recipient_ids: Collection[int] | None) -> None:
    if not 0 <= cool_down_minutes <= MAX_COOL_DOWN_MINUTES:
        words = N_("The cool-down is a whole number of minutes from 0 to {most}.")
        raise InputError(_(words, most=MAX_COOL_DOWN_MINUTES))
    if recipient_ids is not None:
        known = {each.id for each in store.alerts.recipients.all()}
        if not known.issuperset(recipient_ids):
            raise NotFound(_("A recipient of this rule was removed meanwhile; choose again who is told."))


def _details(
    parameters: Parameters, cool_down_minutes: int, recipient_ids: Collection[int] | None
) -> dict[str, object]:
    numbers = msgspec.to_builtins(parameters)
    told = EVERYBODY if recipient_ids is None else sorted(set(recipient_ids))
    return {**numbers, "cool_down_minutes": cool_down_minutes, "recipients": told}
