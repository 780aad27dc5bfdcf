"""Mail by SMTP: the server that is used, where it is kept, and one message sent. A box and a centre use it alike.

The server is kept in a file and not in the store, whose copies must carry no password. A message goes to one person,
so that nobody reads who else gets it, and so that one who is refused keeps nobody else from theirs.
"""

from __future__ import annotations

import enum
import re
import smtplib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import msgspec

from appliance import files
from appliance.deadline import Deadline
from appliance.errors import InputError, NotSaved, UserError, about
from appliance.language import N_, _
from appliance.outside import certificate_words, one_line, quoted, system_words

FILE = "mail-server.json"
STEP_TIMEOUT_S = 20.0
"""How long the server may take for one answer."""
WHOLE_TIMEOUT_S = 60.0
"""How long all of it may take: a server that sends a byte now and then holds nobody up."""
HIDDEN = "•••"
MAX_SUBJECT = 150
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9a-fA-F:.]{2,45}")
_ADDRESS = re.compile(
    # What <input type=email> accepts: https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


class MailError(UserError):
    """A message was not sent; says why in one line that names the next step.

    is_final: the server refuses this message or this address for good, so to send it again is of no use.
    """

    def __init__(self, words: str, is_final: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final


class Security(str, enum.Enum):
    """How the connection to the server is encrypted."""

    STARTTLS = "starttls"  # begins in the clear, mostly on port 587; nothing is said before it is encrypted
    TLS = "tls"  # encrypted from its beginning, mostly on port 465
    NONE = "none"  # for a relay on the same site, without a password


class MailServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server that takes messages, and who they come from.

    user: empty: it asks for none. sender: the address in From. authority: PEM of who vouches for the server's
    certificate; empty: whom this machine trusts.
    """

    host: str
    sender: str
    port: int = 587
    security: Security = Security.STARTTLS
    user: str = ""
    password: str = ""
    authority: str = ""

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port}, {self.security.value})"  # whatever prints it, no secret is in it

    @property
    def where(self) -> str:
        """The server, for people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to one person. id: names it, the same each time it is sent again: letters, digits and . _ -

    from_name: how its sender is called, such as the box. html: the same as text; empty: there is only text.
    """

    id: str
    to: str
    subject: str
    text: str
    html: str = ""
    from_name: str = ""


@about("email", "sender", "to", "recipients")
def clean_address(text: str) -> str:
    """An address as it is stored, name@example.org. Raises InputError."""
    address = text.strip()
    if len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise InputError(_("This is no e-mail address; it looks like name@example.org."))
    return address


def checked(server: MailServer, before: MailServer | None = None) -> MailServer:
    """The server as it is stored. Raises InputError: what is wrong with it.

    before: what was set until now. An empty password stays what it was, but for the same user of the same server
    only: otherwise who may change the server could have the password sent to one of their own.
    """
    host, user, password = server.host.strip().strip("[]"), server.user.strip(), server.password
    if not _HOST.fullmatch(host):
        raise InputError(
            _("The mail server is a host name or an address, such as smtp.example.org, without a port."), "host"
        )
    if not 1 <= server.port <= 65535:
        raise InputError(
            _("The port is a number from 1 to 65535: with STARTTLS mostly 587, with TLS mostly 465."), "port"
        )
    if not (user + password).isprintable():
        raise InputError(_("User and password must be one line, without control characters."), "user")
    is_the_same = before is not None and (before.host, before.port, before.user) == (host, server.port, user)
    if before is not None and is_the_same and not password:
        password = before.password
    if bool(user) != bool(password):
        raise InputError(
            _("User and password belong together: give both, or neither if the server asks for none."), "password"
        )
    if user and server.security is Security.NONE:
        raise InputError(
            _("A password is only sent encrypted: choose STARTTLS or TLS, or a server that asks for none."), "security"
        )
    if server.authority:
        _trusted(server.authority.strip())
    return msgspec.structs.replace(
        server,
        host=host,
        user=user,
        password=password,
        sender=clean_address(server.sender),
        authority=server.authority.strip(),
    )


def load(folder: Path) -> MailServer | None:
    """The server that is set; None: no mail is sent. folder: the state folder. Raises NotSaved: it cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=MailServer)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotSaved(
            _(
                "{file} cannot be read ({error}); set the mail server again.",
                file=folder / FILE,
                error=system_words(error),
            )
        ) from error


def save(folder: Path, server: MailServer | None) -> None:
    """Send by this server from now on, None: no mail any more. One that passed `checked`. Raises NotSaved."""
    try:
        if server is None:
            (folder / FILE).unlink(missing_ok=True)
            files.sync(folder)
        else:
            files.replace_file(folder / FILE, msgspec.json.encode(server).decode() + "\n")
    except OSError as error:
        raise NotSaved(
            _(
                "The mail server cannot be saved: {trouble}.",
                trouble=system_words(error),
            )
        ) from error


def written(server: MailServer, mail: Mail, now_s: float) -> EmailMessage:
    """The message, ready to be sent. Raises InputError: an address or the id cannot be used.

    What people named (box, subject) cannot end its header: line ends and other control characters become spaces.
    """
    if not _ID.fullmatch(mail.id):
        raise InputError(_("The id of a message is made of letters, digits, and . _ -"))
    sender, to = clean_address(server.sender), clean_address(mail.to)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=one_line(mail.from_name, MAX_SUBJECT), addr_spec=sender)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = one_line(mail.subject, MAX_SUBJECT)
    message["Date"] = format_datetime(datetime.fromtimestamp(int(now_s), timezone.utc))
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notice answers it
    message.set_content(mail.text, cte="quoted-printable")
    if mail.html:
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def send(server: MailServer, mail: Mail, now_s: float) -> None:
    """Hand one message to the server. Raises MailError, InputError: an address or the id cannot be used.

    Returns when the server has taken it; whether it arrives is another matter. After at most WHOLE_TIMEOUT_S and what
    the machine takes to look up a name.
    """
    message = written(server, mail, now_s)
    with Deadline(WHOLE_TIMEOUT_S) as deadline:
        try:
            with _Connection(server, deadline) as smtp:
                smtp.deliver(message, server.sender, mail.to.strip())
        except (OSError, smtplib.SMTPException) as error:
            # A connection that was cut may look like any of them, also like an answer that ends early.
            raise _explained(server, TimeoutError() if deadline.is_over else error) from error


