"""Every cause that a service puts on record is told in each language, with the values in it."""

from __future__ import annotations

import errno
import os
import re
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from appliance import https, mail
from appliance.alerts import webhook
from appliance.certificates import Facts
from appliance.config import load
from appliance.errors import UserError
from appliance.language import LANGUAGES, speaking
from appliance.machine import programs
from appliance.mail import MailServer, Security
from appliance.outside import SQLITE, SYSTEM, quoted, reason_words, system_words
from appliance.retold import retold
from appliance.rules import boxes
from appliance.rules import on_site as rules_on_site
from appliance.slots import bundle
from appliance.store import backup, database, soundness
from appliance.store.schedule import NOT_BACKED_UP
from appliance.sync import commands, on_site, reasons, service, updating
from appliance.vision import backends, batching, child_words, golden
from appliance.vision.reading import http_source, reach, rtsp_relay, source
from appliance.watch import retention
from appliance.watch.service import NOT_WRITTEN
from tests.mail_servers import OWNER, mail_server
from tests.site import Box
from tests.test_mail import HELLO, NOW_S

OTHERS = [code for code in LANGUAGES if code != "en"]
WHERE, DAY_S = "broker.lan:1883", 86_400.0
OF_OTHERS = {
    "Name or service not known",
    "No address associated with hostname",
    "Temporary failure in name resolution",
    "timed out",
}
"""What getaddrinfo and Python say."""
ENGLISH_WORDS = re.compile(r"\b(the|The|is|does|not|see|and|its|this|whether|with|ended|has)\b")
ERRORS = (
    socket.gaierror(-2, "Name or service not known"),
    TimeoutError(),
    ConnectionRefusedError(111, "Connection refused"),
    ConnectionResetError(104, "Connection reset by peer"),
    OSError(errno.EHOSTUNREACH, "No route to host"),
    OSError(errno.EIO, "Input/output error"),
    *(ssl.SSLError(1, f"[SSL: {name}] odd") for name in ("TLSV1_ALERT_UNKNOWN_CA", "CERTIFICATE_EXPIRED", "ODD")),
    *(ssl.SSLError(1, f"[SSL: {name}] odd") for name in ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "REVOKED")),
    *(ssl.SSLError(1, f"[SSL: {name}] odd") for name in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF")),
)


FIGURES = str(golden.Agreement(16, 0, 0.93, 0.02, 0))


