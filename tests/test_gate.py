"""The gate: who may publish, who may read, and what is recorded of refusals."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.errors import UserError
from appliance.loopback import USER, authorization
from appliance.media import gate, refusals
from appliance.media.gate import AuthRequest, Gate, authorise
from appliance.media.refusals import Refusals
from appliance.secrets import digest
from appliance.sections import Media
from appliance.store import Store
from appliance.times import now
from tests.boxes import until
from tests.media_room import MediaRoom

KEY = "GATEGATEGATEGATEGA22"
OTHER_KEY = "GATEGATEGATEGATEGA33"
SECRET = "the box's own secret"
BEGUN_UTC = 1_800_000_000.0


@pytest.fixture
def guarded(store: Store) -> Store:
    """A store with one active stream (id 1, KEY)."""
    store.people.add("ann", "no password", Role.ADMIN, 0.0)
    store.streams.add_with_key(1, "door", digest(KEY), 0.0)
    return store


def decide(store: Store, action: str, path: str, **more: str) -> gate.Decision:
    return authorise(AuthRequest(action, path, **{"ip": "10.0.0.9", "protocol": "rtmp", **more}), store, SECRET)


@pytest.mark.parametrize("path", [f"live/{KEY}", f"live//{KEY}", f"live/{KEY}/"])
def test_the_right_key_may_send_however_its_slashes_are_typed(guarded: Store, path: str) -> None:
    assert decide(guarded, "publish", path) == gate.Decision(True)


@pytest.mark.parametrize("key", [OTHER_KEY, KEY[:-1], KEY + "2", KEY.lower(), digest(KEY)])
def test_any_other_key_may_not_send(guarded: Store, key: str) -> None:
    assert decide(guarded, "publish", f"live/{key}") == gate.Decision(False, refusals.UNKNOWN_KEY)


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("", "", refusals.NO_KEY),
        ("live", "", refusals.NO_KEY),
        ("live/", "", refusals.NO_KEY),
        ("live", f"x=1/{KEY}", refusals.QUESTION_MARK),
        (KEY, "", refusals.WRONG_NAME),
        (f"LIVE/{KEY}", "", refusals.WRONG_NAME),
        (f"other/{KEY}", "", refusals.WRONG_NAME),
        (f"live/live/{KEY}", "", refusals.LIVE_TWICE),
        (f"live/rtmp://box/live/{KEY}", "", refusals.LIVE_TWICE),
        (f"live/{KEY}/x", "", refusals.TOO_MUCH),
        (f"live/../{KEY}", "", refusals.TOO_MUCH),
        (f"live///{KEY}", "", refusals.SLASH),
        ("live/x y", "", refusals.NOT_A_KEY),
        (f"live/{KEY}.", "", refusals.NOT_A_KEY),
        ("live/" + "A" * 65, "", refusals.NOT_A_KEY),
    ],
)
def test_a_wrong_address_is_refused_and_told_what_was_typed_wrong(
    guarded: Store, path: str, query: str, reason: str
) -> None:
    assert decide(guarded, "publish", path, query=query) == gate.Decision(False, reason)


def test_a_rotated_key_and_a_deactivated_stream_are_refused(guarded: Store) -> None:
    guarded.streams.set_key(1, digest(OTHER_KEY))
    assert decide(guarded, "publish", f"live/{KEY}") == gate.Decision(False, refusals.OLD_KEY, 1)
    assert decide(guarded, "publish", f"live/{OTHER_KEY}").allowed
    guarded.streams.set_active(1, False)
    assert decide(guarded, "publish", f"live/{OTHER_KEY}") == gate.Decision(False, refusals.DEACTIVATED, 1)


def test_a_second_publisher_is_let_pass_but_recorded(guarded: Store) -> None:
    guarded.services.heartbeat("watch", 1, 0.0, None, now())
    guarded.streams.set_live(1, "10.0.0.1:5", time.time())
    assert decide(guarded, "publish", f"live/{KEY}") == gate.Decision(True, refusals.SECOND, 1)


@pytest.mark.parametrize(("action", "reason"), [("read", refusals.READING), ("api", refusals.NOT_OFFERED)])
def test_only_the_box_itself_may_watch_and_ask_the_api_and_only_from_loopback(
    guarded: Store, action: str, reason: str
) -> None:
    path, right = f"live/{KEY}", {"user": USER, "password": SECRET, "protocol": "rtsp"}
    assert decide(guarded, action, path, ip="127.0.0.1", **right).allowed
    assert decide(guarded, action, path, ip="::1", **right).allowed
    for more in (
        right,
        {**right, "ip": ""},
        {**right, "ip": "127.0.0.1", "password": KEY},
        {**right, "ip": "127.0.0.1", "user": "ann"},
        {"ip": "127.0.0.1", "query": f"token={SECRET}"},
    ):
        assert decide(guarded, action, path, **more) == gate.Decision(False, reason)


def test_being_asked_for_credentials_is_no_refusal_to_tell_of(guarded: Store) -> None:
    assert decide(guarded, "read", f"live/{KEY}", ip="127.0.0.1", protocol="rtsp") == gate.Decision(False)
    assert decide(guarded, "api", "", ip="127.0.0.1", protocol="") == gate.Decision(False)


@pytest.mark.parametrize("action", ["playback", "metrics", "pprof", "", "PUBLISH"])
def test_nothing_else_is_offered(guarded: Store, action: str) -> None:
    decision = decide(guarded, action, f"live/{KEY}", ip="127.0.0.1", user=USER, password=SECRET)
    assert decision == gate.Decision(False, refusals.NOT_OFFERED)


@pytest.mark.parametrize("protocol", ["rtsp", "srt", "webrtc", ""])
def test_streams_come_in_by_rtmp_only(guarded: Store, protocol: str) -> None:
    decision = decide(guarded, "publish", f"live/{KEY}", protocol=protocol)
    assert decision == gate.Decision(False, refusals.NOT_OFFERED)


# The service


@pytest.fixture
def room(tmp_path: Path, free_port: Callable[[], int]) -> MediaRoom:
    made = MediaRoom(tmp_path, "embedded", free_port)
    made.add_stream(KEY)
    return made


@pytest.fixture
def answering(room: MediaRoom) -> Iterator[MediaRoom]:
    """A gate that runs as a process."""
    with room.running_gate():
        yield room


def ask(room: MediaRoom, action: str = "publish", path: str = f"live/{KEY}", **more: Any) -> int:
    """The gate's status for a question as MediaMTX 1.20.1 puts it."""
    question = {
        "ip": "192.168.1.5", "user": "", "password": "", "token": "", "action": action, "path": path,
        "protocol": "rtmp", "id": "6f0d4e1c-0000-4000-8000-000000000000", "query": "", "userAgent": "FMLE/3.0",
    }  # fmt: skip
    return post(room, json.dumps({**question, **more}).encode()).status_code


