"""How a box joins a centre: it makes its own key, shows its invitation over HTTPS, and gets a certificate.

The centre is known by the fingerprint in the join code, and by nothing else: no public authority, no name, no clock. It
is compared before the secret is sent. The private key never leaves this machine.
"""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import time
from dataclasses import dataclass

import msgspec

from appliance import certificates
from appliance.certificates import CertificateError
from appliance.errors import InputError
from appliance.join_code import PATH, Answer, JoinCode, Refused, Request
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.retold import retold

log = logging.getLogger(__name__)
TIMEOUT_S = 10.0
TRIES = 3
PAUSE_S = 1.0
MAX_ANSWER_BYTES = 40_000


class CannotJoin(InputError):
    """The centre cannot be reached, or does not take this box; the message says what to do."""


class _Lost(Exception):
    """The connection broke: the centre may be busy, or may have taken the box."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What joining brought. clock_behind_s: how far this box's clock is behind the centre's."""

    key: bytes
    answer: Answer
    clock_behind_s: float


def ask(code: JoinCode, name: str, now_s: float) -> Joined:
    """Join by this code. now_s: this box's clock. Raises CannotJoin.

    An answer that was lost on its way is asked for again with the same key: the centre knows it again, and gives the
    same place, though the code was good for one box only.
    """
    key = certificates.new_key()
    request = Request(secret=code.secret, name=name, request=certificates.signing_request(key, name or "box"))
    for left in reversed(range(TRIES)):
        try:
            answer = _post(code, msgspec.json.encode(request))
        except _Lost as error:
            if not left:
                raise CannotJoin(
                    _(
                        "The centre at {code} did not answer ({error}). Try again; if the code is used"
                        " up by now, have another made.",
                        code=_at(code),
                        error=error,
                    )
                ) from error
            time.sleep(PAUSE_S)
        else:
            _refuse_unusable(answer, key, now_s)
            return Joined(key, answer, answer.now_utc - now_s)
    raise AssertionError("unreachable")


def _post(code: JoinCode, body: bytes) -> Answer:
    """The centre's answer. Raises CannotJoin, _Lost."""
    connection = _connect(code)
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Lost(system_words(error) or type(error).__name__) from error
    finally:
        connection.close()
    if response.status == 200:
        try:
            return msgspec.json.decode(content, type=Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CannotJoin(
                _("The centre answered what this box does not understand ({error}); upgrade both.", error=error)
            ) from error
    try:
        words = retold(msgspec.json.decode(content, type=Refused).error[:300])
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = _("The centre answered with status {status}; see its log.", status=response.status)
    raise CannotJoin(words)


def _connect(code: JoinCode) -> http.client.HTTPSConnection:
    """A connection to whoever has the key that the code names. Raises CannotJoin; _Lost: it was closed at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # by its key instead, below
    connection = http.client.HTTPSConnection(code.host, code.port, timeout=TIMEOUT_S, context=context)
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True) or b""
        if certificates.fingerprint(shown) != code.fingerprint:
            raise CertificateError("another key")
    except CertificateError as error:
        connection.close()
        raise CannotJoin(
            _(
                "Who answers at {code} is not the centre that made this code: somebody is in between,"
                " or the centre was set up again. Nothing was sent. Have a new code made; if it happens"
                " again, ask who runs the network.",
                code=_at(code),
            )
        ) from error
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError) as error:
        connection.close()
        raise _Lost(_("it closed the connection")) from error
    except OSError as error:
        connection.close()
        raise CannotJoin(_("{port} Then join again.", port=why_unreachable(error, code.host, code.port))) from error
    return connection


def why_unreachable(error: Exception, host: str, port: int) -> str:
    """Why a connection to a centre failed, in words with the next step."""
    where = f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return _("The name {host} does not resolve: check this box's network and its DNS server.", host=host)
    if isinstance(error, ConnectionRefusedError):
        return _("Nothing listens at {where}: see whether the centre runs there.", where=where)
    if isinstance(error, TimeoutError):
        return _("{where} does not answer: a firewall may be in between, or the centre's machine is off.", where=where)
    if isinstance(error, ssl.SSLError):
        return _(
            "What answers at {where} does not speak TLS as a centre does: check the address of the centre.", where=where
        )
    reason = system_words(error)
    return _("{where} cannot be reached ({reason}): check this box's network.", where=where, reason=reason)


def _refuse_unusable(answer: Answer, key: bytes, now_s: float) -> None:
    """Raise CannotJoin if what came is no use to this box now."""
    try:
        facts = certificates.facts(answer.certificate)
        if facts.name != answer.box or not certificates.belongs(answer.certificate, key):
            raise CertificateError(N_("the certificate is not for this box"))
    except CertificateError as error:
        raise CannotJoin(
            _("The centre answered with a certificate that cannot be used: {error}.", error=retold(str(error)))
        ) from error
    if now_s > facts.expires_utc:
        raise CannotJoin(
            _(
                "The clock of this box is ahead of the centre's by more than its certificate is valid:"
                " set it right (`timedatectl`), then join with a new code."
            )
        )


def _at(code: JoinCode) -> str:
    return f"{code.host}:{code.port}"