def unverified(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "hostname mismatch"
    return error


def causes() -> Iterator[str]:
    """What `sync` puts on record of the centre and of a broker on site."""
    for error in (*ERRORS, *map(unverified, (9, 10, 18, 20, 62))):
        yield reasons.of_error(error, "centre.lan", 8883, NOW_S)
        for tls in (False, True):
            yield reasons.of_site(error, WHERE, tls, NOW_S)
    for code in range(0x80, 0xA3):
        yield reasons.of_refusal(code)
        yield reasons.of_refusal(code, "sums")
    for name in ("Bad user name or password", "Not authorized", "Server unavailable", "Unsupported protocol version"):
        yield reasons.of_site_refusal(ReasonCode(PacketTypes.CONNACK, name).value, name, WHERE)
    facts = Facts("1", "box", 1000 * DAY_S, 1365 * DAY_S)
    yield reasons.of_our_certificate(facts, 1366 * DAY_S)
    yield reasons.of_our_certificate(facts, 0.0)
    for words in (reasons.SITE_NOT_YET_TOLD, reasons.SITE_ENDED, reasons.SITE_NOT_CONFIRMED):
        yield words.format(where=WHERE)
    yield on_site.CANNOT.format(error=on_site.NO_PASSWORD.format(path="/etc/x", error="Permission denied"))
    yield f"{service.NOT_REACHED.format(since='2026-11-27T16:00')} {reasons.NO_WAY.format(host='centre.lan')}"
    yield f"{service.NOT_COUNTED} {reasons.SILENT}"
    yield commands.TOO_LATE.format(until="2026-11-27T16:00", now="2026-11-27T17:00")
    yield updating.NOT_KEPT.format(error="No space left on device")
    yield updating.FETCHED.format(percent=40)
    yield updating.RUNS.format(version="0.2.0")
    yield commands.NOT_DONE.format(error="No space left on device")
    for words in updating.STEPS.values():
        yield words.format(to="0.2.0")


def causes_of_the_watcher() -> Iterator[str]:
    """What `watch` puts on record of cameras, the GPU and the clock."""
    yield from (reach.THIS_BOX, reach.ELSEWHERE, reach.OUTSIDE, reach.ENDLESS, reach.NO_FILE, reach.NO_WEBCAM)
    yield from (source.NO_SUCH_SCHEME, source.NO_CAMERA_FORMAT, source.NO_FILE_FORMAT, rtsp_relay.NOT_RTSP)
    yield from (http_source.OTHER_PARTS, http_source.TOO_LONG, http_source.UNKNOWN_SIGN_IN)
    yield backends.BUILDS_STEP.format(precision="INT8", minutes="3", phase="tactics", step=2, steps=9)
    yield backends.FAILED.format(why="The GPU did not answer within 20 s.") + " " + backends.CPU_JUDGES
    yield backends.FAILED.format(why="Pycuda is not installed.") + " " + backends.NOT_USED
    for words in child_words.TOLD_BY_CHILDREN:
        values = {"error": "cuInit failed", "problems": golden.MISSES.format(state="mask"), "figures": FIGURES}
        values |= dict.fromkeys(re.findall(r"\{(\w+)\}", words), "7") | values
        told = words.format(**values)
        yield f"{told[:1].upper()}{told[1:]}. {backends.CPU_JUDGES}"
    yield f"The process that speaks with the GPU crashed (SIGSEGV). {backends.CPU_FOR_NOW.format(pause='1 min')}"
    for words in (batching.CLOSED, batching.NOT_OPENED, batching.HUNG, batching.NO_ANSWER, batching.FAILED):
        yield words.format(seconds="5", error="ValueError")
    for picture in (golden.OF_PICTURE, golden.OF_REGION):
        wrong = (golden.SAYS.format(said="mask", state="no_mask"), golden.NOBODY_THERE, golden.FAILS.format(error="X"))
        problems = "; ".join(picture.format(picture="hopper.jpg", what=what) for what in wrong)
        yield f"Nothing is judged, because the model fails its self-test: {problems}"
    yield "Nothing is judged: /m.toml cannot be used (`x`); install mb9k again"
    yield "Nothing is judged: the model /m.onnx cannot be read (No such file or directory); install mb9k again"
    yield retention.NOT_SYNCHRONISED.format(days=30)
    yield retention.leapt(1_700_000_000.0, 1_800_000_000.0, 1)
    yield retention.leapt(1_700_000_000.0, 1_800_000_000.0, 5)


def causes_of_the_record() -> Iterator[str]:
    """What is put on record of the file of the record, and of copies of it."""
    trouble = (database.NOT_OPENED, database.NOT_BEGUN, database.NO_ROOM)
    for said in SQLITE:
        yield NOT_WRITTEN.format(error=said)
        yield NOT_BACKED_UP.format(error=said)
        yield from (words.format(database="/etc/x", error=said) for words in trouble)
    remains = ("there are the last changes (-wal)", "there is what was set aside", "there are backups")
    lost = (soundness.EMPTY, soundness.GONE, soundness.NOBODY, soundness.NO_TABLES)
    whats = [words.format(remains=each) for words in lost for each in (*remains, soundness.IMAGES[1].format(n=3))]
    whats += [soundness.IMAGES[0].join(soundness.GONE.split("{remains}")).format(n=1)]
    damages = [words.format(name="streams.times (INTEGER)") for words in soundness.MISSING.values()]
    damages += [soundness.NOWHERE[0].format(n=1), soundness.NOWHERE[1].format(n=2)]
    whats += [soundness.DAMAGED.format(said=each) for each in (*damages, *SQLITE)]
    whats += [soundness.NEWER.format(name="m999_new", migrations="appliance", version="0.1.0")]
    whats += [soundness.FORBIDDEN, soundness.ANOTHERS, soundness.UNREADABLE.format(error="Permission denied")]
    refused = database.REFUSED
    for what in whats:
        yield refused.format(database="/etc/x", what=what)
        yield NOT_BACKED_UP.format(error=backup.NOT_COPIED.format(database="/etc/x", what=what))


@pytest.mark.parametrize("language", OTHERS)
def test_each_cause_that_a_service_puts_on_record_is_told_in_the_readers_language(language: str) -> None:
    on_record = [*causes(), *causes_of_the_watcher(), *causes_of_the_record()]
    with speaking(language):
        for english in on_record:
            told = retold(english)
            assert told != english and not ENGLISH_WORDS.search(re.sub(r"`[^`]*`|[\w.]*_[\w.]*", "", told)), told
            for value in re.findall(r"centre\.lan|broker\.lan:1883|\d{4}-\d\d-\d\d|/etc/x|0x[0-9a-f]{2}", english):
                assert value in told, (value, told)


def test_every_reason_that_the_library_names_for_a_refused_connection_has_its_number() -> None:
    for name in ("Bad user name or password", "Not authorized", "Server busy", "Banned", "Quota exceeded"):
        code = ReasonCode(PacketTypes.CONNACK, name)
        assert reason_words(code.value, "?") == str(code)
    assert reason_words(0xFF, "Whatever") == "Whatever", "what is unknown is quoted"


def test_the_words_of_the_system_and_of_sqlite_are_those_that_they_say(tmp_path: Path) -> None:
    told = {os.strerror(number) for number in errno.errorcode}
    assert [each for each in SYSTEM if each not in told | OF_OTHERS] == []
    (tmp_path / "x").write_bytes(b"no database at all" * 100)
    with closing(sqlite3.connect(tmp_path / "x")) as connection, pytest.raises(sqlite3.Error) as error:
        connection.execute("select * from sqlite_schema")
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.Error) as odd:
        connection.execute("select * from nowhere")
    late = subprocess.TimeoutExpired("x", 30.0)
    with speaking("de"):
        assert system_words(error.value) == "die Datei ist keine Datenbank"
        assert system_words(odd.value) == "no such table: nowhere", "what is unknown is quoted"
        assert system_words(FileExistsError(errno.EEXIST, "File exists", "/etc/x")) == "Die Datei gibt es schon"
        assert system_words(late) == "es dauerte länger als 30 s"