def post(room: MediaRoom, body: bytes, **headers: str) -> httpx.Response:
    """What the gate answers; headers replaces those that MediaMTX sends (an empty one is left out)."""
    sent = {"Authorization": authorization(room.secret), "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    address = f"http://127.0.0.1:{room.config.media.gate_port}/auth"
    return httpx.post(address, content=body, headers={name: value for name, value in sent.items() if value})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": authorization("guessed")}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Origin": "http://elsewhere.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "rebound.test"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Content_Type": "application/json; charset=utf-8"}, 204),
    ],
)
def test_the_gate_answers_the_ingest_and_nobody_else(
    answering: MediaRoom, headers: dict[str, str], status: int
) -> None:
    question = json.dumps({"action": "publish", "path": f"live/{KEY}", "protocol": "rtmp", "ip": "10.0.0.9"})
    assert post(answering, question.encode(), **headers).status_code == status
    port = answering.config.media.gate_port
    for host in (f"localhost:{port}", f"[::1]:{port}"):
        assert post(answering, question.encode(), Host=host).status_code == 204


def test_it_answers_what_mediamtx_asks(answering: MediaRoom) -> None:
    assert ask(answering) == 204
    assert ask(answering, path=f"live/{OTHER_KEY}") == 401
    assert ask(answering, "read", ip="127.0.0.1") == 401
    own = {"ip": "127.0.0.1", "user": USER, "password": answering.secret, "token": answering.secret}
    assert ask(answering, "read", **own) == 204
    assert ask(answering, "read", **own, something_new={"a": [1]}) == 204


