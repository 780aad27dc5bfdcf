"""Who may do what at the broker: a real mosquitto with TLS, by the files we write."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance import certificates, messages
from appliance.central import broker
from appliance.certificates import Authority
from appliance.membership import Membership
from appliance.messages import FROM_BOX, TO_BOX, Kind, topic
from tests.boxes import until
from tests.centres import PATIENCE_S, Centre, Client

SUCCESS, REFUSED = "Success", "Not authorized"
TAKEN = {SUCCESS, "No matching subscribers"}


@pytest.fixture
def centre(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Centre]:
    """A centre whose broker runs."""
    centre = Centre(tmp_path / "centre", free_port)
    with centre.broker():
        yield centre
    centre.close()


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Closes the clients of a test."""
    with ExitStack() as stack:
        yield stack


def connected(client: Client, clients: ExitStack) -> Client:
    clients.callback(client.close)
    assert client.connect() == SUCCESS
    return client


@pytest.fixture
def box_a(centre: Centre, tmp_path: Path) -> Membership:
    return centre.box(tmp_path / "a", "a")


@pytest.fixture
def box_b(centre: Centre, tmp_path: Path) -> Membership:
    return centre.box(tmp_path / "b", "b")


def test_a_box_writes_its_own_topics_and_ingest_reads_them(
    centre: Centre, clients: ExitStack, box_a: Membership
) -> None:
    ingest = connected(centre.client(), clients)
    for kind in FROM_BOX:
        ingest.subscribe(f"{messages.ROOT}/+/{kind.value}")
    client = connected(centre.client_of(box_a), clients)
    for kind in FROM_BOX:
        assert client.publish(topic("a", kind)) == SUCCESS
    until(lambda: len(ingest.messages) == len(FROM_BOX), PATIENCE_S, "all have come")


def test_ingests_share_what_comes(centre: Centre, clients: ExitStack, box_a: Membership) -> None:
    ingests = [connected(centre.client(f"ingest-{number}"), clients) for number in range(2)]
    for ingest in ingests:
        ingest.subscribe(f"$share/ingest/{messages.ROOT}/+/sums")
    client = connected(centre.client_of(box_a), clients)
    for _ in range(10):
        client.publish(topic("a", Kind.SUMS))
    until(lambda: sum(len(ingest.messages) for ingest in ingests) == 10, PATIENCE_S, "all have come")
    assert all(ingest.messages for ingest in ingests)


def test_a_box_reads_what_the_centre_writes_to_it(centre: Centre, clients: ExitStack, box_a: Membership) -> None:
    ingest, client = connected(centre.client(), clients), connected(centre.client_of(box_a), clients)
    for kind in TO_BOX:
        client.subscribe(topic("a", kind))
        assert ingest.publish(topic("a", kind)) == SUCCESS
    until(lambda: len(client.messages) == len(TO_BOX), PATIENCE_S, "all have come")


def test_a_box_cannot_write_as_another(
    centre: Centre, clients: ExitStack, box_a: Membership, box_b: Membership
) -> None:
    ingest = connected(centre.client(), clients)
    ingest.subscribe(f"{messages.ROOT}/+/sums")
    client = connected(centre.client_of(box_a), clients)
    for kind in Kind:
        assert client.publish(topic("b", kind)) == REFUSED
    for other in ("mb9k/a/other", "mb9k/a/sums/b", "mb9k/b", "other", "$SYS/broker/version", "homeassistant/a/config"):
        assert client.publish(other) == REFUSED, other
    assert client.publish(topic("a", Kind.SUMS), b"the last one") == SUCCESS
    until(lambda: bool(ingest.messages), PATIENCE_S, "it has come")
    assert ingest.messages == [("mb9k/a/sums", b"the last one")]


def test_a_box_cannot_speak_as_the_centre(centre: Centre, clients: ExitStack, box_a: Membership) -> None:
    client = connected(centre.client_of(box_a), clients)
    assert [client.publish(topic("a", kind)) for kind in TO_BOX] == [REFUSED] * len(TO_BOX)


def test_a_box_does_not_get_what_is_another_s(
    centre: Centre, clients: ExitStack, box_a: Membership, box_b: Membership
) -> None:
    ingest = connected(centre.client(), clients)
    writer, reader = connected(centre.client_of(box_b), clients), connected(centre.client_of(box_a), clients)
    for wish in ("#", "mb9k/#", "mb9k/b/#", "mb9k/+/watermarks", "mb9k/b/command", "$share/x/mb9k/+/sums", "$SYS/#"):
        reader.subscribe(wish)
    writer.publish(topic("b", Kind.STATE), b"state of b", retain=True)
    writer.publish(topic("b", Kind.SUMS), b"sums of b")
    ingest.publish(topic("b", Kind.WATERMARKS), b"watermarks of b", retain=True)
    ingest.publish(topic("b", Kind.COMMAND), b"command to b")
    reader.subscribe("mb9k/#")  # what is retained would come now
    ingest.publish(topic("a", Kind.COMMAND), b"its own")
    until(lambda: bool(reader.messages), PATIENCE_S, "its own has come")
    assert {payload for _, payload in reader.messages} == {b"its own"}


def test_without_a_certificate_nobody_comes_in(centre: Centre) -> None:
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.load_verify_locations(cadata=centre.trust.authority.certificate)
    client = Client("a.00000000", centre.config, anonymous)
    assert client.connect() != SUCCESS
    client.close()
    plain = Client("a.00000000", centre.config, None)
    assert plain.connect() != SUCCESS
    plain.close()