def test_what_the_system_says_within_a_sentence_for_a_person_is_told_in_their_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mb9k.toml").write_text(f"state_dir = '{tmp_path / 'state'}'")
    config = load(tmp_path / "mb9k.toml")
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing is installed there
    for file in (config.state / mail.FILE, config.state / rules_on_site.SETTINGS):
        file.mkdir(parents=True)
    asked: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: mail.load(config.state), "(Ist ein Ordner)"),
        (lambda: rules_on_site.in_force(config), "(Ist ein Ordner)"),
        (lambda: programs.run(tmp_path / "none"), "(Datei oder Ordner nicht gefunden)"),
        (lambda: programs.run("/bin/sleep", "60", timeout_s=0.01), "(es dauerte länger als 0.01 s)"),
        (lambda: boxes.end_process(2**30), "(Den Prozess gibt es nicht)"),
        (lambda: bundle.inspected(tmp_path, tmp_path), "`rauc`: Datei oder Ordner nicht gefunden"),
    )
    with speaking("de"):
        for ask, words in asked:
            assert words in refused(ask)


def refused(send: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        send()
    return str(error.value)


def test_what_a_mail_server_or_a_webhook_does_is_told_and_what_it_says_is_quoted(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    gone = MailServer("127.0.0.1", OWNER, free_port(), Security.NONE)
    with mail_server(tmp_path, Security.STARTTLS) as inbox:
        said = [
            refused(lambda: mail.send(msgspec.structs.replace(inbox.server, password="wrong one"), HELLO, NOW_S)),
            refused(lambda: mail.send(msgspec.structs.replace(inbox.server, authority=""), HELLO, NOW_S)),
            refused(lambda: mail.send(gone, HELLO, NOW_S)),
            refused(lambda: mail.send(MailServer("no-such-host.invalid", OWNER), HELLO, NOW_S)),
            refused(lambda: webhook.post(f"http://127.0.0.1:{gone.port}/", "", "1", b"{}", NOW_S)),
            refused(lambda: webhook.post(f"https://127.0.0.1:{inbox.server.port}/", "", "1", b"{}", NOW_S)),
        ]
    assert "(Connection refused)" in said[2] and "(only it vouches for itself)" in said[1]
    for language in OTHERS:
        with speaking(language):
            for english in said:
                told = retold(english)
                assert told != english and not re.search(r"\b(see|refuses|vouches|refused|shows)\b", told), told
            assert "(535 " in retold(said[0])
            assert retold(f"Alerts do not reach ann: {said[0]}").endswith(retold(said[0]))
    assert quoted("535 Not accepted. For more, see x") == "535 Not accepted.\u00a0For more, see x"


def test_a_certificate_that_cannot_be_used_is_explained_in_the_language_of_who_gives_it() -> None:
    def given() -> str:
        return refused(lambda: https.checked("no certificate", "no key", NOW_S))

    assert given() == "The private key cannot be read. Give it as PEM, which begins with -----BEGIN."
    told = {}
    for language in OTHERS:
        with speaking(language):
            told[language] = given()
    assert (
        told["de"]
        == "Der private Schlüssel lässt sich nicht lesen. Geben Sie es als PEM an; das beginnt mit -----BEGIN."
    )
    assert told["fr"].startswith("La clé privée ne peut pas être lue. ")
    assert told["es"].startswith("La clave privada no se puede leer. ")


def test_pages_tell_what_sync_and_notify_say(tmp_path: Path) -> None:
    box = Box(tmp_path, mqtt={"host": "broker.lan"})
    wrong = reasons.of_site(ConnectionRefusedError(), WHERE, False, NOW_S)
    box.store.services.heartbeat("sync", 1, box.clock.now.utc, wrong, box.clock.now)
    reader = box.browser("ann")
    for language, words in (
        ("de", "nimmt an diesem Port keine Verbindungen an"),
        ("fr", "ne prend pas de connexions à ce port"),
    ):
        reader.client.headers["Accept-Language"] = language
        for page in ("/box-health", "/fleet"):
            assert f"{WHERE} {words}" in reader.get(page).text, (language, page)
    box.close()
