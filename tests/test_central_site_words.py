"""What the pages of a centre say when something is wrong, or missing, and where it is on record; on both databases."""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import language
from appliance.central import intake
from appliance.central.processes import note_alive, words_of
from appliance.central.viewer import recorded, words
from tests.fleets import NOON, Fleet
from tests.test_central_site_pages import main_of


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", made_database)
    yield made
    made.close()


class Shouting(gettext.NullTranslations):
    """A language whose sentences are the English ones in capitals; values stay as they are."""

    def gettext(self, message: str) -> str:
        return "".join(part if part[0] == "{" else part.upper() for part in re.split(r"({\w+})", message) if part)


@pytest.mark.parametrize(
    ("say", "kept", "told"),
    [
        (words.event, "invited 12 boxes", "INVITED 12 BOXES"),
        (words.event, "invited the {lobby}", "INVITED the {lobby}"),
        (words.event, "withdrew the join code for several boxes", "WITHDREW THE JOIN CODE FOR SEVERAL BOXES"),
        (words.event, "asked for: Restart a service: watch", "ASKED FOR: RESTART A SERVICE: watch"),
        (words.event, "asked for: something new", "ASKED FOR: something new"),
        (
            recorded.told,
            "The clock of the box is 3 hours ahead of ours.",
            "THE CLOCK OF THE BOX IS 3 HOURS AHEAD OF OURS.",
        ),
        (recorded.told, f"Messages of this box cannot be taken: {intake.TOO_OLD}.", None),
        (recorded.told, "", ""),
        (words.reason, "it has 70000 bytes, more than 65536", "IT HAS 70000 BYTES, MORE THAN 65536"),
        (words.reason, "there is no topic 'mb9k/x'", "THERE IS NO TOPIC 'mb9k/x'"),
        (words.reason, f"{intake.REFUSED}: odd words of a database", None),
    ],
)
def test_what_is_on_record_in_english_is_told_in_the_reader_s_language(
    say: Callable[[str], str], kept: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(language._catalogues, "de", Shouting())
    assert say(kept) == kept
    with language.speaking("de"):
        assert say(kept) == (kept.upper() if told is None else told)


def test_what_a_box_answered_is_told_in_the_reader_s_language(fleet: Fleet) -> None:
    ann = fleet.browser("ann")
    ann.post("/boxes/lobby/commands", action="restart", detail="watch")
    for done, answer, told in (
        (None, "0.2.0: building.", "0.2.0: wird gebaut."),
        (0, "The bundle could not be kept (No space left on device).", "Das Paket ließ sich nicht aufbewahren"),
        (0, "The service watch was ended, but has not come ba…", "Der Dienst watch wurde beendet, ist aber binnen"),
        (None, "The bundle is fetched: 42 %.", "Das Paket wird abgeholt: 42\u00a0%."),
        (1, "The service watch was ended, and runs again.", "Der Dienst watch wurde beendet und läuft wieder."),
        (1, "the LED blinks", "the LED blinks"),
    ):
        fleet.db.execute("update commands set done = ?, words = ?", [done, answer])
        assert told in ann.get("/boxes/lobby", headers={"Accept-Language": "de"}).text
        assert answer in ann.get("/boxes/lobby").text


def test_what_is_wrong_with_the_centre_is_told_in_the_reader_s_language(fleet: Fleet) -> None:
    said = "/x/central.db cannot be opened (Permission denied); has the centre been started?"
    note_alive(fleet.db, "ingest", NOON, NOON, f"the database takes no rows: {said}")
    note_alive(
        fleet.db, "notify", NOON, NOON, f"Alerts cannot be judged: {words_of(OSError(28, 'No space left on device'))}"
    )
    page = fleet.browser("ann").get("/", headers={"Accept-Language": "de"}).text
    assert "/x/central.db lässt sich nicht öffnen (Zugriff verweigert); wurde die Zentrale gestartet?" in page
    assert "die Datenbank nimmt keine Zeilen an" in page and "No space left" not in page


def test_events_are_listed_newest_first_by_pages_and_of_one_box(fleet: Fleet) -> None:
    with fleet.db.writing():
        for number in range(230):
            fleet.store.records.note(NOON + number, f"asked {number}", "ann", ("lobby", "dock", None)[number % 3])
    ann = fleet.browser("ann")
    first = main_of(ann.get("/events").text)
    assert first.index("Asked 229.") < first.index("Asked 130.") and "Asked 129." not in first
    assert (
        "page 1 of 3, 230 events" in first and "Asked 228. by ann \u00b7 lobby \u00b7 2026-11-24 12:03:48 UTC" in first
    )
    assert "Asked 29." in main_of(ann.get("/events?page=3").text)
    lobby = main_of(ann.get("/events?box=lobby").text)
    assert "Asked 228." in lobby and "Asked 229." not in lobby and "Asked 0." in lobby
    assert "no events of a box with this id" in main_of(ann.get("/events?box=nobody").text)
    assert "What happened with this box" in main_of(ann.get("/boxes/lobby").text)
    told = ann.get("/api/v1/events?before=4").json()["events"]
    assert [(each["what"], each["person"], each["box"]) for each in told] == [
        ("asked 2", "ann", None),
        ("asked 1", "ann", "dock"),
        ("asked 0", "ann", "lobby"),
    ]
    assert len(ann.get("/api/v1/events?box=dock&format=csv").text.splitlines()) == 1 + 77


def test_a_refused_message_says_what_to_do_about_it(fleet: Fleet) -> None:
    for number, reason in enumerate((intake.STRANGER, intake.REVOKED, intake.CLOCK_AHEAD, f"{intake.REFUSED}: x", "?")):
        fleet.db.execute(
            "insert into letters (at_utc, box_id, topic, reason, payload) values (?, 'x', 'mb9k/x/sums', ?, ?)",
            [NOON - number, reason, b"{}"],
        )
    page = fleet.browser("ann").get("/letters").text
    words = ("have it join again", "broker-config", "Set the clock of the box", "log of the centre", "up to date")
    places = [page.index(each) for each in words]
    assert places == sorted(places), "newest first, each with its own"
    assert "<code>mb9k central broker-config</code>" in page


def test_a_silent_box_says_what_to_do_and_a_lost_one_has_no_stream_live(fleet: Fleet) -> None:
    fleet.change_box("lobby", status="gone", sums_utc=NOON - 4000, complete_utc=NOON - 4000)
    fleet.change_box("dock", status="", sums_utc=None, complete_utc=None, hello_utc=None)
    fleet.db.execute(
        "insert into processes (name, kind, started_utc, heartbeat_utc, problem) values ('ingest', 'ingest', ?, ?, ''),"
        " ('notify', 'notify', ?, ?, 'No mail server answers.')",
        [NOON] * 4,
    )
    ann = fleet.browser("ann")
    lost = main_of(ann.get("/boxes/lobby").text)
    assert "Its connection was lost, nothing has come for 1 h 6 min. See whether it has power" in lost
    assert "mail" not in lost, "what keeps no data away is said on the page Fleet"
    assert "No mail server answers" in main_of(ann.get("/").text)
    assert "door LIVE" not in lost and "0 of 1" in main_of(ann.get("/").text)
    assert "Joined, but has not told anything yet. This takes a minute" in main_of(ann.get("/boxes/dock").text)
    fleet.clock.forward(60)
    silent = main_of(ann.get("/boxes/lobby").text)
    assert "ingest of this centre does not run" in silent and "power" not in silent, "it is not the box's doing"


def test_an_older_version_is_said(fleet: Fleet) -> None:
    fleet.change_box("lobby", version="0.10.0")
    fleet.change_box("dock", version="0.9.2")
    fleet.add_box("van", None, version="99.nonsense")
    text = main_of(fleet.browser("ann").get("/").text)
    assert "0.9.2 (others have 0.10.0)" in text and text.count("others have") == 1
    assert main_of(fleet.browser("ann").get("/boxes").text).count("older") == 1
    assert "0.9.2 (others have 0.10.0)" in main_of(fleet.browser("ann").get("/sites/2").text), "of the whole fleet"


def test_a_page_with_nothing_on_it_says_what_comes_next(fleet: Fleet) -> None:
    for path in ("/", "/boxes"):
        assert "An admin gives you sites" in main_of(fleet.browser("eve").get(path).text), path
        assert "No box is called like this" in main_of(fleet.browser("ann").get(f"{path}?search=zzz").text), path
    for path in ("/sites", "/compare", "/map"):
        assert "on the page People" in main_of(fleet.browser("eve").get(path).text), path
    fleet.db.execute("update boxes set revoked_utc = 1")
    for path in ("/", "/sites/1"):
        assert "Add a box" in main_of(fleet.browser("ann").get(path).text), path


def test_what_is_sent_the_wrong_way_is_refused_in_our_words(fleet: Fleet) -> None:
    refused = fleet.browser("ann").get("/boxes/lobby/commands")
    assert refused.status_code == 405 and "This address does not take what was sent" in refused.text
