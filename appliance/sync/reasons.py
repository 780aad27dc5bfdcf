"""Why the centre, or a broker on site, cannot be reached, in words that name the next step: pure functions.

Numbers of reasons: https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html section 2.4; of certificates:
https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl

from appliance.certificates import Facts
from appliance.language import N_
from appliance.outside import reason_words, system_words
from appliance.times import utc_text

JOIN_AGAIN = N_("Join again with a new join code from the centre.")
REVOKED = N_("The centre has revoked this box's certificate.") + f" {JOIN_AGAIN}"
NOT_TAKEN = N_("The centre refuses this box's certificate.") + f" {JOIN_AGAIN}"
SILENT = N_(
    "The centre's broker takes what this box sends, but the centre does not confirm it. Look there for this box:"
    " its page says whether messages were refused; if it says nothing, the centre's ingest may not be running."
)
NOBODY_LISTENS = N_("The centre's broker is there, but nobody takes what this box sends. Start the centre's ingest.")
CLOSED = N_(
    "The centre's broker closed the connection without a word. If this stays, this box may have been removed at the"
    " centre: join again with a new join code."
)
LOST = N_("The connection to the centre was lost.")
TAKEN_OVER = N_(
    "Another connection took this box's place at the centre's broker. If this happens again and again, a second box"
    " runs with a copy of this one's card: have one of them leave, and join again."
)

NO_NAME = N_(
    "The name {host} does not resolve. See whether the box has a network and a DNS server, and whether the centre still"
    " has this name."
)
NO_ANSWER = N_(
    "{host} does not answer at port {port}. See whether it runs, and whether a firewall lets port {port} through."
)
REFUSED = N_("{host} takes no connections at port {port}. See whether the centre's broker runs there.")
NO_WAY = N_("There is no way to {host}. See whether the box has a network.")
NO_TLS = N_("TLS with the centre failed ({reason}); see its log.")
FAILED = N_("The connection to {host} port {port} failed ({error}).")

_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_NOT_YET_VALID, _EXPIRED, _REVOKED, _NAME, _ADDRESS = 9, 10, 23, 62, 64

_ALERTS = (
    ("CERTIFICATE_REVOKED", REVOKED),
    ("CERTIFICATE_EXPIRED", N_("The centre says that this box's certificate has expired.") + f" {JOIN_AGAIN}"),
    ("UNKNOWN_CA", N_("The centre does not know the authority of this box's certificate.") + f" {JOIN_AGAIN}"),
    ("CERTIFICATE_REQUIRED", N_("The centre asked for a certificate and got none.") + f" {JOIN_AGAIN}"),
    ("BAD_CERTIFICATE", NOT_TAKEN),
    ("CERTIFICATE_UNKNOWN", NOT_TAKEN),
    ("WRONG_VERSION_NUMBER", N_("What answers at the centre's address does not speak TLS; see its host and port.")),
    ("UNEXPECTED_EOF", CLOSED),
)
"""What OpenSSL calls the words of the other side, in any version of TLS; the first that fits."""

KEEP_ALIVE = 0x8D
_REFUSALS = {
    0x80: N_("The centre's broker refuses this box and does not say why; its log may."),
    0x84: N_("The centre's broker does not speak MQTT 5; a centre needs one that does."),
    0x85: N_("The centre's broker does not accept the name of this box; see its log."),
    0x86: N_("The centre's broker does not know this box.") + f" {JOIN_AGAIN}",
    0x87: N_(
        "The centre's broker does not let this box in. It may have been removed there; join again with a new join code"
        " from the centre."
    ),
    0x88: N_("The centre's broker is not available just now; it is tried again."),
    0x89: N_("The centre's broker is busy; it is tried again."),
    0x8A: N_("The centre's broker has banned this box.") + f" {JOIN_AGAIN}",
    0x8B: N_("The centre's broker is shutting down; it is tried again."),
    KEEP_ALIVE: N_(
        "The centre's broker and this box have not heard of each other for a minute; the network between them"
        " may be bad. It is tried again."
    ),
    0x8E: TAKEN_OVER,
    0x95: N_("The centre's broker finds a message of this box too large; see max_packet_size there."),
    0x96: N_("The centre's broker finds that this box sends too much; it is tried again."),
    0x97: N_("The centre's broker has set this box a limit, which it has reached; see its log."),
    0x98: N_(
        "The centre ended the connection. If this stays, this box may have been removed there: join again with a"
        " new join code."
    ),
    0x9F: N_("Too many boxes connect to the centre's broker at once; it is tried again."),
}
NOT_LET = N_(
    "The centre's broker does not let this box send its {what}. See the broker's access rules"
    " (`mb9k central broker-config`)."
)
NO_REASON = N_("The centre's broker refuses this box (reason {code} of MQTT 5).")
NOT_THIS = N_("It refused this box's {what}.")
ENDED = N_(
    "This box's certificate ended on {end}, and by the box's clock it is {day}. If the clock is right, join again with"
    " a new join code; else correct it."
)
CLOCK = N_("The clock of the box is wrong: it says {day}, but {what}. Let it reach a time server, or set it.")
BEGINS = N_("this box's certificate begins on {begin}")
NOT_YET = N_("the centre's certificate is not valid yet")
THEIRS_EXPIRED = N_(
    "The centre's certificate has expired; by the box's clock it is {day}. If the clock is right, restart the centre,"
    " which renews it; else correct the clock."
)
ANOTHER_NAME = N_(
    "The certificate of what answers at {host} is for another name. Give the centre this name, and restart it, or join"
    " again."
)
NOT_JOINED = N_(
    "What answers at {host} is not the centre that this box joined: its certificate is not trusted. If the centre was"
    " set up again, join it with a new join code; else somebody is in between."
)

SITE_NOT_YET_TOLD = N_("The broker on site {where} has not answered yet.")
SITE_REFUSES = N_("The broker on site {where} refuses the box: {reason}; see its user and password.")
SITE_ENDED = N_("The broker on site {where} ended the connection; it is tried again.")
SITE_NOT_CONFIRMED = N_("The broker on site {where} did not confirm the message.")
SITE_NOT_CONNECTED = N_("The broker on site {where} is not connected.")
_SITE_NO_TLS = N_("The broker on site {where} cannot be told: TLS with it fails ({reason}); see its log.")
_SITE_NO_NAME = N_(
    "The broker on site {where} cannot be reached: its name does not resolve; see the name, and whether the box has a"
    " DNS server."
)
_SITE_NO_ANSWER = N_(
    "The broker on site {where} does not answer; see its address, whether it runs, and whether a firewall lets its"
    " port through."
)
_SITE_NO_PORT = N_("The broker on site {where} takes no connections at this port; see the port, and whether it runs.")
_SITE_NO_WAY = N_(
    "The broker on site {where} cannot be reached: there is no way to it; see whether the box has a network."
)
_SITE_FAILED = N_("The broker on site {where} cannot be reached ({error}).")
_SITE_SPEAKS_TLS = N_(
    "The broker on site {where} ended the connection before it answered; see its port, and whether it speaks TLS."
)
_SITE_WANTS_TLS = N_(
    "The broker on site {where} ended the connection before it answered; see its port, and whether it wants TLS."
)
_SITE_CLOCK = N_(
    "The broker on site {where} shows a certificate that is not valid yet; the box's clock says {day}: see whether it"
    " is right."
)
_SITE_EXPIRED = N_(
    "The broker on site {where} shows a certificate that has expired; renew it there, if the box's clock is right,"
    " which says {day}."
)
_SITE_ANOTHER_NAME = N_(
    "The broker on site {where} shows a certificate that is for another name; name the broker here as its certificate"
    " does."
)
_SITE_NOT_TRUSTED = N_(
    "The broker on site {where} shows a certificate that is not trusted; name the PEM file of who signed it as"
    " `tls_authority` under `[mqtt]` in `mb9k.toml`."
)


def of_error(error: BaseException, host: str, port: int, now_utc: float) -> str:
    """Why a connection could not be made, or ended. Its own words stand in the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_their_certificate(error, host, now_utc)
    if isinstance(error, ssl.SSLError):
        return of_text(str(error)) or NO_TLS.format(reason=_reason(error))
    if isinstance(error, socket.gaierror):
        return NO_NAME.format(host=host)
    if isinstance(error, TimeoutError):
        return NO_ANSWER.format(host=host, port=port)
    if isinstance(error, ConnectionRefusedError):
        return REFUSED.format(host=host, port=port)
    if isinstance(error, ConnectionError):
        return CLOSED
    if isinstance(error, OSError) and error.errno in _NO_WAY:
        return NO_WAY.format(host=host)
    return FAILED.format(host=host, port=port, error=system_words(error))


