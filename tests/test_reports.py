"""Reports: numbers as by counting rows, time as by the clocks, and words that say what is not known."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.accounts.people import Role
from appliance.errors import InputError
from appliance.faces import Counts, Detection, State
from appliance.rates import compliance, difference
from appliance.reports import changes, charts, mails, words
from appliance.reports.of_box import OfBox
from appliance.reports.periods import EPOCH, Kind, Period, last_due, period_of
from appliance.reports.report import Report, report
from appliance.reports.schedules import DeliveryState, Plan, Reports
from appliance.store import Store
from appliance.time_zone import TimeZone, named
from appliance.times import Now
from appliance.web.words import rate_words

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]


def zone(name: str) -> TimeZone:
    found = named(name)
    assert found
    return found


BERLIN = zone("Europe/Berlin")


def utc(text: str, name: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name)).timestamp()


def moment(utc_s: float) -> Now:
    return Now(utc_s, "boot", utc_s % 1e6)


def day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def box_store(name: str = "Europe/Berlin") -> Store:
    """A store with three streams, whose days are those of this zone."""
    store = Store.in_memory()
    ann = store.people.add("ann", "hash", Role.ADMIN, 0)
    for stream in ("door", "lab", "gate"):
        store.streams.add_with_key(ann, stream, f"key of {stream}", 0)
    with store.writing():
        store.trends.follow_zone(zone(name))
    return store


@cache
def _one_store() -> Store:
    return box_store()


def emptied(name: str) -> Store:
    """A store without detections, with the days of this zone: always the same one, since to make one takes a second."""
    store = _one_store()
    with store.writing():
        store.db.execute("delete from detections")
        store.trends.follow_zone(zone(name))
    return store


def see(store: Store, at_utc: float, state: State = State.MASK, stream_id: int = 1) -> int:
    return store.detections.add(
        stream_id, Detection(at_utc, at_utc + 3, state, 0.9, 7, (1, 2, 30, 40), 640, 360, "m"), None
    )


def made(store: Store, kind: Kind, text: str, now_utc: float | None = None, subjects: Any = None) -> Report:
    period = period_of(kind, day(text))
    now = moment(period.until_utc(BERLIN) + 1000 if now_utc is None else now_utc)
    return report(OfBox(store, subjects), period, now.utc)


# Periods


@pytest.mark.parametrize("name", ZONES)
@given(day=st.integers(1000, 40000), kind=st.sampled_from(list(Kind)), minute=st.integers(0, 1439))
@settings(derandomize=True, max_examples=20, deadline=None)
def test_every_day_is_in_one_period_of_a_kind_and_each_is_due_once(
    name: str, day: int, kind: Kind, minute: int
) -> None:
    at, period = zone(name), period_of(kind, day)
    assert period.first_day <= day < period.end_day
    assert period.after().first_day == period.end_day and period.before().end_day == period.first_day
    assert period.until_utc(at) == period.after().since_utc(at)
    due_utc = period.due_utc(minute, at)
    assert last_due(kind, minute, due_utc, at) == period
    assert last_due(kind, minute, due_utc - 1, at) == period.before()


def test_a_report_is_due_by_the_clocks_also_when_they_change() -> None:
    saturday, seven = period_of(Kind.DAY, day("2026-10-24")), 7 * 60
    assert saturday.due_utc(seven, BERLIN) == utc("2026-10-25T07:00")  # the clocks went back at 3
    assert period_of(Kind.WEEK, day("2026-03-25")).due_utc(seven, BERLIN) == utc("2026-03-30T07:00")
    assert period_of(Kind.MONTH, day("2026-12-24")).due_utc(seven, BERLIN) == utc("2027-01-01T07:00")
    half_past_two = period_of(Kind.DAY, day("2026-03-28")).due_utc(150, BERLIN)  # which the clocks skip
    assert half_past_two == utc("2026-03-29T03:30")


# Numbers


@given(
    name=st.sampled_from(ZONES),
    kind=st.sampled_from(list(Kind)),
    first=st.sampled_from(["2026-10-23", "2026-03-27", "2026-04-03", "2026-06-30"]),
    seen=st.lists(
        st.tuples(st.integers(0, 5 * 86_400), st.sampled_from(list(State)), st.integers(1, 3)), min_size=1, max_size=60
    ),
    changed=st.lists(st.tuples(st.integers(0, 59), st.sampled_from([None, *State])), max_size=10),
    subjects=st.sampled_from([None, ("1",), ("1", "3")]),
)
@settings(derandomize=True, max_examples=30, deadline=None)
def test_the_numbers_of_a_report_are_those_of_counting_the_rows(
    name: str,
    kind: Kind,
    first: str,
    seen: list[tuple[int, State, int]],
    changed: list[tuple[int, State | None]],
    subjects: tuple[str, ...] | None,
) -> None:
    store, info = emptied(name), ZoneInfo(name)
    base = utc(first, name)
    rows: dict[int, tuple[float, State, int]] = {}
    for offset_s, state, stream_id in seen:
        rows[see(store, base + offset_s, state, stream_id)] = (base + offset_s, state, stream_id)
    for index, other in changed:  # corrected, or deleted
        number = sorted(rows)[index % len(rows)] if rows else 0
        if number and other is None:
            store.detections.remove(number)
            del rows[number]
        elif number and other is not None:
            store.detections.correct_state(number, other, "ann")
            rows[number] = (rows[number][0], other, rows[number][2])
    period = period_of(kind, day(first) + 2)
    end_utc = datetime.combine(EPOCH + timedelta(period.end_day), datetime.min.time(), info).timestamp()
    found = report(OfBox(store, subjects), period, end_utc + 3600)
    counted: list[tuple[datetime, State, int]] = []
    for at_utc, state, stream_id in rows.values():
        at = datetime.fromtimestamp(at_utc, info)
        is_asked = subjects is None or str(stream_id) in subjects
        if is_asked and period.first_day <= (at.date() - EPOCH).days < period.end_day:
            counted.append((at, state, stream_id))
    by_state = Counter(state for _, state, _ in counted)
    assert found.counts == Counts(**{state.value: by_state[state] for state in State})
    by_step = Counter(at.date() if kind is not Kind.DAY else int(at.timestamp() // 3600) for at, _, _ in counted)
    if name not in ("Asia/Kolkata", "Australia/Lord_Howe") or kind is not Kind.DAY:  # whose hours are no hours of UTC
        steps = {
            found.zone.local(step.start_utc).date() if kind is not Kind.DAY else step.start_utc // 3600: step
            for step in found.steps
        }
        assert {key: step.counts.total for key, step in steps.items() if step.counts.total} == by_step
    titles = {"ann:door": 1, "ann:lab": 2, "ann:gate": 3}
    by_stream = Counter(stream_id for _, _, stream_id in counted)
    assert {titles[part.name]: part.counts.total for part in found.parts if part.counts.total} == by_stream
    if found.hours is not None:
        by_hour = Counter((at.weekday(), at.hour) for at, _, _ in counted)
        told = {(d, h): cell.counts.total for d, row in enumerate(found.hours) for h, cell in enumerate(row)}
        assert {key: n for key, n in told.items() if n} == by_hour


def test_the_time_before_stands_beside_it_and_what_is_not_known_does_not() -> None:
    store = box_store()
    for _ in range(30):
        see(store, utc("2026-11-16T12:00"))
        see(store, utc("2026-11-22T12:00"), State.NO_MASK)
        see(store, utc("2026-11-23T12:00"))
    names = {each.name: each.counts.total for each in made(store, Kind.DAY, "2026-11-23").compared}
    assert names == {"the day before": 30, "Monday of the week before": 30}
    (before,) = made(store, Kind.WEEK, "2026-11-23").compared
    assert before.name == "the week before" and before.counts.total == 60
    assert made(store, Kind.MONTH, "2026-11-23").compared == ()
    assert made(store, Kind.DAY, "2026-11-16").compared == ()


def test_what_is_still_to_come_is_no_hour_in_which_nobody_looked() -> None:
    store = box_store()
    for day_of_month in (16, 17, 18, 23, 24):
        for hour in (9, 15):
            for minute in (0, 20, 40):
                see(store, utc(f"2026-11-{day_of_month}T{hour:02d}:{minute:02d}"))
    now_utc = utc("2026-11-25T12:00")  # a Wednesday; 30 November is a Monday, too
    month = made(store, Kind.MONTH, "2026-11-25", now_utc)
    chart = charts.week_chart(month)
    assert "Monday, 09:00 to 10:00: 1.5 persons an hour" in chart, "two of the four Mondays until now"
    assert [month.times_of(2, hour) for hour in (11, 12, 15)] == [4, 3, 3]
    week = charts.week_chart(made(store, Kind.WEEK, "2026-11-25", now_utc))
    assert week.count('<g aria-hidden="true"><') == 2 * 24 - 4 + 12, "none of what is left of the week"
    store.close()


def test_what_is_still_to_come_is_neither_a_zero_nor_a_time_in_which_nobody_looked() -> None:
    store = box_store()
    see(store, utc("2026-11-23T08:10"))
    noon = made(store, Kind.DAY, "2026-11-23", utc("2026-11-23T12:00"))
    assert not noon.is_over and len(noon.steps) == 12
    assert [words.span_words(each, BERLIN) for each in noon.unwatched] == [
        "23 Nov 00:00 to 08:00",
        "23 Nov 09:00 to 11:00",
    ]
    whole = made(store, Kind.DAY, "2026-11-23")
    assert whole.is_over and whole.unwatched_s == 23 * 3600
    assert "For 23 h (96 % of the time) nobody looked" in words.unwatched_words(whole)


def test_the_difference_of_two_rates_is_newcombe_s_by_his_own_example() -> None:
    """Newcombe (1998), table II, example (a), method 10: 56/70 against 48/80."""
    found = difference(Counts(mask=56, no_mask=14), Counts(mask=48, no_mask=32))
    assert found is not None
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
    assert not found.may_be_chance
    assert difference(Counts(mask=3), Counts()) is None


def test_what_people_corrected_is_told_with_what_it_says_of_the_box() -> None:
    store = box_store()
    ids = [see(store, utc("2026-11-23T12:00")) for _ in range(40)]
    assert words.corrected_words(made(store, Kind.DAY, "2026-11-23")) == "Nobody was given another state by hand."
    store.detections.correct_state(ids[0], State.NO_MASK, "ann")
    told = words.corrected_words(made(store, Kind.DAY, "2026-11-23"))
    assert told.startswith("1 person was given another state by hand; so the box was wrong about 2.5 % of those")


# Mails


def a_report(store: Store) -> Report:
    for hour in range(8, 18):
        for n in range(25):
            see(store, utc(f"2026-11-23T{hour:02d}:10"), State.NO_MASK if n % 5 == 0 else State.MASK, 1 + n % 2)
    return made(store, Kind.DAY, "2026-11-23")


def test_a_mail_says_the_same_in_text_and_in_html_and_fetches_nothing() -> None:
    of = a_report(box_store())
    assert mails.subject(of, "Haus Süd") == "Haus Süd: 80 % (n = 250), Monday, 23 November 2026"
    text, html = mails.text(of, "Haus Süd", "https://box.example.org/report"), mails.html(of, "Haus Süd", "")
    for said in (
        "250",
        "Compliance",
        "ann:door",
        "17:00 to 18:00",
        "Times of Europe/Berlin",
        "00:00 to 08:00",
        "nobody looked",
    ):
        assert said in text and said in html
    assert rate_words(compliance(of.counts)) in text and "https://box.example.org/report" in text
    for fetched in ("<img", "<script", "<link", "url(", "src=", "href=", "@import"):
        assert fetched not in html
    assert len(html) < 60_000  # of more than 102 kB, some programs show the beginning only


def test_names_of_people_are_text_in_a_mail() -> None:
    store = box_store()
    store.streams.rename(1, "<script>alert(1)</script>")
    html = mails.html(a_report(store), "<b>box</b>")
    assert "<b>box" not in html and "&lt;b&gt;box" in html and "<script" not in html


# Plans


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "year"}, "a day, a week or a month"),
        ({"clock": "25:00"}, "looks like 07:00"),
        ({"clock": "7"}, "looks like 07:00"),
        ({"recipients": " , "}, "Say who gets the report"),
        ({"recipients": "ann@example.org\r\nBcc: x"}, "no e-mail address"),
        ({"recipients": " ".join(f"a{n}@example.org" for n in range(51))}, "50 addresses at most"),
        ({"subjects": []}, "Choose of which streams"),
        ({"subjects": ["9"]}, "Choose of which streams"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(wrong: dict[str, Any], said: str) -> None:
    asked = {"kind": "day", "clock": "07:00", "recipients": "ann@example.org", "subjects": None, **wrong}
    with pytest.raises(InputError, match=said):
        changes.plan_of(**asked, known=["1", "2"], noun="stream")


def test_a_plan_is_kept_as_it_was_typed() -> None:
    store = box_store()
    typed = "bob@example.org, ann@example.org\nbob@example.org"
    plan = changes.plan_of("week", "7:05", typed, ["2", "1"], ["1", "2", "3"], "stream")
    number = changes.add(store, plan, utc("2026-11-25T12:00"), BERLIN)
    (kept,) = store.reports.all()
    assert (kept.id, kept.plan) == (number, plan)
    assert plan.recipients == ("ann@example.org", "bob@example.org") and plan.clock == "07:05"
    assert store.reports.is_through(number, Period(Kind.WEEK, day("2026-11-16"), day("2026-11-23")))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_schedules_are_kept_alike_in_a_centre_s_databases(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from appliance.central.opening import open_database
    from appliance.central.postgresql import close_pools

    cluster = request.getfixturevalue("postgres") if dialect == "postgresql" else None
    address = cluster.new_database() if cluster else str(tmp_path / "central.db")
    database = open_database(address)
    reports, week = Reports(database), period_of(Kind.WEEK, day("2026-11-18"))
    plan = Plan(Kind.WEEK, 420, ("ann@example.org", "boss@example.org"), ("berlin", "lobby"))
    with database.writing():
        number = reports.add(plan, 0)
        reports.add(Plan(Kind.DAY, 0, ("ann@example.org",)), 0)
        assert [reports.note_through(number, week) for _ in range(2)] == [True, False]
        changes.enqueue(reports, number, plan, week, 0)
    assert reports.all()[0].plan == plan and reports.all()[1].plan.subjects is None
    assert reports.is_through(number, week) and not reports.is_through(number, week.after())
    first, second = reports.waiting()
    assert (first.period, first.address, second.address) == (week, "ann@example.org", "boss@example.org")
    with database.writing():
        reports.note_try(first.id, DeliveryState.SENT, "", 60)
        reports.change(number, Plan(Kind.WEEK, 420, ("ann@example.org",)))
        reports.forget_old()
    assert reports.waiting() == [] and [each.state for each in reports.newest()] == [DeliveryState.SENT]
    with database.writing():
        assert reports.remove(number) and not reports.remove(number)
    assert reports.delivery(first.id) is None and len(reports.all()) == 1
    database.close()
    close_pools()
    if cluster:
        cluster.drop(address)


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (0, 40, "nobody was counted then"),
        (1, 40, "1 person then, +3900 % now; there were too few people then to say a compliance"),
        (50, 5, "50 persons then, \N{MINUS SIGN}90 % now; compliance 100 % (93 to 100 %, n = 50) then, and too few"),
        (50, 40, "50 persons then, \N{MINUS SIGN}20 % now; compliance 100 % (93 to 100 %, n = 50) then, ±0 points now"),
    ],
)
def test_two_days_are_compared_in_a_sentence_also_where_there_were_too_few(then: int, now: int, said: str) -> None:
    store = emptied("UTC")
    today = utc("2026-11-24T00:00", "UTC")
    with store.writing():
        for start_utc, persons in ((today - 9 * 86400, 1), (today - 86400, then), (today, now)):
            for number in range(persons):
                see(store, start_utc + 60 * number)
    made = report(OfBox(store), period_of(Kind.DAY, day("2026-11-24")), today + 86400)
    assert words.compared_words(made.compared[0], made).startswith(said)
