"""A box joins a centre: the real endpoint, over real HTTPS."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from appliance import certificates, joining, membership
from appliance.central import authority, members
from appliance.central.config import CentralConfig
from appliance.config import Config
from appliance.errors import InputError
from appliance.join_code import JoinCode, Request, parse
from appliance.joining import CannotJoin
from appliance.membership import Membership
from appliance.rules import fleet
from appliance.times import now
from tests.boxes import until
from tests.centres import PATIENCE_S, Centre
from tests.recorders import recording
from tests.site import new_store


@pytest.fixture
def centre(tmp_path: Path, free_port: Callable[[], int], database_address: str) -> Iterator[Centre]:
    """A centre at whose endpoint boxes may join, with each kind of database."""
    centre = Centre(tmp_path / "centre", free_port, database_address)
    yield centre
    centre.close()


@pytest.fixture
def sqlite_centre(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Centre]:
    """The same with SQLite only: for what has nothing to do with the database."""
    centre = Centre(tmp_path / "centre", free_port)
    yield centre
    centre.close()


class Box:
    """A box that may join."""

    def __init__(self, folder: Path, **sections: object) -> None:
        self.config = msgspec.convert({"state_dir": str(folder), **sections}, Config)
        self.store = new_store(self.config.store_path)

    def join(self, code: str) -> fleet.Joined:
        """Join as a person does it."""
        return fleet.join(self.config, self.store, code, now())

    def member(self) -> Membership:
        """Which centre it belongs to."""
        there = membership.load(self.config.state)
        assert there is not None
        return there


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box", box="kitchen")
    yield box
    box.store.close()


def box_rows(centre: Centre) -> list[tuple[str, str]]:
    return [(row["id"], row["title"]) for row in centre.database.execute("select id, title from boxes order by id")]


def through(code: str, port: int) -> str:
    """The same code, by way of another port."""
    return replace(parse(code), port=port).text()


def test_a_box_joins_by_one_string(centre: Centre, box: Box) -> None:
    with centre.endpoint():
        joined = box.join(centre.invite("Front door"))
    assert joined.notice is None
    there = box.member()
    assert (there.box, there.centre, there.host) == ("front-door", "head office", "localhost")
    assert there.port == centre.config.broker.port
    assert there.certificate().name == "front-door"
    assert there.tls()
    assert box_rows(centre) == [("front-door", "Front door")]
    (event,) = centre.database.execute("select * from events where what = 'joined'").fetchall()
    assert (event["box_id"], event["person"]) == ("front-door", "ann")


def test_a_code_for_one_box_works_once(centre: Centre, box: Box, tmp_path: Path) -> None:
    code, second = centre.invite(), Box(tmp_path / "second")
    with centre.endpoint():
        box.join(code)
        with pytest.raises(CannotJoin, match="used already"):
            second.join(code)
    assert membership.load(second.config.state) is None
    assert len(box_rows(centre)) == 1
    second.store.close()


def test_a_code_is_no_good_after_its_time(centre: Centre, box: Box) -> None:
    code = centre.invite(now_s=time.time() - 3601)
    with centre.endpoint(), pytest.raises(CannotJoin, match=r"ended at [0-9-]{10} [0-9]{2}:[0-9]{2} UTC"):
        box.join(code)


def test_a_code_that_was_withdrawn_is_no_good(centre: Centre, box: Box) -> None:
    code = centre.invite()
    members.withdraw(centre.database, centre.database.one("select id from joins"), "ann", time.time())
    with centre.endpoint(), pytest.raises(CannotJoin, match="does not know this join code"):
        box.join(code)


def test_a_code_for_several_boxes_is_good_for_so_many_which_name_themselves(centre: Centre, tmp_path: Path) -> None:
    code = centre.invite("", boxes=3, valid_s=86_400)
    boxes = [Box(tmp_path / str(number), box="kitchen") for number in range(4)]
    with centre.endpoint():
        for box in boxes[:3]:
            box.join(code)
        with pytest.raises(CannotJoin, match="used already"):
            boxes[3].join(code)
    assert [box.member().box for box in boxes[:3]] == ["kitchen", "kitchen-2", "kitchen-3"]
    for box in boxes:
        box.store.close()


def test_boxes_that_come_at_once_are_all_let_in_and_no_more(centre: Centre) -> None:
    code = parse(centre.invite("", boxes=8))
    outcomes: list[str] = []

    def come() -> None:
        try:
            outcomes.append(joining.ask(code, "kitchen", time.time()).answer.box)
        except CannotJoin as error:
            outcomes.append(str(error))

    with centre.endpoint():
        threads = [threading.Thread(target=come) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    names = [outcome for outcome in outcomes if outcome.startswith("kitchen")]
    assert len(names) == len(set(names)) == 8
    assert sum("used already" in outcome for outcome in outcomes) == 4
    assert len(box_rows(centre)) == 8


def test_an_answer_that_was_lost_is_got_by_asking_again(
    centre: Centre, box: Box, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "PAUSE_S", 0.01)
    port = free_port()
    inside = centre.trust.server_tls()
    with centre.endpoint(), recording(port, centre.config.joining.port, inside, answers_lost=2) as between:
        box.join(through(centre.invite(), port))
    assert between.connections == 3
    assert box_rows(centre) == [("hallway", "hallway")]
    assert box.member().box == "hallway"


def test_no_two_boxes_share_a_secret(centre: Centre, tmp_path: Path) -> None:
    code = centre.invite("", boxes=2)
    boxes = [Box(tmp_path / name, box=name) for name in ("a", "b")]
    with centre.endpoint():
        for box in boxes:
            box.join(code)
    first, second = (box.member() for box in boxes)
    assert first.key_path.read_bytes() != second.key_path.read_bytes()
    assert first.certificate().serial != second.certificate().serial
    secret = parse(code).secret.encode()
    for there in (first, second):
        assert not any(secret in path.read_bytes() for path in there.folder.iterdir()), "the code is not kept"
    for box in boxes:
        box.store.close()


def test_the_private_key_is_never_on_the_wire(centre: Centre, box: Box, free_port: Callable[[], int]) -> None:
    """What passes inside TLS, seen by one who has the centre's own key, and what passes outside."""
    code, inner, outer = centre.invite(), free_port(), free_port()
    onward = centre.config.joining.port
    inside_tls = centre.trust.server_tls()
    with (
        centre.endpoint(),
        recording(inner, onward, inside_tls) as inside,
        recording(outer, inner) as outside,
    ):
        box.join(through(code, outer))
    key = box.member().key_path.read_bytes()
    private = serialization.load_pem_private_key(key, None)
    number = private.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    body = json.loads(inside.sent.partition(b"\r\n\r\n")[2])
    assert set(body) == {"v", "secret", "name", "request"}
    assert "BEGIN CERTIFICATE REQUEST" in body["request"]
    request_der = ssl.PEM_cert_to_DER_cert(body["request"].replace("CERTIFICATE REQUEST", "CERTIFICATE"))
    for seen in (bytes(inside.sent), bytes(inside.answered), request_der, bytes(outside.sent), bytes(outside.answered)):
        assert len(seen) > 100
        assert number not in seen
        assert number.hex().encode() not in seen.lower()
        assert der not in seen
        assert b"PRIVATE KEY" not in seen
        assert not any(line in seen for line in key.splitlines()[1:-1])
    secret = parse(code).secret.encode()
    assert secret in inside.sent
    assert secret not in outside.sent
    assert secret not in inside.answered