class _Connection(smtplib.SMTP):
    """A connection that is encrypted before anything is said."""

    def __init__(self, server: MailServer, deadline: Deadline) -> None:
        self._server, self._deadline = server, deadline
        self._tls = None if server.security is Security.NONE else _trusted(server.authority)
        name = socket.gethostname()  # not getfqdn, which asks a name server that may be slow
        super().__init__(server.host, server.port, name if "." in name else "[127.0.0.1]", STEP_TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """How smtplib connects; TLS from the beginning is what its SMTP_SSL does here, too."""
        plain = socket.create_connection((host, port), timeout)
        try:
            self._deadline.begin(plain)
            if self._tls is not None and self._server.security is Security.TLS:
                return self._tls.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        return plain

    def deliver(self, message: EmailMessage, sender: str, to: str) -> None:
        """Encrypt, sign in, send."""
        if self._server.security is Security.STARTTLS:
            self.starttls(context=self._tls)
        if self._server.user:
            self.login(self._server.user, self._server.password)
        self.send_message(message, sender, [to])


def _trusted(authority: str) -> ssl.SSLContext:
    """What verifies the server's certificate and the name in it. Raises InputError."""
    try:
        return ssl.create_default_context(cadata=authority or None)
    except (ssl.SSLError, ValueError) as error:
        raise InputError(
            _("The authority is no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----.")
        ) from error


def _explained(server: MailServer, error: Exception) -> MailError:
    """What to say of it, and what to do."""
    where = server.where
    if isinstance(error, smtplib.SMTPException):
        return _refused(server, error)
    if isinstance(error, ssl.SSLCertVerificationError):
        words = N_(
            "The mail server {where} shows a certificate that is not valid ({why}): see its name and its authority."
        )
        return MailError(_(words, where=where, why=quoted(certificate_words(error))))
    if isinstance(error, ssl.SSLError):
        other = N_("STARTTLS (mostly port 587)") if server.security is Security.TLS else N_("TLS (mostly port 465)")
        words = N_("The mail server {where} cannot agree on encryption: choose {other}, or see its port.")
        return MailError(_(words, where=where, other=_(other)))
    if isinstance(error, socket.gaierror):
        words = N_(
            "The mail server {where} cannot be found: see its name, and whether this machine reaches a name server."
        )
        return MailError(_(words, where=where))
    if isinstance(error, TimeoutError):
        words = N_(
            "The mail server {where} did not answer in time: see host, port, and whether TLS or STARTTLS is right."
        )
        return MailError(_(words, where=where))
    why = quoted(system_words(error))
    return MailError(
        _("The mail server {where} cannot be reached ({why}): see its host and port.", where=where, why=why)
    )


def _refused(server: MailServer, error: smtplib.SMTPException) -> MailError:
    where = server.where
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        words = N_("The mail server {where} refuses the address ({said}): see how it is written.")
        return MailError(_(words, where=where, said=_said(server, code, text)), _is_final(code))
    if isinstance(error, smtplib.SMTPNotSupportedError):
        words = N_("The mail server {where} offers no sign-in here: leave user and password empty, or see the port.")
        if "STARTTLS" in str(error):
            words = N_("The mail server {where} offers no STARTTLS: choose TLS (mostly port 465), or see the port.")
        return MailError(_(words, where=where))
    if not isinstance(error, smtplib.SMTPResponseException):  # above all: it hung up
        words = N_("The mail server {where} ended the connection: see its port, and whether TLS or STARTTLS is right.")
        return MailError(_(words, where=where))
    code, is_final = error.smtp_code, False
    if isinstance(error, smtplib.SMTPAuthenticationError):
        words = N_(
            "The mail server {where} refuses user and password ({said}): some want a password for apps, made there."
        )
    elif isinstance(error, smtplib.SMTPSenderRefused):
        words = N_("The mail server {where} refuses the sender ({said}): set an address that it may send for.")
    else:
        words = N_("The mail server {where} refuses ({said}): ask who runs it, or set another one.")
        is_final = _is_final(code)
    return MailError(_(words, where=where, said=_said(server, code, error.smtp_error)), is_final)


def _is_final(code: int) -> bool:
    """Whether a reply is final: 5yz, RFC 5321 section 4.2.1."""
    return 500 <= code < 600


def _said(server: MailServer, code: int, text: bytes | str) -> str:
    """What the server said, in one line, and without our password if it repeats that."""
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    if server.password:
        said = said.replace(server.password, HIDDEN)
    return quoted(f"{code} {said}")
