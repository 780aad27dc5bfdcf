"""The broker's files: mosquitto's configuration, who may do what there, and whom it no longer lets in.

Any MQTT 5 broker will do, since nothing trusts it to keep anything; it must know a client by its certificate. The rules
of `access_list` are then to be put into that broker's own words, see docs/central.md.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from appliance import messages
from appliance.central.authority import CENTRE, Trust
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.errors import UserError
from appliance.files import replace_file
from appliance.language import _
from appliance.messages import FROM_BOX, ROOT, TO_BOX, Kind
from appliance.outside import system_words

log = logging.getLogger(__name__)
CONFIGURATION, ACCESS, REVOKED, PID = "mosquitto.conf", "access.acl", "revoked.pem", "mosquitto.pid"
EVER_REVOKED = "ever-revoked"
MAX_PACKET_BYTES = messages.MAX_BYTES + 1024
IN_FLIGHT = 1000
"""How many messages ingest may have taken and not yet answered: its batches are no larger (mosquitto's own: 20)."""


def configuration(config: CentralConfig, trust: Trust) -> str:
    """mosquitto.conf: TLS with a certificate on both sides, nothing kept on disk."""
    folder, any_host = config.broker_dir, config.broker.host in ("", "0.0.0.0", "::")
    lines = [
        "# Written by `mb9k central`; what is changed here is lost. See docs/central.md.",
        f"listener {config.broker.port}{'' if any_host else f' {config.broker.host}'}",
        f"cafile {trust.authority_path}",
        f"certfile {trust.server_path}",
        f"keyfile {trust.server_key_path}",
        f"crlfile {folder / REVOKED}",
        "tls_version tlsv1.2",  # or newer
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {folder / ACCESS}",
        f"user {getpass.getuser()}",  # else mosquitto, started by root, becomes one who cannot read our keys
        f"pid_file {folder / PID}",
        "persistence false",  # what matters is on the boxes until it is in the database
        f"max_packet_size {MAX_PACKET_BYTES}",
        f"max_inflight_messages {IN_FLIGHT}",
        "max_queued_messages 10000",
        "max_keepalive 600",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    return "\n".join(lines) + "\n"


def access_list(denied: Sequence[str] = ()) -> str:
    """Who may do what, in mosquitto's words. denied: boxes that may do nothing, whatever certificate they show."""
    lines = ["# Written by `mb9k central`; what is changed here is lost."]
    for box in denied:
        lines += [f"user {box}", f"topic deny {ROOT}/#"]
    lines += [f"user {CENTRE}"]
    lines += [f"topic read {ROOT}/+/{kind.value}" for kind in FROM_BOX]
    lines += [f"topic readwrite {ROOT}/+/{kind.value}" for kind in TO_BOX]
    lines += [f"topic write {ROOT}/+/{Kind.STATE.value}"]  # to take away what a revoked box left there
    lines += [f"pattern write {ROOT}/%u/{kind.value}" for kind in FROM_BOX]
    lines += [f"pattern read {ROOT}/%u/{kind.value}" for kind in TO_BOX]
    return "\n".join(lines) + "\n"


def write(config: CentralConfig, trust: Trust, database: Database, now_s: float) -> bool:
    """Write all files as they must be now; whether anything changed. Raises UserError, sqlite3.Error."""
    denied = [row["id"] for row in database.execute("select id from boxes where revoked_utc is not null order by id")]
    folder = config.broker_dir
    try:
        revoked = _revoked(trust, database)
        serials = hashlib.sha256(repr((trust.authority.certificate, revoked)).encode()).hexdigest()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed = _put(folder / CONFIGURATION, configuration(config, trust))
        changed |= _put(folder / ACCESS, access_list(denied))
        if _first_line(folder / REVOKED) != serials:  # a list signed again is never the same, so it tells what it holds
            text = f"{serials}\n{trust.authority.revocation_list(revoked, now_s)}"
            changed |= _put(folder / REVOKED, text)
    except OSError as error:
        raise UserError(
            _(
                "{folder} cannot be written ({error}); the centre must be able to write into its state_dir",
                folder=folder,
                error=system_words(error),
            )
        ) from error
    return changed


def _revoked(trust: Trust, database: Database) -> list[tuple[str, int]]:
    """The serials of all certificates that were ever revoked, and since when. Raises OSError, sqlite3.Error.

    They are kept beside the authority, too: a database that is put back from an old copy, or is empty, has forgotten
    some of them, and lets a box in again that is known by its certificate alone.
    """
    path = trust.folder / EVER_REVOKED
    known = dict(line.split() for line in path.read_text().splitlines()) if path.exists() else {}
    found = {serial: int(since) for serial, since in known.items()}
    for row in database.execute("select serial, revoked_utc from certificates where revoked_utc is not null"):
        found.setdefault(row["serial"], row["revoked_utc"])
    _put(path, "".join(f"{serial} {since}\n" for serial, since in sorted(found.items())))
    return sorted(found.items())


def reload(config: CentralConfig) -> bool:
    """Have the mosquitto that runs by our configuration read it again. False: none runs here."""
    try:
        pid = int((config.broker_dir / PID).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if str(config.broker_dir / CONFIGURATION).encode() not in command:
            return False  # its number was given to another process since
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def command(config: CentralConfig) -> list[str]:
    """How mosquitto is started."""
    return [config.broker.binary, "-c", str(config.broker_dir / CONFIGURATION)]


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except OSError:
        return ""


def _put(path: Path, text: str) -> bool:
    """Put a whole file under this name; whether it was another one before. Raises OSError."""
    with contextlib.suppress(OSError):
        if path.read_text() == text:
            return False
    replace_file(path, text)
    return True
