"""Mail: what is sent, to a real mail server, and what is said if it cannot be."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import mail
from appliance.errors import InputError, NotSaved
from appliance.mail import Mail, MailError, MailServer, Security
from tests.mail_servers import BOX, OWNER, PASSWORD, USER, mail_server

NOW_S = 1_795_000_000.0
HELLO = Mail("report-7", OWNER, "Counts of Tuesday", "93 % of 214 persons", "<p>93 % of 214 persons</p>", "Haus Süd")


@pytest.mark.parametrize("security", list(Security))
def test_a_message_arrives_encrypted_as_it_was_chosen(tmp_path: Path, security: Security) -> None:
    with mail_server(tmp_path, security) as inbox:
        mail.send(inbox.server, HELLO, NOW_S)
    (message,) = inbox.messages
    is_safe = security is not Security.NONE
    assert (inbox.was_encrypted, bool(inbox.was_signed_in[0])) == ([is_safe], is_safe)
    assert (inbox.envelopes[0].mail_from, inbox.envelopes[0].rcpt_tos) == (BOX, [OWNER])
    assert message["From"] == f"Haus Süd <{BOX}>"
    assert (message["To"], message["Subject"]) == (OWNER, "Counts of Tuesday")
    assert message["Message-ID"] == "<report-7@example.org>"
    assert message["Date"].datetime.timestamp() == NOW_S
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(["plain"]), message.get_body(["html"])
    assert text is not None and text.get_content().strip() == "93 % of 214 persons"
    assert html is not None and html.get_content().strip() == "<p>93 % of 214 persons</p>"


def test_a_server_with_another_name_than_its_certificate_is_told_nothing(tmp_path: Path) -> None:
    for security in (Security.TLS, Security.STARTTLS):
        with mail_server(tmp_path, security, name="mail.example.org") as inbox:
            with pytest.raises(MailError, match=r"shows a certificate that is not valid .*: see its name") as refused:
                mail.send(inbox.server, HELLO, NOW_S)
            assert not refused.value.is_final
            with pytest.raises(MailError, match="not valid"):  # nor is one that nobody vouches for
                mail.send(msgspec.structs.replace(inbox.server, authority=""), HELLO, NOW_S)
        assert not inbox.envelopes


def test_a_wrong_password_is_said_and_not_repeated(tmp_path: Path) -> None:
    with mail_server(tmp_path, Security.STARTTLS) as inbox:
        wrong = msgspec.structs.replace(inbox.server, password="incorrect horse")
        with pytest.raises(MailError, match=r"refuses user and password \(535 ") as refused:
            mail.send(wrong, HELLO, NOW_S)
    assert "horse" not in str(refused.value)
    assert not inbox.envelopes


def test_who_is_refused_for_good_is_not_tried_again_and_who_is_for_now_is(tmp_path: Path) -> None:
    with mail_server(tmp_path) as inbox:
        inbox.refuses = {"gone@example.org": "550 no such user", "full@example.org": "452-mailbox\r\n452 full"}
        with pytest.raises(MailError, match=r"refuses the address \(550 no such user\)") as gone:
            mail.send(inbox.server, dataclasses.replace(HELLO, to="gone@example.org"), NOW_S)
        with pytest.raises(MailError, match="refuses the address") as full:
            mail.send(inbox.server, dataclasses.replace(HELLO, to="full@example.org"), NOW_S)
    assert (gone.value.is_final, full.value.is_final) == (True, False)


def test_the_wrong_way_of_encryption_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "STEP_TIMEOUT_S", 1.0)
    with mail_server(tmp_path, Security.STARTTLS) as inbox, pytest.raises(MailError, match="choose STARTTLS"):
        mail.send(msgspec.structs.replace(inbox.server, security=Security.TLS), HELLO, NOW_S)
    with mail_server(tmp_path) as inbox, pytest.raises(MailError, match="offers no STARTTLS: choose TLS"):
        mail.send(msgspec.structs.replace(inbox.server, security=Security.STARTTLS), HELLO, NOW_S)
    with mail_server(tmp_path, Security.TLS) as inbox, pytest.raises(MailError, match="TLS or STARTTLS is right"):
        mail.send(msgspec.structs.replace(inbox.server, security=Security.STARTTLS), HELLO, NOW_S)


def test_nobody_there_and_no_such_name_are_said(free_port: Callable[[], int]) -> None:
    with pytest.raises(MailError, match=r"cannot be reached \(Connection refused\): see its host and port"):
        mail.send(MailServer("127.0.0.1", BOX, free_port(), Security.NONE), HELLO, NOW_S)
    with pytest.raises(MailError, match="cannot be found: see its name"):
        mail.send(MailServer("no-such-host.invalid", BOX), HELLO, NOW_S)


@contextmanager
def _stand_in_that_speaks_slowly(part: bytes) -> Iterator[int]:
    """Listens, and says this part again and again, until whoever connected hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(0.05)
                while True:
                    try:
                        connection.sendall(part)
                        if not connection.recv(100):
                            return
                    except TimeoutError:
                        continue
                    except OSError:
                        return

        thread = threading.Thread(target=speak)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("security", list(Security))
