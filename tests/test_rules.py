"""The rules for streams, people and detections: the same, in the same words, whichever way somebody comes in."""

from __future__ import annotations

import html
import io
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance import cli
from appliance.accounts.people import Role
from appliance.address import shown
from appliance.config import Config
from appliance.errors import InputError, NameTaken, NotAllowed, NotFound, NotSaved, UserError
from appliance.faces import State
from appliance.images import ImageFiles
from appliance.names import person_name, stream_name
from appliance.previews import Previews
from appliance.rules import detections, people, streams
from appliance.rules.check import broken_rules, problems
from appliance.rules.sources import clean_source
from appliance.secrets import digest, hash_password, password_matches
from appliance.store import Store, Stream
from appliance.times import now
from appliance.vision.reading.reach import Reach
from scripts.demo import fill
from tests.conftest import REPOSITORY
from tests.site import JPEG, Box

BAD_NAMES = ["", "  ", "two\nlines", "x" * 300, "a\u202eb", "a\x00b"]
BAD_SOURCES = [
    "", " ", "gopher://x y", "rtsp://x y/1", "ftp://x", "rtsp://", "camera", "clip.mp4", "file:///etc/passwd",
    "x" * 600, "http://a\nb/", "rtsp://camera:99999999/", "rtsp://•••@camera/", "/dev/zero", "/dev/../etc/passwd",
    "http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "rtsp://[fe80::1]/1", "rtsp://239.1.2.3/1",
    "rtsp://0.0.0.0:8554/1", "http://[::]/",
]  # fmt: skip
ONLY_AN_ADMINS = [
    "/etc/passwd", "/dev/video0", "rtsp://127.0.0.1:8554/live/x", "http://localhost:9997/v3", "http://[::1]/",
    "http://[::ffff:127.0.0.1]/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0/",
]  # fmt: skip


class Entrances:
    """A box and its three ways in. Each answers with what it says when it refuses; None: it was done."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.box = Box(folder / "state")
        self.config_path = folder / "mb9k.toml"
        self.config_path.write_text(f'state_dir = "{folder / "state"}"\n')
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def cli(self, *words: str, typed: str = "") -> str | None:
        self.monkeypatch.setattr(sys, "argv", ["mb9k", "--config", str(self.config_path), *words])
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        self.capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        self.printed, said = self.capsys.readouterr()
        assert (code, bool(said)) in ((0, False), (1, True))
        return said.removeprefix("mb9k: ").rstrip("\n") or None

    def api(self, method: str, path: str, sent: Any = None, who: str = "ann") -> str | None:
        headers = {"Authorization": f"Bearer token of {who}"}
        answer = self.box.browser().client.request(method, f"/api/v1{path}", json=sent, headers=headers)
        return None if answer.is_success else str(answer.json()["error"])

    def page(self, path: str, who: str = "ann", **fields: str) -> str | None:
        answer = self.box.browser(who).post(path, **fields)
        if answer.is_success or answer.is_redirect:
            return None
        said = re.search(r'role="alert">([^<]*)<|<h1>[^<]*</h1>\s*<p>([^<]*)<', answer.text)
        assert said, answer.text
        return html.unescape(said[1] or said[2])

    def rows(self) -> str:
        """What may not change when something is refused: all but a token's last use, sessions, and the audit."""
        lines = self.box.store.db.conn.iterdump()
        return "\n".join(
            line for line in lines if not re.match(r'INSERT INTO "(tokens|sessions|audit|audit_chain)"', line)
        )


@pytest.fixture
def entrances(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Entrances]:
    made = Entrances(tmp_path, capsys, monkeypatch)
    yield made
    made.box.close()


def all_refuse_alike(entrances: Entrances, *tries: Callable[[], str | None]) -> None:
    before = entrances.rows()
    said = [attempt() for attempt in tries]
    assert said[0] and said[0].endswith(".") and "\n" not in said[0]
    assert said == [said[0]] * len(tries)
    assert entrances.rows() == before


