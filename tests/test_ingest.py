"""What holds for either ingest, asked with FFmpeg's bytes: who may send, who may watch, and who ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import av.error
import pytest

from appliance.media import mediamtx, refusals
from appliance.media.mediamtx import NotRunning
from appliance.secrets import digest
from appliance.service import LINES_A_MINUTE
from tests.boxes import publishing, until
from tests.conftest import port_giver
from tests.media_room import ENGINES, MediaRoom, make_clip, shown_times
from tests.rtmp_client import Rejected, RtmpClient

KEY = "INLETINLETINLETINL22"
OTHER_KEY = "INLETINLETINLETINL33"
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moving picture and a tone."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.flv")


@pytest.fixture(scope="module", params=ENGINES)
def shared(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MediaRoom]:
    """Either ingest, running; at the end no key may stand in what it said."""
    room = MediaRoom(tmp_path_factory.mktemp(request.param), request.param, port_giver())
    with room.running():
        yield room
    said = room.log()
    assert not [secret for secret in (KEY, OTHER_KEY, room.secret) if secret in said]
    assert "Traceback" not in said


@pytest.fixture
def room(shared: MediaRoom) -> MediaRoom:
    """The ingest with one stream (KEY), nobody connected, and no refusals that are known already."""
    with shared.store.writing():
        for stream_id in shared.store.streams.ids():
            shared.store.streams.remove(stream_id)
        shared.store.db.execute("delete from refusals")
    shared.add_stream(KEY)
    until(lambda: not shared.client.paths(), 10, "everybody has left")
    return shared


def is_refused(room: MediaRoom, clip: Path, key: str) -> bool:
    """Whether FFmpeg is refused with this key."""
    with publishing(clip, room.url(key)) as process:
        try:
            return process.wait(12) != 0
        except subprocess.TimeoutExpired:
            return False


def reasons(room: MediaRoom) -> set[str]:
    """Why people were refused, as the page tells it."""
    return {refusal.reason for refusal in room.store.streams.refusals()}


def test_the_right_key_is_let_in_and_the_watcher_sees_the_picture(room: MediaRoom, clip: Path) -> None:
    with publishing(clip, room.url(KEY)):
        path = room.wait_for(KEY)
        (connection,) = (one for one in room.client.connections() if one.state == "publish")
        assert connection.remote.startswith("127.0.0.1:")
        assert path.source_id == connection.id
        with room.open(path.name) as container:
            assert len(shown_times(container, 1.0)) > 20
        before = path.inbound_bytes
        until(lambda: room.wait_for(KEY).inbound_bytes > before, 5, "bytes are counted")


def test_a_wrong_key_is_refused_and_told_why(room: MediaRoom, clip: Path) -> None:
    assert is_refused(room, clip, OTHER_KEY)
    until(lambda: reasons(room) == {refusals.UNKNOWN_KEY}, 30, "the refusal is recorded")
    assert room.client.paths() == []


def test_a_rotated_key_is_refused(room: MediaRoom, clip: Path) -> None:
    (stream_id,) = room.store.streams.ids()
    room.store.streams.set_key(stream_id, digest(OTHER_KEY))
    assert is_refused(room, clip, KEY)
    with publishing(clip, room.url(OTHER_KEY)):
        room.wait_for(OTHER_KEY)


def test_a_deactivated_stream_is_refused_and_told_why(room: MediaRoom, clip: Path) -> None:
    (stream_id,) = room.store.streams.ids()
    room.store.streams.set_active(stream_id, False)
    assert is_refused(room, clip, KEY)
    until(lambda: refusals.DEACTIVATED in reasons(room), 30, "the refusal is recorded")


def test_encoders_are_told_that_the_key_is_the_reason_so_that_they_stop_trying(room: MediaRoom) -> None:
    with RtmpClient(room.config.rtmp.port) as client, pytest.raises(Rejected, match=r"NetStream\.Publish\.Unauth"):
        client.publish("live", OTHER_KEY)


def test_a_stream_key_lets_nobody_watch(room: MediaRoom, clip: Path) -> None:
    with publishing(clip, room.url(KEY)):
        path = room.wait_for(KEY)
        right = room.read_url(path.name)
        nobody = right.replace(f"mb9k:{room.secret}@", "")
        for wrong in (right.replace(room.secret, KEY), nobody, f"{nobody}?token={room.secret}"):
            with pytest.raises(av.error.HTTPUnauthorizedError):
                av.open(wrong, options=room.reading_options(), timeout=(8.0, 8.0))
        until(lambda: refusals.READING in reasons(room), 30, "the refusal is recorded")
        with pytest.raises(OSError, match=r"Operation not permitted|Input/output error|End of file"):
            av.open(room.url(KEY), timeout=(8.0, 8.0))  # by RTMP
        with room.open(path.name) as container:
            assert len(shown_times(container, 0.5)) > 5
    wrong_key(room, f"live/{OTHER_KEY}")
    until(lambda: refusals.LIVE_TWICE in reasons(room), 5, "all that came before is recorded, too")


WRONG = {
    "no key": ("live", "", refusals.NO_KEY),
    "no key, a slash": ("live/", "", refusals.NO_KEY),
    "nothing": ("", "", refusals.NO_KEY),
    "the key after a question mark": (f"live?key={KEY}", "", refusals.QUESTION_MARK),
    "only the key": ("", KEY, refusals.WRONG_NAME),
    "capital letters": ("LIVE", KEY, refusals.WRONG_NAME),
    "another name": ("stream", KEY, refusals.WRONG_NAME),
    "live before the key": ("live", f"live/{KEY}", refusals.LIVE_TWICE),
    "the whole address as key": ("live", f"rtmp://box/live/{KEY}", refusals.LIVE_TWICE),
    "something after the key": (f"live/{KEY}", "cam", refusals.TOO_MUCH),
    "a blank in the key": ("live", f"{KEY[:10]} {KEY[10:]}", refusals.NOT_A_KEY),
    "another script": ("live", "ключ", refusals.NOT_A_KEY),
    "a line break": ("live", f"{KEY}\n", refusals.NOT_A_KEY),
    "a very long key": ("live", KEY * 100, refusals.NOT_A_KEY),
    "dots": ("live", "..", refusals.NOT_A_KEY),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_is_typed_wrong_the_page_says_what(room: MediaRoom, name: str) -> None:
    app, key, reason = WRONG[name]
    with RtmpClient(room.config.rtmp.port) as client, pytest.raises((Rejected, ConnectionError)):
        client.publish(app, key)
    until(lambda: reasons(room) == {reason}, 30, "the refusal is recorded")
    (refusal,) = room.store.streams.refusals()
    assert (refusal.remote, refusal.action) == ("127.0.0.1", "publish")


def test_strangers_cannot_fill_the_log(room: MediaRoom) -> None:
    before = len(room.log().splitlines())
    for _ in range(200):
        with RtmpClient(room.config.rtmp.port) as client:
            client.socket.sendall(b"\xff" * 5000)
    with ThreadPoolExecutor(50) as crowd:  # MediaMTX makes each of them wait
        list(crowd.map(lambda _: wrong_key(room), range(100)))
    assert len(room.log().splitlines()) - before <= 2 * LINES_A_MINUTE


def wrong_key(room: MediaRoom, key: str = OTHER_KEY) -> None:
    """Somebody who is refused."""
    with suppress(Rejected, ConnectionError), RtmpClient(room.config.rtmp.port) as client:
        client.publish("live", key)


def test_a_second_publisher_cannot_displace_the_first(room: MediaRoom, clip: Path) -> None:
    with publishing(clip, room.url(KEY)) as first:
        path = room.wait_for(KEY)
        with room.open(path.name) as container:
            frames = container.decode(video=0)
            next(frames)
            assert is_refused(room, clip, KEY)
            until(lambda: [one.state for one in room.client.connections()] == ["publish"], 5, "the second has left")
            begun_s = time.monotonic()
            shown = sum(1 for _ in zip(range(25), frames, strict=False))
            assert shown == 25
            assert time.monotonic() - begun_s < 10
        assert first.poll() is None
        after = room.wait_for(KEY)
        assert after.source_id == path.source_id


def test_a_kick_ends_the_publisher_and_nobody_else(room: MediaRoom, clip: Path) -> None:
    room.add_stream(OTHER_KEY)
    with publishing(clip, room.url(KEY)) as kicked, publishing(clip, room.url(OTHER_KEY)) as other:
        room.wait_for(OTHER_KEY)
        path = room.wait_for(KEY)
        (connection,) = (one for one in room.client.connections() if one.id == path.source_id)
        room.client.kick(connection)
        until(lambda: room.path_of(KEY) is None, 5, "its path is gone")
        assert kicked.wait(10) != 0
        assert other.poll() is None
        room.wait_for(OTHER_KEY)
        room.client.kick(connection)  # once more: it is gone already, which is no error


def test_a_frozen_publisher_is_gone_within_ten_seconds(room: MediaRoom, clip: Path) -> None:
    with RtmpClient(room.config.rtmp.port) as client:
        client.publish("live", KEY)
        until(lambda: not client.is_open(), 10, "it is cut off")


@pytest.mark.parametrize("garbage", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x03" + bytes(100), b"\xff" * 5000])
def test_whoever_speaks_no_rtmp_disturbs_nobody(room: MediaRoom, clip: Path, garbage: bytes) -> None:
    strangers = [RtmpClient(room.config.rtmp.port) for _ in range(5)]
    try:
        for stranger in strangers:
            stranger.socket.sendall(garbage)
        with publishing(clip, room.url(KEY)):
            room.wait_for(KEY)
    finally:
        for stranger in strangers:
            stranger.socket.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_gate_nobody_is_let_in_until_it_is_back(
    engine: str, clip: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    room = MediaRoom(tmp_path, engine, free_port)
    room.add_stream(KEY)
    with room.running_ingest():
        assert is_refused(room, clip, KEY)
        with room.running_gate():
            assert room.client.paths() == []
            with publishing(clip, room.url(KEY)):
                room.wait_for(KEY)
    with pytest.raises(NotRunning):
        room.client.info()
    assert KEY not in room.log()


def test_the_api_says_what_it_is(room: MediaRoom) -> None:
    version = room.client.info()
    assert version.startswith("v1.") if room.engine == "mediamtx" else version
    assert mediamtx.engine(room.config) == room.engine
