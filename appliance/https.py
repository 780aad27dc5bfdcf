"""The certificate that a box shows to browsers and publishers: its own, or one that people gave it.

What is in force stands in one file, served.pem, that is replaced as a whole: private key, certificate, chain. The site
and MediaMTX read nothing else. It is a copy of the first of these that can be used: the files that the configuration
names, what an admin gave on the settings page, what the box makes itself. Whatever replaces the first two (certbot,
Caddy) may be caught between two files: until they fit together again, what was in force stays.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from appliance import certificates
from appliance.certificates import CertificateError
from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.files import replace_file
from appliance.interfaces import addresses
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.retold import retold
from appliance.times import utc_text
from appliance.web.address import site_address

log = logging.getLogger(__name__)

OWN_DAYS = 397
"""Apple's systems accept no more than 825 days of any certificate, browsers 398 of those they know the signer of.
https://support.apple.com/103769"""
RENEW_S = 31 * 86_400.0
MAX_NAMES = 60
MAX_PEM_CHARACTERS = 60_000


class Source(Enum):
    """Whose certificate it is."""

    OWN = N_("made by this box")
    GIVEN = N_("given on this page")
    FILES = N_("from the files that the configuration names")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What people are told of the certificate in force. fingerprint: its sha-256, as browsers show it.

    is_self_signed: browsers warn of it. before: the fingerprint of the box's own one before, empty: there was none.
    problem: why something else than what is wanted is in force; empty: all is well.
    """

    source: Source
    fingerprint: str
    names: tuple[str, ...]
    expires_utc: float
    is_self_signed: bool
    before: str = ""
    problem: str = ""


def names_of(config: Config) -> list[str]:
    """The host names and addresses that the box's own certificate is for, the one people are told first."""
    names = site_address(config.web, [config.box], config.rtmp.public_host).names
    address = site_address(config.web, (), "").host
    announced = f"{socket.gethostname().lower().partition('.')[0]}.local"  # by mDNS, where there is any
    hosts = sorted(
        {*names, "localhost"} - {"", "0.0.0.0", "::"},
        key=lambda name: (name != announced, not name.endswith(".local"), name),
    )
    found = dict.fromkeys([*([address] if address else []), *hosts, *addresses(), "127.0.0.1", "::1"])
    return [name for name in found if _fits(name)][:MAX_NAMES]


def _fits(name: str) -> bool:
    """Whether a certificate can hold this name: no underscore at its ends, no empty part, all of it ASCII."""
    return name.isascii() and bool(name) and ".." not in name and not name.startswith(".") and len(name) <= 253