@pytest.mark.parametrize("name", [*BAD_NAMES, "door"])
def test_every_entrance_refuses_a_bad_name_of_a_stream_in_the_same_words(entrances: Entrances, name: str) -> None:
    typed = name.replace("\x00", "\x01")  # no command line can hold a NUL
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", name=name, kind="key"),
        lambda: entrances.page("/streams/2/edit", name=name, owner="1"),
        lambda: entrances.api("POST", "/streams", {"name": name}),
        lambda: entrances.api("PATCH", "/streams/2", {"name": name, "owner": "ann"}),
        lambda: entrances.cli("stream", "add", typed, "--owner", "ann"),
    )


@pytest.mark.parametrize("name", [*BAD_NAMES, "a:b", ":", "Ann"])
def test_every_entrance_refuses_a_bad_name_of_a_person_in_the_same_words(entrances: Entrances, name: str) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/people", name=name, role="admin", password="long enough", again="long enough"),
        lambda: entrances.cli("user", "add", name.replace("\x00", "\x01"), typed="long enough\n"),
    )


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, "password", "Passw0rd1", "mb9k-2026"])
def test_every_entrance_refuses_a_bad_password_in_the_same_words(entrances: Entrances, password: str) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/people", name="kim", role="admin", password=password, again=password),
        lambda: entrances.page("/people/2/password", password=password, again=password),
        lambda: entrances.cli("user", "add", "kim", typed=f"{password}\n"),
        lambda: entrances.cli("user", "password", "sci", typed=f"{password}\n"),
    )


@pytest.mark.parametrize("source", BAD_SOURCES)
def test_every_entrance_refuses_a_bad_source_in_the_same_words(entrances: Entrances, source: str) -> None:
    entrances.box.store.streams.add_with_source(1, "pulled", "rtsp://camera/1", 0.0)
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", name="cam", kind="source", source=source),
        lambda: entrances.page("/streams/3/edit", name="pulled", source=source),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "source_url": source}),
        lambda: entrances.api("PATCH", "/streams/3", {"source_url": source}),
        lambda: entrances.cli("stream", "add", "cam", "--owner", "ann", "--source", source),
    )


@pytest.mark.parametrize("watch", [*BAD_SOURCES[2:], "/dev/video0", "rtsp://camera/1"])
def test_every_entrance_refuses_a_bad_sub_stream_in_the_same_words(entrances: Entrances, watch: str) -> None:
    main = "rtsp://camera/1"
    entrances.box.store.streams.add_with_source(1, "pulled", main, 0.0)
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", name="cam", kind="source", source=main, watch=watch),
        lambda: entrances.page("/streams/3/edit", name="pulled", source=main, watch=watch),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "source_url": main, "watch_url": watch}),
        lambda: entrances.api("PATCH", "/streams/3", {"watch_url": watch}),
        lambda: entrances.cli("stream", "add", "cam", "--owner", "ann", "--source", main, "--sub-stream", watch),
    )


@pytest.mark.parametrize("watch", [source for source in ONLY_AN_ADMINS if not source.startswith("/")])
def test_a_sub_stream_leads_no_further_than_a_source(entrances: Entrances, watch: str) -> None:
    sent = {"name": "cam", "source_url": "rtsp://camera/1", "watch_url": watch}
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", "sci", name="cam", kind="source", source="rtsp://camera/1", watch=watch),
        lambda: entrances.api("POST", "/streams", sent, "sci"),
    )
    assert entrances.api("POST", "/streams", sent) is None


@pytest.mark.parametrize("source", ONLY_AN_ADMINS)
def test_only_an_admin_and_the_command_line_may_name_what_is_on_the_box(entrances: Entrances, source: str) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", "sci", name="cam", kind="source", source=source),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "source_url": source}, "sci"),
    )
    assert entrances.page("/streams", name="by page", kind="source", source=source) is None
    assert entrances.api("POST", "/streams", {"name": "by api", "source_url": source}) is None
    assert entrances.cli("stream", "add", "by cli", "--owner", "sci", "--source", source) is None


