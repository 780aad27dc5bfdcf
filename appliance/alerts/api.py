"""Alerts for programs: what is wrong now, what happened, rules and recipients. The same on every site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bottle import HTTPResponse
from msgspec import UNSET

from appliance.accounts.guard import Visitor
from appliance.alerts import api_types as shapes
from appliance.alerts import changes
from appliance.alerts.alerts import AlertStore
from appliance.alerts.kinds import ALL, Of, Subject
from appliance.alerts.site import AlertSite, Theirs, rule_to_edit, send_test
from appliance.errors import InputError, NotAllowed, NotFound
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.api import answer, body, id_parameter
from appliance.web.openapi import ID, Operation

MAX_LIMIT, DEFAULT_LIMIT = 200, 50
_PAGING: dict[str, tuple[dict[str, Any], str]] = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "how many events at most; 50 if left out"),
    "before": (ID, "only events before the one with this id; `next` of an answer has it"),
}
RULE, RECIPIENT = "/api/v1/alert-rules/{rule_id}", "/api/v1/alert-recipients/{recipient_id}"
OPERATIONS = (
    Operation("GET", "/api/v1/alerts", "What is wrong now, and what happened, newest first", shapes.Alerts,
        query=_PAGING,
    ),
    Operation("GET", "/api/v1/alert-rules", "What is watched for", shapes.AlertRules),
    Operation(
        "POST", "/api/v1/alert-rules", "Watch for something", shapes.AlertRule, 201, shapes.NewAlertRule,
        also=(403, 404),
    ),
    Operation("GET", RULE, "One rule", shapes.AlertRule, also=(403,)),
    Operation("PATCH", RULE, "Change a rule", shapes.AlertRule, takes=shapes.AlertRuleChange, also=(403,)),
    Operation("DELETE", RULE, "Remove a rule", status=204, also=(403,)),
    Operation("GET", "/api/v1/alert-recipients", "Who can be told", shapes.AlertRecipients),
    Operation(
        "POST", "/api/v1/alert-recipients", "Add a recipient (admin)", shapes.AlertRecipient, 201,
        shapes.NewAlertRecipient, also=(403, 409),
    ),
    Operation("DELETE", RECIPIENT, "Remove a recipient (admin)", status=204, also=(403,)),
    Operation("POST", f"{RECIPIENT}/test", "Send a test there (admin)", shapes.AlertTest, also=(403,)),
)  # fmt: skip


def add_routes(app: App, site: AlertSite) -> None:
    """All operations."""
    _add_rules(app, site)
    _add_rule_changes(app, site)
    _add_recipients(app, site)

    @app.get("/api/v1/alerts", access=Access.SIGNED_IN)
    def alerts(store: AlertStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """What is wrong now; events, newest first, paged."""
        limit, subjects = _limit(), site.theirs(store, visitor, now).subjects
        found = store.alerts.log.page(limit + 1, id_parameter("before"), subjects)
        page, prefix = found[:limit], site.pages.address.prefix
        following = f"{prefix}/api/v1/alerts?limit={limit}&before={page[-1].id}" if len(found) > limit else None
        return answer(
            shapes.Alerts(
                now=[shapes.now_json(each) for each in store.alerts.log.open(subjects)],
                not_watched=site.trouble(store, now),
                events=[shapes.event_json(each) for each in page],
                next=following,
            )
        )


def _add_rules(app: App, site: AlertSite) -> None:
    @app.get("/api/v1/alert-rules", access=Access.SIGNED_IN)
    def rules(store: AlertStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """Those about what is the visitor's own, and those about all."""
        theirs = site.theirs(store, visitor, now)
        seen = [rule for rule in store.alerts.rules.all() if theirs.may_see(rule)]
        return answer(shapes.AlertRules(rules=[shapes.rule_json(each) for each in seen]))

    @app.post("/api/v1/alert-rules", access=Access.SIGNED_IN)
    def add_rule(store: AlertStore, visitor: Visitor, now: Now) -> HTTPResponse:
        """Make a rule."""
        new, theirs = body(shapes.NewAlertRule), site.theirs(store, visitor, now)
        subject = ALL if new.about is None else Subject(new.about.of, new.about.id)
        title = subject_title(site, theirs, subject)
        numbers: Mapping[str, object] = new.parameters
        rule_id = changes.add_rule(
            store, new.kind, numbers, subject, title, new.recipients, now.utc, site.kinds, new.cool_down_minutes
        )
        return answer(shapes.rule_json(changes.find_rule(store, rule_id)), 201)


