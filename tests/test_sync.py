"""The service `sync`: a real process, and a real mosquitto over TLS with the centre's own rules."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import certificates, membership
from appliance.membership import Membership
from appliance.messages import Certificate, Command, Kind, State, Watermarks
from appliance.sync.link import Link
from appliance.times import now
from tests.boxes import START_S, until
from tests.disks import fill, small_disk
from tests.sync_room import NAME, PATIENCE_S, CentreRoom, SyncedBox
from tests.test_sync_outbox import all_rows, record


@pytest.fixture
def room(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[CentreRoom]:
    with CentreRoom(tmp_path, free_port).running() as room:
        yield room


@pytest.fixture
def box(tmp_path: Path, free_port: Callable[[], int]) -> SyncedBox:
    box = SyncedBox(tmp_path / "box", free_port)
    box.store.summaries.begin_epoch(now(), believed=True)
    return box


def passes(box: SyncedBox, *minutes_ago: int) -> None:
    record(box.store, *minutes_ago, now=now())


def until_told(box: SyncedBox, room: CentreRoom) -> None:
    """The centre has what the box has, and the box knows."""
    until(
        lambda: room.ingest.model.rows == all_rows(box.store) and not box.store.summaries.behind(1),
        PATIENCE_S,
        "the centre has everything",
    )


def test_what_a_box_counts_reaches_its_centre(box: SyncedBox, room: CentreRoom) -> None:
    room.join(box.config.state)
    passes(box, 0, 1, 500)
    with box.syncing():
        until_told(box, room)
        (hello, *_) = room.ingest.of(Kind.HELLO)
        assert hello.streams == {"1": "door"}
        assert hello.epoch == box.store.summaries.newest_epoch()
        assert len(hello.machine) == 16
        assert hello.takes_commands
        until(lambda: room.ingest.statuses() == ["running"], PATIENCE_S, "the state is told")
        status = box.store.fleet.status()
        assert status and status.connected and not status.problem
        passes(box, 0)
        until_told(box, room)
        until(lambda: box.store.services.is_alive("sync", now()), PATIENCE_S, "a heartbeat")
        assert box.end_sync() == 0
        until(lambda: room.ingest.statuses()[-1] == "stopped", PATIENCE_S, "it says that it stopped")
        assert not box.is_connected()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are cut short, so that a test need not last for minutes."""
    monkeypatch.setattr("appliance.sync.outbox.SILENCE_S", (0.5, 1.0))
    monkeypatch.setattr("appliance.sync.outbox.NEWS_S", 0.5)
    monkeypatch.setattr("appliance.sync.outbox.ANSWER_S", 2.0)
    monkeypatch.setattr("appliance.sync.conversation.UNANSWERED_S", (0.5, 1.0))
    monkeypatch.setattr("appliance.sync.conversation.LOOK_S", 0.5)
    monkeypatch.setattr("appliance.sync.belonging.LOOK_S", 0.2)
    monkeypatch.setattr("appliance.sync.service.FIRST_PAUSE_S", 0.5)
    monkeypatch.setattr("appliance.sync.service.LONGEST_PAUSE_S", 1.0)
    monkeypatch.setattr("appliance.sync.service.STEADY_S", 0.5)


def test_a_broker_that_is_killed_is_said_in_words_and_what_passed_meanwhile_arrives(
    box: SyncedBox, room: CentreRoom, hasty: None
) -> None:
    room.join(box.config.state)
    with box.syncing_here():
        until(box.is_connected, PATIENCE_S, "it connects")
        room.broker.kill()
        box.until_it_says(f"127.0.0.1 takes no connections at port {room.config.broker.port}")
        assert not box.is_connected()
        passes(box, 0, 3)
        room.broker.start()
        until_told(box, room)
        assert box.problem() == ""