def test_only_an_admin_and_the_command_line_may_make_a_stream_anothers(entrances: Entrances) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.page("/streams", "sci", name="cam", kind="key", owner="1"),
        lambda: entrances.page("/streams/2/edit", "sci", name="lab", owner="1"),
        lambda: entrances.api("POST", "/streams", {"name": "cam", "owner": "ann"}, "sci"),
        lambda: entrances.api("PATCH", "/streams/2", {"owner": "ann"}, "sci"),
        lambda: entrances.api("PATCH", "/streams/2", {"owner": "nobody"}, "sci"),
    )
    assert entrances.page("/streams", name="by page", kind="key", owner="2") is None
    assert entrances.api("POST", "/streams", {"name": "by api", "owner": "sci"}) is None
    assert entrances.cli("stream", "add", "by cli", "--owner", "sci") is None
    titles = {stream.title for stream in entrances.box.store.streams.all(entrances.box.clock.now)}
    assert {"sci:by page", "sci:by api", "sci:by cli"} < titles


@pytest.mark.parametrize("way", ["page", "api"])
def test_a_stream_goes_with_its_images_and_its_preview(entrances: Entrances, way: str) -> None:
    box = entrances.box
    image = box.store.detections.all_images()[0]
    previews = Previews(box.config.run)
    previews.write(1, b"\xff\xd8 somebody")
    done = entrances.page("/streams/1/delete") if way == "page" else entrances.api("DELETE", "/streams/1")
    assert done is None
    assert box.images.read(image) is None
    assert list(previews.folder.glob("1.*")) == []
    assert box.store.streams.ids() == {2}
    assert box.store.erasures.oldest(9) == {}


@pytest.mark.parametrize("kind", ["streams", "detections"])
def test_a_deletion_that_is_refused_changes_nothing(entrances: Entrances, kind: str) -> None:
    box, image = entrances.box, entrances.box.store.detections.all_images()[0]
    box.store.db.execute(
        f"create trigger full_disk before delete on {kind} begin select raise(fail, 'database or disk is full'); end"
    )
    by_page, by_api = entrances.page(f"/{kind}/1/delete"), entrances.api("DELETE", f"/{kind}/1")
    assert by_page == by_api and by_page and "so nothing was changed" in by_page
    assert box.images.read(image) == JPEG
    assert box.store.detections.get(1) and box.store.streams.ids() == {1, 2}
    assert box.store.streams.active_keys().keys() == {digest("key 1"), digest("key 2")}


@pytest.mark.parametrize("kind", ["streams", "detections"])
def test_an_image_that_cannot_be_erased_is_erased_later(
    entrances: Entrances, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    box, image = entrances.box, entrances.box.store.detections.all_images()[0]
    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "erase", failing)
        assert entrances.api("DELETE", f"/{kind}/1") is None
    assert box.store.detections.get(1) is None
    assert box.images.read(image) == JPEG
    assert not detections.erase_some(box.store, box.images)
    assert box.images.read(image) is None
    assert box.store.erasures.oldest(9) == {}


@pytest.mark.parametrize("name", [*BAD_NAMES, "x" * 41, "a\u200bb"])
def test_a_name_that_could_deceive_is_refused(name: str) -> None:
    for rule in (stream_name, person_name):
        with pytest.raises(InputError):
            rule(name)


def test_a_name_may_hold_what_people_write() -> None:
    for rule in (stream_name, person_name):
        assert rule(" Tür <b>42</b> & Söhne 🚪 ") == "Tür <b>42</b> & Söhne 🚪"
        assert rule("x" * 40) == "x" * 40 and rule("e\u0301") == "é"
    assert stream_name("gate: north") == "gate: north"
    with pytest.raises(InputError, match="may not hold :"):
        person_name("a:b")


@pytest.mark.parametrize("source", BAD_SOURCES)
def test_a_source_that_leads_nowhere_is_refused_to_everyone(source: str) -> None:
    for by_admin in (True, False):
        with pytest.raises(InputError):
            clean_source(source, by_admin)


