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
from appliance.times import utc_text

JOIN_AGAIN = N_("Join again with a new join code from the centre.")
REVOKED = N_("The centre has revoked this box's certificate.") + f" {JOIN_AGAIN}"
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
FAILED = N_("The connection to {host} port {port} failed ({error}).")

_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_NOT_YET_VALID, _EXPIRED, _REVOKED, _NAME, _ADDRESS = 9, 10, 23, 62, 64

_ALERTS = (
    ("CERTIFICATE_REVOKED", REVOKED),
    ("CERTIFICATE_EXPIRED", f"The centre says that this box's certificate has expired. {JOIN_AGAIN}"),
    ("UNKNOWN_CA", f"The centre does not know the authority of this box's certificate. {JOIN_AGAIN}"),
    ("CERTIFICATE_REQUIRED", f"The centre asked for a certificate and got none. {JOIN_AGAIN}"),
    ("BAD_CERTIFICATE", f"The centre refuses this box's certificate. {JOIN_AGAIN}"),
    ("CERTIFICATE_UNKNOWN", f"The centre refuses this box's certificate. {JOIN_AGAIN}"),
    ("WRONG_VERSION_NUMBER", "What answers at the centre's address does not speak TLS; see its host and port."),
    ("UNEXPECTED_EOF", CLOSED),
)
"""What OpenSSL calls the words of the other side, in any version of TLS; the first that fits."""

KEEP_ALIVE = 0x8D
_REFUSALS = {
    0x80: N_("The centre's broker refuses this box and does not say why; its log may."),
    0x84: "The centre's broker does not speak MQTT 5; a centre needs one that does.",
    0x85: "The centre's broker does not accept the name of this box; see its log.",
    0x86: f"The centre's broker does not know this box. {JOIN_AGAIN}",
    0x87: f"The centre's broker does not let this box in. It may have been removed there; {JOIN_AGAIN[0].lower()}"
    f"{JOIN_AGAIN[1:]}",
    0x88: N_("The centre's broker is not available just now; it is tried again."),
    0x89: N_("The centre's broker is busy; it is tried again."),
    0x8A: f"The centre's broker has banned this box. {JOIN_AGAIN}",
    0x8B: N_("The centre's broker is shutting down; it is tried again."),
    KEEP_ALIVE: N_(
        "The centre's broker and this box have not heard of each other for a minute; the network between them"
        " may be bad. It is tried again."
    ),
    0x8E: TAKEN_OVER,
    0x95: "The centre's broker finds a message of this box too large; see max_packet_size there.",
    0x96: "The centre's broker finds that this box sends too much; it is tried again.",
    0x97: "The centre's broker has set this box a limit, which it has reached; see its log.",
    0x98: N_(
        "The centre ended the connection. If this stays, this box may have been removed there: join again with a"
        " new join code."
    ),
    0x9F: N_("Too many boxes connect to the centre's broker at once; it is tried again."),
}


