"""The rules of a site: listed, made, changed, removed. Admins may all; others, rules about what is their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bottle import request

from appliance.accounts.guard import Visitor
from appliance.alerts import changes
from appliance.alerts.alerts import AlertStore
from appliance.alerts.kinds import ALL, KINDS, Kind, Of, Parameters, Subject
from appliance.alerts.rules import COOL_DOWN_MINUTES, Quiet, Rule
from appliance.alerts.site import TOGETHER, AlertSite, Theirs, rule_to_edit
from appliance.errors import InputError, NotAllowed, UserError, about
from appliance.language import ENGLISH, N_, _, labelled, speaking
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, query_value, whole_number
from appliance.web.pages import Page

RULES = "/alerts/rules"
EVERYBODY, CHOSEN = "all", "chosen"
ABOUT = {
    "rate": N_(
        "Of those who were judged, too few wear a mask properly. Nothing is said before enough people were judged."
    ),
    "nobody": N_("A stream is LIVE, and nobody was judged in it: the camera may look elsewhere, or from too far away."),
    "offline": N_("A stream is active, and no picture comes."),
    "picture": N_("The picture is dark, blurred or covered, or the camera was moved."),
    "disk": N_("When the disk is full, no images are kept, and in the end nothing new at all."),
    "service": N_("What a service does, nobody does while it is not running."),
    "clock": N_("The times of what is seen may be wrong."),
    "centre": N_("The centre does not get what this box counts. It is kept here and sent later."),
    "gone": N_("Nothing is heard of a box: it has no power, or no network."),
    "backlog": N_("A box counts more than it can send: its network is slow, or fails often."),
}
"""What a kind of rule is for."""
NOT_THEIRS = {
    "stream": N_("Choose a stream of your own; only an admin may have others watched."),
    "box": N_("Choose a box of your own; only an admin may have others watched."),
}
NOT_THERE = {
    "stream": N_("Choose which stream is to be watched; this one is gone."),
    "box": N_("Choose which box is to be watched; this one is gone."),
}
"""By what a site has many of."""


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule in the list. told: who; pace: how often."""

    id: int
    words: str
    whose: str
    address: str
    told: str
    pace: str
    active: bool
    is_open: bool
    may_edit: bool


def add_routes(app: App, site: AlertSite) -> None:
    """List, make, change, remove; and the quiet hours."""
    _add_changes(app, site)
    _add_settings(app, site)

    @app.get(RULES, access=Access.SIGNED_IN)
    def rules(store: AlertStore, visitor: Visitor, now: Now) -> Page:
        return _list(site, store, visitor, now)

    @app.get(f"{RULES}/new", access=Access.SIGNED_IN)
    def new_rule(store: AlertStore, visitor: Visitor, now: Now) -> Page:
        theirs, kind = site.theirs(store, visitor, now), KINDS.get(query_value("kind"))
        subject = query_value("subject")
        offered = [each for each in _kinds(site) if choices(site, each, theirs)]
        if kind is None or kind not in offered:
            about = [(each, _(ABOUT[each.name])) for each in offered]
            return site.page("rule_kinds.html", kinds=about, subject=subject)
        return _form(site, store, theirs, kind, {**_blank(kind), "subject": subject or EVERYBODY})

    @app.post(RULES, access=Access.SIGNED_IN)
    def make(store: AlertStore, visitor: Visitor, now: Now) -> Page:
        theirs, kind = site.theirs(store, visitor, now), KINDS.get(field("kind"))
        if kind is None or kind not in _kinds(site):
            raise InputError(_("Choose what is to be watched, then send again."))
        typed = _typed(kind)
        try:
            subject = subject_named(str(typed["subject"]))
            if not theirs.may_edit(subject):
                raise NotAllowed(_(NOT_THEIRS[site.noun]))
            if subject != ALL and subject not in theirs.titles:
                raise InputError(_(NOT_THERE[site.noun]))
            changes.add_rule(
                store,
                kind.name,
                _numbers(kind, typed),
                subject,
                theirs.titles.get(subject, _on_record(site, kind.type(), ALL, {})),
                _recipients(typed),
                now.utc,
                site.kinds,
                _cool_down(typed),
            )
        except UserError as error:
            return _form(site, store, theirs, kind, typed, problem=error)
        return site.done(RULES, "rule-saved")


