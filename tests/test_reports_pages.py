"""The pages of reports: what they show, who may have one sent, and one sheet of paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from appliance import mail
from appliance.faces import State
from appliance.mail import MailServer
from appliance.reports.schedules import DeliveryState
from appliance.secrets import digest
from appliance.times import utc_text
from tests.site import Box
from tests.test_browser import at_a_browser, chromium, launched
from tests.test_reports import BERLIN, see, utc
from tests.test_web import serving

__all__ = ["chromium", "launched"]
ACTIONS = "select action from audit where action like 'report%'"
NOON = utc("2026-11-25T12:00")  # a Wednesday


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box in Berlin that counted in each hour of two weeks' opening times."""
    made = Box(tmp_path / "state")
    made.clock.forward(NOON - made.clock.now.utc)
    with made.store.writing():
        made.store.trends.follow_zone(BERLIN)
        made.store.db.execute("delete from detections")
        made.store.people.add_session(digest("session-of-ann"), 1, "csrf-ann", NOON)
        for day in range(10, 25):
            for hour in range(7, 19):
                for n in range(3):
                    state = State.NO_MASK if n == 0 and hour < 10 else State.MASK
                    see(made.store, utc(f"2026-11-{day}T{hour:02d}:{20 * n:02d}"), state, 1 + n % 2)
    yield made
    made.close()


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_report_tells_its_period_beside_the_one_before(box: Box) -> None:
    sci = box.browser("sci")
    day = text(sci.get("/report").text)
    assert "Report: Tuesday, 24 November 2026" in day and "36 persons" in day and "Times of Europe/Berlin" in day
    assert "the day before : 36 persons then, ±0 % now" in day and "Tuesday of the week before : 36 persons" in day
    week = text(sci.get("/report?kind=week&day=2026-11-18").text)
    assert "16 November to 22 November 2026" in week and "252 persons" in week and "Persons an hour" in week
    assert "For 3 days" in week and "nobody looked" in week
    one = text(sci.get("/report?kind=week&day=2026-11-18&of=2").text)
    assert "Of sci:lab" in one and "84 persons" in one and "By stream" not in one
    so_far = text(sci.get("/report?kind=month&day=2026-11-25").text)
    assert (
        "November 2026" in so_far
        and "until 11:57, 25 November." in so_far
        and "Nothing is known of the month before" in so_far
    )


def test_in_tables_the_compliance_stands_beside_the_persons_where_a_phone_shows_it(box: Box) -> None:
    sci = box.browser("sci")
    week = sci.get("/report?kind=week&day=2026-11-18").text
    for page in (week, sci.get("/trends?range=week&day=2026-11-18").text):
        for head in re.findall(r"<thead.*?</thead>", page, re.DOTALL):
            columns = [text(each) for each in re.findall(r"<th .*?</th>", head, re.DOTALL)]
            assert columns[1:3] == ["Persons", "Compliance"] or columns[0] == "Hour", columns
    assert week.count('data-label="Compliance"') == 7 + 2, "each has its name in a block"
    cells = re.findall(r"<t[dh] role=.cell.|<t[hd] .*?</t[hd]>", week.split("The numbers as a table")[1], re.DOTALL)
    heads, row = [text(each) for each in cells[:7]], [text(each) for each in cells[7:14]]
    assert dict(zip(heads, row, strict=True))["Persons"] == "36" and "n = 36" in row[heads.index("Compliance")]


def test_each_bar_and_number_leads_to_its_persons_and_a_day_to_its_report(box: Box) -> None:
    sci = box.browser("sci")

    def listed(address: str) -> int:
        return len(set(re.findall(r'id="detection-(\d+)"', sci.get(address).text)))

    day = sci.get("/report?kind=day&day=2026-11-24&of=2").text
    bars = re.findall(r'<a class="column[^"]*" href="([^"]*)" aria-label="([^"]*)"', day)
    assert len(bars) == 12, "each hour in which somebody came"
    address, words = bars[0]
    assert words.startswith("07:00 to 08:00") and listed(unescape(address)) == 1
    numbers = re.findall(r'<a href="(/detections[^"]*)">(\d+)</a>', day)
    assert len(numbers) > 24 and "state=mask" in str(numbers) and "stream=2" in numbers[0][0]
    for address, number in [*numbers[:3], *numbers[-3:]]:
        assert listed(unescape(address)) == int(number), address
    week = sci.get("/report?kind=week&day=2026-11-18").text
    assert '<a class="column" href="/report?kind=day&amp;day=2026-11-18"' in week
    assert len(re.findall(r'<td class="number"[^>]*><a href="/detections\?stream=[12]&', week)) == 2, (
        "each stream's own"
    )
    both = sci.get("/report?kind=day&day=2026-11-24&of=1&of=2").text
    assert '<a class="column' not in both, "the list shows one stream or all"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("?kind=year", "a day, a week or a month"),
        ("?day=yesterday", "A day looks like 2026-11-23"),
        ("?day=9999-12-31", "Days are known from"),
        ("?of=99", "There is no such stream"),
        ("?of=%00&of=1", "There is no such stream"),
    ],
)
def test_an_address_that_cannot_be_read_is_said_and_something_is_shown(box: Box, address: str, said: str) -> None:
    answer = box.browser("sci").get(f"/report{address}")
    assert answer.status_code == 200 and said in text(answer.text) and "persons" in text(answer.text)