@pytest.mark.parametrize("kind", ["foreign", "expired", "server", "self-made name"])
def test_a_certificate_that_is_not_a_box_s_does_not_come_in(
    kind: str, centre: Centre, tmp_path: Path, box_a: Membership
) -> None:
    now_s, key = time.time(), certificates.new_key()
    request, signer = certificates.signing_request(key, "a"), centre.trust.authority
    if kind == "foreign":
        # An authority of the same name, for the same box.
        signed = Authority.make(centre.config.name, now_s)[0].sign_box(request, "a", now_s)
    elif kind == "expired":
        signed = signer.sign_box(request, "a", now_s - 1000, days=0.01)
    elif kind == "server":
        signed = signer.sign_server(key, ["a"], now_s)
    else:
        key = box_a.key_path.read_bytes()
        signed = Authority.make("b", now_s)[0].sign_box(certificates.signing_request(key, "a"), "a", now_s)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_text(signed.pem)
    context = certificates.client_context(
        signer.certificate, str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    )
    client = Client("a.00000000", centre.config, context)
    assert client.connect() != SUCCESS
    client.close()


def test_a_revoked_box_is_cut_off_at_once_also_on_its_open_connection(
    centre: Centre, clients: ExitStack, box_a: Membership, box_b: Membership
) -> None:
    machine = "0123456789abcdef"
    centre.database.execute("update boxes set machine = ? where id = 'a'", [machine])
    known = connected(centre.client_of(box_a, "a.01234567"), clients)
    hidden = connected(centre.client_of(box_a, "under another name"), clients)
    other = connected(centre.client_of(box_b), clients)
    assert known.publish(topic("a", Kind.SUMS)) in TAKEN
    assert centre.revoke("a")
    until(lambda: bool(known.disconnected), PATIENCE_S, "it is cut off")
    assert hidden.publish(topic("a", Kind.SUMS)) == REFUSED
    again = centre.client_of(box_a)
    assert again.connect() != SUCCESS
    again.close()
    assert other.publish(topic("b", Kind.SUMS)) in TAKEN
    assert not other.disconnected


def test_a_revoked_box_hears_nothing_more(centre: Centre, clients: ExitStack, box_a: Membership) -> None:
    ingest, client = connected(centre.client(), clients), connected(centre.client_of(box_a, "another name"), clients)
    client.subscribe(topic("a", Kind.COMMAND))
    centre.revoke("a")
    ingest.publish(topic("a", Kind.COMMAND))
    client.publish(topic("a", Kind.SUMS))  # answered after what came before it
    assert client.messages == []


def test_whoever_takes_the_place_of_a_box_ends_the_old_certificate(
    centre: Centre, clients: ExitStack, tmp_path: Path, box_a: Membership
) -> None:
    replacement = centre.box(tmp_path / "new", again=box_a.box)
    assert replacement.box == "a"
    assert broker.write(centre.config, centre.trust, centre.database, time.time())
    assert broker.reload(centre.config)
    connected(centre.client_of(replacement), clients)

    def is_refused() -> bool:
        old = centre.client_of(box_a, "the old one")
        try:
            return old.connect() != SUCCESS
        finally:
            old.close()

    until(is_refused, PATIENCE_S, "the old certificate is refused")


def test_a_revoked_box_that_is_let_in_again_may_do_what_it_did(
    centre: Centre, clients: ExitStack, tmp_path: Path, box_a: Membership
) -> None:
    centre.revoke("a")
    again = centre.box(tmp_path / "new", again="a")
    broker.write(centre.config, centre.trust, centre.database, time.time())

    def is_in() -> bool:
        broker.reload(centre.config)  # mosquitto loses a signal that comes while it still reads for the one before
        client = centre.client_of(again)
        try:
            return client.connect() == SUCCESS and client.publish(topic("a", Kind.SUMS)) in TAKEN
        finally:
            client.close()

    until(is_in, PATIENCE_S, "it is in again")


def test_a_message_beyond_the_limit_is_refused(centre: Centre, clients: ExitStack, box_a: Membership) -> None:
    client = connected(centre.client_of(box_a), clients)
    assert client.publish(topic("a", Kind.SUMS), b"x" * messages.MAX_BYTES) in TAKEN
    assert client.publish(topic("a", Kind.SUMS), b"x" * (messages.MAX_BYTES + 5000)) == "disconnected"


def test_the_files_are_written_only_when_they_change(centre: Centre, box_a: Membership) -> None:
    assert not broker.write(centre.config, centre.trust, centre.database, time.time())
    centre.database.execute("update boxes set revoked_utc = 1 where id = 'a'")
    assert broker.write(centre.config, centre.trust, centre.database, time.time())
    assert "user a\ntopic deny mb9k/#" in (centre.config.broker_dir / broker.ACCESS).read_text()


def test_no_other_process_is_told_when_ours_has_gone(centre: Centre) -> None:
    (centre.config.broker_dir / broker.PID).write_text("1\n")
    assert not broker.reload(centre.config)
    (centre.config.broker_dir / broker.PID).write_text("99999999\n")
    assert not broker.reload(centre.config)
    (centre.config.broker_dir / broker.PID).unlink()
    assert not broker.reload(centre.config)


def test_a_revoked_box_stays_out_when_the_database_is_lost(
    centre: Centre, clients: ExitStack, box_a: Membership, box_b: Membership
) -> None:
    centre.revoke("a")
    for table in ("certificates", "boxes"):
        centre.database.execute(f"delete from {table}")
    broker.write(centre.config, centre.trust, centre.database, time.time())
    assert broker.reload(centre.config)
    connected(centre.client_of(box_b), clients)
    again = centre.client_of(box_a)
    assert again.connect() != SUCCESS
    again.close()
