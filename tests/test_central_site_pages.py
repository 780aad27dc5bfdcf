"""The pages of a centre, asked over WSGI, on both databases: what stands on them, and what they change."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.central.store import Letter, Site
from appliance.faces import Counts
from appliance.secrets import digest
from tests.fleets import NOON, Fleet
from tests.site import PASSWORD


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", made_database)
    yield made
    made.close()


def main_of(page: str) -> str:
    """What a page says, without its markup, spaces as one."""
    text = re.sub(r"<[^>]+>", " ", page.partition("<main")[2].partition(">")[2])
    return " ".join(text.replace("\u202f", "").replace("\u2013", " to ").split())


def test_the_first_person_claims_the_centre_with_its_code(tmp_path: Path, made_database: str) -> None:
    fleet = Fleet(tmp_path / "state", made_database, claimed=False)
    browser = fleet.browser()
    assert browser.get("/").headers["location"] == "/claim"
    assert "this centre" in browser.get("/claim").text
    code = fleet.config.claim_code_path.read_text().strip()
    claimed = browser.post("/claim", page="/claim", name="Ann", code=code, password=PASSWORD, again=PASSWORD)
    assert claimed.headers["location"] == "/"
    page = browser.get("/")
    assert page.headers["content-encoding"] == "gzip"
    assert page.is_success and "No box yet" in page.text and "Add a box" in page.text
    assert browser.post("/sign-out").headers["location"] == "/sign-in"
    assert browser.sign_in("aNN").headers["location"] == "/", "upper and lower case are alike"
    fleet.close()


def test_accounts_work_alike_on_both_databases(fleet: Fleet) -> None:
    people, at = fleet.store.people, float(NOON)
    assert [person.name for person in people.all()] == ["ann", "eve", "sci"]
    assert people.add_first("late", "hash", at) is None
    people.add_session("mine", 2, "csrf", at)
    people.add_session("other", 2, "csrf", at)
    people.set_password(2, "other hash", keep_session="mine", keep_tokens=True)
    assert people.session("mine") and not people.session("other") and people.token(digest("token of sci"))
    people.set_password(2, "other hash")
    assert not people.session("mine") and not people.token(digest("token of sci"))
    for number in range(25):
        people.remember_device(f"device {number}", 2, at + number)
    people.remember_device("device 3", 3, at)
    known = [number for number in range(25) if people.knows_device(f"device {number}", at, 2)]
    assert known == list(range(5, 25))
    assert people.knows_device("device 3", at) and not people.knows_device("device 3", at, 2)
    token = people.add_token(3, "report", "digest", at, at + 60)
    assert people.remove_token(token, 2) is None
    gone = people.remove_token(token, 3)
    assert gone and gone.name == "report"
    people.forget_old_sessions(at + 40 * 86400)
    assert people.remove(3) and not people.remove(1)


def test_the_fleet_shows_problems_first_and_its_rate_with_an_interval(fleet: Fleet) -> None:
    fleet.add_hour(1, NOON - 3600, Counts(mask=80, no_mask=10, incorrect=10, unknown=7))
    fleet.add_hour(2, NOON - 3600, Counts(mask=40, no_mask=60))
    fleet.change_box("lobby", told_problem="Two machines use the name of this box.", backlog=12)
    text = main_of(fleet.browser("ann").get("/").text)
    assert "207 persons" in text and "Compliance 60 % (53 to 67 %, n = 200)" in text
    assert "2 of 2 boxes complete up to 2026-11-24 12:00:00 UTC" in text
    assert text.index("Two machines use") < text.index("dock")
    assert "with a problem 1 to look at 0 all is well 1" in text
    assert "80 % 71 to 87 %" in text and "12 rows" in text and "1 of 1" in text and "52 °C" in text
    assert "The ingest of this centre does not run" in text


def test_a_site_has_no_rate_of_too_few_persons_as_its_boxes_have_none(fleet: Fleet) -> None:
    fleet.add_hour(1, NOON - 3600, Counts(mask=3))
    fleet.add_hour(2, NOON - 3600, Counts(mask=40, no_mask=60))
    text = main_of(fleet.browser("ann").get("/sites").text)
    assert "100 %" not in text and "40 %" in text


def test_a_box_goes_stale_and_comes_back(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    for seconds, words in ((0, "fresh"), (200, "3 min old"), (1000, "20 min old")):
        fleet.clock.forward(seconds)
        assert words in main_of(ann.get("/boxes/lobby").text)
    assert "Nothing has come for 20 min." in main_of(ann.get("/").text)
    fleet.change_box("lobby", complete_utc=int(fleet.clock.now.utc))
    text = main_of(ann.get("/").text)
    assert text.count("fresh") == 1 and "1 of 2 boxes complete up to 2026-11-24 12:20:00 UTC" in text


def test_the_minutes_of_all_epochs_are_summed(fleet: Fleet) -> None:
    fleet.add_minutes(1, NOON - 3600, {0: Counts(mask=2), 30: Counts(no_mask=1), 59: Counts(mask=1)})
    fleet.add_minutes(1, NOON - 1800, {0: Counts(mask=5, no_mask=-1), 4: Counts(unknown=1)})  # a correction
    fleet.add_minutes(2, NOON - 3600, {0: Counts(mask=100)})
    series = fleet.browser("ann").get("/api/v1/counts?step=minute&stream=1&since=2026-11-24T11:00:00Z").json()
    told = {
        step["start"][11:16]: (step["mask"], step["no_mask"], step["unknown"])
        for step in series["steps"]
        if not step["is_gap"] and step["total"]
    }
    assert told == {"11:00": (2, 0, 0), "11:30": (5, 0, 0), "11:34": (0, 0, 1), "11:59": (1, 0, 0)}
    assert sum(step["is_gap"] for step in series["steps"]) == 60 - 4 - 2, "the last three minutes may be on their way"
    page = main_of(fleet.browser("ann").get("/streams/1?last=hour").text)
    assert "9 persons" in page and "Watched 8 % of this time" in page


def test_rows_whose_clock_was_corrected_are_found_where_they_lie_now(fleet: Fleet) -> None:
    """The source's base stays what the box first said; start_utc moves with the correction."""
    fleet.add_minutes(1, 300, {0: Counts(mask=3)}, verified=0)
    fleet.db.execute("update sums set start_utc = ?, verified = 1", [NOON - 1800])
    shift = NOON - 1800 - 300
    fleet.db.execute(
        "update sources set low_shift = ?, high_shift = ?, since_utc = 0, until_utc = ?", [shift, shift, NOON]
    )
    assert "3 persons" in main_of(fleet.browser("ann").get("/streams/1?last=hour").text)