def _add_rule_changes(app: App, site: AlertSite) -> None:
    path = RULE.replace("{rule_id}", "<rule_id:int>")

    @app.get(path, access=Access.SIGNED_IN)
    def one_rule(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> HTTPResponse:
        """One rule."""
        rule = changes.find_rule(store, rule_id)
        if not site.theirs(store, visitor, now).may_see(rule):
            raise NotFound("This rule was removed, or never was; choose another.")
        return answer(shapes.rule_json(rule))

    @app.patch(path, access=Access.SIGNED_IN)
    def change_rule(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> HTTPResponse:
        """Change what is named."""
        rule, theirs = rule_to_edit(site, store, visitor, now, rule_id)
        change = body(shapes.AlertRuleChange)
        numbers = {**shapes.numbers_of(rule), **(change.parameters or {})}
        changes.change_rule(
            store,
            rule,
            numbers,
            site.whose(rule.parameters, rule.subject, theirs.titles),
            rule.recipient_ids if change.recipients is UNSET else change.recipients,
            site.kinds,
            rule.cool_down_minutes if change.cool_down_minutes is UNSET else change.cool_down_minutes,
            rule.active if change.active is UNSET else change.active,
        )
        return answer(shapes.rule_json(changes.find_rule(store, rule_id)))

    @app.delete(path, access=Access.SIGNED_IN)
    def remove_rule(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> HTTPResponse:
        """Remove it."""
        rule, theirs = rule_to_edit(site, store, visitor, now, rule_id)
        changes.remove_rule(store, rule, site.whose(rule.parameters, rule.subject, theirs.titles))
        return HTTPResponse(status=204)


def _add_recipients(app: App, site: AlertSite) -> None:
    path = RECIPIENT.replace("{recipient_id}", "<recipient_id:int>")

    @app.get("/api/v1/alert-recipients", access=Access.SIGNED_IN)
    def recipients(store: AlertStore, visitor: Visitor) -> HTTPResponse:
        """Who can be told; where, for admins only."""
        found = store.alerts.recipients.all()
        return answer(
            shapes.AlertRecipients(recipients=[shapes.recipient_json(each, visitor.is_admin) for each in found])
        )

    @app.post("/api/v1/alert-recipients", access=Access.ADMIN)
    def add_recipient(store: AlertStore, now: Now) -> HTTPResponse:
        """Add one."""
        new = body(shapes.NewAlertRecipient)
        site.refuse(new.way)
        made = changes.add_recipient(store, new.way, new.name, new.address, new.secret, now.utc)
        return answer(shapes.recipient_json(changes.find_recipient(store, made), True), 201)

    @app.delete(path, access=Access.ADMIN)
    def remove_recipient(store: AlertStore, recipient_id: int) -> HTTPResponse:
        """Remove one."""
        changes.remove_recipient(store, changes.find_recipient(store, recipient_id))
        return HTTPResponse(status=204)

    @app.post(f"{path}/test", access=Access.ADMIN)
    def test_recipient(store: AlertStore, now: Now, recipient_id: int) -> HTTPResponse:
        """Send a test, and say what came of it."""
        recipient = changes.find_recipient(store, recipient_id)
        trial = send_test(site, store, recipient, now)
        return answer(shapes.AlertTest(taken=trial.ok, words=trial.words))


def subject_title(site: AlertSite, theirs: Theirs, subject: Subject) -> str:
    """What a new rule is about, for the audit. Raises NotAllowed, NotFound: it is another's, or gone."""
    if subject in theirs.titles:
        return theirs.titles[subject]
    if subject == ALL and theirs.all:
        return f"this {site.pages.noun}"
    if subject.of is Of.ALL:
        raise NotAllowed(f"Only an admin may have rules about more than one {site.noun}; name one of your own.")
    raise NotFound(f"There is no such {subject.of.value}, or it is not yours.")


def _limit() -> int:
    limit = id_parameter("limit")
    if limit is not None and not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"limit must be from 1 to {MAX_LIMIT}.")
    return DEFAULT_LIMIT if limit is None else limit
