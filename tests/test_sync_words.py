"""What people read of a centre that cannot be reached: real errors of real connections, and every reason there is."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance import certificates, membership
from appliance.certificates import Authority, Facts
from appliance.membership import Membership
from appliance.sync import reasons
from tests.boxes import until
from tests.sync_room import NAME, PATIENCE_S, CentreRoom, SyncedBox
from tests.test_sync import hasty as hasty
from tests.test_sync import room as room

DAY_S = 86_400.0


@pytest.fixture
def box(tmp_path: Path, free_port: Callable[[], int]) -> SyncedBox:
    return SyncedBox(tmp_path / "box", free_port)


def belong(
    state: Path,
    port: int,
    host: str = "127.0.0.1",
    authority: Authority | None = None,
    trusts: str = "",
    begun_s: float = 0.0,
    days: float = 365.0,
) -> Membership:
    """A membership of whatever is there. begun_s: when its certificate was made, from now."""
    authority = authority or Authority.make("plant", time.time())[0]
    key = certificates.new_key()
    signed = authority.sign_box(certificates.signing_request(key, NAME), NAME, time.time() + begun_s, days)
    there = Membership(NAME, host, port, time.time(), state / membership.FOLDER)
    membership.save(there, key, signed.pem, trusts or authority.certificate)
    return there


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which every connection is dealt with like this."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_name_that_does_not_resolve(box: SyncedBox, hasty: None) -> None:
    belong(box.config.state, 8883, host="centre.invalid")
    with box.syncing_here():
        box.until_it_says("The name centre.invalid does not resolve. See whether the box has a network")


def test_a_port_at_which_nothing_listens(box: SyncedBox, free_port: Callable[[], int], hasty: None) -> None:
    port = free_port()
    belong(box.config.state, port)
    with box.syncing_here():
        box.until_it_says(f"127.0.0.1 takes no connections at port {port}. See whether the centre's broker runs")


def test_somebody_who_takes_connections_and_says_nothing(
    box: SyncedBox, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.sync.link.CONNECT_TIMEOUT_S", 0.5)
    with answering(lambda _: time.sleep(1)) as port:
        belong(box.config.state, port)
        with box.syncing_here():
            box.until_it_says(f"127.0.0.1 does not answer at port {port}. See whether it runs, and whether a firewall")


def test_somebody_who_does_not_speak_tls(box: SyncedBox, hasty: None) -> None:
    with answering(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)) as port:
        belong(box.config.state, port)
        with box.syncing_here():
            box.until_it_says("does not speak TLS; see its host and port")


def test_somebody_who_hangs_up(box: SyncedBox, hasty: None) -> None:
    with answering(lambda _: None) as port:
        belong(box.config.state, port)
        with box.syncing_here():
            box.until_it_says("closed the connection without a word")


def test_a_centre_that_is_not_the_one_it_joined(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    belong(box.config.state, room.config.broker.port)
    with box.syncing_here():
        box.until_it_says("is not the centre that this box joined: its certificate is not trusted")


def test_a_box_that_another_centre_signed(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    belong(box.config.state, room.config.broker.port, trusts=room.trust.authority.certificate)
    with box.syncing_here():
        box.until_it_says("Join again with a new join code")


def test_a_certificate_that_was_revoked(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    there = room.join(box.config.state)
    with box.syncing_here():
        until(box.is_connected, PATIENCE_S, "it connects")
        room.write_broker(revoked=((there.certificate().serial, time.time()),))
        room.broker.kill()
        room.broker.start()
        box.until_it_says(reasons.REVOKED)


def test_a_certificate_that_ended(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state, days=10, now_s=time.time() - 20 * DAY_S)
    with box.syncing_here():
        box.until_it_says("This box's certificate ended on")
        assert "If the clock is right, join again with a new join code; else correct it." in box.problem()


def test_a_clock_that_is_behind(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    room.join(box.config.state, now_s=time.time() + 400 * DAY_S)
    with box.syncing_here():
        box.until_it_says("The clock of the box is wrong: it says")


def test_a_centre_under_another_name(
    box: SyncedBox, room: CentreRoom, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve("127.0.0.1" if host == "old.example" else host, *rest, **more),
    )
    belong(box.config.state, room.config.broker.port, "old.example", room.trust.authority)
    with box.syncing_here():
        box.until_it_says("The certificate of what answers at old.example is for another name")


def test_files_of_a_membership_that_are_damaged(box: SyncedBox, room: CentreRoom, hasty: None) -> None:
    there = room.join(box.config.state)
    there.key_path.write_text("no key")
    with box.syncing_here():
        box.until_it_says("run `mb9k leave`, and join again")
    there.folder.joinpath("centre.json").write_text("{")
    with box.syncing_here():
        box.until_it_says("the membership of this box cannot be read")


def test_each_reason_is_logged_once(
    box: SyncedBox, free_port: Callable[[], int], hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    belong(box.config.state, free_port())
    with box.syncing_here():
        box.until_it_says("takes no connections")
        time.sleep(3)  # several tries
    assert caplog.text.count("takes no connections") == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(101, "Network is unreachable"), "There is no way to host"),
        (ConnectionResetError(104, "reset"), "closed the connection without a word"),
        (OSError(5, "Input/output error"), "The connection to host port 8883 failed"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"), "does not know the authority"),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] sslv3 alert"), "has revoked this box's certificate"),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert"), "this box's certificate has expired"),
        (ssl.SSLError(1, "[SSL: SOMETHING_ELSE] words"), "TLS with the centre failed"),
    ],
    ids=repr,
)
def test_an_error_in_words(error: Exception, words: str) -> None:
    assert words in reasons.of_error(error, "host", 8883, time.time())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "The clock of the box is wrong: it says 1970-01-01, but the centre's certificate is not valid yet"),
        (10, "The centre's certificate has expired; by the box's clock it is 1970-01-01"),
        (62, "is for another name"),
        (64, "is for another name"),
        (18, "is not the centre that this box joined"),
        (20, "is not the centre that this box joined"),
    ],
)
def test_a_certificate_of_the_other_side_in_words(code: int, words: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    assert words in reasons.of_error(error, "host", 8883, 0.0)


def test_our_own_certificate_in_words() -> None:
    facts = Facts("1", NAME, 1000 * DAY_S, 1365 * DAY_S)
    assert reasons.of_our_certificate(facts, 1001 * DAY_S) == ""
    assert "ended on 1973-09-27" in reasons.of_our_certificate(facts, 1366 * DAY_S)
    assert "begins on 1972-09-27" in reasons.of_our_certificate(facts, 0.0)


def test_every_reason_of_mqtt_is_a_sentence_that_ends() -> None:
    for code in range(0x80, 0xA3):
        for what in ("", "sums"):
            words = reasons.of_refusal(code, what)
            assert re.fullmatch(r"[A-Z].*[.)]", words), words
            assert ".." not in words