def test_any_range_can_be_asked_for_and_what_cannot_be_read_is_said(fleet: Fleet) -> None:
    fleet.add_hour(1, NOON - 400 * 86400, Counts(mask=4))
    ann = fleet.browser("ann")
    old = ann.get("/streams/1?since=2025-10-01T00:00&until=2025-11-01T00:00")
    assert "4 persons" in main_of(old.text)
    for query in ("since=x", "since=2026-11-24T00:00&until=2026-11-23T00:00", "last=century", "until=1999"):
        for path in ("/streams/1", "/boxes/lobby", "/sites/1", "/compare"):
            page = ann.get(f"{path}?{query}")
            assert page.is_success and 'role="alert"' in page.text, query


def test_unverified_times_are_said_and_drawn(fleet: Fleet) -> None:
    fleet.add_hour(1, NOON - 3600, Counts(mask=4), unverified=60)
    page = fleet.browser("ann").get("/boxes/lobby").text
    assert "The times of 60 minutes are not certain" in main_of(page) and 'class="column unsure"' in page
    assert "Nothing has confirmed its clock" in main_of(page)


HOSTILE = '"><script>alert(1)</script>{{7*7}}%00\u202e'


def test_names_from_the_wire_are_escaped_everywhere(fleet: Fleet) -> None:
    site = {"name": '"><img src=x>', "group": '"><img src=x>', "latitude": "48", "longitude": "11"}
    ann = fleet.browser("ann")
    ann.post("/sites", **site)
    fleet.change_box(
        "lobby", title=HOSTILE, version=HOSTILE, hardware=HOSTILE, problem=HOSTILE, site_id=3, note=HOSTILE
    )
    fleet.db.execute("update streams set name = ? where box_id = 'lobby'", [HOSTILE])
    fleet.db.execute(
        "insert into letters (at_utc, box_id, topic, reason, payload) values (?, 'lobby', ?, ?, ?)",
        [NOON, HOSTILE, HOSTILE, HOSTILE.encode() + b"\xff\x00"],
    )
    fleet.store.records.note(NOON, HOSTILE, HOSTILE, "lobby")
    for path in (
        *("/", "/boxes", "/map", "/sites", "/sites/3", "/boxes/lobby", "/boxes/lobby/revoke", "/streams/1"),
        *("/compare", "/compare?by=box", "/compare?by=group", "/letters", "/events", "/people", "/add-box"),
        "/sites/3/remove",
    ):
        page = ann.get(path)
        assert page.is_success, path
        assert "<script>alert" not in page.text and "<img src=x" not in page.text
        assert "&lt;script&gt;" in page.text or "&lt;img" in page.text or path in ("/add-box", "/people"), path


