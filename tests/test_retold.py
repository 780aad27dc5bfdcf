"""What services put on record in English, told again in the language of who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import retold as module
from appliance.faces import Judging
from appliance.language import LANGUAGES, _, n_, sentences, speaking
from appliance.notify.looking import DISK_FULL
from appliance.retold import FEWEST_LETTERS, retold, told_as
from appliance.rules.privacy import TITLE
from appliance.store import Kind
from appliance.store.schedule import NOT_BACKED_UP
from appliance.sync import commands, reasons
from appliance.vision import backends
from appliance.vision.reading.condition import OF_ABOUT, PULLED, PUSHED, UNKNOWN_CODEC, Obstacle, codec_name
from tests.site import Box

SINCE = "2026-11-27T16:00:00Z"
OTHERS = [code for code in LANGUAGES if code != "en"]
VALUES = {"seconds": "35 s", "interval": "", "codec": "av1", "kind": "no such thing"}


@pytest.mark.parametrize("language", OTHERS)
def test_every_problem_of_a_camera_is_told_again_with_its_values(language: str) -> None:
    told = {*PULLED.values(), *PUSHED.values()} - {"{kind}"}
    with speaking(language):
        for sentence in told:
            english = sentence.format(**VALUES)
            assert retold(english) == _(sentence).format(**VALUES) != english
    assert retold("The video ended; connecting again.") == "The video ended; connecting again.", "in English"


def test_values_that_are_sentences_themselves_are_told_again_too() -> None:
    waiting = "Waiting for a key frame, 35 s so far{interval}; set the key-frame interval to 2 s in OBS or the phone."
    with speaking("de"):
        told = retold(waiting.format(interval=OF_ABOUT.format(interval="30")))
        assert "bisher 35 s von etwa 30\u00a0s;" in told
        assert "Codec, der hier unbekannt ist;" in retold(
            f"The picture cannot be decoded: it is {UNKNOWN_CODEC}; use H.264 (or H.265) with 8 bits and 4:2:0."
        )
        undecodable = "The picture cannot be decoded: it is {}; use H.264 (or H.265) with 8 bits and 4:2:0."
        assert ": Es ist H.265; verwenden" in retold(undecodable.format(codec_name("hevc")))
        failed = retold("The GPU failed: Xid 79 at last. The CPU judges; tried again in 4 min.")
        assert (
            failed
            == "Die GPU ist ausgefallen: Xid 79 at last. Der Prozessor urteilt; ein neuer Versuch folgt in 4 min."
        )


def test_several_sentences_are_told_one_by_one_and_what_is_unknown_stays() -> None:
    with speaking("de"):
        assert retold("Pycuda is odd. The CPU judges.") == "Pycuda is odd. Der Prozessor urteilt."
        assert retold("Whatever else. Nobody knows it.") == "Whatever else. Nobody knows it."
        lost = "This box has not reached its centre since 2026-11-28T18:33Z."
        silent = "lan does not answer at port 8883. See whether it runs, and whether a firewall lets port 8883 through."
        told = retold(f"{lost} {silent}")
        assert told == f"{retold(lost)} {retold(silent)}" and "reached" not in told, "a host begins with a small letter"
        assert retold("Nobody answers at all.") == "Nobody answers at all.", "which is not `{host} answers {status}`"
        assert retold(commands.RESTARTED.format(service="watch")) == "Der Dienst watch wurde beendet und läuft wieder."
        assert retold("ann:door is LIVE again.") == _("{stream} is LIVE again.", stream="ann:door")
        unreached = reasons.of_error(ConnectionRefusedError(), "centre.lan", 8883, 0.0)
        assert retold(unreached).startswith("centre.lan nimmt an Port 8883 keine Verbindungen an. Sehen Sie nach")
        assert retold(reasons.REVOKED) == f"{_(reasons.REVOKED.partition(' Join')[0])} {_(reasons.JOIN_AGAIN)}"
        assert (retold(None), retold("")) == ("", "")


def formed(language: str) -> Iterator[tuple[str, str]]:
    """Each marked sentence that has values, in English with some, and what it is in a language."""
    for marked in sentences(language):
        one, many = marked if isinstance(marked, tuple) else (marked, "")
        names = list(dict.fromkeys(re.findall(r"\{(\w+)\}", one + many)))
        own = sum(map(str.isalpha, re.sub(r"\{\w+\}", "", many or one)))
        if not names or own < 2 * FEWEST_LETTERS or "!r}" in one or (many and "{n}" not in many):
            continue
        values: dict[str, object] = {name: 7 if name in ("n", "count") else f"{names.index(name)}x" for name in names}
        alike = {
            "database": "/var/mb9k.db",
            "deed": "the copy cannot be mended",
            "status": "503",
        }  # these are known by how they look
        values |= {name: value for name, value in alike.items() if name in names}
        number = {name: values.pop(name) for name in ("n",) if name in values}
        told = n_(one, many, 7, **values) if many else _(one, **number, **values)
        yield (many or one).format(n=7, **values), told


@pytest.mark.parametrize("language", OTHERS)
def test_no_marked_sentence_is_taken_for_another(language: str) -> None:
    with speaking(language):
        possible: dict[str, set[str]] = {}
        for english, told in formed(language):
            possible.setdefault(english, set()).add(told)  # two may differ in nothing but the names of their values
        assert len(possible) > 300
        assert [english for english, told in possible.items() if retold(english) not in told] == []


def test_pages_tell_it_in_the_readers_language_and_the_api_as_it_is_on_record(tmp_path: Path) -> None:
    box = Box(tmp_path)
    now, problem = box.clock.now, PUSHED[Obstacle.FROZEN].format(seconds="35 s")
    box.store.services.heartbeat(
        "watch", 1, now.utc, "The CPU judges.", now, Judging("onnx", "x", "The CPU judges.", SINCE)
    )
    readonly = NOT_BACKED_UP.format(error="attempt to write a readonly database")
    box.store.services.heartbeat("serve", 1, now.utc, readonly, now)
    box.store.streams.set_live(1, "192.0.2.7", now.utc)
    box.store.streams.set_problem(1, problem)
    ann = box.browser("ann")
    ann.client.headers["Accept-Language"] = "de"
    assert "Der Absender hat seit 35 s nichts gesendet" in ann.get("/streams/1").text
    for page in ("/settings", "/box-health", "/"):
        assert "Der Prozessor urteilt." in ann.get(page).text, page
    assert "wurde nicht gesichert: die Datenbank darf nur gelesen werden." in ann.get("/box-health").text
    assert ann.get("/api/v1/streams/1").json()["problem"] == problem
    assert ann.get("/api/v1/streams/1").json()["state_words"] == problem
    box.close()


def test_who_entered_a_detection_and_the_receipt_of_it_are_told_in_the_readers_language(tmp_path: Path) -> None:
    box = Box(tmp_path)
    sent = {"stream_id": 1, "state": "mask", "first_seen": "2026-11-24T12:00:00Z"}
    token = {"Authorization": "Bearer token of ann"}
    made = box.browser().client.post("/api/v1/detections", json=sent, headers=token).json()
    ann = box.browser("ann")
    english = ann.get(f"/detections/{made['id']}").text
    ann.client.headers["Accept-Language"] = "de"
    german = ann.get(f"/detections/{made['id']}").text
    receipt = ann.post(f"/detections/{made['id']}/delete").headers["location"]
    box.store.receipts.add(Kind.STATISTICS, TITLE, "ann", box.store.receipts.measure("false"), box.clock.now.utc)
    receipts = ann.get("/receipts").text
    on_receipt = ann.get(receipt).text
    box.close()
    assert made["model"] == "by hand: ann"
    assert "<dd>by hand: ann</dd>" in english and "<dd>von Hand: ann</dd>" in german
    assert f"Erfassung {made['id']} von ann:door" in on_receipt and "Erfassung" in receipts
    assert "Alle Erfassungen, Bilder, Livebilder, Sicherungen und Summen feiner als" in receipts


def test_a_list_is_told_again_where_all_of_it_is_known_and_a_capital_is_kept() -> None:
    with speaking("de"):
        frozen = PUSHED[Obstacle.FROZEN].format(seconds="35 s")
        assert retold("it was asked to end; its services do not stay up") == "; ".join(
            (_("it was asked to end"), _("its services do not stay up"))
        )
        assert retold("it was asked to end; nobody knows this") == "it was asked to end; nobody knows this"
        assert retold("It was asked to end") == "Es sollte enden" and retold("Nobody knows this") == "Nobody knows this"
        assert ";" not in frozen or retold(frozen) == _(PUSHED[Obstacle.FROZEN], seconds="35 s"), "no list, a sentence"


def test_a_text_that_was_cut_is_told_as_the_sentence_that_it_begins() -> None:
    frozen = PUSHED[Obstacle.FROZEN].format(seconds="35 s")
    with speaking("de"):
        told = retold(frozen)
        assert retold(f"{frozen[:-8]}…") == f"{told} …", "all of it, and that there was more"
        assert retold(f"It was asked to end. {frozen[:-8]}…. Now 0.1.0 runs.") == f"Es sollte enden. {told} " + (
            "Jetzt läuft 0.1.0."
        )
        unwell = "0.2.0 was not well within 5 minutes: "
        assert retold(f"{unwell}watch does not live; gate does not live").startswith("0.2.0 war nicht innerhalb von")
        assert retold(f"{unwell}wat…") == "0.2.0 war nicht innerhalb von 5 Minuten in Ordnung: wat…"
        for unclear in ("The…", "…", "Nobody knows this sente…", "The disk of the b…"):
            assert retold(unclear) == unclear
        assert retold(f"{frozen[:-8]}") == frozen[:-8], "nothing says that it was cut"


def test_a_text_of_others_cannot_keep_a_page_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = list[str]()
    marked = module._marked

    def noting(text: str, language: str) -> str | None:
        looked.append(text)
        return marked(text, language)

    monkeypatch.setattr(module, "_marked", noting)
    figures = {"precision": "INT8", "minutes": "3", "step": "2", "steps": "9"}
    with speaking("de"):
        many = "".join(f"A{number}. " for number in range(60)).strip()
        assert retold(many) == many
        assert len(looked) < 10 * 60, "neighbours are tried together, not all with all"
        assert retold(backends.BUILDS_STEP.format(**figures, phase="tactics")).startswith("Eine Engine wird gebaut")
        unclear = backends.BUILDS_STEP.format(**figures, phase=", 3 min, : of " * 12)
        assert retold(unclear) == unclear, "where its values end nobody can tell"


def test_what_looks_like_a_marked_sentence_itself_breaks_no_page() -> None:
    with speaking("de"):
        assert retold("there is no slot {slot!r}; there are A") == "there is no slot {slot!r}; there are A"


@pytest.mark.parametrize("figure", ["\u202f", "9" * 5000])
def test_what_is_no_figure_of_ours_breaks_no_page(figure: str) -> None:
    with speaking("de"):
        disk = DISK_FULL.format(free=f"{figure}.5 GB", size="2 GB", share="1 %")
        assert f"{figure}.5 GB" in retold(disk)
        for each in sentences("de"):
            if isinstance(each, tuple) and "{n}" in each[1]:
                retold(re.sub(r"\{(?!n\})\w+\}", "x", each[1]).replace("{n}", figure))
        assert told_as(f"{figure} detections", "audit", ("{n} detection", "{n} detections")) == f"{figure} detections"