def _add_changes(app: App, site: AlertSite) -> None:
    @app.get(f"{RULES}/<rule_id:int>", access=Access.SIGNED_IN)
    def edit_form(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> Page:
        rule, theirs = rule_to_edit(site, store, visitor, now, rule_id)
        return _form(site, store, theirs, rule.kind, _as_stored(rule), rule)

    @app.post(f"{RULES}/<rule_id:int>", access=Access.SIGNED_IN)
    def edit(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> Page:
        rule, theirs = rule_to_edit(site, store, visitor, now, rule_id)
        typed = _typed(rule.kind)
        whose = _on_record(site, rule.parameters, rule.subject, theirs.titles)
        try:
            numbers, cool_down, told = _numbers(rule.kind, typed), _cool_down(typed), _recipients(typed)
            changes.change_rule(store, rule, numbers, whose, told, site.kinds, cool_down, bool(typed["active"]))
        except UserError as error:
            return _form(site, store, theirs, rule.kind, typed, rule, problem=error)
        return site.done(RULES, "rule-saved")

    @app.get(f"{RULES}/<rule_id:int>/remove", access=Access.SIGNED_IN)
    def confirm_removal(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> Page:
        rule, theirs = rule_to_edit(site, store, visitor, now, rule_id)
        return site.page("rule_remove.html", rule=rule, whose=site.whose(rule.parameters, rule.subject, theirs.titles))

    @app.post(f"{RULES}/<rule_id:int>/remove", access=Access.SIGNED_IN)
    def remove(store: AlertStore, visitor: Visitor, now: Now, rule_id: int) -> Page:
        rule, theirs = rule_to_edit(site, store, visitor, now, rule_id)
        changes.remove_rule(store, rule, _on_record(site, rule.parameters, rule.subject, theirs.titles))
        return site.done(RULES, "rule-removed")


def _add_settings(app: App, site: AlertSite) -> None:
    @app.post(f"{RULES}/recommended", access=Access.ADMIN)
    def add_recommended(store: AlertStore, now: Now) -> Page:
        changes.add_recommended(store, f"this {site.pages.noun}", now.utc, site.recommended)
        return site.done(RULES, "rules-added")

    @app.post("/alerts/quiet", access=Access.ADMIN)
    def set_quiet(store: AlertStore, visitor: Visitor, now: Now) -> Page:
        typed = {name: field(name) for name in ("from", "until")}
        try:
            changes.set_quiet(store, quiet_hours(typed["from"], typed["until"]))
        except UserError as error:
            return _list(site, store, visitor, now, problem=error, quiet=typed)
        return site.done(RULES, "quiet-saved")


def _on_record(site: AlertSite, parameters: Parameters, subject: Subject, titles: Mapping[Subject, str]) -> str:
    """What a rule is about, for the audit, which is in one language."""
    with speaking(ENGLISH):
        return site.whose(parameters, subject, titles)


def choices(site: AlertSite, kind: Kind, theirs: Theirs) -> list[tuple[str, str]]:
    """What a new rule of this kind may be about: its value in a form, and its words."""
    if not theirs.may_make:
        return []
    everything = [(EVERYBODY, site.whose(kind.type(), ALL, {}))] if theirs.all and Of.ALL in kind.subjects else []
    found = [(subject, title) for subject, title in theirs.titles.items() if subject.of in kind.subjects]
    return everything + [(f"{subject.of.value}:{subject.id}", title) for subject, title in found]


def subject_named(text: str) -> Subject:
    """What a form names: `all`, `stream:3`. Raises InputError."""
    of, _colon, name = text.partition(":")
    try:
        return Subject(Of(of), name)
    except ValueError as error:
        raise InputError(_("Choose what the rule is about.")) from error


def quiet_hours(since: str, until: str) -> Quiet | None:
    """Two times of the day, such as 22:00 and 07:00; both empty: no quiet hours. Raises InputError."""
    if not since and not until:
        return None
    with about("from"):
        from_minute = _minute(since)
    with about("until"):
        return Quiet(from_minute, _minute(until))


def _minute(text: str) -> int:
    hours, colon, minutes = text.partition(":")
    hour, minute = whole_number(hours), whole_number(minutes[:2])
    if not colon or hour is None or minute is None or hour > 23 or minute > 59:
        raise InputError(_("Quiet hours are from one time of the day to another, such as 22:00 to 07:00."))
    return 60 * hour + minute


def _kinds(site: AlertSite) -> list[Kind]:
    return [kind for kind in KINDS.values() if kind.type in site.kinds]


def _blank(kind: Kind) -> dict[str, Any]:
    numbers = {each.name: str(each.default) for each in kind.parameters}
    return {**numbers, "cool_down": str(COOL_DOWN_MINUTES), "to": EVERYBODY, "recipients": [], "active": True}


def _as_stored(rule: Rule) -> dict[str, Any]:
    numbers = {each.name: str(getattr(rule.parameters, each.name)) for each in rule.kind.parameters}
    return {
        **numbers,
        "cool_down": str(rule.cool_down_minutes),
        "to": EVERYBODY if rule.recipient_ids is None else CHOSEN,
        "recipients": [str(each) for each in rule.recipient_ids or ()],
        "active": rule.active,
    }


def _typed(kind: Kind) -> dict[str, Any]:
    numbers = {each.name: field(each.name) for each in kind.parameters}
    chosen = [text for text in request.forms.getall("recipients") if whole_number(text) is not None]
    return {
        **numbers,
        "subject": field("subject") or EVERYBODY,
        "cool_down": field("cool_down"),
        "to": field("to") or EVERYBODY,
        "recipients": chosen,
        "active": bool(field("active")),
    }


def _numbers(kind: Kind, typed: Mapping[str, Any]) -> dict[str, object]:
    """What is no whole number stays text, and is refused by its name."""
    read = {each.name: whole_number(str(typed[each.name])) for each in kind.parameters}
    return {name: typed[name] if number is None else number for name, number in read.items()}


def _recipients(typed: Mapping[str, Any]) -> list[int] | None:
    return None if typed["to"] == EVERYBODY else [int(each) for each in typed["recipients"]]


def _cool_down(typed: Mapping[str, Any]) -> int:
    minutes = whole_number(str(typed["cool_down"]))
    return -1 if minutes is None else minutes  # which is refused


def _form(
    site: AlertSite,
    store: AlertStore,
    theirs: Theirs,
    kind: Kind,
    typed: Mapping[str, Any],
    rule: Rule | None = None,
    **values: Any,
) -> Page:
    return site.page(
        "rule_form.html",
        kind=kind,
        about=_(ABOUT[kind.name]),
        noun=site.noun,
        together=TOGETHER,
        choices=[] if rule else choices(site, kind, theirs),
        whose=site.whose(rule.parameters, rule.subject, theirs.titles) if rule else "",
        typed=typed,
        rule=rule,
        recipients=store.alerts.recipients.all(),
        most_cool_down=changes.MAX_COOL_DOWN_MINUTES,
        **values,
    )


def _list(site: AlertSite, store: AlertStore, visitor: Visitor, now: Now, **values: Any) -> Page:
    theirs = site.theirs(store, visitor, now)
    names = {each.id: each.name for each in store.alerts.recipients.all()}
    are_open = {each.rule_id for each in store.alerts.log.open(theirs.subjects)}
    seen = [rule for rule in store.alerts.rules.all() if theirs.may_see(rule)]
    quiet = store.alerts.rules.quiet()
    now_quiet = {"from": _clock(quiet.from_minute), "until": _clock(quiet.until_minute)} if quiet else {}
    missing = changes.recommended(store, site.recommended) if theirs.all else []
    shown = {
        "rules": [_row(site, rule, theirs, names, rule.id in are_open) for rule in seen],
        "recipients": len(names),
        "may_make": theirs.may_make,
        "missing": [labelled(each.words(), site.whose(each, ALL, {})) for each in missing],
        "quiet": now_quiet,
        "zone": site.zone(store),
        "problem": None,
    }
    return site.page("rules.html", **{**shown, **values})


def _row(site: AlertSite, rule: Rule, theirs: Theirs, names: Mapping[int, str], is_open: bool) -> RuleRow:
    told = _("tells nobody, and stands on the page Alerts")
    if rule.recipient_ids is None:
        told = _("tells everybody")
    elif rule.recipient_ids:
        told = _("tells {names}", names=", ".join(names[each] for each in rule.recipient_ids))
    minutes = rule.cool_down_minutes
    return RuleRow(
        id=rule.id,
        words=rule.words,
        whose=site.whose(rule.parameters, rule.subject, theirs.titles),
        address=site.address(rule.subject) if rule.subject.of is not Of.ALL else "",
        told=told,
        pace=_("at most every {minutes} min", minutes=minutes) if minutes else _("each time"),
        active=rule.active,
        is_open=is_open,
        may_edit=theirs.may_edit(rule.subject),
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
