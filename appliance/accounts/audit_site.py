"""The page on which admins read and search the audit; every site has the same."""

from __future__ import annotations

from urllib.parse import urlencode

from appliance.accounts.audit import Action, Entry
from appliance.accounts.audit_details import detail_words, details_of, with_name
from appliance.accounts.audit_meant import meant
from appliance.accounts.audit_search import Search, found
from appliance.accounts.audit_subjects import subject_words
from appliance.accounts.audit_words import words_of
from appliance.accounts.site import Accounts, Store
from appliance.errors import InputError
from appliance.language import N_, _, p_
from appliance.times import utc_text
from appliance.web.access import Access, App
from appliance.web.forms import moment_utc, query_value, whole_number
from appliance.web.pages import Page

PAGE_SIZE = 50
WHO = {"operator": N_("at the command line"), "centre": N_("at the centre"), "token": N_("by a program")}
"""What is said beside a name."""


def add_routes(app: App, accounts: Accounts) -> None:
    """The page."""

    @app.get("/audit", access=Access.ADMIN)
    def audit(store: Store) -> Page:
        wanted, unread = _wanted()
        before = whole_number(query_value("before"))
        also = meant(wanted.text, _actors(accounts.pages.noun))
        page = found(store.audit, wanted, before, PAGE_SIZE + 1, also)
        head, start = store.audit.head(), store.audit.start()
        return accounts.pages.page(
            "audit.html",
            problem=_("Could not read: {names}. A time looks like 2026-11-23T16:00.", names=", ".join(unread))
            if unread
            else None,
            entries=[entry for entry, _proof in page[:PAGE_SIZE]],
            wanted=wanted,
            actions=list(Action),
            words_of=words_of,
            who=who,
            told=told,
            older=f"/audit{_query(wanted, page[PAGE_SIZE - 1][0].number)}" if len(page) > PAGE_SIZE else None,
            newest=f"/audit{_query(wanted)}" if before is not None else None,
            filtered=wanted != Search(),
            head=head,
            start=start,
        )


def _actors(noun: str) -> dict[str, str]:
    """What is said of each kind of actor; noun: of the machine."""
    itself = _("the centre") if noun == "centre" else _("the box")
    unnamed = {"itself": itself, "stranger": f"{_('somebody')}, {_('not signed in')}"}
    return {**unnamed, **{kind: _(words) for kind, words in WHO.items()}}


def _wanted() -> tuple[Search, list[str]]:
    """What the address asks for, and what of it could not be read."""
    unread = []
    times: dict[str, str | None] = {"since": None, "until": None}
    for name, label in (("since", p_("a time", "from")), ("until", p_("a time", "until"))):
        if query_value(name):
            try:
                times[name] = utc_text(moment_utc(query_value(name), name, zone_needed=False))
            except InputError:
                unread.append(label)
    action = query_value("action") or None
    if action and action not in {each.value for each in Action}:
        unread.append(_("what"))
        action = None
    return Search(query_value("search").strip()[:100], action, times["since"], times["until"]), unread


def _query(wanted: Search, before: int | None = None) -> str:
    parts = {
        "search": wanted.text or None,
        "action": wanted.action,
        "since": wanted.since_utc,
        "until": wanted.until_utc,
        "before": before,
    }
    query = urlencode({name: value for name, value in parts.items() if value is not None})
    return f"?{query}" if query else ""


def who(entry: Entry, noun: str) -> tuple[str, str]:
    """Who did it, and what stands beside the name; noun: of the machine."""
    if entry.actor_kind == "itself":
        return _("the centre") if noun == "centre" else _("the box"), ""
    if entry.actor_kind == "stranger":
        return _("somebody"), _("not signed in")
    return entry.actor, _(WHO.get(entry.actor_kind, ""))


def told(entry: Entry) -> tuple[str, list[str]]:
    """What an entry is about, and its details: each with what it is called."""
    details = details_of(entry)
    if details is None:
        return entry.subject, [with_name(_("details"), entry.details)]
    words = [detail_words(name, value) for name, value in details.items()]
    return subject_words(entry.action, entry.subject, details), words
