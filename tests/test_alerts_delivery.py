"""What is sent, to real servers, how it is tried again, and what is said when it does not arrive."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import mail
from appliance.alerts import changes, kinds, message, webhook
from appliance.alerts.courier import LEAST_TRIES, MOST_TRIES, NOTE_PAUSE_S, PAUSES_S, TELL_S, TRIED_FOR_S, Courier
from appliance.alerts.judge import What
from appliance.alerts.log import Event, Outcome, new_uid
from appliance.alerts.message import Site
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.sending import Send, Undelivered
from appliance.alerts.ways import by_mail, by_webhook
from appliance.disk import FOR_PEOPLE_BYTES, RESERVE_BYTES, Reserve
from appliance.errors import NotSaved
from appliance.mail import Security
from appliance.store import Store
from appliance.store.backup import Backups, restore
from appliance.time_zone import named
from tests.hooks import Hook, hanging_server, hook_server
from tests.http_servers import Player, serving_http
from tests.mail_servers import OWNER, mail_server, self_signed
from tests.site import Clock, new_store

AT = 1_795_521_600.0  # 2026-11-24T12:00:00Z, one o'clock in Berlin
SECRET = "a long enough secret"
BERLIN = named("Europe/Berlin")
assert BERLIN
HALL = Site("Haus Süd", "box", "https://box.example.org", BERLIN)
OFFLINE = Event(
    "0" * 32,
    "1" * 32,
    What.RAISED,
    AT,
    AT - 300,
    3,
    "offline",
    kinds.stream(12),
    "ann:door",
    "ann:door is offline.",
    {},
)


class Room:
    """A box's store, what couriers it has, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock = folder / "mb9k.db", Clock()
        self.store = new_store(self.path)

    def recipient(self, name: str, address: str, way: Way = Way.WEBHOOK, secret: str = "") -> Recipient:
        made = changes.add_recipient(self.store, way, name, address, secret, self.clock().utc)
        return changes.find_recipient(self.store, made)

    def tell(self, *recipients: Recipient, words: str = "ann:door is offline.") -> int:
        with self.store.saving():
            event = replace(OFFLINE, uid=new_uid(), words=words)
            log_id = self.store.alerts.log.add(event)
            self.store.alerts.log.tell(log_id, recipients, self.clock().utc)
        return log_id

    def courier(self, way: Way = Way.WEBHOOK, send: Send | None = None) -> Courier:
        return Courier(way, send or by_webhook(lambda: HALL), lambda: Store.open_existing(self.path), self.clock)

    def outcomes(self) -> list[tuple[str, Outcome, int]]:
        entries = reversed(self.store.alerts.log.page(100))
        return [(each.recipient, each.outcome, each.tries) for entry in entries for each in entry.deliveries]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as made:
        yield made