def test_trends_lead_to_the_report_of_the_same_time(box: Box) -> None:
    ann = box.browser("ann")
    page = ann.get("/trends?range=week&day=2026-11-18&stream=1").text
    assert 'href="/report?kind=week&amp;day=2026-11-16&amp;of=1"' in page
    assert "/reports" in ann.get("/report").text and "/reports" not in box.browser("sci").get("/report").text


def test_an_admin_has_a_report_sent_changes_it_and_takes_it_back(box: Box) -> None:
    ann = box.browser("ann")
    new = {"kind": "day", "clock": "06:30", "recipients": "a@example.org b@example.org", "about": "all"}
    answer = ann.post("/reports", **new)
    assert (answer.status_code, answer.headers["location"]) == (303, "/reports")
    page = text(ann.get("/reports").text)
    assert "It is sent from now on" in page
    assert "Each day, at 06:30 on the day after" in page and "To a@example.org, b@example.org" in page
    assert "No mail server is set" in page
    mail.save(box.config.state, MailServer("smtp.example.org", "box@example.org"))
    assert "No mail server is set" not in ann.get("/reports").text
    number = box.store.reports.all()[-1].id
    changed = ann.post(f"/reports/{number}", **{**new, "about": "some", "subject": "2"})
    assert changed.status_code == 303 and "Of sci:lab" in text(ann.get("/reports").text)
    assert ann.post(f"/reports/{number}/send").status_code == 303
    assert text(ann.get("/reports").text).count("waits to be sent, within a minute") == 2
    box.store.reports.note_try(box.store.reports.waiting()[0].id, DeliveryState.SENT, "", box.clock.now.utc)
    sent = utc_text(box.clock.now.utc)
    assert f'sent <time datetime="{sent}">' in ann.get("/reports").text, "by the reader's clock, as every other time"
    twice = ann.post(f"/reports/{number}/send")
    assert twice.status_code == 400 and "being sent already" in text(twice.text)
    assert ann.post(f"/reports/{number}/remove").status_code == 303
    assert ann.get(f"/reports/{number}").status_code == 404 and box.store.reports.waiting() == []
    done = [row["action"] for row in box.store.db.query(f"{ACTIONS} order by number")]
    assert done == ["report_scheduled", "report_changed", "report_removed"]


def test_a_clock_that_nobody_vouches_for_is_said(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for is_right in (False, True):
        monkeypatch.setattr("appliance.reports.of_box.clock_is_synchronised", lambda is_right=is_right: is_right)
        page = text(box.browser("ann").get("/reports").text)
        assert ("The clock of this box is not known to be right, so no report becomes due" in page) is not is_right


def test_what_was_typed_wrongly_stands_there_again(box: Box) -> None:
    wrong = {"kind": "month", "clock": "06:30", "recipients": "a@example.org <b>", "about": "some", "subject": "2"}
    answer = box.browser("ann").post("/reports", **wrong)
    assert answer.status_code == 400 and "no e-mail address" in text(answer.text)
    assert 'value="06:30"' in answer.text and "a@example.org &lt;b&gt;</textarea>" in answer.text
    assert 'value="2" checked' in answer.text and 'value="month" selected' in answer.text


@pytest.mark.browser
def test_a_report_is_one_sheet_of_paper_and_a_form_is_done_with_the_keyboard(
    box: Box, free_port: Callable[[], int], chromium: Any
) -> None:
    with serving(box.app, free_port()) as port:
        person = at_a_browser(chromium, width=390)
        page, site = person.page, f"http://127.0.0.1:{port}"
        page.context.add_cookies([{"name": "mb9k_session", "value": "session-of-ann", "url": site}])
        for kind in ("day", "month"):
            page.goto(f"{site}/report?kind={kind}&day=2026-11-18")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out of a phone"
            paper = page.pdf(prefer_css_page_size=True)
            assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1, kind
        assert page.locator("button:has-text('Print')").is_visible()
        page.click("text=Send reports by mail")
        page.focus("select[name=kind]")
        page.keyboard.press("Tab")
        page.keyboard.type("0815AM")
        page.focus("[name=recipients]")
        page.keyboard.type("boss@example.org")
        page.focus("text=Send it from now on")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=at 08:15 on the day after")
        assert person.complaints == []
