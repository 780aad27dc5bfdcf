"""What an alert says: in English on record, in the box's language where it is sent, in the reader's on the pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from appliance import mail
from appliance.alerts import changes, kinds, trial
from appliance.alerts.judge import What
from appliance.alerts.kinds import Of, Subject
from appliance.alerts.log import Event
from appliance.alerts.message import Site, document, told
from appliance.alerts.rate import TOO_FEW
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.sending import Undelivered
from appliance.alerts.trial import WORDS, send_test
from appliance.alerts.ways import NO_SERVER
from appliance.central.looking import SILENT
from appliance.faces import State
from appliance.language import ENGLISH, speak, speaking
from appliance.language import _ as _of
from appliance.notify.looking import DISK_FULL
from appliance.notify.service import ways
from appliance.retold import retold
from appliance.sync.alerts import alerts_by_mqtt
from tests.hooks import hook_server
from tests.mail_servers import OWNER, mail_server
from tests.test_notify import LAB, Room

LOOKED_AT = {
    "de": "Die Quote (sci:lab) ist 22 % (16 bis 30 %, n = 126) über 15 min; das ist unter 50 %.",
    "es": "La tasa de sci:lab es 22 % (16 a 30 %, n = 126) en 15 min, por debajo de 50 %.",
    "fr": "Le taux de sci:lab est de 22 % (16 à 30 %, n = 126) sur 15 min, ce qui est sous 50 %.",
    "en": "The rate of sci:lab is 22 % (16 to 30 %, n = 126) over 15 min, which is under 50 %.",
}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A box that is set to German, in a process that speaks German where nobody asks for another language."""
    made = Room(tmp_path / "state")
    made.config = msgspec.structs.replace(made.config, language="de")
    speak("de")
    yield made
    speak(ENGLISH)
    made.close()


def test_a_german_box_writes_german_mail_and_each_reader_reads_their_own_language(room: Room, tmp_path: Path) -> None:
    room.rule("rate", kinds.stream(LAB), percent=50, minutes=15, persons=20)
    room.clock.forward(1200)
    room.passes(State.NO_MASK, 98, LAB)
    room.passes(State.MASK, 28, LAB)
    assert room.minutes(0.5) == [LOOKED_AT["en"]], "the record is in English"
    event = room.store.alerts.log.page(1)[0].event
    reader = room.browser("ann")
    for language, words in LOOKED_AT.items():
        reader.client.headers["Accept-Language"] = language
        for page in ("/alerts", "/", "/streams/2"):
            assert words in reader.get(page).text, (language, page)
    assert [each["words"] for each in reader.get("/api/v1/alerts").json()["now"]] == [LOOKED_AT["en"]]
    with hook_server() as hook, mail_server(tmp_path) as inbox:
        mail.save(room.config.state, inbox.server)
        send = ways(room.config)
        send[Way.WEBHOOK](Recipient(1, Way.WEBHOOK, "ops", hook.url, ""), event)
        send[Way.EMAIL](Recipient(2, Way.EMAIL, "ann", OWNER, ""), event)
        assert (hook.messages[0]["words"], hook.messages[0]["figures"]["n"]) == (LOOKED_AT["de"], 126)
        assert hook.messages[0]["text"].endswith(f": {LOOKED_AT['de']}")
        (arrived,) = inbox.messages
        text = arrived.get_body(["plain"])
        assert text is not None and text.get_content().startswith(LOOKED_AT["de"])
        assert "Betrifft: sci:lab" in text.get_content()
    said: list[bytes] = []
    broker = SimpleNamespace(say=lambda _topic, body, _timeout_s: said.append(body))
    topic = changes.add_recipient(room.store, Way.MQTT, "plant", "plant/mb9k", "", room.clock.now.utc)
    with room.store.saving():
        log_id = room.store.alerts.log.add(replace(event, uid="2" * 32))
        room.store.alerts.log.tell(log_id, [changes.find_recipient(room.store, topic)], room.clock.now.utc)
    courier = alerts_by_mqtt(room.config, broker)  # type: ignore[arg-type]
    courier.step()
    courier.close()
    assert [json.loads(body)["words"] for body in said] == [LOOKED_AT["de"]]


def test_numbers_and_times_follow_the_language_and_names_stay_as_they_are() -> None:
    disk = DISK_FULL.format(free="1.5 GB", size="2\u202f000 GB", share="62 %")
    box = Event("0" * 32, "1" * 32, What.RAISED, 0, 0, 1, "gone", Subject(Of.BOX, "b"), "No. A Mask", "", {})
    away = replace(box, words=SILENT.format(box="No. A Mask (Person)", time="4 days"))
    with speaking("de"):
        assert retold(disk).startswith("Der Speicher ist fast voll: 1,5 GB von 2.000 GB")
        assert retold(TOO_FEW.format(title="all streams", people="1\u202f234", span="15 min")) == (
            "Die Quote (alle Streams) lässt sich nicht mehr sagen: 1.234 Personen beurteilt in 15 min."
        )
        assert told(away) == "Von No. A Mask (Person) ist seit 4 Tagen nichts gekommen. Prüfen Sie Strom und Netz."
    with speaking("fr"):
        assert "1,5 GB" in retold(disk)
    assert (retold(disk), told(away)) == (disk, away.words), "in English"


def test_a_test_that_fails_is_on_record_in_english_and_told_to_whoever_sent_it(room: Room) -> None:
    kept = changes.add_recipient(room.store, Way.EMAIL, "ann", OWNER, "", room.clock.now.utc)
    ann = changes.find_recipient(room.store, kept)
    with speaking("fr"), pytest.raises(Undelivered, match="^" + re.escape(_of(NO_SERVER))):
        send_test(room.store, ways(room.config), ann, "Hall", room.clock.now.utc)
    (entry,) = room.store.alerts.log.page(1)
    assert (entry.event.words, entry.deliveries[0].problem) == (WORDS, NO_SERVER)
    reader = room.browser("ann")
    for language in ("de", "es", "fr"):
        reader.client.headers["Accept-Language"] = language
        page = unescape(reader.get("/alerts").text)
        with speaking(language):
            assert _of(WORDS) in page and _of(NO_SERVER) in page, language


def test_the_name_of_a_site_stays_as_it_is_in_a_test_of_it() -> None:
    home = Site("Home", "box", language="de")
    sent = json.loads(document(trial.test_event("Home", 0.0), home))
    assert sent["subject"]["title"] == "Home"
    together = Event("0" * 32, "1" * 32, What.RAISED, 0, 0, 1, "rate", kinds.ALL, "all streams", "", {})
    assert json.loads(document(together, home))["subject"]["title"] == "alle Streams"