def test_sync_that_is_killed_at_any_moment_loses_nothing_and_doubles_nothing(box: SyncedBox, room: CentreRoom) -> None:
    room.join(box.config.state)
    passes(box, *range(1500))
    for _ in range(3):
        with box.syncing():
            before = len(room.ingest.of(Kind.SUMS))
            until(lambda before=before: len(room.ingest.of(Kind.SUMS)) > before, PATIENCE_S, "it tells")  # type: ignore[misc]
            passes(box, 0)
            box.kill_sync()
    with box.syncing():
        until_told(box, room)


def test_answers_that_get_lost_free_nothing_and_are_said_in_words(
    box: SyncedBox, room: CentreRoom, hasty: None
) -> None:
    room.join(box.config.state)
    room.ingest.is_mute = True
    passes(box, 0, 1)
    with box.syncing_here():
        box.until_it_says("the centre does not confirm it")
        assert box.is_connected()
        assert room.ingest.model.rows == all_rows(box.store)
        assert box.store.summaries.behind(1)
        assert len(room.ingest.of(Kind.HELLO)) > 1, "hello comes again, too"
        room.ingest.is_mute = False
        until_told(box, room)
        until(lambda: not box.problem(), PATIENCE_S, "the words go")


def test_a_broker_without_a_centre_behind_it_is_said_in_words(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state)
    room.ingest.stop()
    passes(box, 0)
    with box.syncing_here():
        box.until_it_says("nobody takes what this box sends. Start the centre's ingest.")
        room.ingest.start()
        until_told(box, room)
        until(lambda: not box.problem(), PATIENCE_S, "the words go")


def test_a_message_that_the_broker_refuses_is_said_in_words(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state)
    access = room.config.broker_dir / "access.acl"
    access.write_text(access.read_text().replace("pattern write mb9k/%u/sums\n", ""))
    room.broker.kill()
    room.broker.start()
    passes(box, 0)
    with box.syncing_here():
        box.until_it_says("does not let this box send its sums")
        assert box.store.summaries.behind(1), "its acknowledgement is no confirmation"


def test_a_centre_that_lost_its_database_gets_everything_again(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state)
    passes(box, *range(5))
    box.store.summaries.begin_epoch(now(), believed=True)
    passes(box, *range(5))
    with box.syncing_here():
        until_told(box, room)
        room.ingest.model.__init__()  # type: ignore[misc]
        room.broker.kill()
        room.broker.start()
        until_told(box, room)