class Keeper:
    """Keeps the certificate of a box in force; may be used by several threads and processes at once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._own = config.tls_dir / "own.pem"
        self._given = config.tls_dir / "given.pem"
        self._before = config.tls_dir / "before.pem"
        self._lock = threading.Lock()
        self._served = self._problem = ""
        self._context: ssl.SSLContext | None = None

    def refresh(self, now_s: float) -> bool:
        """Put into force what should be; whether that is another certificate than before. Raises UserError, OSError."""
        self._config.tls_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock, (self._config.tls_dir / "lock").open("a") as others:  # ingest and site start at once
            fcntl.flock(others, fcntl.LOCK_EX)
            self._renew_own(now_s)
            wanted, problem = self._choose(now_s)
            if problem and problem != self._problem:
                log.warning("%s", problem)
            self._problem = problem
            path = self._config.served_certificate_path
            there = _read(path)
            if wanted != there:
                replace_file(path, wanted)
                log.warning("this certificate is in force now, by its sha-256: %s", _fingerprint(wanted))
            if wanted != self._served:
                self._context = server_context(path)
                self._served = wanted
            return wanted != there

    def context(self) -> ssl.SSLContext:
        """How a new connection is spoken with. `refresh` comes first."""
        assert self._context is not None
        return self._context

    def certificate(self, now_s: float) -> Certificate:
        """The certificate in force. Raises UserError: there is none yet."""
        _chosen, problem = self._choose(now_s)
        served = _read(self._config.served_certificate_path)
        if not served:
            raise UserError(_("There is no certificate yet; start the box with `web.https = true`."))
        source = Source.OWN
        if _certificates(served) != _certificates(_read(self._own)):
            source = Source.GIVEN if _certificates(served) == _certificates(_read(self._given)) else Source.FILES
        before = _read(self._before)
        shown = _certificates(served)
        return Certificate(
            source,
            _fingerprint(shown),
            tuple(certificates.server_names(shown)),
            certificates.facts(shown).expires_utc,
            certificates.is_self_signed(shown),
            _fingerprint(before) if before and source is Source.OWN else "",
            problem,
        )

    def is_self_signed(self) -> bool:
        """Whether no authority vouches for the certificate that is shown. `refresh` comes first."""
        return certificates.is_self_signed(_certificates(self._served))

    def public_text(self) -> str:
        """The certificate in force and its chain, PEM, without the key. Raises OSError."""
        return _certificates(_read(self._config.served_certificate_path))

    def give(self, chain: str, key: str, now_s: float) -> None:
        """Take a certificate of people's own, if it can be used. Raises InputError: one line, with what to do."""
        if self._config.web.tls_certificate:
            raise InputError(_("The configuration file names a certificate: take web.tls_certificate out of it first."))
        text = checked(chain, key, now_s)
        _try_in_tls(text, self._config.tls_dir)
        replace_file(self._given, text)
        self.refresh(now_s)

    def go_back(self, now_s: float) -> None:
        """Show the box's own certificate again, and forget the one that was given."""
        self._given.unlink(missing_ok=True)
        self.refresh(now_s)

    def _renew_own(self, now_s: float) -> None:
        """Make the box's own certificate, or make it again, with the same key, when it is no longer right."""
        text, names = _read(self._own), names_of(self._config)
        if text and _is_right(text, names, now_s):
            return
        try:
            key = _key(text) or certificates.new_key()
            fresh = key.decode() + certificates.self_signed(key, names, now_s, OWN_DAYS)
        except CertificateError:  # a damaged file
            key = certificates.new_key()
            fresh = key.decode() + certificates.self_signed(key, names, now_s, OWN_DAYS)
        with suppress(CertificateError):  # a damaged file has no fingerprint
            was = _fingerprint(text)
            replace_file(self._before, _certificates(text))
            log.warning("the box's own certificate is made again; its sha-256 was %s", was)
        replace_file(self._own, fresh)

    def _choose(self, now_s: float) -> tuple[str, str]:
        """What should be in force, and why it is not what is wanted. Raises OSError."""
        web, served, given = self._config.web, _read(self._config.served_certificate_path), _read(self._given)
        if not web.tls_certificate and not given:
            return _read(self._own), ""
        try:
            if web.tls_certificate:
                text = checked(_read_named(web.tls_certificate), _read_named(web.tls_key), now_s)
            else:
                text = checked(given, given, now_s)
            if text != served:  # what is in force was tried, and this is asked every few seconds
                _try_in_tls(text, self._config.tls_dir)
            return text, ""
        except InputError as error:
            own = _read(self._own)
            if served and served != own and _is_valid(served, now_s):
                return served, " ".join((str(error), _("Until then the certificate that was in force stays.")))
            return own, " ".join((str(error), _("Until then the box shows its own certificate.")))


def is_self_signed(config: Config) -> bool:
    """Whether publishers by RTMPS meet a certificate that no authority vouches for; also where nobody knows."""
    files = config.rtmps_files
    try:
        return files is None or certificates.is_self_signed(_certificates(files[0].read_text(errors="replace")))
    except (OSError, CertificateError):
        return True


def https_words(config: Config, now_s: float) -> str:
    """What stands beside the claim code: where the page is, and by what people know that it is this box's.

    Makes the certificate if there is none yet. Raises OSError, UserError.
    """
    keeper = Keeper(config)
    keeper.refresh(now_s)
    there = keeper.certificate(now_s)
    port = "" if config.web.port == 443 else f":{config.web.port}"
    warning = " Your browser warns of it once, because no authority has signed it." if there.is_self_signed else ""
    return f"https://{there.names[0]}{port} shows a certificate with this SHA-256:{warning}\n  {there.fingerprint}"


def fingerprint(config: Config, now_s: float) -> str:
    """The sha-256 of the certificate in force, as browsers show it. Raises OSError, UserError."""
    keeper = Keeper(config)
    keeper.refresh(now_s)
    return keeper.certificate(now_s).fingerprint