def test_a_webhook_gets_a_signed_document_once(room: Room, hook: Hook) -> None:
    room.tell(room.recipient("ops", hook.url, secret=SECRET))
    courier = room.courier()
    courier.step()
    courier.step()
    courier.close()
    (headers,), (body,), (told,) = hook.headers, hook.bodies, hook.messages
    assert headers["Content-Type"] == "application/json"
    signed = f"{told['id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert (headers["webhook-id"], headers["webhook-signature"]) == (told["id"], f"v1,{expected}")
    assert {name: told[name] for name in told if name != "id"} == {
        "alert": "1" * 32,
        "what": "raised",
        "kind": "offline",
        "rule": 3,
        "site": {"name": "Haus Süd", "noun": "box", "url": "https://box.example.org"},
        "subject": {"of": "stream", "id": "12", "title": "ann:door"},
        "at": "2026-11-24T12:00:00.000Z",
        "since": "2026-11-24T11:55:00.000Z",
        "text": "Haus Süd: ann:door is offline.",
        "words": "ann:door is offline.",
        "figures": {},
    }
    assert room.outcomes() == [("ops", Outcome.SENT, 1)]


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    secret, uid = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = webhook.signature(secret, uid, 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_mail_says_it_in_the_clocks_of_the_box(room: Room, tmp_path: Path) -> None:
    room.tell(room.recipient("ann", OWNER, Way.EMAIL))
    with mail_server(tmp_path, Security.STARTTLS) as inbox:
        mail.save(tmp_path, inbox.server)
        courier = room.courier(Way.EMAIL, by_mail(tmp_path, lambda: HALL))
        courier.step()
        courier.close()
    (arrived,) = inbox.messages
    assert arrived["Subject"] == "Haus Süd: ann:door is offline."
    text = arrived.get_body(["plain"])
    assert text is not None and text.get_content().splitlines() == [
        "ann:door is offline.",
        "",
        "Since: Tuesday 24 November 2026, 12:55",
        "At: Tuesday 24 November 2026, 13:00 (Europe/Berlin)",
        "Box: Haus Süd",
        "About: ann:door",
        "",
        "https://box.example.org/alerts",
        "",
        "You get this because a rule of the box names you; its admins can change that.",
    ]
    assert room.outcomes() == [("ann", Outcome.SENT, 1)]


def test_many_messages_to_a_person_become_one_mail(room: Room, tmp_path: Path) -> None:
    ann = room.recipient("ann", OWNER, Way.EMAIL)
    with mail_server(tmp_path) as inbox:
        mail.save(tmp_path, inbox.server)
        courier = room.courier(Way.EMAIL, by_mail(tmp_path, lambda: HALL))
        for number in range(3):
            room.tell(ann, words=f"ann:{number} is offline.")
        courier.step()
        assert len(inbox.messages) == 3, "a few are told one by one"
        for number in range(40):
            room.tell(ann, words=f"ann:{number} is offline.")
        inbox.refuses = {OWNER: "452 full"}
        courier.step()
        assert len(inbox.messages) == 3 and room.outcomes()[-1] == ("ann", Outcome.WAITING, 1)
        inbox.refuses = {}
        room.clock.forward(PAUSES_S[0])
        courier.step()
        courier.step()
        courier.close()
    assert len(inbox.messages) == 4
    one = inbox.messages[-1]
    assert one["Subject"] == "Haus Süd: 40 messages; ann:0 is offline."
    text = one.get_body(["plain"])
    assert text is not None
    lines = text.get_content().splitlines()
    assert lines[39:42] == ["2026-11-24 13:00 ann:39 is offline.", "", "Times: Europe/Berlin"]
    assert room.outcomes() == [("ann", Outcome.SENT, 1)] * 3 + [("ann", Outcome.SENT, 2)] * 40


def test_mail_without_a_server_waits_and_an_address_that_is_refused_for_good_does_not(
    room: Room, tmp_path: Path
) -> None:
    ann = room.recipient("ann", OWNER, Way.EMAIL)
    room.tell(ann)
    courier = room.courier(Way.EMAIL, by_mail(tmp_path, lambda: HALL))
    courier.step()
    entry = room.store.alerts.log.page(1)[0].deliveries[0]
    assert (entry.outcome, entry.problem[:22]) == (Outcome.WAITING, "No mail server is set:")
    with mail_server(tmp_path) as inbox:
        mail.save(tmp_path, inbox.server)
        inbox.refuses = {OWNER: "550 no such user"}
        room.clock.forward(PAUSES_S[0])
        courier.step()
    courier.close()
    assert room.outcomes() == [("ann", Outcome.FAILED, 2)]
    assert "550 no such user" in room.store.alerts.log.page(1)[0].deliveries[0].problem


def problem_of(courier: Courier) -> str:
    return courier.problem or ""


def test_what_fails_is_tried_again_after_pauses_in_the_order_of_events_and_said_on_every_page(
    room: Room, hook: Hook
) -> None:
    ops = room.recipient("ops", hook.url)
    for words in ("one", "two"):
        room.tell(ops, words=words)
    hook.statuses = [500] * 6
    courier = room.courier()
    tries = 0
    while hook.statuses:
        courier.step()
        tries += 1
        assert len(hook.bodies) == tries
        courier.step()
        assert len(hook.bodies) == tries, "it is not tried at once"
        room.clock.forward(PAUSES_S[tries - 1])
    assert room.outcomes() == [("ops", Outcome.WAITING, 6)] * 2
    assert sum(PAUSES_S[:5]) < TELL_S <= sum(PAUSES_S[:6])
    assert problem_of(courier) == ""
    room.clock.forward(-1)
    courier.step()
    assert problem_of(courier) == (
        "Alerts do not reach ops: 127.0.0.1 answers 500 (Internal Server Error): see the address, and what it expects."
    )
    room.tell(ops, words="three")
    room.clock.forward(1)
    courier.step()
    assert [each["words"] for each in hook.messages[6:]] == ["one", "two", "three"]
    assert {each["id"] for each in hook.messages[:6]} == {hook.messages[6]["id"]}, "the id stays"
    assert problem_of(courier) == ""
    courier.close()


def test_after_a_day_it_is_given_up_and_said_whatever_the_clock_does(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ops = room.recipient("ops", f"http://127.0.0.1:{port}/")
    room.tell(ops)
    courier = room.courier()
    room.clock.now = replace(room.clock.now, utc=room.clock.now.utc + 10 * TRIED_FOR_S)  # it was 1970, say
    for number in range(LEAST_TRIES):
        assert room.outcomes() == [("ops", Outcome.WAITING, number)]
        courier.step()
        room.clock.forward(PAUSES_S[-1])
    assert room.outcomes() == [("ops", Outcome.FAILED, LEAST_TRIES)]
    assert "cannot be reached (Connection refused)" in room.store.alerts.log.page(1)[0].deliveries[0].problem
    room.tell(ops)
    room.clock.now = replace(room.clock.now, utc=0.0)
    for _ in range(MOST_TRIES):
        courier.step()
        room.clock.forward(PAUSES_S[-1])
    assert room.outcomes()[1] == ("ops", Outcome.FAILED, MOST_TRIES)
    courier.close()


def test_who_hangs_delays_no_other_for_long_and_another_way_not_at_all(
    room: Room, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "STEP_TIMEOUT_S", 0.3)
    with hanging_server() as port:
        slow, ops = room.recipient("a slow one", f"http://127.0.0.1:{port}/"), room.recipient("ops", hook.url)
        for _ in range(30):
            room.tell(slow)
        room.tell(ops)
        courier = room.courier()
        courier.step()  # one try of the slow one, then the other's turn
        courier.step()
        courier.close()
    assert [each for each in room.outcomes() if each[0] == "ops"] == [("ops", Outcome.SENT, 1)]
    assert {each for each in room.outcomes() if each[0] != "ops"} == {("a slow one", Outcome.WAITING, 1)}


def test_killed_between_sending_and_noting_it_is_sent_once_more_with_the_same_id(room: Room, hook: Hook) -> None:
    ops = room.recipient("ops", hook.url)
    room.tell(ops)

    class Killed(BaseException):
        """Stands in for a kill: nothing after it is done."""

    post = by_webhook(lambda: HALL)

    def send(recipient: Recipient, event: Event) -> None:
        post(recipient, event)
        raise Killed

    courier = room.courier(send=send)
    with pytest.raises(Killed):
        courier.step()
    courier.close()
    after = room.courier()
    after.step()
    after.step()
    after.close()
    assert len({each["id"] for each in hook.messages}) == 1 and len(hook.messages) == 2
    assert hook.bodies[0] == hook.bodies[1]
    assert room.outcomes() == [("ops", Outcome.SENT, 1)]


def test_what_was_sent_and_cannot_be_noted_is_not_sent_again_and_keeps_nothing_else_waiting(
    room: Room, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops, night = room.recipient("ops", hook.url), room.recipient("night", hook.url)
    room.tell(ops, night)
    room.tell(ops, night, words="The disk is almost full.")
    courier = room.courier()
    with locked(room.path):  # as long as somebody else holds the lock, nothing can be noted
        monkeypatch.setattr("appliance.store.soundness.BUSY_TIMEOUT_S", 0.1)
        for _ in range(3):
            with pytest.raises(NotSaved):
                courier.step()
    assert len(hook.bodies) == 4, "of two messages each to both, the one about the disk, too"
    room.clock.forward(NOTE_PAUSE_S)
    courier.step()
    courier.close()
    assert len(hook.bodies) == 4
    assert room.outcomes() == [(name, Outcome.SENT, 1) for name in ("ops", "night")] * 2


def test_what_was_refused_for_good_and_cannot_be_noted_is_not_sent_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.tell(room.recipient("ops", "http://127.0.0.1:1/"))
    sent = []

    def refuse(_recipient: Recipient, event: Event) -> None:
        sent.append(event.uid)
        raise Undelivered("There is no such person.", is_final=True)

    courier = room.courier(send=refuse)
    with locked(room.path):
        monkeypatch.setattr("appliance.store.soundness.BUSY_TIMEOUT_S", 0.1)
        for _ in range(3):
            with pytest.raises(NotSaved):
                courier.step()
    room.clock.forward(NOTE_PAUSE_S)
    courier.step()
    courier.close()
    assert (len(sent), room.outcomes()) == (1, [("ops", Outcome.FAILED, 1)])


def test_a_try_that_cannot_be_noted_is_said_until_it_is(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.tell(room.recipient("ops", "http://127.0.0.1:1/"))
    courier = room.courier()
    with locked(room.path):
        monkeypatch.setattr("appliance.store.soundness.BUSY_TIMEOUT_S", 0.1)
        for _ in range(2):  # nothing is due the second time, and yet not all is well
            with pytest.raises(NotSaved):
                courier.step()
    room.clock.forward(NOTE_PAUSE_S - 1)  # before the next try is due
    with pytest.raises(NotSaved):
        courier.step()
    room.clock.forward(1)
    monkeypatch.setattr(courier, "_deliver", lambda _outbox: None)
    courier.step()
    courier.close()
    assert room.outcomes() == [("ops", Outcome.WAITING, 1)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds the write lock until the end of the block."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        yield


def test_a_recipient_that_was_removed_is_not_told_and_one_whose_address_was_mended_is_at_once(
    room: Room, hook: Hook
) -> None:
    gone, wrong = room.recipient("gone", "http://127.0.0.1:1/"), room.recipient("wrong", "http://127.0.0.1:1/")
    room.tell(gone, wrong)
    courier = room.courier()
    courier.step()
    changes.remove_recipient(room.store, gone)
    changes.change_recipient(room.store, wrong, "right", hook.url, None)
    courier.step()
    courier.close()
    assert room.outcomes() == [("gone", Outcome.FAILED, 1), ("wrong", Outcome.SENT, 2)]


def test_a_copy_that_is_put_back_tells_no_old_news(tmp_path: Path, hook: Hook) -> None:
    room = Room(tmp_path)
    room.tell(room.recipient("ops", hook.url))
    copy = Backups(tmp_path / "backups").make(room.path, AT, keep=1)
    room.store.close()
    restore(copy.path, room.path, AT)
    room.store = Store.open(room.path)
    courier = room.courier()
    courier.step()
    courier.close()
    assert hook.bodies == [] and room.outcomes() == [("ops", Outcome.FAILED, 0)]
    room.store.close()


def test_what_runs_by_itself_leaves_people_their_half_of_the_reserve(
    room: Room, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = Reserve(room.path.parent)
    reserve.make()
    monkeypatch.setattr("appliance.disk.free_bytes", lambda _folder: 0)
    monkeypatch.setattr("appliance.sqlite_room.has_room", lambda _db: False)  # all of that has been used
    ops = room.recipient("ops", "http://127.0.0.1:1/")
    reserve.path.write_bytes(bytes(RESERVE_BYTES))
    room.tell(ops)
    reserve.path.write_bytes(bytes(RESERVE_BYTES))
    courier = Courier(Way.WEBHOOK, by_webhook(lambda: HALL), lambda: Store.open_for_service(room.path), room.clock)
    for pause_s in PAUSES_S:
        courier.step()
        room.clock.forward(pause_s)
    courier.close()
    assert room.outcomes()[0][2] == len(PAUSES_S)
    assert reserve.path.stat().st_size == FOR_PEOPLE_BYTES


def words_of(send: Callable[[], None]) -> str:
    with pytest.raises(Undelivered) as undelivered:
        send()
    assert not undelivered.value.is_final
    return str(undelivered.value)


def test_a_webhook_that_cannot_be_told_is_explained(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    def post(url: str) -> str:
        return words_of(lambda: webhook.post(url, "", "1", b"{}", AT))

    monkeypatch.setattr(webhook, "STEP_TIMEOUT_S", 0.5)
    monkeypatch.setattr(webhook, "WHOLE_TIMEOUT_S", 1.0)
    hook.statuses, hook.moved_to = [302], "http://elsewhere.example.org/x"
    assert post(hook.url) == ("127.0.0.1 leads elsewhere (to elsewhere.example.org): give the address it leads to.")
    assert len(hook.bodies) == 1, "and nobody goes there"
    assert "cannot be found" in post("http://nowhere.invalid/")
    assert "cannot be reached (Connection refused)" in post("http://127.0.0.1:1/")
    assert "cannot agree on encryption" in post(hook.url.replace("http:", "https:"))
    with hanging_server() as port:
        assert "did not answer in time" in post(f"http://127.0.0.1:{port}/")
    with hanging_server(b"x") as port:
        assert "did not answer in time" in post(f"http://127.0.0.1:{port}/"), "a byte now and then is no answer"
    with hanging_server(b"HTTP/1.1 nonsense\r\n\r\n") as port:
        assert "does not answer as a web server does" in post(f"http://127.0.0.1:{port}/")


def test_a_webhook_whose_certificate_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    _, context = self_signed(tmp_path)
    with serving_tls(context) as (port, heard):
        told = words_of(lambda: webhook.post(f"https://127.0.0.1:{port}/", "", "1", b"{}", AT))
    assert "shows a certificate that is not valid" in told
    assert heard == []


@contextmanager
def serving_tls(context: ssl.SSLContext) -> Iterator[tuple[int, list[str]]]:
    """A web server that speaks TLS: its port, and what it was sent."""
    heard: list[str] = []

    class Handler(Player):
        def setup(self) -> None:
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def do_POST(self) -> None:
            heard.append(self.path)

    with serving_http(Handler) as port:
        yield port, heard


def test_the_document_is_the_same_bytes_however_often_it_is_made() -> None:
    event = replace(OFFLINE, figures={"n": 21, "rate": 0.62}, words='"ü" \u2028')
    assert message.document(event, HALL) == message.document(event, HALL)
    assert json.loads(message.document(event, HALL))["figures"] == {"n": 21, "rate": 0.62}
    assert message.summary(replace(event, what=What.OVER), HALL).startswith("Over: Haus Süd: ")
