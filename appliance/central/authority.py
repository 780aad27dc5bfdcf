"""The centre's own keys and certificates, as files: the authority, the server's, and that of ingest.

They are made at the first start, and are what a centre cannot make again: boxes know it by them.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance import certificates
from appliance.central.config import CentralConfig
from appliance.certificates import Authority, CertificateError
from appliance.errors import UserError
from appliance.files import replace_file
from appliance.language import _
from appliance.outside import quoted, system_words
from appliance.retold import retold

log = logging.getLogger(__name__)
CENTRE = "mb9k-centre"
"""The name in ingest's certificate, by which the broker lets it read what boxes send. No box gets it."""
MAX_NAMES = 30


class TrustError(UserError):
    """The centre's keys cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys and certificates of a centre. Files of keys are for their owner only."""

    authority: Authority
    folder: Path

    @property
    def authority_path(self) -> Path:
        """The authority's certificate."""
        return self.folder / "authority.pem"

    @property
    def server_path(self) -> Path:
        """The certificate that boxes see: of the broker and of the joining endpoint."""
        return self.folder / "server.pem"

    @property
    def server_key_path(self) -> Path:
        """Its key: the one whose fingerprint is in join codes, so it stays as long as the authority."""
        return self.folder / "server-key.pem"

    @property
    def centre_path(self) -> Path:
        """The certificate by which the broker knows ingest."""
        return self.folder / "centre.pem"

    @property
    def centre_key_path(self) -> Path:
        """Its key."""
        return self.folder / "centre-key.pem"

    def fingerprint(self) -> bytes:
        """By what a join code tells boxes to know the centre."""
        return certificates.pem_fingerprint(self.server_path.read_text())

    def server_tls(self) -> ssl.SSLContext:
        """How the joining endpoint speaks TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server_path, self.server_key_path)
        return context

    def broker_tls(self, config: CentralConfig) -> ssl.SSLContext:
        """How ingest speaks TLS to the broker. Raises TrustError."""
        broker = config.broker
        mine = (broker.certificate, broker.key) if broker.certificate else (self.centre_path, self.centre_key_path)
        try:
            return certificates.client_context(self.for_boxes(config), *map(str, mine))
        except OSError as error:
            raise TrustError(
                _(
                    "{path} cannot be used ({error}); see [broker] in central.toml",
                    path=mine[0],
                    error=quoted(system_words(error)),
                )
            ) from error

    def for_boxes(self, config: CentralConfig) -> str:
        """By whom boxes know the broker, PEM. Raises TrustError."""
        if not config.broker.ca:
            return self.authority.certificate
        try:
            return Path(config.broker.ca).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise TrustError(
                _(
                    "{path} cannot be read ({error}); broker.ca must be a PEM file that we can read",
                    path=config.broker.ca,
                    error=quoted(system_words(error)),
                )
            ) from error


def prepare(config: CentralConfig, now_s: float) -> Trust:
    """The keys and certificates; what is missing is made, what ends or lacks a name of ours is renewed.

    Several processes may call at once. Raises TrustError.
    """
    folder = config.authority_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            trust = Trust(_authority(config, folder, now_s), folder)
            _renew_server(trust, config, now_s)
            _renew_centre(trust, now_s)
            return trust
    except (OSError, CertificateError, UnicodeDecodeError) as error:
        raise TrustError(
            _(
                "{folder} cannot be used ({error}); put the folder back from a backup, or empty it and let every box"
                " join again",
                folder=folder,
                error=retold(system_words(error)),
            )
        ) from error


def broker_address(config: CentralConfig) -> tuple[str, int]:
    """Where ingest reaches the broker: host, port."""
    host = config.broker.host
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), config.broker.port


def public_host(config: CentralConfig) -> str:
    """By which name or address boxes reach the centre."""
    if config.broker.public_host:
        return config.broker.public_host.strip("[]")
    return config.broker.host if not config.broker.own else next(own_addresses(), socket.gethostname())


def own_addresses() -> Iterator[str]:
    """The addresses of this machine in its networks, the one it reaches others from first. Sends nothing."""
    for family, anywhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anywhere, 9))
            yield str(probe.getsockname()[0])


def server_names(config: CentralConfig) -> list[str]:
    """All names and addresses by which the centre's own endpoints may be reached."""
    machine = socket.gethostname().lower()
    named = [public_host(config), machine, f"{machine.partition('.')[0]}.local", socket.getfqdn().lower(), "localhost"]
    found = [*named, *own_addresses(), "127.0.0.1", "::1"]
    if config.broker.own and config.broker.host not in ("", "0.0.0.0", "::"):
        found.append(config.broker.host)
    return [name for name in dict.fromkeys(found) if _can_be_named(name)]


def _can_be_named(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return re.fullmatch(r"[A-Za-z0-9._-]{1,253}", name) is not None


def _authority(config: CentralConfig, folder: Path, now_s: float) -> Authority:
    certificate_path, key_path = folder / "authority.pem", folder / "authority-key.pem"
    if not certificate_path.exists():
        authority, key = Authority.make(config.name, now_s)
        replace_file(key_path, key.decode())
        replace_file(certificate_path, authority.certificate)
        log.info("the authority of this centre was made; keep a copy of %s", folder)
        return authority
    return Authority(certificate_path.read_text(), key_path.read_bytes())


def _renew_server(trust: Trust, config: CentralConfig, now_s: float) -> None:
    """Names that were once in the certificate stay: boxes joined by them."""
    key = _key(trust.server_key_path)
    names = server_names(config)
    if trust.server_path.exists():
        there = trust.server_path.read_text()
        before = certificates.server_names(there)
        if set(names) <= set(before) and not _ends(there, now_s) and certificates.belongs(there, key):
            return
        names = list(dict.fromkeys([*names, *before]))[:MAX_NAMES]
    replace_file(trust.server_path, trust.authority.sign_server(key, names, now_s).pem)
    log.info("the server's certificate was made for %s", ", ".join(names))


def _renew_centre(trust: Trust, now_s: float) -> None:
    key = _key(trust.centre_key_path)
    if not trust.centre_path.exists() or _ends(trust.centre_path.read_text(), now_s):
        replace_file(trust.centre_path, trust.authority.sign_client(key, CENTRE, now_s).pem)


def _ends(certificate: str, now_s: float) -> bool:
    """Whether less than a third of its ten years is left."""
    return certificates.facts(certificate).expires_utc - now_s < certificates.SERVER_DAYS * 86_400 / 3


def _key(path: Path) -> bytes:
    """The key in this file; made at the first call."""
    make: Callable[[], bytes] = certificates.new_key
    if not path.exists():
        replace_file(path, make().decode())
    return path.read_bytes()
