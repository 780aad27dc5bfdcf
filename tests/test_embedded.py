"""The embedded ingest, as a process, with real bytes: what one connection does ends that connection only."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from appliance.loopback import authorization
from appliance.media import amf, connection
from appliance.media.mediamtx import Connection
from appliance.secrets import digest
from appliance.service import HEARTBEAT_S
from appliance.times import now
from tests.boxes import until
from tests.conftest import REPOSITORY, port_giver
from tests.media_room import MediaRoom
from tests.rtmp_client import Rejected, RtmpClient, is_open

KEY = "EMBEDEMBEDEMBEDEMB22"
OTHER_KEY = "EMBEDEMBEDEMBEDEMB33"
AVC_HEADER, AVC_KEY, AVC_FRAME = b"\x17\x00header", b"\x17\x01key", b"\x27\x01frame"
CLOSED_S = connection.PUBLISH_TIMEOUT_S + 2


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaRoom]:
    """One ingest for all tests of this file, so each must leave it as it was."""
    room = MediaRoom(tmp_path_factory.mktemp("room"), "embedded", port_giver())
    with room.running():
        yield room
    assert "Traceback" not in room.log()
    assert KEY not in room.log()
    assert OTHER_KEY not in room.log()


@pytest.fixture
def room(shared: MediaRoom) -> MediaRoom:
    """The ingest with one stream (KEY) and nobody connected."""
    with shared.store.writing():
        for stream_id in shared.store.streams.ids():
            shared.store.streams.remove(stream_id)
    shared.add_stream(KEY)
    until(lambda: not shared.client.connections(), CLOSED_S, "everybody has left")
    return shared


def sending(room: MediaRoom, key: str = KEY) -> RtmpClient:
    """A publisher that has sent a key frame."""
    client = RtmpClient(room.config.rtmp.port)
    client.publish("live", key)
    client.send(9, 0, AVC_HEADER)
    client.send(9, 0, AVC_KEY)
    return client


def watch(room: MediaRoom, secret: str, path: str = f"live/{KEY}", **headers: str) -> httpx.Response:
    """Ask for a stream; the answer's body is not read."""
    address = f"http://127.0.0.1:{room.config.media.read_port}/{path}.flv"
    shown = {"Authorization": authorization(secret)} if secret else {}
    with httpx.Client() as client, client.stream("GET", address, headers={**shown, **headers}) as answer:
        return answer


def asking_to_watch(room: MediaRoom) -> bytes:
    """The request of our own watcher."""
    shown = f"Host: 127.0.0.1:{room.config.media.read_port}\r\nAuthorization: {authorization(room.secret)}"
    return f"GET /live/{KEY}.flv HTTP/1.1\r\n{shown}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("app", "key"),
    [("live", KEY), ("live/", KEY), (f"live/{KEY}", ""), ("live", f"{KEY}?bandwidthtest=true"), ("/live/", f"/{KEY}/")],
)
def test_every_way_to_type_the_address_leads_to_the_same_path(room: MediaRoom, app: str, key: str) -> None:
    with RtmpClient(room.config.rtmp.port) as client:
        client.publish(app, key)
        assert [(one.name, one.available) for one in room.client.paths()] == [(f"live/{KEY}", False)]
        client.send(9, 0, AVC_HEADER)
        assert room.wait_for(KEY).name == f"live/{KEY}"
        (connection,) = room.client.connections()
        assert (connection.state, connection.path) == ("publish", f"live/{KEY}")
        assert connection.id == room.client.paths()[0].source_id
        assert connection.remote == "{}:{}".format(*client.socket.getsockname())
    until(lambda: not room.client.paths(), 2, "the path goes with its publisher")