def test_somebody_in_between_is_noticed_before_anything_is_sent(
    sqlite_centre: Centre, box: Box, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    code, port = sqlite_centre.invite(), free_port()
    other = authority.prepare(
        msgspec.convert(
            {"name": "head office", "state_dir": str(tmp_path / "other"), "broker": {"public_host": "localhost"}},
            CentralConfig,
        ),
        time.time(),
    )
    with (
        sqlite_centre.endpoint(),
        recording(port, sqlite_centre.config.joining.port, other.server_tls()) as between,
        pytest.raises(CannotJoin, match="somebody is in between"),
    ):
        box.join(through(code, port))
    assert between.sent == b""
    assert membership.load(box.config.state) is None
    assert box_rows(sqlite_centre) == []


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("no-such-host.invalid", "does not resolve: check this box's network and its DNS"),
        ("127.0.0.1", "Nothing listens at 127.0.0.1"),
    ],
)
def test_a_centre_that_is_not_there_is_told_in_words(
    box: Box, host: str, words: str, free_port: Callable[[], int]
) -> None:
    with pytest.raises(CannotJoin, match=words):
        box.join(JoinCode(host, free_port(), b"x" * 32, "00" * 16).text())


def test_a_centre_that_does_not_answer_is_told_in_words(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = JoinCode("127.0.0.1", silent.getsockname()[1], b"x" * 32, "00" * 16).text()
        with pytest.raises(CannotJoin, match="does not answer: a firewall"):
            box.join(code)


def test_what_is_no_centre_is_told_in_words(box: Box, free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(CannotJoin, match="does not speak TLS as a centre does"):
            box.join(JoinCode("127.0.0.1", listening.getsockname()[1], b"x" * 32, "00" * 16).text())
        thread.join()


def test_a_box_whose_clock_is_behind_joins_and_is_told(sqlite_centre: Centre, box: Box) -> None:
    with sqlite_centre.endpoint():
        joined = fleet.join(box.config, box.store, sqlite_centre.invite(), replace(now(), utc=1_000_000.0))
    assert joined.notice and re.search(r"The clock of this box is [\d\s]+ days behind the centre's", joined.notice)
    assert box.member().tls()


def test_a_box_whose_clock_is_years_ahead_is_told_why_it_cannot_join(sqlite_centre: Centre, box: Box) -> None:
    ahead = replace(now(), utc=time.time() + 2 * 365 * 86_400)
    with sqlite_centre.endpoint(), pytest.raises(CannotJoin, match="The clock of this box is ahead"):
        fleet.join(box.config, box.store, sqlite_centre.invite(), ahead)
    assert membership.load(box.config.state) is None


def test_a_member_does_not_join_again_before_it_has_left(sqlite_centre: Centre, box: Box) -> None:
    with sqlite_centre.endpoint():
        box.join(sqlite_centre.invite("a"))
        code = sqlite_centre.invite("b")
        with pytest.raises(InputError, match=r"belongs to head office \(localhost\) already, as a"):
            box.join(code)
        assert "revoke it" in fleet.leave(box.config, box.store)
        box.join(code)
    assert box.member().box == "b"


def test_a_code_in_the_configuration_is_used_once(sqlite_centre: Centre, tmp_path: Path) -> None:
    box = Box(tmp_path / "box", fleet={"join_code": sqlite_centre.invite("hallway")})
    with sqlite_centre.endpoint():
        first = fleet.join_if_configured(box.config)
        assert first is not None and fleet.join_if_configured(box.config) == first
        assert "fleet.join_code" in fleet.leave(box.config, box.store)
        with pytest.raises(CannotJoin, match="used already"):
            fleet.join_if_configured(box.config)
    assert fleet.join_if_configured(Box(tmp_path / "other").config) is None
    box.store.close()


def test_a_box_that_comes_again_in_another_s_place_keeps_the_id(centre: Centre, tmp_path: Path) -> None:
    old, new = Box(tmp_path / "old"), Box(tmp_path / "new")
    with centre.endpoint():
        old.join(centre.invite("hallway"))
        new.join(centre.invite(again="hallway"))
    assert new.member().box == "hallway"
    serials = {row["serial"]: row["revoked_utc"] for row in centre.database.execute("select * from certificates")}
    assert serials[old.member().certificate().serial] is not None
    assert serials[new.member().certificate().serial] is None
    for box in (old, new):
        box.store.close()


def test_no_box_gets_the_name_of_ingest(centre: Centre, tmp_path: Path) -> None:
    names = [
        centre.box(tmp_path / str(number), title).box for number, title in enumerate(("MB9K centre", "§", "Tür 1"))
    ]
    assert names == ["box-mb9k-centre", "box", "t-r-1"]


def test_a_certificate_is_renewed_for_a_box_that_belongs_here(centre: Centre, tmp_path: Path) -> None:
    there, now_s = centre.box(tmp_path / "box"), time.time()
    renewed = members.renew(
        centre.database, centre.config, centre.trust, there.box, there.request(), now_s + 86_400 * 300
    )
    assert renewed is not None
    there.renew(renewed.certificate, renewed.authority)
    assert there.certificate().expires_utc > now_s + 86_400 * 660


def test_a_certificate_is_not_renewed_for_anybody_else(centre: Centre, tmp_path: Path) -> None:
    there, now_s = centre.box(tmp_path / "box"), time.time()

    def renew(box: str, request: str) -> object:
        return members.renew(centre.database, centre.config, centre.trust, box, request, now_s)

    assert renew("nobody", there.request()) is None
    assert renew(there.box, "garbage") is None
    assert [renew(there.box, there.request()) is None for _ in range(6)] == [False] * 4 + [True] * 2
    centre.database.execute("update boxes set revoked_utc = 1")
    assert members.renew(centre.database, centre.config, centre.trust, there.box, there.request(), now_s + 1e6) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"title": ""}, "Give the box a name"),
        ({"title": "x" * 41}, "at most 40 characters"),
        ({"boxes": 0}, "1 to 10000 boxes"),
        ({"boxes": 10_001}, "1 to 10000 boxes"),
        ({"valid_s": 1}, "a minute to a year"),
        ({"valid_s": 1e9}, "a minute to a year"),
        ({"again": "nobody"}, "no box nobody"),
        ({"site_id": 7}, "no such site"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(
    sqlite_centre: Centre, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        sqlite_centre.invite(**options)  # type: ignore[arg-type]


def post(centre: Centre, raw: bytes) -> bytes:
    """What the endpoint answers to these bytes inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=centre.trust.authority.certificate)
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", centre.config.joining.port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        try:
            connection.sendall(raw)
            while data := connection.recv(10_000):
                answer += data
        except (ConnectionError, ssl.SSLError):
            pass  # it had enough
    return answer


def request_bytes(body: bytes, path: str = "/join", method: str = "POST") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"501"),
        (request_bytes(b"{}", "/other"), b"404"),
        (request_bytes(b"{}", method="PUT"), b"501"),
        (request_bytes(b""), b"400"),
        (request_bytes(b"{}"), b"400"),
        (request_bytes(b"\xff\xfe"), b"400"),
        (request_bytes(b"[" * 7000), b"400"),
        (request_bytes(b'{"secret": 1, "request": 2}'), b"400"),
        (request_bytes(b'{"secret": "\\u0000", "request": "x"}'), b"403"),
        (request_bytes(b"x" * 8001), b"413"),
        (b"POST /join HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"POST /join HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b"411"),
        (b"POST /join HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST /join HTTP/1.1\r\n\r\n", b"411"),
        (b"garbage\r\n\r\n", b""),
        (b"POST /" + b"x" * 100_000, b""),
        (b"POST /join HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"POST /join HTTP/1.1\r\nA: " + b"b" * 100_000, b""),
        (bytes(range(256)) * 100, b""),
    ],
)
def test_what_makes_no_sense_is_refused_and_a_box_still_joins(
    sqlite_centre: Centre, box: Box, raw: bytes, status: bytes
) -> None:
    with sqlite_centre.endpoint():
        answer = post(sqlite_centre, raw)
        assert answer.split(b" ")[1:2] == ([status] if status else answer.split(b" ")[1:2])
        assert b"200" not in answer[:20]
        box.join(sqlite_centre.invite())


def test_it_survives_what_is_no_tls_slow_clients_and_a_flood(
    sqlite_centre: Centre, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.central.joining.CONNECTION_S", 1.0)
    where = ("127.0.0.1", sqlite_centre.config.joining.port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opened: list[socket.socket] = []
    with sqlite_centre.endpoint() as endpoint:
        for number in range(100):  # more than there are places for; none of them ends by itself
            connection = socket.create_connection(where, PATIENCE_S)
            opened.append(connection)
            if number % 3 == 0:
                connection.sendall(b"\x16\x03\x01")  # the beginning of a handshake
            elif number % 3 == 1:
                connection.sendall(b"POST /join HTTP/1.1\r\n")
        slow = context.wrap_socket(socket.create_connection(where, PATIENCE_S))
        opened.append(slow)
        slow.sendall(b"POST /join HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        assert len(endpoint.guests) <= 64
        box.join(sqlite_centre.invite())
        until(lambda: not endpoint.guests, PATIENCE_S, "those that say nothing have been ended")
    for connection in opened:
        connection.close()


def test_whoever_tries_codes_is_slowed_down(sqlite_centre: Centre) -> None:
    wrong = request_bytes(msgspec.json.encode(Request(secret="00" * 16, request="x")))
    with sqlite_centre.endpoint():
        answers = [post(sqlite_centre, wrong).split(b" ")[1] for _ in range(24)]
    assert answers[:20] == [b"403"] * 20
    assert b"429" in answers[20:]


def test_a_database_that_is_away_is_told_as_such(sqlite_centre: Centre, box: Box) -> None:
    code = sqlite_centre.invite()
    moved = sqlite_centre.config.database_path.with_suffix(".away")
    with sqlite_centre.endpoint():
        sqlite_centre.config.database_path.rename(moved)
        with pytest.raises(CannotJoin, match="cannot use its database"):
            box.join(code)
        moved.rename(sqlite_centre.config.database_path)
        box.join(code)


def test_the_centre_s_keys_are_its_owner_s_and_stay(sqlite_centre: Centre) -> None:
    folder = sqlite_centre.config.authority_dir
    assert {path.stat().st_mode & 0o077 for path in folder.glob("*.pem")} == {0}
    before = {path.name: path.read_bytes() for path in folder.glob("*.pem")}
    authority.prepare(sqlite_centre.config, time.time() + 86_400)
    assert {path.name: path.read_bytes() for path in folder.glob("*.pem")} == before
    later = authority.prepare(sqlite_centre.config, time.time() + 8 * 365 * 86_400)
    assert certificates.pem_fingerprint(later.server_path.read_text()) == sqlite_centre.trust.fingerprint()
    assert later.server_path.read_bytes() != before["server.pem"]


def test_a_name_that_the_centre_had_stays_in_its_certificate(sqlite_centre: Centre) -> None:
    moved = msgspec.structs.replace(
        sqlite_centre.config, broker=msgspec.structs.replace(sqlite_centre.config.broker, public_host="new.example.org")
    )
    names = certificates.server_names(authority.prepare(moved, time.time()).server_path.read_text())
    assert names[0] == "new.example.org"
    assert "localhost" in names


def test_damaged_keys_are_told_and_not_made_again(sqlite_centre: Centre) -> None:
    (sqlite_centre.config.authority_dir / "authority-key.pem").write_text("garbage")
    with pytest.raises(authority.TrustError, match="put the folder back from a backup"):
        authority.prepare(sqlite_centre.config, time.time())
