"""What the system, SQLite, OpenSSL and brokers say in their English: what is common is marked, the rest is quoted."""

from __future__ import annotations

import ssl
import subprocess

from appliance.language import N_, _

MAX_SAID = 160
"""So many characters of what somebody else says are quoted."""
SYSTEM = (
    N_("Address already in use"),
    N_("Broken pipe"),
    N_("Cannot allocate memory"),
    N_("Cannot assign requested address"),
    N_("Connection refused"),
    N_("Connection reset by peer"),
    N_("Connection timed out"),
    N_("Device or resource busy"),
    N_("Directory not empty"),
    N_("Disk quota exceeded"),
    N_("Exec format error"),
    N_("File exists"),
    N_("File name too long"),
    N_("Input/output error"),
    N_("Invalid argument"),
    N_("Is a directory"),
    N_("Name or service not known"),
    N_("Network is down"),
    N_("Network is unreachable"),
    N_("No address associated with hostname"),
    N_("No route to host"),
    N_("No space left on device"),
    N_("No such device"),
    N_("No such file or directory"),
    N_("No such process"),
    N_("Not a directory"),
    N_("Operation not permitted"),
    N_("Permission denied"),
    N_("Read-only file system"),
    N_("Resource temporarily unavailable"),
    N_("Temporary failure in name resolution"),
    N_("timed out"),
    N_("Too many levels of symbolic links"),
    N_("Too many open files"),
)
"""What glibc, and Python in its place, call errors that a box may meet."""
SQLITE = (
    N_("attempt to write a readonly database"),
    N_("database disk image is malformed"),
    N_("database is locked"),
    N_("database or disk is full"),
    N_("disk I/O error"),
    N_("file is not a database"),
    N_("unable to open database file"),
)
"""What SQLite calls errors that a box may meet: https://sqlite.org/rescode.html. It has no words in other languages."""
TOOK_TOO_LONG = N_("it took longer than {seconds} s")
_BY_ITSELF, _UNKNOWN = N_("only it vouches for itself"), N_("who signed it is not known here")
_OF_ANOTHER = N_("it is for another name")
_CERTIFICATES = {
    2: _UNKNOWN,
    9: N_("it is not valid yet, or the clock here is wrong"),
    10: N_("it has expired, or the clock here is wrong"),
    18: _BY_ITSELF,
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    23: N_("it was revoked"),
    62: _OF_ANOTHER,
    64: _OF_ANOTHER,
}
"""By the number of OpenSSL: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/."""
_REASONS = {
    0x80: N_("Unspecified error"),
    0x84: N_("Unsupported protocol version"),
    0x85: N_("Client identifier not valid"),
    0x86: N_("Bad user name or password"),
    0x87: N_("Not authorized"),
    0x88: N_("Server unavailable"),
    0x89: N_("Server busy"),
    0x8A: N_("Banned"),
    0x8B: N_("Server shutting down"),
    0x8C: N_("Bad authentication method"),
    0x8D: N_("Keep alive timeout"),
    0x8E: N_("Session taken over"),
    0x8F: N_("Topic filter invalid"),
    0x93: N_("Receive maximum exceeded"),
    0x95: N_("Packet too large"),
    0x96: N_("Message rate too high"),
    0x97: N_("Quota exceeded"),
    0x98: N_("Administrative action"),
    0x9F: N_("Connection rate exceeded"),
}
"""As paho calls those of MQTT 5, section 2.4, and of MQTT 3.1.1 in their words."""


def system_words(error: BaseException) -> str:
    """What the system or SQLite says of it, in the language spoken where it is known here."""
    if isinstance(error, subprocess.TimeoutExpired):
        return _(TOOK_TOO_LONG, seconds=f"{error.timeout:g}")
    said = as_said(error)
    return _(said) if said in SYSTEM or said in SQLITE else said


def as_said(error: BaseException) -> str:
    """The same in English, for the record: without a number and a path, whoever tells it adds them."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def certificate_words(error: ssl.SSLCertVerificationError) -> str:
    """Why a certificate is not taken, in the language spoken: a part of a sentence."""
    known = _CERTIFICATES.get(getattr(error, "verify_code", 0))
    return _(known) if known else getattr(error, "verify_message", "") or _("not trusted")


def reason_words(code: int, said: str) -> str:
    """What a reason of MQTT is called, in the language spoken. said: as the library calls it."""
    known = _REASONS.get(code)
    return _(known) if known else said


def quoted(text: str, length: int = MAX_SAID) -> str:
    """What somebody else says, to stand within a sentence of ours: no end of a sentence is found in it (retold.py)."""
    return one_line(text, length).replace(". ", ".\u00a0").replace("? ", "?\u00a0")


def one_line(text: str, length: int) -> str:
    """Text without line ends, control characters and half characters, not longer than this."""
    clean = text.encode(errors="replace").decode()
    return " ".join("".join(sign if sign.isprintable() else " " for sign in clean).split())[:length]