@pytest.mark.parametrize("source", ONLY_AN_ADMINS)
def test_only_an_admin_may_have_the_box_read_its_own_inside(source: str) -> None:
    assert clean_source(source, by_admin=True) == source
    with pytest.raises(NotAllowed):
        clean_source(source, by_admin=False)


def test_anyone_may_have_the_box_fetch_from_a_camera() -> None:
    for source in ("rtsp://u:p@192.168.1.9:554/x?y=1", "http://camera.lan/mjpeg", "rtsps://face.cafe/1"):
        assert clean_source(f" {source}\n", by_admin=False) == source


@pytest.mark.parametrize("password", ["", "mb9k", "1234567", "x" * 1025])
def test_a_password_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(InputError):
        hash_password(password)


def test_the_demo_has_its_known_login_and_a_webcam_only_with_the_option(tmp_path: Path) -> None:
    loopback = {"host": "127.0.0.1"}
    config = msgspec.convert({"state_dir": str(tmp_path), "web": loopback, "rtmp": loopback}, Config)
    for webcam in (False, True, False, True):
        fill(config, webcam)
        store = Store.open(config.store_path)
        assert webcam == any(stream.active for stream in store.streams.all(now(), search="dev:webcam"))
        assert password_matches("mb9k", people.named(store, "dev").password_hash)
        store.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


SOURCE = "update streams set key_sha256 = null, source_url ="
REFUSED: list[tuple[type[UserError], str, Callable[[Box], object]]] = [
    (InputError, "nobody called nobody", lambda box: people.named(box.store, "nobody")),
    (InputError, "nothing invisible", lambda box: people.named(box.store, "two\nlines")),
    (NotFound, "removed, or never was", lambda box: people.find(box.store, 9)),
    (NotFound, "removed, or never was", lambda box: people.find(box.store, 2**70)),
    (InputError, "Choose a role: admin or data_scientist", lambda _: people.role_named("king")),
    (InputError, "may not hold :", lambda box: people.add(box.store, "a:b", "hash", Role.ADMIN, 0.0)),
    (NameTaken, "already called", lambda box: people.add(box.store, "ANN", "hash", Role.ADMIN, 0.0)),
    (InputError, "only admin", lambda box: people.change_role(box.store, ann(box), Role.DATA_SCIENTIST)),
    (InputError, "still owns ann:door", lambda box: people.remove(box.store, ann(box), ann(box), box.clock.now)),
    (InputError, "only admin", lambda box: remove_last_admin(box)),
    (NotFound, "no such stream", lambda box: streams.find(box.store, 9, box.clock.now)),
    (NameTaken, "stream called door", lambda box: add_stream(box, None, "ann", "door", None)),
    (InputError, "nobody called nobody", lambda box: add_stream(box, None, "nobody", "yard", None)),
    (NotFound, "choose another", lambda box: add_stream(box, None, 9, "yard", None)),
    (NotAllowed, "somebody else", lambda box: add_stream(box, "sci", 1, "yard", None)),
    (NotAllowed, "somebody else", lambda box: add_stream(box, "sci", "nobody", "yard", None)),
    (NotAllowed, "read a file", lambda box: add_stream(box, "sci", 2, "yard", "/dev/video0")),
    (InputError, "Say where", lambda box: add_stream(box, None, 1, "yard", "")),
    (InputError, "Give the stream", lambda box: change_stream(box, None, active=False, name="")),
    (NotAllowed, "somebody else", lambda box: change_stream(box, "sci", active=False, owner="ann")),
    (NotAllowed, "fetch from itself", lambda box: change_stream(box, "sci", name="x", source="http://0/")),
    (NameTaken, "called door", lambda box: change_stream(box, None, owner=1, name="door", active=False)),
    (NotFound, "deleted, or never was", lambda box: detections.find(box.store, 9)),
    (NotFound, "deleted, or never was", lambda box: detections.find(box.store, 2**70)),
    (NotFound, "deleted, or never was", lambda box: detections.correct(box.store, ann(box), 9, State.MASK, now())),
    (NotFound, "deleted, or never was", lambda box: delete_detection(box, 9)),
    (NotFound, "no such stream", lambda box: enter(box, 9, 5.0, 6.0)),
    (NotFound, "no such stream", lambda box: enter(box, 2**70, 5.0, 6.0)),
    (InputError, "exchange the two", lambda box: enter(box, 1, 6.0, 5.0)),
]  # fmt: skip