def test_an_admin_edits_sites_and_boxes(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    ann.post("/sites", name="east", group="hills", latitude="48,5", longitude="12")
    assert "already a site called" in ann.post("/sites", name="EAST").text
    for typed, words in (
        ({"name": ""}, "Give the site a name"),
        ({"name": "x", "latitude": "91", "longitude": "1"}, "latitude is a number"),
        ({"name": "x", "latitude": "nan", "longitude": "1"}, "latitude is a number"),
        ({"name": "x", "latitude": "1"}, "both"),
    ):
        refused = ann.post("/sites", **typed)
        assert refused.status_code == 400 and words in refused.text
    assert [(site.name, site.group, site.latitude) for site in fleet.store.sites.all(None)] == [
        ("south", "", None),
        ("east", "hills", 48.5),
        ("north", "hills", 48.1),
    ]
    ann.post("/boxes/dock/edit", title="The dock", site="3", note="key with the porter")
    box = fleet.store.boxes.get("dock", None)
    assert box and (box.name, box.site, box.note) == ("The dock", "east", "key with the porter")
    assert ann.post("/boxes/dock/edit", title="x", site="99").status_code == 400
    ann.post("/sites/3/edit", name="far east", group="", latitude="", longitude="")
    assert "far east" in ann.get("/boxes/dock").text
    ann.post("/sites/3/remove")
    box = fleet.store.boxes.get("dock", None)
    assert box and box.site_id is None and box.title == "The dock", "boxes outlive their site"


def test_a_command_is_put_on_record_for_ingest_with_who_gave_it_and_when_it_ends(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    ann.post("/boxes/lobby/commands", action="rotate_key", detail="1")
    ann.post("/boxes/lobby/commands", action="identify", detail="ignored")
    rows = sorted(fleet.db.query("select * from commands"), key=lambda row: str(row["action"]))
    assert [(row["action"], row["detail"], row["given_by"], row["sent_utc"]) for row in rows] == [
        ("identify", "", "ann", None),
        ("rotate_key", "1", "ann", None),
    ]
    assert all(re.fullmatch("[0-9a-f]{16}", row["id"]) and row["expires_utc"] == NOON + 3600 for row in rows)
    events = [row["what"] for row in fleet.db.query("select what from events where person = 'ann' order by id")]
    assert events == ["asked for: Give a stream a new key: door", "asked for: Identify: it shows itself for a minute"]
    for action, detail in (("restart", "rm -rf /"), ("rotate_key", "2"), ("format", ""), ("", "")):
        assert ann.post("/boxes/lobby/commands", action=action, detail=detail).status_code == 400
    fleet.change_box("dock", takes_commands=0)
    assert "set to take no commands" in ann.post("/boxes/dock/commands", action="identify").text
    assert fleet.db.one("select count(*) from commands") == 2
    assert "waits to be sent" in main_of(ann.get("/boxes/lobby").text)
    fleet.db.execute("update commands set sent_utc = ?", [NOON])
    assert "sent, no answer yet" in main_of(ann.get("/boxes/lobby").text)
    fleet.clock.forward(4000)
    assert "expired" in main_of(ann.get("/boxes/lobby").text)
    fleet.db.execute("update commands set done = 1, words = 'the LED blinks', at_utc = ?", [NOON])
    told = main_of(ann.get("/boxes/lobby").text)
    assert "the LED blinks answered 2026-11-24 12:00:00 UTC" in told and "Give a stream a new key: door by ann" in told
    assert "set to take no commands" in main_of(ann.get("/boxes/dock").text)
    assert "Identify" not in main_of(ann.get("/boxes/dock").text), "what is not taken is not offered"


BUNDLE = "https://updates.example.org/mb9k-0.2.0.mb9k"


def test_an_update_is_asked_of_one_box_or_of_all_of_a_site(fleet: Fleet) -> None:
    ann, sum_of = fleet.browser("ann"), "0a" * 32
    ann.post("/boxes/lobby/commands", action="update", address=BUNDLE, sha256=sum_of.upper())
    (row,) = fleet.db.query("select box_id, action, detail from commands")
    assert (row["box_id"], row["action"], row["detail"]) == ("lobby", "update", f"{BUNDLE} {sum_of}")
    told = main_of(ann.get("/boxes/lobby").text)
    assert f"Update: {BUNDLE} by ann" in told and sum_of not in told
    for address, sha256 in (
        ("http://updates.example.org/a", sum_of),
        ("https://user:word@updates.example.org/a", sum_of),
        ("https://updates.example.org/a b", sum_of),
        (f"https://updates.example.org/{'a' * 500}", sum_of),
        (BUNDLE, "0a"),
        (BUNDLE, ""),
        ("", ""),
    ):
        fields = {"address": address, "sha256": sha256}
        assert ann.post("/boxes/lobby/commands", action="update", **fields).status_code == 400, fields
        assert ann.post("/sites/1/update", **fields).status_code == 400, fields
    assert fleet.db.one("select count(*) from commands") == 1
    there = [box.id for box in fleet.store.boxes.all(None, 1)]
    assert "Update them" in ann.get("/sites/1").text and there
    assert ann.post("/sites/1/update", address=BUNDLE, sha256=sum_of).status_code == 303
    asked = [row["box_id"] for row in fleet.db.query("select box_id from commands where action = 'update'")]
    assert sorted(asked) == sorted(["lobby", *there])
    assert fleet.browser("sci").post("/sites/1/update", address=BUNDLE, sha256=sum_of).status_code == 403
    fleet.change_box(there[0], takes_commands=0)
    refused = ann.post("/sites/1/update", address=BUNDLE, sha256=sum_of)
    assert refused.status_code == 400 and "set to take no commands" in refused.text
    fleet.add_box("annex", 1)
    some = ann.led("/sites/1/update", address=BUNDLE, sha256=sum_of).text
    assert f"The boxes of this site were told to update. But not: {there[0]}: This box is set to take no" in some


def test_refused_messages_are_shown_with_their_reason(fleet: Fleet) -> None:
    for box, reason in (("lobby", "it is neither JSON nor compressed"), ("nobody", "there is no box of this name")):
        fleet.db.execute(
            "insert into letters (at_utc, box_id, topic, reason, payload, times) values (?, ?, 'mb9k/x/sums', ?, ?, 3)",
            [NOON, box, reason, b"\x00\xffnonsense"],
        )
    text = main_of(fleet.browser("ann").get("/letters").text)
    assert "It is neither JSON nor compressed. 3 times." in text and "There is no box of this name." in text
    assert "\\xffnonsense" in text
    assert "neither JSON" in fleet.browser("sci").get("/boxes/lobby").text
    assert "6 messages were refused" in main_of(fleet.browser("ann").get("/").text)
    assert "refused" not in main_of(fleet.browser("sci").get("/").text)
    letters = fleet.store.records.letters(2)
    assert [type(letter) for letter in letters] == [Letter] and letters[0].box_id == "lobby"


def test_a_join_code_is_shown_to_its_maker_for_some_minutes_and_can_be_withdrawn(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    made = ann.follow("/add-box", title="Main entrance", site="1", boxes="1", valid="hour")
    code = re.search(r'id="join-code" data-copied>([^<]+)<', made.text)
    assert made.status_code == 200 and code and len(code[1]) > 40
    row = dict(next(fleet.db.query("select * from joins")))
    assert (row["title"], row["site_id"], row["boxes_left"], row["made_by"]) == ("Main entrance", 1, 1, "ann")
    assert row["expires_utc"] == NOON + 3600 and code[1] not in str(row)
    assert code[1] in ann.get("/add-box/code").text, "reloaded, it is the same one"
    assert fleet.db.one("select count(*) from joins") == 1
    form = ann.get("/add-box")
    assert code[1] not in form.text and "Main entrance" in main_of(form.text)
    ann.post(f"/add-box/{row['id']}/withdraw")
    assert fleet.db.one("select count(*) from joins") == 0
    many = ann.follow("/add-box", boxes="40", valid="week")
    assert "40 boxes" in main_of(many.text) and fleet.db.one("select boxes_left from joins") == 40
    for typed in (
        {"boxes": "0"},
        {"boxes": "x"},
        {"title": ""},
        {"title": "x", "valid": "ever"},
        {"title": "x", "site": "9"},
    ):
        assert ann.post("/add-box", **typed).status_code in (400, 404)


def test_a_box_is_revoked_after_a_question(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    assert "Revoke lobby?" in main_of(ann.get("/boxes/lobby/revoke").text)
    revoked = ann.led("/boxes/lobby/revoke")
    notice = (
        '<p class="notice" role="status">The box is shut out: nothing of it is counted any more. No mosquitto of ours'
    )
    assert notice in revoked.text, "nobody is told what is not so, nor that all is done"
    box = fleet.store.boxes.get("lobby", None)
    assert box and box.revoked_utc == NOON
    told = main_of(ann.get("/boxes/lobby").text)
    assert "This box was revoked" in told and "door LIVE" not in told and "fresh" not in told and "Commands" not in told
    assert 'value="lobby" selected' in ann.get("/add-box?again=lobby").text, "as its page offers"
    assert "lobby" not in main_of(ann.get("/").text), "it is on the table only"
    table = ann.get("/boxes").text
    assert '<span class="mark off-mark"><a href="/boxes/lobby"' in table, "neither well nor a problem"
    assert "it was revoked" in ann.post("/boxes/lobby/revoke").text.lower()
    assert ann.post("/boxes/lobby/commands", action="identify").status_code == 400


def test_a_site_without_boxes_is_not_well(fleet: Fleet) -> None:
    depot = fleet.store.sites.add(Site(0, "depot", "", 48.3, 11.6))
    ann = fleet.browser("ann")
    assert f'<span class="mark off-mark"><a href="/sites/{depot}">depot</a></span>' in ann.get("/sites").text
    assert "no box yet" in main_of(ann.get("/sites").text), "what the mark means"
    assert "no box yet; its page says what to do" in main_of(ann.get("/map").text)
    assert "0 boxes" not in main_of(ann.get("/map").text)
    page = main_of(ann.get(f"/sites/{depot}").text)
    assert "No box stands here yet. Add one" in page and page.index("No box") < page.index("persons"), "first of all"
    fleet.store.sites.give(2, [depot])
    assert "An admin can add one." in main_of(fleet.browser("sci").get(f"/sites/{depot}").text)


def test_sites_groups_and_boxes_are_compared_by_rate(fleet: Fleet) -> None:
    fleet.add_hour(1, NOON - 3600, Counts(mask=50, no_mask=50))
    fleet.add_hour(2, NOON - 3600, Counts(mask=90, no_mask=10))
    fleet.add_box("van", None, ["road"])
    fleet.add_hour(3, NOON - 3600, Counts(mask=1, no_mask=99))
    ann = fleet.browser("ann")
    for kind, names in (
        ("site", ["south", "north", "without a site"]),
        ("group", ["hills", "without a group"]),
        ("box", ["dock", "lobby", "van"]),
    ):
        text = main_of(ann.get(f"/compare?by={kind}").text)
        places = [text.index(name, text.index("Judged")) for name in names]
        assert places == sorted(places), kind
    assert "90 % 83 to 94 %" in main_of(ann.get("/compare").text)


def test_a_thousand_boxes_come_by_pages_and_can_be_searched(fleet: Fleet) -> None:
    with fleet.db.writing():
        for number in range(140):
            fleet.add_box(f"box-{number:03d}", 1)
    ann = fleet.browser("ann")
    first = ann.get("/").text
    assert first.count('class="card box-tile') == 60 and "page 1 of 3" in main_of(first)
    assert ann.get("/?page=3").text.count('class="card box-tile') == 22
    assert ann.get("/?page=99").text.count('class="card box-tile') == 0
    found = ann.get("/?search=BOX-12").text
    assert found.count('class="card box-tile') == 10
    assert ann.get("/?site=2").text.count('class="card box-tile') == 1
    assert ann.get("/?page=x&site=x").is_success
    assert ann.get("/boxes").text.count("<tr") == 143


def test_a_database_that_fails_is_said_in_words(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    fleet.db.execute("alter table hours rename to hours_away")
    page = ann.get("/")
    assert page.status_code == 503 and "The database of the centre could not do this" in main_of(page.text)
    with pytest.raises(sqlite3.Error):
        fleet.db.execute("select * from hours")