def test_a_server_that_says_a_byte_now_and_then_holds_nobody_up(
    security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "WHOLE_TIMEOUT_S", 0.5)
    before = threading.active_count()
    with (
        _stand_in_that_speaks_slowly(b"\x16\x03\x03\x3f\x00" if security is Security.TLS else b"2") as port,
        pytest.raises(MailError, match="did not answer in time"),
    ):
        mail.send(MailServer("127.0.0.1", BOX, port, security), HELLO, NOW_S)
    assert threading.active_count() == before


@settings(max_examples=60, derandomize=True, deadline=None)
@given(name=st.text(max_size=60), subject=st.text(max_size=300), text=st.text(max_size=300))
def test_no_text_ends_its_header_or_its_message(name: str, subject: str, text: str) -> None:
    safe = text.encode(errors="replace").decode()
    message = mail.written(MailServer("h", BOX), Mail("1", OWNER, subject, safe, from_name=name), NOW_S)
    content = message.as_bytes()
    head, _, body = content.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert sorted(names) == sorted(
        b"From To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type Content-Transfer-Encoding".split()
    )
    assert b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b"")
    assert all(byte < 128 for byte in content)
    assert max(map(len, body.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "address",
    [
        "", "owner", "@example.org", "owner@", "owner@example.org\r\nBcc: all@example.org", "a@b@c", "<a@b.org>",
        "a@b.org, c@d.org", "a b@example.org", "owner@-example.org", "ö@example.org", "a@" + "b" * 300,
    ],
)  # fmt: skip
def test_what_is_no_single_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"no e-mail address; it looks like name@example\.org"):
        mail.clean_address(address)
    with pytest.raises(InputError):
        mail.send(MailServer("127.0.0.1", BOX, 1), dataclasses.replace(HELLO, to=address), NOW_S)


def test_the_server_is_kept_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    assert mail.load(tmp_path) is None
    server = MailServer("smtp.example.org", BOX, user=USER, password=PASSWORD)
    mail.save(tmp_path, mail.checked(server))
    assert mail.load(tmp_path) == server
    assert (tmp_path / mail.FILE).stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in repr(server)
    (tmp_path / mail.FILE).write_text('{"host": 3}')
    with pytest.raises(NotSaved, match="set the mail server again"):
        mail.load(tmp_path)
    mail.save(tmp_path, None)
    assert mail.load(tmp_path) is None


def test_a_password_that_is_not_typed_again_stays_with_its_server() -> None:
    before = MailServer("smtp.example.org", BOX, user=USER, password=PASSWORD)
    same = msgspec.structs.replace(before, password="", sender=" reports@example.org ")
    assert mail.checked(same, before).password == PASSWORD
    assert mail.checked(same, before).sender == "reports@example.org"
    for other in ({"host": "attacker.example"}, {"port": 25}, {"user": "someone"}):
        with pytest.raises(InputError, match="User and password belong together"):
            mail.checked(msgspec.structs.replace(same, **other), before)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host": ""}, "a host name or an address"),
        ({"host": "smtp://mail"}, "a host name or an address"),
        ({"host": "a\nb"}, "a host name or an address"),
        ({"port": 0}, "from 1 to 65535"),
        ({"user": "a\r\nRSET", "password": "b"}, "without control characters"),
        ({"user": "a"}, "belong together"),
        ({"security": Security.NONE, "user": "a", "password": "b"}, "only sent encrypted"),
        ({"authority": "-----BEGIN"}, "no certificate in PEM"),
        ({"sender": "box"}, "no e-mail address"),
    ],
)
def test_a_server_that_cannot_be_right_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mail.checked(msgspec.structs.replace(MailServer("smtp.example.org", BOX), **wrong))