def of_error(error: BaseException, host: str, port: int, now_utc: float) -> str:
    """Why a connection could not be made, or ended. Its own words stand in the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_their_certificate(error, host, now_utc)
    if isinstance(error, ssl.SSLError):
        return of_text(str(error)) or f"TLS with the centre failed ({_reason(error)}); see its log."
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
    return FAILED.format(host=host, port=port, error=error)


def of_text(text: str) -> str:
    """What the log of a connection says of its end, in our words; empty if it says nothing that is known here."""
    said = text.upper().replace(" ", "_")
    return next((words for alert, words in _ALERTS if alert in said), "")


def of_refusal(code: int, what: str = "") -> str:
    """Why the broker refused a connection or ended it; with what: this message, such as `sums`. code: of MQTT 5."""
    if what and code == 0x87:
        return (
            f"The centre's broker does not let this box send its {what}. See the broker's access rules"
            " (`mb9k central broker-config`)."
        )
    known = _REFUSALS.get(code, f"The centre's broker refuses this box (reason {code:#04x} of MQTT 5).")
    return f"{known} (It refused this box's {what}.)" if what else known


def of_our_certificate(facts: Facts, now_utc: float) -> str:
    """What is wrong with this box's own certificate by the box's clock; empty if nothing is."""
    if now_utc > facts.expires_utc:
        return (
            f"This box's certificate ended on {utc_text(facts.expires_utc)[:10]}, and by the box's clock it is"
            f" {utc_text(now_utc)[:10]}. If the clock is right, join again with a new join code; else correct it."
        )
    if now_utc < facts.begins_utc:
        return _clock(f"this box's certificate begins on {utc_text(facts.begins_utc)[:10]}", now_utc)
    return ""


def of_site(error: BaseException, tls: bool, now_utc: float) -> str:
    """Why a broker on site cannot be told: what follows its name in a sentence, without the full stop.

    tls: whether the box speaks TLS with it.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_site_certificate(error, now_utc)
    if isinstance(error, ssl.SSLError):
        if isinstance(error, ssl.SSLEOFError) or _reason(error) == "wrong version number":
            return of_site_closing(tls)
        return f"cannot be told: TLS with it fails ({_reason(error)}); see its log"
    if isinstance(error, socket.gaierror):
        return "cannot be reached: its name does not resolve; see the name, and whether the box has a DNS server"
    if isinstance(error, TimeoutError):
        return "does not answer; see its address, whether it runs, and whether a firewall lets its port through"
    if isinstance(error, ConnectionRefusedError):
        return "takes no connections at this port; see the port, and whether it runs"
    if isinstance(error, ConnectionError):
        return of_site_closing(tls)
    if isinstance(error, OSError) and error.errno in _NO_WAY:
        return "cannot be reached: there is no way to it; see whether the box has a network"
    return f"cannot be reached ({error})"


def of_site_closing(tls: bool) -> str:
    """What is likely wrong when a broker on site ends a connection before it answers."""
    return f"ended the connection before it answered; see its port, and whether it {'speaks' if tls else 'wants'} TLS"


def _of_site_certificate(error: ssl.SSLCertVerificationError, now_utc: float) -> str:
    day = utc_text(now_utc)[:10]
    if error.verify_code == _NOT_YET_VALID:
        return f"shows a certificate that is not valid yet; the box's clock says {day}: see whether it is right"
    if error.verify_code == _EXPIRED:
        return f"shows a certificate that has expired; renew it there, if the box's clock is right, which says {day}"
    if error.verify_code in (_NAME, _ADDRESS):
        return "shows a certificate that is for another name; name the broker here as its certificate does"
    return (
        "shows a certificate that is not trusted; name the PEM file of who signed it as `tls_authority` under `[mqtt]`"
        " in `mb9k.toml`"
    )


def _of_their_certificate(error: ssl.SSLCertVerificationError, host: str, now_utc: float) -> str:
    if error.verify_code == _NOT_YET_VALID:
        return _clock("the centre's certificate is not valid yet", now_utc)
    if error.verify_code == _EXPIRED:
        return (
            f"The centre's certificate has expired; by the box's clock it is {utc_text(now_utc)[:10]}. If the clock is"
            " right, restart the centre, which renews it; else correct the clock."
        )
    if error.verify_code in (_NAME, _ADDRESS):
        return (
            f"The certificate of what answers at {host} is for another name. Give the centre this name, and restart"
            " it, or join again."
        )
    return (
        f"What answers at {host} is not the centre that this box joined: its certificate is not trusted. If the centre"
        " was set up again, join it with a new join code; else somebody is in between."
    )


def _clock(what: str, now_utc: float) -> str:
    return (
        f"The clock of the box is wrong: it says {utc_text(now_utc)[:10]}, but {what}. Let it reach a time server, or"
        " set it."
    )


def _reason(error: ssl.SSLError) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", " ", getattr(error, "reason", None) or "no reason given")
    return words.strip().lower()[:80]