NO_QUESTIONS = [
    (b"", 400),
    (b"{}", 400),
    (b"[]", 400),
    (b'{"action": 7}', 400),
    (b"\xff\xfe", 400),
    (b'{"action": "api", "ip": "127\x87"}', 400),
    (b'{"action": "read", "ip": "127.0.0.1", "password": "\\ud800"}', 400),
    (b'{"action": "publish", "path": "live/' + b"A" * 20_000 + b'"}', 413),
]


def test_what_is_no_question_is_refused_without_a_word(answering: MediaRoom) -> None:
    for body, status in NO_QUESTIONS:
        answer = post(answering, body)
        assert (answer.status_code, answer.content) == (status, b""), body[:50]
    assert ask(answering) == 204
    assert "Traceback" not in answering.log()


def test_refusals_are_recorded_once_with_a_count_and_without_the_key(answering: MediaRoom) -> None:
    for _ in range(30):
        assert ask(answering, path=f"live/{OTHER_KEY}") == 401
    assert ask(answering, "read", ip="127.0.0.1", user=USER, password=OTHER_KEY) == 401

    def recorded() -> dict[tuple[str, str, str], int]:
        return {(one.remote, one.action, one.reason): one.times for one in answering.store.streams.refusals()}

    expected = {("192.168.1.5", "publish", refusals.UNKNOWN_KEY): 30, ("127.0.0.1", "read", refusals.READING): 1}
    until(lambda: recorded() == expected, 30, "both are recorded")
    stored = b"".join(path.read_bytes() for path in answering.config.state.iterdir() if path.is_file())
    assert OTHER_KEY.encode() not in stored
    assert OTHER_KEY not in answering.log()


def test_a_change_counts_at_once(answering: MediaRoom) -> None:
    assert ask(answering) == 204
    answering.store.streams.set_active(1, False)
    assert ask(answering) == 401
    answering.store.streams.set_active(1, True)
    assert ask(answering) == 204
    answering.store.streams.set_key(1, digest(OTHER_KEY))
    assert ask(answering) == 401


def test_it_answers_while_somebody_else_writes_for_long(answering: MediaRoom) -> None:
    with answering.store.writing():
        answering.store.streams.set_active(1, False)
        assert ask(answering) == 204  # not committed yet; who waited for the end of the writing would wait in vain


def test_it_gives_heartbeats_and_ends_on_sigterm(room: MediaRoom) -> None:
    with room.running_gate() as process:
        until(lambda: room.store.services.is_alive("gate", now()), 30, "a heartbeat")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_the_secret_of_an_earlier_version_is_removed(tmp_path: Path) -> None:
    (tmp_path / "reader-token").write_text("a secret that nothing reads")
    for _ in range(2):
        Gate(Config(state_dir=str(tmp_path)))
        assert {path.name for path in tmp_path.iterdir()} >= {"local-secret"} and not (
            tmp_path / "reader-token"
        ).exists()


