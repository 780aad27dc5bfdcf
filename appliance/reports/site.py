"""The pages of reports, on every site: a report to read and to print, and what is sent by mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottle import request

from appliance import mail
from appliance.accounts.guard import Visitor
from appliance.errors import InputError, NotSaved, UserError
from appliance.faces import State
from appliance.language import N_, _
from appliance.reports import changes, words
from appliance.reports.charts import charts
from appliance.reports.figures import Source
from appliance.reports.links import Links, ListAddress, linked, no_list
from appliance.reports.periods import Kind, Period, day_number, day_of, period_of
from appliance.reports.report import report
from appliance.reports.schedules import Plan, Schedule
from appliance.retold import retold
from appliance.time_zone import TimeZone
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.charts import interval
from appliance.web.forms import field, query_value
from appliance.web.pages import Page, Pages
from appliance.web.svg import STATE_LABELS

VIEWS = Path(__file__).parent / "views"
DONE = {
    "added": N_("It is sent from now on; the first one when the next is over."),
    "changed": N_("It is sent like this from now on."),
    "sending": N_("It is being sent; what became of it stands below."),
    "removed": N_("It is sent no more."),
}
"""What is said after a form was sent, by its word in the address."""
LABELS = {Kind.DAY: N_("Day"), Kind.WEEK: N_("Week"), Kind.MONTH: N_("Month")}
OF_A = {Kind.DAY: N_("day"), Kind.WEEK: N_("week"), Kind.MONTH: N_("month")}
NO_SUCH = {
    "stream": N_("There is no such stream; these are the numbers of all of them."),
    "box": N_("There is no such box; these are the numbers of all of them."),
}


@dataclass(frozen=True)
class Reports:
    """What the pages share.

    folder: where the mail server is kept. source: the sums of these subjects, None: of all, as the visitor may see
    them. subjects: what a report can be of, by id, with its name. noun: what these are called. server_page: where the
    mail server is set. knows_time: whether the clock is believed, without which nothing is sent. lists: where
    the persons are listed.
    """

    pages: Pages
    folder: Path
    source: Callable[[Any, Visitor, tuple[str, ...] | None, Now], Source]
    subjects: Callable[[Any, Visitor, Now], Mapping[str, str]]
    zone: Callable[[Any], TimeZone]
    knows_time: Callable[[Any, Now], bool]
    noun: str
    server_page: str
    lists: Callable[[Any], ListAddress] = lambda _store: no_list


@dataclass(frozen=True, slots=True)
class Asked:
    """Which report an address asks for. problem: what of it could not be read."""

    period: Period
    subjects: tuple[str, ...] | None
    problem: str | None = None

    def address(self, **other: Any) -> str:
        """The page of the same, with another kind or day."""
        period = other.get("period", self.period)
        return words.address_of(period, self.subjects)


def asked(zone: TimeZone, known: Mapping[str, str], noun: str, now_utc: float) -> Asked:
    """What the address asks for: without anything, yesterday, of all. What cannot be read is left out, and said."""
    today = zone.day(now_utc)
    subjects, problem = tuple(dict.fromkeys(each for each in request.query.getall("of") if each)), None
    if set(subjects) - set(known):
        subjects, problem = (), _(NO_SUCH[noun])
    try:
        kind = Kind(query_value("kind") or Kind.DAY)
        day = day_number(query_value("day")) if query_value("day") else period_of(kind, today).first_day - 1
    except InputError as error:
        kind, day, problem = Kind.DAY, today - 1, str(error)
    except ValueError:
        kind, day, problem = Kind.DAY, today - 1, _("A report is of a day, a week or a month.")
    return Asked(period_of(kind, min(day, today)), subjects or None, problem)


def add_routes(app: App, reports: Reports) -> None:
    """The report, and what is sent by mail."""
    _add_report(app, reports)
    _add_schedules(app, reports)


def _add_report(app: App, reports: Reports) -> None:
    @app.get("/report", access=Access.SIGNED_IN)
    def one(store: Any, visitor: Visitor, now: Now) -> Page:
        zone, known = reports.zone(store), reports.subjects(store, visitor, now)
        wanted = asked(zone, known, reports.noun, now.utc)
        made = report(reports.source(store, visitor, wanted.subjects, now), wanted.period, now.utc)
        links = Links(made, wanted.subjects, reports.lists(store))
        return reports.pages.page(
            "report.html",
            problem=wanted.problem,
            asked=wanted,
            above=next((link for link in reports.pages.navigation if "/report" in link.also), None),
            of=made,
            charts=charts(made, links),
            links=links,
            linked=linked,
            State=State,
            STATE_LABELS=STATE_LABELS,
            interval=interval,
            say=words,
            kinds={kind: _(label) for kind, label in LABELS.items()},
            known=known,
            noun_of_parts=reports.noun,
            today=zone.day(now.utc),
            today_date=day_of(zone.day(now.utc)).isoformat(),
            day_of=day_of,
            period_of=period_of,
            made=zone.local(now.utc),
        )


def _add_schedules(app: App, reports: Reports) -> None:
    @app.get("/reports", access=Access.ADMIN)
    def listed(store: Any, visitor: Visitor, now: Now) -> Page:
        return _list(reports, store, visitor, now)

    @app.post("/reports", access=Access.ADMIN)
    def add(store: Any, visitor: Visitor, now: Now) -> Page:
        try:
            changes.add(store, _typed(reports, store, visitor, now), now.utc, reports.zone(store))
        except UserError as error:
            return _list(reports, store, visitor, now, problem=error, typed=_fields())
        return reports.pages.done("/reports", _(DONE["added"]))

    @app.get("/reports/<schedule_id:int>", access=Access.ADMIN)
    def edit(store: Any, visitor: Visitor, now: Now, schedule_id: int) -> Page:
        return _form(reports, store, visitor, now, changes.find(store, schedule_id))

    @app.post("/reports/<schedule_id:int>", access=Access.ADMIN)
    def change(store: Any, visitor: Visitor, now: Now, schedule_id: int) -> Page:
        schedule = changes.find(store, schedule_id)
        try:
            changes.change(store, schedule_id, _typed(reports, store, visitor, now), now.utc, reports.zone(store))
        except UserError as error:
            return _form(reports, store, visitor, now, schedule, problem=error, typed=_fields())
        return reports.pages.done("/reports", _(DONE["changed"]))

    @app.post("/reports/<schedule_id:int>/send", access=Access.ADMIN)
    def send(store: Any, visitor: Visitor, now: Now, schedule_id: int) -> Page:
        schedule = changes.find(store, schedule_id)
        try:
            changes.send_again(store, schedule_id, now.utc, reports.zone(store))
        except UserError as error:
            return _form(reports, store, visitor, now, schedule, problem=error)
        return reports.pages.done("/reports", _(DONE["sending"]))

    @app.post("/reports/<schedule_id:int>/remove", access=Access.ADMIN)
    def remove(store: Any, schedule_id: int) -> Page:
        changes.remove(store, schedule_id)
        return reports.pages.done("/reports", _(DONE["removed"]))


def _fields() -> dict[str, Any]:
    """What was typed, to be shown again."""
    names = ("kind", "clock", "recipients", "about")
    return {**{name: field(name) for name in names}, "subjects": request.forms.getall("subject")}


def _typed(reports: Reports, store: Any, visitor: Visitor, now: Now) -> Plan:
    typed, known = _fields(), reports.subjects(store, visitor, now)
    subjects = typed["subjects"] if typed["about"] == "some" else None
    return changes.plan_of(typed["kind"], typed["clock"], typed["recipients"], subjects, known, reports.noun)


def _kept(plan: Plan) -> dict[str, Any]:
    """A plan as its form shows it."""
    return {
        "kind": plan.kind.value,
        "clock": plan.clock,
        "recipients": "\n".join(plan.recipients),
        "about": "all" if plan.subjects is None else "some",
        "subjects": list(plan.subjects or ()),
    }


NEW = {"kind": Kind.WEEK.value, "clock": "07:00", "recipients": "", "about": "all", "subjects": []}


def _common(reports: Reports, store: Any, visitor: Visitor, now: Now) -> dict[str, Any]:
    return {
        "known": reports.subjects(store, visitor, now),
        "kinds": {kind: _(label) for kind, label in OF_A.items()},
        "noun_of_parts": reports.noun,
        "zone": reports.zone(store),
        "server_page": reports.server_page,
        "say": words,
    }


def _list(reports: Reports, store: Any, visitor: Visitor, now: Now, **values: Any) -> Page:
    server, unreadable = None, ""
    try:
        server = mail.load(reports.folder)
    except NotSaved as error:
        unreadable = str(error)
    schedules: list[Schedule] = store.reports.all()
    more = {"typed": NEW, **values}
    return reports.pages.page(
        "reports.html",
        schedules=schedules,
        deliveries=store.reports.newest(),
        server=server,
        unreadable=unreadable,
        retold=retold,
        knows_time=reports.knows_time(store, now),
        **_common(reports, store, visitor, now),
        **more,
    )


def _form(reports: Reports, store: Any, visitor: Visitor, now: Now, schedule: Schedule, **values: Any) -> Page:
    more = {"typed": _kept(schedule.plan), **values}
    return reports.pages.page(
        "report_schedule.html", schedule=schedule, **_common(reports, store, visitor, now), **more
    )