def ann(box: Box) -> Any:
    return people.named(box.store, "ann")


def remove_last_admin(box: Box) -> None:
    streams.change(box.store, streams.OPERATOR, streams.find(box.store, 1, box.clock.now), owner="sci")
    people.remove(box.store, ann(box), ann(box), box.clock.now)


def add_stream(box: Box, by: str | None, owner: int | str, name: str, source: str | None) -> object:
    return streams.add(
        box.store, people.named(box.store, by) if by else streams.OPERATOR, owner, name, source, box.clock.now
    )


def door(box: Box) -> Stream:
    return streams.find(box.store, 1, box.clock.now)


def delete_detection(box: Box, detection_id: int) -> None:
    detections.delete(box.store, box.images, streams.OPERATOR, detection_id, now())


def delete_stream(box: Box) -> None:
    streams.delete(box.store, box.images, Previews(box.config.run), streams.OPERATOR, door(box), now())


def change_stream(box: Box, by: str | None, **changes: Any) -> None:
    """Change stream 2, sci:lab."""
    stream = streams.find(box.store, 2, box.clock.now)
    streams.change(box.store, people.named(box.store, by) if by else streams.OPERATOR, stream, **changes)


def enter(box: Box, stream_id: int, first_utc: float, last_utc: float) -> int:
    return detections.enter(box.store, ann(box), stream_id, State.MASK, 1.0, first_utc, last_utc)


@pytest.mark.parametrize(("error", "said", "attempt"), REFUSED)
def test_a_rule_refuses_with_a_sentence_and_changes_nothing(
    box: Box, error: type[UserError], said: str, attempt: Callable[[Box], object]
) -> None:
    before = (streams.find(box.store, 2, box.clock.now), box.store.people.all(), box.store.streams.ids())
    with pytest.raises(UserError) as refused:
        attempt(box)
    assert type(refused.value) is error
    assert said in str(refused.value) and str(refused.value).endswith(".")
    assert (streams.find(box.store, 2, box.clock.now), box.store.people.all(), box.store.streams.ids()) == before


def test_a_locked_store_is_said_as_such_by_every_rule(box: Box) -> None:
    box.store.db.execute("pragma busy_timeout = 1")
    other = Store.open(box.config.store_path)
    attempts: list[Callable[[], object]] = [
        lambda: people.add(box.store, "kim", "hash", Role.ADMIN, 0.0),
        lambda: people.change_role(box.store, people.named(box.store, "sci"), Role.ADMIN),
        lambda: people.set_password(box.store, ann(box), "hash"),
        lambda: people.remove(box.store, ann(box), people.named(box.store, "eve"), box.clock.now),
        lambda: add_stream(box, None, "ann", "yard", None),
        lambda: change_stream(box, None, name="yard"),
        lambda: streams.rotate_key(box.store, 1),
        lambda: enter(box, 1, 5.0, 6.0),
        lambda: detections.correct(box.store, ann(box), 1, State.MASK, now()),
        lambda: delete_detection(box, 1),
        lambda: delete_stream(box),
        lambda: streams.delete_images(box.store, box.images, streams.OPERATOR, door(box), now()),
    ]
    with other.writing():
        for attempt in attempts:
            with pytest.raises(NotSaved, match="busy writing"):
                attempt()
    other.close()