def test_many_questions_after_one_another_are_all_answered(answering: MediaRoom) -> None:
    address = f"http://127.0.0.1:{answering.config.media.gate_port}/auth"
    headers = {"Authorization": authorization(answering.secret), "Content-Type": "application/json"}
    headers["Connection"] = "close"
    with httpx.Client() as client:
        for key, status in ((KEY, 204), (OTHER_KEY, 401)) * 200:
            question = {"action": "publish", "protocol": "rtmp", "path": f"live/{key}", "ip": "192.168.1.5"}
            # Each on a connection of its own, as MediaMTX does. How long one takes, scripts/bench.py measures.
            answer = client.post(address, content=json.dumps(question), headers=headers)
            assert answer.status_code == status


# When the store is in trouble


def config_of(folder: Path, **media: Any) -> Config:
    return Config(state_dir=str(folder), media=Media(**media))


def test_a_store_that_cannot_be_read_lets_nobody_in_until_it_can(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    guard = Gate(config)
    question = json.dumps({"action": "publish", "protocol": "rtmp", "path": f"live/{KEY}", "ip": "10.0.0.9"}).encode()
    assert guard.status_for(question) == 401
    hidden = tmp_path / "hidden"
    guard._local.store = None
    config.store_path.rename(hidden)
    assert guard.status_for(question) == 503
    hidden.rename(config.store_path)
    assert guard.status_for(question) == 401


def test_a_connection_to_the_store_that_broke_is_replaced_at_once(tmp_path: Path) -> None:
    guard = Gate(config_of(tmp_path))
    question = json.dumps({"action": "publish", "protocol": "rtmp", "path": f"live/{KEY}", "ip": "10.0.0.9"}).encode()
    guard.status_for(question)
    guard._store().db.conn.close()  # what any use then raises is a sqlite3.Error
    assert guard.status_for(question) == 401, "the connection is replaced at once"


def test_refusals_that_cannot_be_written_wait_for_better_times(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    store = Store.open(path)
    queue = Refusals()
    for _ in range(3):
        queue.add("10.0.0.9", "publish", refusals.UNKNOWN_KEY)
    store.db.conn.execute("create trigger no before insert on refusals begin select raise(abort, 'no'); end")
    with pytest.raises(sqlite3.IntegrityError):
        queue.save(path, BEGUN_UTC)
    store.db.conn.execute("drop trigger no")
    queue.save(path, BEGUN_UTC)
    assert [(one.reason, one.times) for one in store.streams.refusals()] == [(refusals.UNKNOWN_KEY, 3)]


def test_refusals_are_the_same_only_if_remote_action_and_reason_are(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.db"
    store = Store.open(path)
    queue = Refusals()
    expected = {
        ("10.0.0.9", "publish", refusals.UNKNOWN_KEY): 5,
        ("10.0.0.9", "publish", refusals.DEACTIVATED): 1,
        ("10.0.0.9", "read", refusals.UNKNOWN_KEY): 2,
        ("10.0.0.8", "publish", refusals.UNKNOWN_KEY): 3,
    }
    for rounds in (1, 0):  # the second round finds each of them in the store
        for refusal, times in expected.items():
            for _ in range(1 if rounds else times - 1):
                queue.add(*refusal)
        queue.save(path, BEGUN_UTC)
    recorded = [(one.remote, one.action, one.reason, one.times) for one in store.streams.refusals()]
    assert sorted(recorded) == sorted((*refusal, times) for refusal, times in expected.items())


def test_a_flood_of_refusals_neither_waits_nor_grows(tmp_path: Path) -> None:
    queue = Refusals()
    for number in range(5 * refusals.MAX_QUEUED_REFUSALS):
        queue.add(f"10.0.{number >> 8}.{number & 255}", "publish", refusals.UNKNOWN_KEY)
    assert queue.queue.qsize() == refusals.MAX_QUEUED_REFUSALS


def test_a_busy_port_is_one_clear_line(tmp_path: Path, answering: MediaRoom) -> None:
    with pytest.raises(
        UserError,
        match=r"^port \d+ is taken by another program; .* media\.gate_port",
    ):
        gate.serve(config_of(tmp_path / "other", gate_port=answering.config.media.gate_port))