def test_a_query_that_is_no_text_keeps_no_key_out(room: MediaRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = amf.encode
    monkeypatch.setattr(amf, "encode", lambda *values: encode(*values).replace(b"~", b"\xff"))  # of the client alone
    with RtmpClient(room.config.rtmp.port) as client:
        client.publish("live", f"{KEY}?x=~~")
        assert [one.name for one in room.client.paths()] == [f"live/{KEY}"]
    until(lambda: not room.client.paths(), 2, "the path goes with its publisher")


def test_a_wrong_rotated_or_deactivated_key_is_refused_with_a_reason(room: MediaRoom) -> None:
    def refused(key: str) -> bool:
        with RtmpClient(room.config.rtmp.port) as client, pytest.raises(Rejected, match="Unauthorized"):
            client.publish("live", key)
        return not room.client.paths()

    (stream_id,) = room.store.streams.ids()
    assert refused(OTHER_KEY)
    room.store.streams.set_key(stream_id, digest(OTHER_KEY))
    assert refused(KEY)
    room.store.streams.set_active(stream_id, False)
    assert refused(OTHER_KEY)


def test_the_second_publisher_is_told_and_the_first_goes_on(room: MediaRoom) -> None:
    with sending(room) as first:
        before = room.wait_for(KEY)
        with RtmpClient(room.config.rtmp.port) as second, pytest.raises(Rejected, match="BadName"):
            second.publish("live/", KEY)
        first.send(9, 40, AVC_FRAME)
        until(lambda: room.wait_for(KEY).inbound_bytes > before.inbound_bytes, 2, "the first one's bytes arrive")
        assert room.wait_for(KEY).source_id == before.source_id


def test_nobody_watches_without_the_secret_nor_by_rtmp(room: MediaRoom) -> None:
    with sending(room):
        room.wait_for(KEY)
        assert watch(room, room.secret).status_code == 200
        assert watch(room, KEY).status_code == 401
        assert watch(room, "").headers["WWW-Authenticate"].startswith("Basic ")
        assert watch(room, "", f"live/{KEY}.flv?token={room.secret}&x=").status_code == 401
        assert watch(room, room.secret, Origin="http://elsewhere.test").status_code == 403
        assert watch(room, room.secret, Host="rebound.test").status_code == 403
        assert watch(room, KEY, f"live/{OTHER_KEY}").status_code == 401  # and does not tell what there is
        assert watch(room, room.secret, f"live/{OTHER_KEY}").status_code == 404
        with RtmpClient(room.config.rtmp.port) as client:
            client.shake_hands()
            client.command("connect", 1, {"app": "live"})
            client.command("play", 2, None, KEY)
            client.wait_for_words("NetStream.Play.Failed")


def test_the_end_of_the_publisher_ends_the_reader(room: MediaRoom) -> None:
    with socket.create_connection(("127.0.0.1", room.config.media.read_port), timeout=5) as reader:
        with sending(room):
            room.wait_for(KEY)
            reader.sendall(asking_to_watch(room))
            received = reader.recv(1000)
            assert received.startswith(b"HTTP/1.1 200")
        while piece := reader.recv(1000):
            received += piece
    assert AVC_KEY in received


def test_a_kick_ends_the_publisher(room: MediaRoom) -> None:
    with sending(room) as client:
        room.wait_for(KEY)
        room.client.kick(room.client.connections()[0])
        until(lambda: not client.is_open(), 2, "the connection ends")
        until(lambda: not room.client.paths(), 2, "the path is gone")
    room.client.kick(Connection("nobody", "", "", "idle"))  # no error


def test_the_same_key_may_come_back_at_once(room: MediaRoom) -> None:
    for _ in range(5):
        with sending(room) as client:
            room.wait_for(KEY)
            client.command("FCUnpublish", 6, None, KEY)
            client.command("deleteStream", 7, None, 1)
            until(lambda client=client: not client.is_open(), 2, "it says goodbye")  # type: ignore[misc]


def test_a_silent_publisher_is_closed_but_not_a_slow_one(room: MediaRoom) -> None:
    slow_key = OTHER_KEY
    room.add_stream(slow_key)
    with sending(room) as silent, sending(room, slow_key) as slow:
        room.wait_for(KEY)
        begun_s = time.monotonic()
        picture = b"\x27\x01" + bytes(4000)
        header = bytes([4, 0, 0, 40]) + len(picture).to_bytes(3, "big") + bytes([9, 1, 0, 0, 0])
        drops = iter([header, *(picture[at : at + 100] for at in range(0, len(picture), 100))])

        def gone() -> bool:
            time.sleep(0.4)
            slow.socket.sendall(next(drops))
            return not silent.is_open()

        until(gone, 8, "the silent one is closed")
        assert time.monotonic() - begun_s > 4
        assert slow.is_open()
        assert [one.name for one in room.client.paths()] == [f"live/{slow_key}"]


def test_garbage_half_open_and_unread_connections_end_alone(room: MediaRoom) -> None:
    """All at once, because each needs its time; a publisher beside them must not notice."""
    port = room.config.rtmp.port
    with sending(room) as good:
        good.send_live([(9, 0, AVC_KEY), (9, 40, AVC_FRAME)])
        room.wait_for(KEY)
        others = {
            "http": _says(port, b"GET / HTTP/1.1\r\n\r\n"),
            "noise": _says(port, b"\x03" + os.urandom(40_000)),
            "half a handshake": _says(port, b"\x03" + bytes(700)),
            "silence": _says(port, b""),
            "a message without end": _says(
                port, b"\x03" + bytes(3072) + b"\x03\0\0\0\xff\xff\xff\x14\0\0\0\0" + b"x" * 500
            ),
            "broken AMF": _says(port, b"\x03" + bytes(3072) + b"\x03\0\0\0\0\0\x03\x14\0\0\0\0\x02\xff\xff"),
            "deep AMF": _says(port, b"\x03" + bytes(3072) + b"\x03\0\0\0\0\0\x64\x14\0\0\0\0" + b"\x0a\0\0\0\1" * 20),
            "publish at once": _says(port, b"\x03" + bytes(3072) + _command("publish", 1, None, KEY + "x")),
        }
        until(lambda: not any(map(is_open, others.values())), CLOSED_S + 5, "all of them are closed")
        assert good.is_open()
        assert [one.path for one in room.client.connections()] == [f"live/{KEY}"]
        for one in others.values():
            one.close()


def _says(port: int, words: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(words)
    return one


def _command(*values: object) -> bytes:
    body = amf.encode(*values)
    return b"\x03\0\0\0" + len(body).to_bytes(3, "big") + b"\x14\x01\0\0\0" + body


def test_one_stranger_cannot_take_all_places(room: MediaRoom) -> None:
    crowd = [_says(room.config.rtmp.port, b"") for _ in range(40)]
    until(lambda: sum(map(is_open, crowd)) == 16, 5, "sixteen may wait")
    for one in crowd:
        one.close()
    with sending(room):
        room.wait_for(KEY)


def test_small_messages_before_publishing_are_cut_and_from_a_publisher_are_taken(room: MediaRoom) -> None:
    first, each = b"\x04\0\0\0\0\0\x01\x08\x01\0\0\0x", b"\xc4x"
    with _says(room.config.rtmp.port, b"\x03" + bytes(3072) + first + each * 200) as stranger:
        until(lambda: not is_open(stranger), 5, "a stranger is cut")
    with _says(room.config.rtmp.port, b"\x03" + bytes(3072) + first[:4] + b"\0\xff\xff" + first[7:]) as large:
        with suppress(OSError):
            large.sendall((bytes(128) + b"\xc4") * 600)
        until(lambda: not is_open(large), 5, "so is one of large ones")
    with sending(room) as publisher:
        room.wait_for(KEY)
        publisher.socket.sendall(first + each * 20_000)
        publisher.send(4, 0, struct.pack(">HI", 6, 4711), chunk_stream=2, stream_id=0)
        publisher.wait_for_words(struct.pack(">HI", 7, 4711).decode("latin-1"))


def test_strangers_cost_little_memory(room: MediaRoom) -> None:
    """Before the gate has said yes, a message of 8 MB is not even begun to be kept."""
    before = _memory_bytes(room)
    head = b"\x03" + bytes(3072) + b"\x02\0\0\0\0\0\4\1\0\0\0\0" + struct.pack(">I", 8_000_000)
    crowd = [_says(room.config.rtmp.port, head + b"\x03\0\0\0\x7a\x12\0\x14\0\0\0\0") for _ in range(16)]
    for one in crowd:
        try:
            one.sendall(bytes(1_000_000))
        except OSError:
            continue
    until(lambda: not any(map(is_open, crowd)), 5, "they are closed at once")
    for one in crowd:
        one.close()
    assert _memory_bytes(room) - before < 8_000_000


def _memory_bytes(room: MediaRoom) -> int:
    until(lambda: room.store.services.is_alive("ingest", now()), 5, "a heartbeat says which process it is")
    service = next(one for one in room.store.services.all(now()) if one.name == "ingest")
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{service.pid}/status").read_text())
    assert found
    return int(found.group(1)) * 1024


def test_a_reader_that_reads_nothing_is_dropped_and_nobody_else_notices(room: MediaRoom) -> None:
    with sending(room) as client, socket.create_connection(("127.0.0.1", room.config.media.read_port)) as stuck:
        room.wait_for(KEY)
        stuck.sendall(asking_to_watch(room))
        assert stuck.recv(12) == b"HTTP/1.1 200"
        before = _memory_bytes(room)
        for number in range(200):  # 60 MB
            client.send(9, 40 * number, AVC_FRAME + bytes(300_000))
        client.send(9, 9000, AVC_KEY)
        until(lambda: room.wait_for(KEY).inbound_bytes > 60_000_000, 10, "the publisher is not held up")
        assert _memory_bytes(room) - before < 40_000_000
        assert watch(room, room.secret).status_code == 200


def test_the_publisher_hears_pongs_and_acknowledgements(room: MediaRoom) -> None:
    with sending(room) as client:
        client.send(4, 0, struct.pack(">HI", 6, 4711), chunk_stream=2, stream_id=0)
        client.wait_for_words(struct.pack(">HI", 7, 4711).decode("latin-1"))
        client.send(9, 40, AVC_FRAME + bytes(1_100_000))
        acknowledgement = bytes([2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0])
        client.wait_for_words(acknowledgement.decode("latin-1"))


@pytest.mark.parametrize(
    "asked", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe / /\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"A" * 70_000]
)
def test_no_request_breaks_the_api_or_the_reading_port(room: MediaRoom, asked: bytes) -> None:
    for port in (room.config.media.api_port, room.config.media.read_port):
        with _says(port, asked) as one:
            until(lambda one=one: not is_open(one), 7, "it is closed")  # type: ignore[misc]
    assert room.client.info() == "mb9k embedded"


def test_what_the_api_does_not_know_is_not_found(room: MediaRoom) -> None:
    page, shown = f"http://127.0.0.1:{room.config.media.api_port}", {"Authorization": authorization(room.secret)}
    assert httpx.get(f"{page}/v3/rtmpsconns/list", headers=shown).status_code == 404
    assert httpx.get(f"{page}/v3/rtmpconns/kick/x", headers=shown).status_code == 404
    assert httpx.get(f"{page}/v3/paths/list?itemsPerPage=100&page=0", headers=shown).json() == {
        "itemCount": 0, "pageCount": 0, "items": [],
    }  # fmt: skip


# Without a gate, and the service's own life


def test_it_listens_on_addresses_of_both_kinds(tmp_path: Path, free_port: Callable[[], int]) -> None:
    everywhere = MediaRoom(tmp_path, "embedded", free_port)
    everywhere.path.write_text(everywhere.path.read_text().replace('[rtmp]\nhost = "127.0.0.1"', "[rtmp]"))
    with everywhere.running_ingest(), _says(everywhere.config.rtmp.port, b""):
        if socket.has_dualstack_ipv6():
            with socket.create_connection(("::1", everywhere.config.rtmp.port)):
                until(lambda: len(everywhere.client.connections()) == 2, 5, "both are there")
                assert any(one.remote.startswith("[::1]:") for one in everywhere.client.connections())


def test_without_a_gate_nobody_is_let_in_and_nobody_is_sent_away_for_good(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    lonely = MediaRoom(tmp_path, "embedded", free_port)
    lonely.add_stream(KEY)
    with lonely.running_ingest():
        # Cut off, not refused: OBS comes back after the one and gives up after the other.
        with RtmpClient(lonely.config.rtmp.port) as client, pytest.raises(ConnectionError):
            client.publish("live", KEY)
        with lonely.running_gate(), sending(lonely):
            lonely.wait_for(KEY)


def test_it_gives_heartbeats_while_its_loop_turns_and_ends_on_sigterm(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    alone = MediaRoom(tmp_path, "embedded", free_port)
    alone.add_stream(KEY)
    with alone.running_gate(), alone.running_ingest() as process:
        until(lambda: alone.store.services.is_alive("ingest", now()), 5, "a heartbeat")
        with sending(alone), _says(alone.config.rtmp.port, b"\x03"), _says(alone.config.media.api_port, b"GET"):
            alone.wait_for(KEY)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
    assert "Traceback" not in alone.log()


def test_a_heartbeat_that_cannot_be_written_is_logged_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    alone = MediaRoom(tmp_path, "embedded", free_port)
    with alone.running_ingest():
        until(lambda: alone.store.services.is_alive("ingest", now()), 5, "a heartbeat")
        alone.store.db.execute("alter table services rename to hidden")
        until(lambda: "the heartbeat cannot be written" in alone.log(), 5, "the trouble is logged")
        time.sleep(2.5 * HEARTBEAT_S)
        alone.store.db.execute("alter table hidden rename to services")
        until(lambda: "the heartbeat can be written again" in alone.log(), 5, "the end of it is logged, too")
    assert alone.log().count("the heartbeat cannot be written") == 1


@pytest.mark.parametrize("setting", ["rtmp.port", "media.api_port", "media.read_port"])
def test_a_busy_port_is_one_clear_line(tmp_path: Path, free_port: Callable[[], int], setting: str) -> None:
    alone = MediaRoom(tmp_path, "embedded", free_port)
    section, name = setting.split(".")
    port = getattr(getattr(alone.config, section), name)
    command = [sys.executable, "-m", "appliance.cli", "--config", str(alone.path), "ingest"]
    with socket.create_server(("127.0.0.1", port)):
        ended = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=20, check=False)
    assert ended.returncode == 1
    said = ended.stderr.splitlines()[-1]
    assert said.startswith(f"mb9k: port {port} is taken by another program; stop it, or set another {setting} ")
    assert "Traceback" not in ended.stderr