def test_a_source_that_comes_back_as_shown_stays_with_its_secrets(box: Box) -> None:
    url = "rtsp://admin:hunter2@camera/live?password=hunter3"
    stream, key = streams.add(box.store, streams.OPERATOR, "sci", "cam", url, box.clock.now)
    assert key is None
    streams.change(box.store, people.named(box.store, "sci"), stream, name="camera", source=shown(url))
    assert streams.find(box.store, stream.id, box.clock.now).source_url == url
    streams.change(box.store, people.named(box.store, "sci"), stream, source="rtsp://other/")
    assert streams.find(box.store, stream.id, box.clock.now).source_url == "rtsp://other/"


SUB_STREAMS: list[tuple[dict[str, str], tuple[str, str | None]]] = [
    ({"name": "gate"}, ("rtsp://u:p@camera/1", "rtsp://u:p@camera/2?key=k")),
    ({"watch": "rtsp://•••@camera/2?key=•••"}, ("rtsp://u:p@camera/1", "rtsp://u:p@camera/2?key=k")),
    ({"watch": ""}, ("rtsp://u:p@camera/1", None)),
    ({"watch": "rtsp://camera/3"}, ("rtsp://u:p@camera/1", "rtsp://u:p@camera/3")),
    ({"watch": "rtsp://other/3"}, ("rtsp://u:p@camera/1", "rtsp://other/3")),
    ({"watch": "rtsp://a:b@camera/3"}, ("rtsp://u:p@camera/1", "rtsp://a:b@camera/3")),
    ({"watch": "RTSP://Camera:554/3"}, ("rtsp://u:p@camera/1", "RTSP://u:p@Camera:554/3")),
    ({"watch": "rtsp://camera:8554/3"}, ("rtsp://u:p@camera/1", "rtsp://camera:8554/3")),
    ({"watch": "http://camera:554/3"}, ("rtsp://u:p@camera/1", "http://camera:554/3")),
    ({"source_password": "new"}, ("rtsp://u:new@camera/1", "rtsp://u:new@camera/2?key=k")),
    ({"watch": "rtsp://camera/3", "source_user": "v", "source_password": "w"},
     ("rtsp://v:w@camera/1", "rtsp://v:w@camera/3")),
    ({"source": "rtsp://u:new@camera/1"}, ("rtsp://u:new@camera/1", "rtsp://u:new@camera/2?key=k")),
    ({"source": "rtsp://a:b@camera/1"}, ("rtsp://a:b@camera/1", "rtsp://a:b@camera/2?key=k")),
    ({"source": "rtsp://camera/1"}, ("rtsp://camera/1", "rtsp://camera/2?key=k")),
    ({"source": "rtsp://u:new@camera/1", "watch": "rtsp://•••@camera/2?key=•••"},
     ("rtsp://u:new@camera/1", "rtsp://u:new@camera/2?key=k")),
    ({"source": "rtsp://camera/9"}, ("rtsp://camera/9", None)),
    ({"source": "rtsp://camera/9", "watch": "rtsp://•••@camera/2?key=•••"},
     ("rtsp://camera/9", "rtsp://u:p@camera/2?key=k")),
    ({"source": "rtsp://camera/9", "watch": "rtsp://camera/8"}, ("rtsp://camera/9", "rtsp://camera/8")),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "after"), SUB_STREAMS, ids=str)
def test_a_sub_stream_follows_its_source(box: Box, changes: dict[str, Any], after: tuple[str, str | None]) -> None:
    made, _ = streams.add(
        box.store, streams.OPERATOR, "sci", "cam", "rtsp://u:p@camera/1", box.clock.now, watch="rtsp://camera/2?key=k"
    )
    streams.change(box.store, people.named(box.store, "sci"), made, **changes)
    changed = streams.find(box.store, made.id, box.clock.now)
    assert (changed.source_url, changed.watch_url) == after


