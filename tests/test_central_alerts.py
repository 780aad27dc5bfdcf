"""A centre watches its boxes and tells: looks, pages and the service itself, on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from appliance.alerts import kinds
from appliance.alerts.courier import Courier
from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL, Of, Parameters, Subject
from appliance.alerts.recipients import Way
from appliance.alerts.rounds import Finding
from appliance.central.leading import Leader
from appliance.central.looking import SETTLED_S, Looking, Memory
from appliance.central.notify import Notify, ways
from appliance.central.processes import note_alive
from appliance.faces import Counts
from appliance.times import Now
from tests.central_alerts import DOCK, LOBBY, something_is_wrong
from tests.fleets import NOON, Fleet

NORTH = Subject(Of.SITE, "1")


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    """Ingest runs since long ago."""
    made = Fleet(tmp_path / "state", made_database)
    note_alive(made.db, "ingest", NOON - SETTLED_S, NOON)
    yield made
    made.close()


def moment(after_s: float = 0.0) -> Now:
    return Now(NOON + after_s, "boot", 1000.0 + after_s)


def look(fleet: Fleet, memory: Memory | None = None, after_s: float = 0.0) -> dict[tuple[str, Subject], Finding]:
    """What every rule finds now, by the kind and the subject of the finding."""
    rules = fleet.store.alerts.rules.all()
    looking = Looking(fleet.store, rules, memory or Memory(), moment(after_s))
    return {
        (rule.kind.name, each.subject): each for rule in rules if rule.active for each in looking(rule, lambda _: False)
    }


def watch(fleet: Fleet, parameters: Parameters, subject: Subject = ALL) -> int:
    return fleet.store.alerts.rules.add(parameters, subject, 0, None, NOON)


def test_a_box_is_gone_when_its_newest_is_as_old_as_the_rule_says(fleet: Fleet) -> None:
    watch(fleet, kinds.Gone(minutes=15))
    assert kinds.Gone(minutes=15).held_s + kinds.Gone(minutes=15).silent_s == 900
    assert kinds.Gone(minutes=2).held_s == 0 and kinds.Gone(minutes=2).silent_s == 120
    fleet.add_box("new", None, sums_utc=None, complete_utc=None)
    fleet.add_box("former", None, revoked_utc=NOON, sums_utc=NOON - 9000, complete_utc=0)
    fleet.change_box("lobby", sums_utc=NOON - 179, complete_utc=NOON - 600)
    fleet.change_box("dock", sums_utc=NOON - 181, complete_utc=NOON - 600, status="stopped")
    found = look(fleet)
    holds = {subject.id: each.holds for (_, subject), each in found.items()}
    assert holds == {"lobby": False, "dock": True, "new": False}
    assert "dock (south)" in found["gone", DOCK].words and "switched off on purpose" in found["gone", DOCK].words


def test_nobody_looks_for_the_power_of_a_box_that_says_why_it_counts_nothing(fleet: Fleet) -> None:
    watch(fleet, kinds.Gone(minutes=15))
    old, full = {"sums_utc": NOON - 900, "complete_utc": 0}, "The disk of the box is full."
    fleet.change_box("dock", **old, status="running", state_utc=NOON - 59, problem=full)
    fleet.change_box("lobby", **old, status="running", state_utc=NOON - 900, problem=full)
    found = {subject.id: each for (_, subject), each in look(fleet).items()}
    assert found["dock"].holds and found["lobby"].holds
    assert found["dock"].words.endswith(f"is connected, but for 15 min nothing that it counts has come. {full}")
    assert found["lobby"].words.endswith("See its power and its network.")


@pytest.mark.parametrize("wrong", ["none runs", "it has just begun", "it has trouble"])
def test_nobody_is_gone_while_nothing_is_taken_in(fleet: Fleet, wrong: str) -> None:
    watch(fleet, kinds.Gone())
    fleet.change_box("lobby", sums_utc=NOON - 9000, complete_utc=NOON - 9000)
    fleet.db.execute("delete from processes")
    if wrong != "none runs":
        began = NOON - (SETTLED_S - 1 if wrong == "it has just begun" else 9000)
        note_alive(fleet.db, "ingest", began, NOON, "the broker is away" if wrong == "it has trouble" else "")
    assert look(fleet)["gone", LOBBY].holds is None and look(fleet)["gone", DOCK].holds is False


def test_a_box_goes_by_its_own_rule_then_by_that_of_its_site(fleet: Fleet) -> None:
    fleet.add_box("attic", 1)
    of_all, of_site, of_box = (watch(fleet, kinds.Gone(), each) for each in (ALL, NORTH, LOBBY))
    rules = {rule.id: rule for rule in fleet.store.alerts.rules.all()}
    looking = Looking(fleet.store, list(rules.values()), Memory(), moment())
    about = {id: {each.subject.id for each in looking(rules[id], lambda _: False)} for id in rules}
    assert about == {of_all: {"dock"}, of_site: {"attic"}, of_box: {"lobby"}}


def test_a_backlog_grows_from_one_state_to_the_next_until_it_shrinks(fleet: Fleet) -> None:
    watch(fleet, kinds.Backlog())
    memory, told = Memory(), []
    for minute, backlog in enumerate((10, 80, 50, 70, 70, 90, 60, 1000, 900)):
        fleet.change_box("lobby", backlog=backlog, state_utc=NOON + 60 * minute)
        for _ in range(2):  # the same state, looked at again, says nothing new
            told.append(look(fleet, memory)["backlog", LOBBY].holds)
    assert told[::2] == told[1::2]
    assert told[::2] == [False, True, False, True, True, True, False, True, False]


def test_a_rate_is_of_a_site_a_box_or_all_and_needs_enough_people(fleet: Fleet) -> None:
    fleet.add_minutes(1, NOON - 1200, {minute: Counts(2, 1, 0, 5) for minute in range(20)})
    fleet.add_minutes(2, NOON - 1200, {minute: Counts(mask=3) for minute in range(20)})
    for subject in (ALL, NORTH, LOBBY, DOCK):
        watch(fleet, kinds.Rate(percent=80, minutes=10, persons=30), subject)
    found = {subject: each for (_, subject), each in look(fleet).items()}
    assert {subject: each.holds for subject, each in found.items()} == {
        ALL: False,
        NORTH: True,
        LOBBY: True,
        DOCK: False,
    }
    assert "The rate of north is 67 %" in found[NORTH].words and found[NORTH].figures["n"] == 30
    assert found[ALL].figures["n"] == 60 and found[ALL].figures["unknown"] == 50
    fleet.store.sites.remove(1)
    assert NORTH not in {subject for _, subject in look(fleet)}
    fleet.db.execute("delete from processes")
    assert {each.holds for each in look(fleet).values()} == {None}


def test_a_service_that_ended_without_a_word_is_missed(fleet: Fleet) -> None:
    watch(fleet, kinds.Service())
    note_alive(fleet.db, "serve", NOON - 9000, NOON - 60)
    found = {subject.id: each for (_, subject), each in look(fleet).items()}
    assert {id: each.holds for id, each in found.items()} == {"ingest": False, "serve": True}
    assert "The page of the centre cannot be opened." in found["serve"].words


def test_on_a_full_disk_a_service_that_cannot_say_that_it_lives_is_not_told_of(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(fleet, kinds.Service())
    note_alive(fleet.db, "serve", NOON - 9000, NOON - 60)
    monkeypatch.setattr(type(fleet.db), "is_full", lambda _: True)
    assert {subject.id: each.holds for (_, subject), each in look(fleet).items()} == {"ingest": False, "serve": None}
    page = fleet.browser("ann").get("/").text
    assert "The disk of the centre is full" in page and "does not run" not in page


class Hook:
    """A webhook that listens. got: what was sent to it."""

    def __init__(self) -> None:
        got: list[dict[str, object]] = []
        self.got = got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def notify_of(fleet: Fleet, clock: Callable[[], Now]) -> tuple[Notify, Courier]:
    courier = Courier(Way.WEBHOOK, ways(fleet.config)[Way.WEBHOOK], fleet.open_store)
    return Notify(fleet.of_its_own(), [courier], clock), courier


def test_a_gone_box_is_told_once_and_told_again_when_it_is_back(fleet: Fleet, hook: Hook) -> None:
    now = [moment()]
    notify, courier = notify_of(fleet, lambda: now[0])
    fleet.store.alerts.recipients.add(Way.WEBHOOK, "ops", hook.address, "", NOON)
    watch(fleet, kinds.Gone(minutes=3))
    notify.deliver(courier)
    for after_s, sums_utc in ((0, NOON), (200, NOON), (210, NOON), (260, NOON + 255)):
        now[0] = moment(after_s)
        note_alive(fleet.db, "ingest", NOON - SETTLED_S, now[0].utc)
        fleet.change_box("lobby", sums_utc=sums_utc, complete_utc=sums_utc)
        fleet.change_box("dock", sums_utc=int(now[0].utc), complete_utc=int(now[0].utc))
        notify.step()
        notify.deliver(courier)
    notify.end()
    courier.close()
    assert [(each["what"], each["subject"]) for each in hook.got] == [
        (what, {"of": "box", "id": "lobby", "title": "lobby"}) for what in ("raised", "over")
    ]
    assert notify.problem == "" and hook.got[0]["alert"] == hook.got[1]["alert"]
    assert [entry.event.what for entry in fleet.store.alerts.log.page(9)] == [What.OVER, What.RAISED]


def test_of_several_one_leads_and_another_takes_over(fleet: Fleet) -> None:
    if fleet.db.dialect == "sqlite":
        assert Leader(fleet.address, 7).leads()  # one machine; there stay_alone sees to it
        return
    first, second = Leader(fleet.address, 7), Leader(fleet.address, 7)
    assert [first.leads(), second.leads(), first.leads(), second.leads()] == [True, False, True, False]
    first.close()
    assert [second.leads(), first.leads()] == [True, False]
    # The connection of whoever leads breaks.
    fleet.db.execute("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 7")
    with pytest.raises(Exception, match=r"."):
        second.leads()
    assert [first.leads(), second.leads()] == [True, False]
    first.close()
    second.close()


def test_pages_show_an_analyst_what_is_wrong_at_own_sites_and_an_admin_makes_rules(fleet: Fleet) -> None:
    something_is_wrong(fleet)
    ann, sci, eve = (fleet.browser(name) for name in ("ann", "sci", "eve"))
    for path in ("/", "/sites/1", "/boxes/lobby", "/alerts"):
        assert "lobby is gone." in ann.get(path).text and "lobby is gone." in sci.get(path).text, path
    assert "dock is gone." in ann.get("/").text
    for path in ("/", "/sites/1", "/alerts", "/api/v1/alerts"):
        assert "dock" not in sci.get(path).text and "is gone" not in eve.get(path).text, path
    assert "is not running, so nothing is watched" in ann.get("/alerts").text
    note_alive(fleet.db, "notify", NOON, NOON)
    assert "is not running, so nothing is watched" not in ann.get("/alerts").text
    made = ann.post(
        "/alerts/rules",
        kind="rate",
        subject="site:1",
        percent="70",
        minutes="30",
        persons="20",
        cool_down="60",
        to="all",
    )
    assert made.headers["location"] == "/alerts/rules", made.text
    assert "of north" in ann.get("/alerts/rules").text or ">north<" in ann.get("/alerts/rules").text
    refused = sci.post("/alerts/rules", kind="gone", subject="box:lobby", minutes="15", cool_down="60", to="all")
    assert refused.status_code == 400 and "only an admin" in refused.text
    for path in ("/alerts/rules/1", "/alerts/rules/2"):
        assert sci.get(path).status_code == 403
    assert "Make a rule" not in sci.get("/alerts/rules").text and "Make a rule" in ann.get("/alerts/rules").text
    assert ann.post("/alerts/rules/recommended").headers["location"] == "/alerts/rules"
    assert {rule.kind.name for rule in fleet.store.alerts.rules.all()} == {"gone", "backlog", "service", "rate"}
    topic = ann.post("/alerts/recipients", kind="mqtt", name="home", mqtt="mb9k/alerts")
    assert topic.status_code == 400 and "tells nobody by MQTT" in topic.text and "By MQTT" not in topic.text
    assert [row["action"] for row in fleet.db.query("select action from audit where action like 'alert%'")] == [
        "alert_rule_added"
    ] * 4


def test_the_rules_of_a_site_go_with_it(fleet: Fleet) -> None:
    watch(fleet, kinds.Rate(), NORTH)
    watch(fleet, kinds.Gone())
    fleet.browser("ann").post("/sites/1/remove")
    assert [rule.subject for rule in fleet.store.alerts.rules.all()] == [ALL]
    assert [row["action"] for row in fleet.db.query("select action from audit order by number")] == [
        *("alert_rule_removed", "changed")
    ]