def test_people_join_and_leave_while_it_runs(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    passes(box, 0)
    with box.syncing_here():
        until(lambda: box.store.services.is_alive("sync", now()), PATIENCE_S, "a heartbeat")
        assert box.store.fleet.status() is None
        room.join(box.config.state)
        until_told(box, room)
        membership.leave(box.config.state)
        until(lambda: room.ingest.statuses()[-1] == "stopped", PATIENCE_S, "it says so to the centre")
        until(lambda: box.store.fleet.status() is None, PATIENCE_S, "nothing of it stays")


def test_a_new_start_of_a_service_gets_a_connection_and_a_hello_of_its_own(
    box: SyncedBox, room: CentreRoom, hasty: None
) -> None:
    room.join(box.config.state)
    passes(box, 0)
    with box.syncing_here():
        until_told(box, room)
        newest = box.store.summaries.begin_epoch(now(), believed=True)
        passes(box, 0)
        until_told(box, room)
        until(lambda: room.ingest.of(Kind.HELLO)[-1].epoch == newest, PATIENCE_S, "hello")
        until(lambda: room.ingest.of(Kind.STATE)[-1].epoch == newest, PATIENCE_S, "the state")
    assert set(room.ingest.statuses()[:-1]) == {"running"}, "it was never gone, nor stopped, before its end"
    assert room.ingest.statuses()[-1] == "stopped"


def test_the_names_of_streams_are_told_as_they_change_or_not_at_all(
    tmp_path: Path, free_port: Callable[[], int], room: CentreRoom, hasty: None
) -> None:
    box = SyncedBox(tmp_path / "open", free_port)
    room.join(box.config.state)
    with box.syncing_here():
        until(lambda: bool(room.ingest.of(Kind.HELLO)), PATIENCE_S, "hello")
        box.store.streams.rename(box.stream_id, "hall")
        until(lambda: room.ingest.of(Kind.HELLO)[-1].streams == {"1": "hall"}, PATIENCE_S, "hello again")
    room.ingest.came.clear()
    silent = SyncedBox(tmp_path / "silent", free_port, fleet={"stream_names": False, "commands": False})
    room.join(silent.config.state)
    with silent.syncing_here():
        until(lambda: bool(room.ingest.of(Kind.HELLO)), PATIENCE_S, "hello")
    assert all(hello.streams == {} and not hello.takes_commands for hello in room.ingest.of(Kind.HELLO))


def test_a_certificate_is_renewed_over_the_connection(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    there = room.join(box.config.state, now_s=time.time() - 300 * 86_400)
    before, key = there.certificate(), there.key_path.read_bytes()
    room.ingest.signs = True
    with box.syncing_here():
        until(lambda: there.certificate().serial != before.serial, PATIENCE_S, "it has the next one")
    assert there.certificate().expires_utc > before.expires_utc
    assert there.key_path.read_bytes() == key
    with box.syncing_here():
        until(box.is_connected, PATIENCE_S, "it is let in by it")
    assert len(room.ingest.of(Kind.RENEWAL)) == 1


def test_a_certificate_for_somebody_else_is_not_kept(
    box: SyncedBox, room: CentreRoom, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    there = room.join(box.config.state)
    before = there.certificate()
    other = room.join(room.folder / "other", name="other-box")
    answer = Certificate(certificate=other.certificate_path.read_text(), authority=room.trust.authority.certificate)
    with box.syncing_here():
        until(box.is_connected, PATIENCE_S, "it connects")
        room.ingest.say(Kind.CERTIFICATE, answer)
        until(lambda: "is not kept: the certificate is another box's" in caplog.text, PATIENCE_S, "it is refused")
    assert there.certificate() == before


def test_a_command_is_carried_out_once_and_answered_each_time(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state)
    (key,) = box.store.streams.active_keys()
    begun = int(time.time())
    command = Command(id="c" * 16, action="rotate_key", detail="1", by="kim", given_utc=begun, expires_utc=begun + 600)
    with box.syncing_here():
        until(box.is_connected, PATIENCE_S, "it connects")
        room.ingest.say(Kind.COMMAND, command)
        until(lambda: bool(room.ingest.of(Kind.OUTCOME)), PATIENCE_S, "it is answered")
        (rotated,) = box.store.streams.active_keys()
        room.ingest.say(Kind.COMMAND, command)
        until(lambda: len(room.ingest.of(Kind.OUTCOME)) == 2, PATIENCE_S, "it is answered again")
        assert list(box.store.streams.active_keys()) == [rotated] != [key]
    first, second = room.ingest.of(Kind.OUTCOME)
    assert first == second
    assert first.done
    (noted,) = box.store.fleet.commands()
    assert (noted.by, noted.action, noted.done, noted.words) == ("kim", "rotate_key", True, first.words)


def test_messages_that_cannot_be_read_are_dropped_and_the_next_are_not(
    box: SyncedBox, room: CentreRoom, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    room.join(box.config.state)
    with box.syncing_here():
        until(box.is_connected, PATIENCE_S, "it connects")
        assert room.ingest.client
        for kind in (Kind.WATERMARKS, Kind.COMMAND, Kind.CERTIFICATE):
            for payload in (b"", b"\xff" * 10, b'{"upto": {"x": -1}}', b"[" * 5000):
                room.ingest.client.publish(f"mb9k/{NAME}/{kind.value}", payload, qos=1)
        until(lambda: caplog.text.count("is not looked at") >= 12, PATIENCE_S, "they are logged")
        passes(box, 0)
        until_told(box, room)
        assert box.is_connected()


def test_a_watermark_that_the_broker_kept_from_earlier_counts_for_nothing(
    box: SyncedBox, room: CentreRoom, hasty: None
) -> None:
    room.join(box.config.state)
    passes(box, 0)
    epoch = box.store.summaries.newest_epoch()
    assert epoch
    room.ingest.say(Kind.WATERMARKS, Watermarks(upto={epoch: 1}))  # of a centre that was put back since
    room.ingest.is_mute = True
    with box.syncing_here():
        until(lambda: bool(room.ingest.of(Kind.SUMS)), PATIENCE_S, "the row is told")
        assert box.store.summaries.behind(1)


def test_a_centre_that_asks_gets_a_hello(
    box: SyncedBox, room: CentreRoom, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.sync.conversation.HELLO_PAUSE_S", 0.0)
    monkeypatch.setattr("appliance.sync.conversation.SPREAD_S", 0.1)
    room.join(box.config.state)
    passes(box, 0)
    with box.syncing_here():
        until_told(box, room)
        before = len(room.ingest.of(Kind.HELLO))
        room.ingest.say(Kind.WATERMARKS, Watermarks(upto={}))
        until(lambda: len(room.ingest.of(Kind.HELLO)) > before, PATIENCE_S, "hello")


def test_a_store_that_is_busy_is_survived(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state)
    passes(box, *range(600))
    with box.syncing_here():
        until(lambda: bool(room.ingest.of(Kind.SUMS)), PATIENCE_S, "it tells")
        with box.store.writing():
            until(lambda: len(room.ingest.model.rows) == 600, PATIENCE_S, "it goes on telling")
            time.sleep(2)
        passes(box, 0)
        until_told(box, room)


def test_a_full_disk_is_survived(tmp_path: Path, free_port: Callable[[], int], room: CentreRoom, hasty: None) -> None:
    with small_disk(tmp_path / "disk") as disk:
        box = SyncedBox(disk / "box", free_port)
        room.join(box.config.state)
        with box.syncing_here():
            until(box.is_connected, PATIENCE_S, "it connects")
            passes(box, *range(600))
            filler = fill(disk)
            until(lambda: len(room.ingest.model.rows) == 600, PATIENCE_S, "it goes on telling")
            filler.unlink()
            until_told(box, room)
        box.store.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_seconds_also_while_it_tries_to_connect(box: SyncedBox, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        room_that_hangs(box, hanging.getsockname()[1])
        with box.syncing():
            hanging.settimeout(START_S)
            with hanging.accept()[0]:
                assert box.process
                box.process.send_signal(number)
                box.process.wait(10)
    assert "Traceback" not in box.log()
    assert box.process
    assert box.process.returncode == (0 if number == signal.SIGTERM else 130)


def room_that_hangs(box: SyncedBox, port: int) -> None:
    """A membership of a centre whose broker takes connections and says nothing."""
    key = certificates.new_key()
    authority, _ = certificates.Authority.make("plant", time.time())
    signed = authority.sign_box(certificates.signing_request(key, NAME), NAME, time.time())
    there = Membership(NAME, "127.0.0.1", port, time.time(), box.config.state / membership.FOLDER)
    membership.save(there, key, signed.pem, authority.certificate)


def test_a_box_that_is_gone_is_said_to_be_by_the_broker(
    box: SyncedBox, room: CentreRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.sync.link.WILL_DELAY_S", 1)
    there, wake = room.join(box.config.state), threading.Event()
    link = Link(there, NAME, State(epoch="e" * 16, status="gone"), wake)
    link.start()
    until(lambda: link.is_up, PATIENCE_S, "it connects")
    assert link.publish(Kind.STATE, State(epoch="e" * 16, status="running"))
    until(lambda: room.ingest.statuses() == ["running"], PATIENCE_S, "it runs")
    cut(link)
    until(lambda: room.ingest.statuses() == ["running", "gone"], PATIENCE_S, "it is gone")
    assert link.ended


def cut(link: Link) -> None:
    """As if its cable had been pulled."""
    connection = link._client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)