@pytest.mark.parametrize("watch", ["rtsp://a:b@camera/2", "rtsp://u:p@camera:8554/2", "rtsp://u:p@other/2"])
def test_a_login_given_with_the_source_reaches_no_sub_stream_of_another(box: Box, watch: str) -> None:
    """Neither one with a login of its own, nor another port: whoever may change the sub-stream could listen there."""
    first, again = "rtsp://u:p@camera/1", "rtsp://u:new@camera/1"
    made, _ = streams.add(box.store, streams.OPERATOR, "sci", "cam", first, box.clock.now, watch=watch)
    streams.change(box.store, people.named(box.store, "sci"), made, source=again)
    changed = streams.find(box.store, made.id, box.clock.now)
    assert (changed.source_url, changed.watch_url) == (again, watch)


def test_a_stream_that_is_sent_here_has_no_sub_stream(entrances: Entrances) -> None:
    all_refuse_alike(
        entrances,
        lambda: entrances.api("POST", "/streams", {"name": "cam", "watch_url": "rtsp://camera/2"}),
        lambda: entrances.api("PATCH", "/streams/1", {"watch_url": "rtsp://camera/2"}),
        lambda: entrances.cli("stream", "add", "cam", "--owner", "ann", "--sub-stream", "rtsp://camera/2"),
    )
    assert entrances.api("PATCH", "/streams/1", {"watch_url": None}) is None


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update people set name = 'a:b' where id = 2", "the person 'a:b': This name may not hold :."),
        ("update people set name = '' where id = 2", "the person '': Give the person a name."),
        ("update people set name = 'two' || char(10) || 'lines' where id = 2", r"the person 'two\nlines': A name may"),
        ("update people set name = printf('%0300d', 1) where id = 2", "this one has"),
        ("update people set name = 'sci ' where id = 2", "It is not written as the rules would store it."),
        ("update streams set name = '' where id = 2", "'sci:': Give the stream a name. Rename it on /streams/2"),
        (f"{SOURCE} 'gopher://x y' where id = 2", "gopher://x y' of 'sci:"),
        (f"{SOURCE} 'ftp://u:secret@x' where id = 2", "source 'ftp://•••@x'"),
        (f"{SOURCE} 'rtsp://x', watch_url = 'ftp://u:p@x' where id = 2", "sub-stream 'ftp://•••@x' of 'sci:lab': The"),
        (f"{SOURCE} '/etc/passwd' where id = 2", "Files are read from the folders in sources.folders only; move"),
        (f"{SOURCE} '/dev/zero' where id = 2", "This is not a webcam; webcams are called /dev/video0"),
        (f"{SOURCE} 'http://169.254.169.254/' where id = 2", "There is no camera at this address; name the camera's"),
    ],
)  # fmt: skip
def test_check_reports_a_row_that_no_rule_would_let_in(entrances: Entrances, statement: str, said: str) -> None:
    assert entrances.cli("check") is None
    entrances.box.store.db.execute(statement)
    refused = entrances.cli("check")
    assert refused and refused.endswith("is not well; see above")
    assert said in entrances.printed and entrances.printed.count("\n") == 1


def test_check_reports_a_role_that_there_is_not(entrances: Entrances) -> None:
    entrances.box.store.db.execute("pragma ignore_check_constraints = on")
    entrances.box.store.db.execute("update people set role = 'king' where id = 2")
    refused = entrances.cli("check")
    assert refused and "CHECK constraint failed in people" in refused and "mb9k restore" in refused


def test_check_of_a_box_from_before_an_upgrade_says_to_start_it(tmp_path: Path) -> None:
    config = msgspec.convert({"state_dir": str(tmp_path)}, Config)
    old = sqlite3.connect(config.store_path)
    old.executescript((REPOSITORY / "tests" / "box_before_accounts.sql").read_text())
    old.close()
    found = problems(config)
    assert found and all(problem.endswith("has not run; start the box once") for problem in found)


def test_check_accepts_all_that_the_rules_let_in(store: Store) -> None:
    people.add(store, "ann", "hash", Role.ADMIN, 0.0)
    for name, source in (("gate: north", None), ("cam", "rtsp://u:p@camera/1"), ("webcam", "/dev/video0")):
        streams.add(store, streams.OPERATOR, "ann", name, source, now())
    assert broken_rules(store, Reach()) == []
