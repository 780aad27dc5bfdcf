"""What a site hands in, so that it has pages of alerts, and what these share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bottle import HTTPResponse

from appliance.accounts.audit import Action, record
from appliance.accounts.audit_subjects import MAIL_SERVER
from appliance.accounts.guard import Visitor
from appliance.alerts import trial
from appliance.alerts.alerts import AlertStore
from appliance.alerts.changes import find_rule
from appliance.alerts.kinds import Of, Parameters, Subject, kind_of
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.rules import Rule
from appliance.alerts.sending import Send
from appliance.alerts.tried import Trial, Trials
from appliance.errors import InputError, NotAllowed, NotFound, UserError
from appliance.language import N_, _
from appliance.mail import clean_address
from appliance.retold import retold
from appliance.times import Now
from appliance.web.pages import Page, Pages

VIEWS = Path(__file__).parent / "views"
DONE = {
    "rule-saved": N_("The rule is saved."),
    "rule-removed": N_("The rule is removed."),
    "rules-added": N_("The recommended rules are in force."),
    "recipient-saved": N_("The recipient is saved. Send a test to see whether messages arrive."),
    "recipient-removed": N_("The recipient is removed."),
    "quiet-saved": N_("The quiet hours are saved."),
    "mail-saved": N_("The mail server is saved. Send a test to see whether it takes mail."),
    "mail-removed": N_("No mail is sent any more."),
}
"""What a page says after a redirect, by the word in its address."""
WAYS = {Way.EMAIL: N_("by e-mail"), Way.WEBHOOK: N_("by webhook"), Way.MQTT: N_("by MQTT")}
EACH = {"stream": N_("each stream"), "box": N_("each box")}
ALL_TOGETHER = {"stream": N_("all streams together"), "box": N_("all boxes together")}
"""What a rule about all is about, by what a site has many of."""
NO_MQTT = N_("A box tells nobody by MQTT; choose e-mail or a webhook.")
NO_MQTT_OF_CENTRE = N_("A centre tells nobody by MQTT; choose e-mail or a webhook.")
TOGETHER = ("rate",)
"""Kinds whose rules about several things take them together; of others, each is judged for itself."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What a visitor may make rules about, and sees alerts of. titles: of each, in order. all: everything there is.

    looks_only: they may make no rule.
    """

    titles: Mapping[Subject, str]
    all: bool
    looks_only: bool = False

    @property
    def subjects(self) -> list[Subject] | None:
        """Of which they see alerts; None: of all."""
        return None if self.all else list(self.titles)

    def may_edit(self, subject: Subject) -> bool:
        """Whether they may make, change and remove rules about it."""
        return self.all or (not self.looks_only and subject in self.titles)

    @property
    def may_make(self) -> bool:
        """Whether they may make a rule at all."""
        return self.all or not self.looks_only

    def may_see(self, rule: Rule) -> bool:
        """Whether they see that there is this rule: of their own, and of all."""
        return self.all or rule.subject.of is Of.ALL or rule.subject in self.titles


@dataclass(frozen=True)
class AlertSite:
    """What the pages of alerts share; may be used by several threads at once.

    folder: where the mail server is kept. kinds: of rules that the site has. recommended: of them. noun: of what it
    has many (stream, box). theirs: what is a visitor's. address: where the page of a subject is; empty: it has none.
    zone: whose clocks quiet hours go by. trouble: why nothing is watched just now; None: all is.
    ways: what sends a test, by mail at least; the others go through the outbox. mqtt: what is said of topics; empty:
    the site has none. examples: of what can be wrong.
    """

    pages: Pages
    folder: Path
    kinds: Sequence[type[Parameters]]
    recommended: Sequence[Parameters]
    noun: str
    theirs: Callable[[Any, Visitor, Now], Theirs]
    address: Callable[[Subject], str]
    zone: Callable[[Any], str]
    trouble: Callable[[Any, Now], str | None]
    ways: Mapping[Way, Send]
    mqtt: str
    examples: str = N_("a stream that went offline, a rate that is too low, a disk that is almost full")
    trials: Trials = field(default_factory=Trials)

    @property
    def name(self) -> str:
        """What people call the machine."""
        return self.pages.title() if self.pages.title else self.pages.name

    def refuse(self, way: Way) -> None:
        """Raise InputError if the site cannot tell anybody this way."""
        if way is Way.MQTT and not self.mqtt:
            is_centre = self.pages.noun == "centre"
            raise InputError(_(NO_MQTT_OF_CENTRE if is_centre else NO_MQTT))

    def page(self, view: str, **values: Any) -> Page:
        """A page about alerts."""
        return self.pages.page(view, **values)

    def done(self, path: str, word: str) -> HTTPResponse:
        """Lead on to a page of ours, which says what was done. word: of DONE."""
        return self.pages.done(path, _(DONE[word]))

    def whose(self, parameters: Parameters, subject: Subject, titles: Mapping[Subject, str]) -> str:
        """What a rule is about, for people. titles: of what there is."""
        kind = kind_of(parameters)
        if subject.of is Of.SITE and kind.name not in TOGETHER:
            return _("each box of {site}", site=titles.get(subject, subject.id))
        if subject.of is not Of.ALL:
            return titles.get(subject, f"{subject.of.value} {subject.id}")
        if kind.subjects == (Of.ALL,):
            return _("this centre") if self.pages.noun == "centre" else _("this box")
        return _((ALL_TOGETHER if kind.name in TOGETHER else EACH)[self.noun])


def rule_to_edit(site: AlertSite, store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> tuple[Rule, Theirs]:
    """A rule that the visitor may change. Raises NotFound, also for another's, NotAllowed for one about all."""
    theirs, rule = site.theirs(store, visitor, now), find_rule(store, rule_id)
    if theirs.may_edit(rule.subject):
        return rule, theirs
    if theirs.may_see(rule):
        words = N_("Only an admin may change rules. Ask one, or go back.")
        if not theirs.looks_only:
            words = N_("Only an admin may change rules about more than one stream. Ask one, or go back.")
        raise NotAllowed(_(words))
    raise NotFound(_("This rule was removed, or never was; choose another."))


def trial_name(recipient_id: int) -> str:
    """By what the last test of a recipient is kept."""
    return f"recipient {recipient_id}"


def send_test(site: AlertSite, store: AlertStore, recipient: Recipient, now: Now) -> Trial:
    """Send a test now; what came of it, which also stands in the log. Raises InputError: too many at once."""
    return site.trials.run(
        trial_name(recipient.id), now, lambda: trial.send_test(store, site.ways, recipient, site.name, now.utc)
    )


def send_test_mail(site: AlertSite, store: AlertStore, to: str, now: Now) -> Trial:
    """Send a test by the mail server to any address; what came of it. Raises InputError, NotSaved."""
    anybody = Recipient(0, Way.EMAIL, MAIL_SERVER, clean_address(to), "")

    def send() -> str:
        record(store, Action.RECIPIENT_TESTED, MAIL_SERVER, way=anybody.way.value, where=anybody.where)
        if problem := trial.why_not_sent(site.ways[Way.EMAIL], anybody, trial.test_event(site.name, now.utc)):
            raise UserError(retold(problem))
        return _("The mail server has taken a message to {address}: see whether it has come.", address=anybody.where)

    return site.trials.run(MAIL_SERVER, now, send)
