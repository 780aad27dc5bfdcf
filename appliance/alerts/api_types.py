"""The JSON of alerts for programs: one type per shape, and each made from what it shows."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from appliance.alerts import changes
from appliance.alerts.judge import What
from appliance.alerts.kinds import Of, Subject
from appliance.alerts.log import Delivery, Entry, OpenAlert, Outcome
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.rules import COOL_DOWN_MINUTES, Rule
from appliance.times import utc_text
from appliance.web.openapi import TIME_SCHEMA

Time = Annotated[str, Meta(extra_json_schema=TIME_SCHEMA)]
CoolDown = Annotated[int, Meta(ge=0, le=changes.MAX_COOL_DOWN_MINUTES)]


class AlertAbout(Struct, kw_only=True):
    """What a rule or an alert is about. id: of the stream, the site, the box or the service; empty where it is all."""

    of: Of
    id: str


class AlertDelivery(Struct, kw_only=True):
    """A message to one recipient. tried: last; null: not yet. problem: why that failed; empty: it did not."""

    recipient: str
    way: Way
    outcome: Outcome
    tries: int
    tried: Time | None
    problem: str


class AlertEvent(Struct, kw_only=True):
    """What happened. message: the id that each message about it has. alert: the same for `raised` and its `over`.

    rule: which may be removed by now; null: it was a test. title: of what it is about, as it was called then.
    figures: what was measured.
    """

    id: int
    message: str
    alert: str
    what: What
    at: Time
    since: Time
    rule: int | None
    kind: str
    about: AlertAbout
    title: str
    words: str
    figures: dict[str, Any]
    deliveries: list[AlertDelivery]


class AlertNow(Struct, kw_only=True):
    """What is wrong now. held_back: quiet hours or the cool-down of the rule keep it untold."""

    rule: int
    kind: str
    about: AlertAbout
    title: str
    words: str
    since: Time
    held_back: bool


class Alerts(Struct, kw_only=True):
    """What is wrong now, and what happened, newest first. next: where the events before them are.

    not_watched: why nothing is watched just now; null: all is.
    """

    now: list[AlertNow]
    not_watched: str | None
    events: list[AlertEvent]
    next: str | None


class AlertRule(Struct, kw_only=True):
    """What is watched for. parameters: whole numbers, by the names that its kind has. recipients: null: all of them.

    cool_down_minutes: for so long after a message none says the same again. words: the rule for people.
    """

    id: int
    kind: str
    about: AlertAbout
    parameters: dict[str, int]
    cool_down_minutes: int
    active: bool
    recipients: list[int] | None
    words: str


class AlertRules(Struct, kw_only=True):
    """Rules, in the order in which they were made."""

    rules: list[AlertRule]


class NewAlertRule(Struct, kw_only=True, forbid_unknown_fields=True):
    """parameters: those left out are as the kind has them. recipients: null: all of them."""

    kind: str
    about: AlertAbout | None = None
    parameters: dict[str, int] = {}
    cool_down_minutes: CoolDown = COOL_DOWN_MINUTES
    recipients: list[int] | None = None


class AlertRuleChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is named is changed; the rest stays. Of parameters, too."""

    parameters: dict[str, int] | UnsetType = UNSET
    cool_down_minutes: CoolDown | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    recipients: list[int] | UnsetType | None = UNSET


class AlertRecipient(Struct, kw_only=True):
    """Who is told. address: a URL, a mail address, a topic; null: only admins see it. signed: messages are."""

    id: int
    name: str
    way: Way
    address: str | None
    signed: bool


class AlertRecipients(Struct, kw_only=True):
    """Recipients, by name."""

    recipients: list[AlertRecipient]


class NewAlertRecipient(Struct, kw_only=True, forbid_unknown_fields=True):
    """secret: of a webhook, 16 characters or more; empty: messages are not signed. No answer has it."""

    name: str
    way: Way
    address: Annotated[str, Meta(examples=["office@example.org"])]
    secret: str = ""


class AlertTest(Struct, kw_only=True):
    """What came of a test. taken: by the other side; whether somebody reads it is another matter."""

    taken: bool
    words: str


def about_json(subject: Subject) -> AlertAbout:
    return AlertAbout(of=subject.of, id=subject.id)


def now_json(alert: OpenAlert) -> AlertNow:
    event = alert.raised.event
    return AlertNow(
        rule=alert.rule_id,
        kind=event.kind,
        about=about_json(alert.subject),
        title=event.title,
        words=event.words,
        since=utc_text(event.since_utc),
        held_back=alert.is_held_back,
    )


def event_json(entry: Entry) -> AlertEvent:
    event = entry.event
    return AlertEvent(
        id=entry.id,
        message=event.uid,
        alert=event.alert,
        what=event.what,
        at=utc_text(event.at_utc),
        since=utc_text(event.since_utc),
        rule=event.rule_id,
        kind=event.kind,
        about=about_json(event.subject),
        title=event.title,
        words=event.words,
        figures=dict(event.figures),
        deliveries=[_delivery(each) for each in entry.deliveries],
    )


def _delivery(delivery: Delivery) -> AlertDelivery:
    return AlertDelivery(
        recipient=delivery.recipient,
        way=delivery.way,
        outcome=delivery.outcome,
        tries=delivery.tries,
        tried=delivery.at_utc,
        problem=delivery.problem,
    )


def numbers_of(rule: Rule) -> dict[str, int]:
    numbers: dict[str, int] = asdict(rule.parameters)
    return numbers


def rule_json(rule: Rule) -> AlertRule:
    return AlertRule(
        id=rule.id,
        kind=rule.kind.name,
        about=about_json(rule.subject),
        parameters=numbers_of(rule),
        cool_down_minutes=rule.cool_down_minutes,
        active=rule.active,
        recipients=None if rule.recipient_ids is None else list(rule.recipient_ids),
        words=rule.words,
    )


def recipient_json(recipient: Recipient, with_address: bool) -> AlertRecipient:
    return AlertRecipient(
        id=recipient.id,
        name=recipient.name,
        way=recipient.way,
        address=recipient.address if with_address else None,
        signed=recipient.has_secret,
    )