def checked(chain: str, key: str, now_s: float) -> str:
    """A certificate with its chain and key as one text, if they belong together and are valid. Raises InputError."""
    if not chain.strip() or not key.strip():
        raise InputError(_("Give both: the certificate with its chain, and its private key, as PEM."))
    if max(len(chain), len(key)) > MAX_PEM_CHARACTERS:
        raise InputError(_("That is too long for a certificate; give one certificate with its chain, and one key."))
    try:
        text = certificates.checked_chain(chain, key)
        facts = certificates.facts(_certificates(text))
    except CertificateError as error:
        raise InputError(f"{_sentence(error)} {_next_step(str(error))}") from error
    if facts.expires_utc <= now_s:
        raise InputError(
            _("The certificate ended on {day}; get a new one, and give that.", day=utc_text(facts.expires_utc)[:10])
        )
    if facts.begins_utc > now_s:
        raise InputError(
            _("The certificate begins on {day} only; is the box's clock right?", day=utc_text(facts.begins_utc)[:10])
        )
    return text


def _try_in_tls(text: str, folder: Path) -> None:
    """Have TLS load it, from a file that only its owner can read. Raises InputError, OSError."""
    handle, draft = tempfile.mkstemp(dir=folder, prefix="trying")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        server_context(Path(draft))
    except ssl.SSLError as error:
        reason = (error.reason or "unknown").replace("_", " ").lower()
        words = N_("TLS cannot use this certificate ({reason}); get one with an EC P-256 or RSA key.")
        raise InputError(_(words, reason=reason)) from error
    finally:
        Path(draft).unlink()


def server_context(path: Path) -> ssl.SSLContext:
    """How the site speaks TLS, with key and certificates of this file. Raises OSError (also ssl.SSLError)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(path)
    return context


def _is_right(text: str, names: Sequence[str], now_s: float) -> bool:
    """Whether the box's own certificate can stay: it holds every name there is now, and is valid for a while yet.

    One name too many is no reason: who has accepted a certificate would have to do so again each time a cable is out.
    """
    try:
        facts, held = certificates.facts(_certificates(text)), certificates.server_names(_certificates(text))
        belongs = certificates.belongs(_certificates(text), text.encode())
    except CertificateError:
        return False
    return belongs and set(names) <= set(held) and facts.begins_utc <= now_s < facts.expires_utc - RENEW_S


def _is_valid(text: str, now_s: float) -> bool:
    try:
        facts = certificates.facts(_certificates(text))
    except CertificateError:
        return False
    return facts.begins_utc <= now_s < facts.expires_utc


def _key(text: str) -> bytes | None:
    """The private key that a file begins with."""
    key, mark, _rest = text.partition("-----END PRIVATE KEY-----\n")
    return (key + mark).encode() if mark else None


def _certificates(text: str) -> str:
    """A file of ours without its private key."""
    return text[text.find("-----BEGIN CERTIFICATE-----") :] if "-----BEGIN CERTIFICATE-----" in text else ""


def _fingerprint(text: str) -> str:
    return certificates.whole_fingerprint(_certificates(text))


def _read(path: Path) -> str:
    """What is in a file of ours; empty: there is none. Raises OSError."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _read_named(path: str) -> str:
    """What is in a file that the configuration names. Raises InputError."""
    try:
        with Path(path).open(errors="replace") as file:
            return file.read(MAX_PEM_CHARACTERS + 1)
    except OSError as error:
        words = N_("{path}: {error}; the user the box runs as must be able to read it.")
        raise InputError(_(words, path=path, error=system_words(error))) from error


def _sentence(error: CertificateError) -> str:
    text = retold(str(error))
    return f"{text[0].upper()}{text[1:]}."


def _next_step(trouble: str) -> str:
    if "password" in trouble:
        return _("Take it off: `openssl pkey -in key.pem -out plain.pem`.")
    if "order" in trouble:
        return _("Give certbot's or Caddy's whole chain file as it is.")
    if "not that of" in trouble:
        return _("Give the key that the certificate was requested with.")
    return _("Give it as PEM, which begins with -----BEGIN.")
