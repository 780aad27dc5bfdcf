"""Reports of a centre: the numbers of sites and boxes as pages and exports have them, and mail to real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import mail
from appliance.central import days
from appliance.central.notify import Notify
from appliance.central.reporting import OfCentre
from appliance.central.store import Scope, Span
from appliance.central.store.sums import total
from appliance.reports import changes
from appliance.reports.periods import Kind, period_of
from appliance.reports.report import report
from appliance.time_zone import TimeZone, named
from appliance.times import Now
from tests.fleets import NOON, Fleet
from tests.mail_servers import mail_server

HOUR_S, DAY_S = 3600, 86_400
CHANGED = NOON - 30 * DAY_S  # 2026-10-25, when the clocks of Berlin went back


def berlin() -> TimeZone:
    found = named("Europe/Berlin")
    assert found
    return found


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    """Forty days, in each hour of which `lobby` counted 5 and `dock` 10 persons; the centre is in Berlin."""
    made = Fleet(tmp_path / "state", made_database)
    columns = "stream_id, start_utc, watched_s, mask, no_mask, incorrect, unknown, unverified"
    hours = [NOON - HOUR_S * hour for hour in range(40 * 24)]
    made.db.put(f"hours ({columns})", [(n, at, HOUR_S, 3 * n, n, 0, n, 0) for n in (1, 2) for at in sorted(hours)])
    made.db.execute(
        "insert into days select stream_id, start_utc / 86400 * 86400, sum(watched_s), sum(mask),"
        " sum(no_mask), sum(incorrect), sum(unknown), sum(unverified) from hours"
        " group by stream_id, start_utc / 86400"
    )
    days.follow_zone(made.db, berlin())
    yield made
    made.close()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("chosen", "each_hour"), [(None, 15), (("site:1",), 5), (("box:dock", "site:2"), 10), (("site:9",), 0)]
)
def test_the_numbers_are_those_of_the_hours_also_when_the_clocks_change(
    fleet: Fleet, kind: Kind, chosen: tuple[str, ...] | None, each_hour: int
) -> None:
    source = OfCentre(fleet.store, None, chosen)
    period = period_of(kind, berlin().day(CHANGED))
    made = report(source, period, float(NOON))
    since_utc, until_utc = max(made.since_utc, NOON - (40 * 24 - 1) * HOUR_S), period.until_utc(berlin())
    assert (
        made.counts.total
        == sum(part.counts.total for part in made.parts)
        == (until_utc - since_utc) // HOUR_S * each_hour
    )
    assert sum(step.counts.total for step in made.steps) == made.counts.total
    if kind is Kind.DAY:
        assert len(made.steps) == 25
    else:
        assert made.hours is not None
        assert sum(hour.counts.total for row in made.hours for hour in row) == made.counts.total
    if chosen is None:
        span = Span(since_utc, until_utc, "hour")
        assert total(fleet.store.sums.series(Scope(), span).values()).counts == made.counts


def test_an_analyst_has_reports_of_own_sites_and_an_admin_has_them_sent(fleet: Fleet) -> None:
    sci, ann = fleet.browser("sci"), fleet.browser("ann")
    page = sci.get("/report?kind=day&day=2026-11-23").text
    assert "dock" not in page and "south" not in page and ">120<" in page and 'href="/compare"' in page
    assert "/detections" not in page and '<a class="column' not in page, "a centre has no list of persons"
    week = sci.get("/report?kind=week&day=2026-11-18&of=box:lobby").text
    assert 'href="/report?kind=day&amp;day=2026-11-16&amp;of=' in week
    assert "There is no such box" in sci.get("/report?kind=day&day=2026-11-23&of=site:2").text
    assert "all boxes of south" in ann.get("/report").text
    assert sci.get("/reports").status_code == 403
    sent = {"kind": "week", "clock": "07:00", "recipients": "owner@example.org", "about": "some"}
    assert "Choose of which boxes the report is" in ann.post("/reports", **sent).text
    assert ann.post("/reports", subject="site:1", **sent).headers["location"] == "/reports"
    assert "Of all boxes of north" in ann.get("/reports").text
    ann.post("/sites/1/remove")
    assert [schedule.plan.subjects for schedule in fleet.store.reports.all()] == [()]


def test_the_service_that_leads_sends_each_report_once(fleet: Fleet, tmp_path: Path) -> None:
    seen = [Now(float(NOON), "boot", 1000.0)]
    with mail_server(tmp_path) as inbox:
        mail.save(fleet.config.state, inbox.server)
        plan = changes.plan_of("day", "07:00", "owner@example.org", ["site:1"], ["site:1"], "box")
        changes.add(fleet.store, plan, NOON, berlin())
        notifies = [Notify(fleet.of_its_own(), [], lambda: seen[0]) for _ in range(2)]
        for after_s in (0, DAY_S, DAY_S + 60, 0, 2 * DAY_S):  # once the clock is set back
            seen[0] = Now(float(NOON + after_s), "boot", seen[0].uptime_s + 60)
            for each in notifies[: 2 if fleet.db.dialect == "postgresql" else 1]:
                each.step()
                each.report()
        for each in notifies:
            each.end()
        assert [message["Subject"].split(":")[0] for message in inbox.messages] == ["centre", "centre"]
        text = inbox.messages[0].get_body(("plain",))
        assert text is not None and "all boxes of north" in text.get_content()
        assert notifies[0].problem == ""