def of_text(text: str) -> str:
    """What the log of a connection says of its end, in our words; empty if it says nothing that is known here."""
    said = text.upper().replace(" ", "_")
    return next((words for alert, words in _ALERTS if alert in said), "")


def of_refusal(code: int, what: str = "") -> str:
    """Why the broker refused a connection or ended it; with what: this message, such as `sums`. code: of MQTT 5."""
    if what and code == 0x87:
        return NOT_LET.format(what=what)
    known = _REFUSALS.get(code) or NO_REASON.format(code=f"{code:#04x}")
    return f"{known} {NOT_THIS.format(what=what)}" if what else known


def of_our_certificate(facts: Facts, now_utc: float) -> str:
    """What is wrong with this box's own certificate by the box's clock; empty if nothing is."""
    if now_utc > facts.expires_utc:
        return ENDED.format(end=utc_text(facts.expires_utc)[:10], day=utc_text(now_utc)[:10])
    if now_utc < facts.begins_utc:
        return _clock(BEGINS.format(begin=utc_text(facts.begins_utc)[:10]), now_utc)
    return ""


def of_site(error: BaseException, where: str, tls: bool, now_utc: float) -> str:
    """Why a broker on site cannot be told. where: host and port. tls: whether the box speaks TLS with it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_site_certificate(error, where, now_utc)
    if isinstance(error, ssl.SSLError):
        if isinstance(error, ssl.SSLEOFError) or _reason(error) == "wrong version number":
            return of_site_closing(where, tls)
        return _SITE_NO_TLS.format(where=where, reason=_reason(error))
    if isinstance(error, socket.gaierror):
        return _SITE_NO_NAME.format(where=where)
    if isinstance(error, TimeoutError):
        return _SITE_NO_ANSWER.format(where=where)
    if isinstance(error, ConnectionRefusedError):
        return _SITE_NO_PORT.format(where=where)
    if isinstance(error, ConnectionError):
        return of_site_closing(where, tls)
    if isinstance(error, OSError) and error.errno in _NO_WAY:
        return _SITE_NO_WAY.format(where=where)
    return _SITE_FAILED.format(where=where, error=system_words(error))


def of_site_refusal(code: int, said: str, where: str) -> str:
    """Why a broker on site refuses the box. code: of MQTT 5. said: as the library calls it."""
    return SITE_REFUSES.format(where=where, reason=reason_words(code, said))


def of_site_closing(where: str, tls: bool) -> str:
    """What is likely wrong when a broker on site ends a connection before it answers."""
    return (_SITE_SPEAKS_TLS if tls else _SITE_WANTS_TLS).format(where=where)


def _of_site_certificate(error: ssl.SSLCertVerificationError, where: str, now_utc: float) -> str:
    words = _SITE_NOT_TRUSTED
    if error.verify_code == _NOT_YET_VALID:
        words = _SITE_CLOCK
    elif error.verify_code == _EXPIRED:
        words = _SITE_EXPIRED
    elif error.verify_code in (_NAME, _ADDRESS):
        words = _SITE_ANOTHER_NAME
    return words.format(where=where, day=utc_text(now_utc)[:10])


def _of_their_certificate(error: ssl.SSLCertVerificationError, host: str, now_utc: float) -> str:
    if error.verify_code == _NOT_YET_VALID:
        return _clock(NOT_YET, now_utc)
    if error.verify_code == _EXPIRED:
        return THEIRS_EXPIRED.format(day=utc_text(now_utc)[:10])
    return (ANOTHER_NAME if error.verify_code in (_NAME, _ADDRESS) else NOT_JOINED).format(host=host)


def _clock(what: str, now_utc: float) -> str:
    return CLOCK.format(day=utc_text(now_utc)[:10], what=what)


def _reason(error: ssl.SSLError) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", " ", getattr(error, "reason", None) or N_("no reason given"))
    return words.strip().lower()[:80]
