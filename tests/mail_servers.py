"""Mail servers that tests send to: aiosmtpd's, in a thread of its own, gone at the end of the block."""

from __future__ import annotations

import email
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from appliance import certificates
from appliance.mail import MailServer, Security
from tests.conftest import port_giver

USER, PASSWORD = "box@example.org", "correct horse battery"
BOX, OWNER = "box@example.org", "owner@example.org"


@dataclass
class Inbox:
    """What arrived. refuses: what the server says to a recipient, instead of taking them."""

    server: MailServer
    refuses: dict[str, str] = field(default_factory=dict)
    envelopes: list[Envelope] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    was_signed_in: list[bool | None] = field(default_factory=list)

    @property
    def messages(self) -> list[EmailMessage]:
        """As a mail program reads them."""
        return [email.message_from_bytes(cast(bytes, one.content), policy=default) for one in self.envelopes]

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a message."""
        self.envelopes.append(envelope)
        assert server.transport is not None
        self.was_encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        self.was_signed_in.append(session.authenticated)
        return "250 OK"


def _authenticated(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any) -> AuthResult:
    if isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode()):
        return AuthResult(success=True)
    return AuthResult(success=False, handled=False)


def self_signed(folder: Path, name: str = "127.0.0.1") -> tuple[str, ssl.SSLContext]:
    """A certificate that only itself vouches for, PEM, and how a server shows it."""
    key = certificates.new_key()
    certificate = certificates.self_signed(key, [name], time.time(), 30)
    (folder / "mail-key.pem").write_bytes(key)
    (folder / "mail-certificate.pem").write_text(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail-certificate.pem", folder / "mail-key.pem")
    return certificate, context


@contextmanager
def mail_server(folder: Path, security: Security = Security.NONE, name: str = "127.0.0.1") -> Iterator[Inbox]:
    """A mail server on loopback, which asks for USER and PASSWORD where it is encrypted. name: its certificate's."""
    port = port_giver()()
    wanted: dict[str, Any] = {}
    server = MailServer("127.0.0.1", BOX, port)
    if security is Security.NONE:
        server = MailServer("127.0.0.1", BOX, port, security)
    else:
        certificate, context = self_signed(folder, name)
        server = MailServer("127.0.0.1", BOX, port, security, USER, PASSWORD, certificate)
        how = {"ssl_context": context} if security is Security.TLS else {"tls_context": context}
        is_later = security is Security.STARTTLS  # aiosmtpd knows no TLS from the beginning, and warns
        wanted = {**how, "authenticator": _authenticated, "auth_required": is_later}
        wanted["auth_require_tls"] = wanted["require_starttls"] = is_later
    inbox = Inbox(server)
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **wanted)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()
