"""How this centre is wired: central.toml as frozen values. People, sites and boxes live in the database, not here.

What stands in about() is what `mb9k central config` and docs/central.md say of a setting.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.accounts.audit_chain import head_path
from appliance.config import decode
from appliance.sections import SPEAKS, Language, Port, WebSite, about
from appliance.time_zone import TimeZone, named, time_zone

HOST = r"[A-Za-z0-9._-]{1,253}|\[?[0-9a-fA-F:.]{2,45}\]?"


class Site(WebSite, frozen=True, forbid_unknown_fields=True):
    """The centre's page."""

    port: Annotated[Port, about("The page's port")] = 8100


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker between boxes and centre: mosquitto, started and configured by us, or another one."""

    own: Annotated[
        bool, about("Whether `mb9k central run` starts mosquitto here; false: host and port are of another broker")
    ] = True
    binary: Annotated[str, about("The mosquitto program: a name on PATH, or its path")] = "mosquitto"
    host: Annotated[
        str, about("The address mosquitto listens on, 0.0.0.0: all of this machine's; or where another broker is")
    ] = "0.0.0.0"
    port: Annotated[Port, about("The broker's port for MQTT over TLS")] = 8883
    public_host: Annotated[
        str, about("This centre's name or address as boxes reach it; empty: this machine's address in its network")
    ] = ""
    ca: Annotated[
        str, about("PEM file; whom boxes and centre trust to vouch for another broker; empty: our own authority")
    ] = ""
    certificate: Annotated[
        str, about("PEM file; the certificate of ingest at another broker; empty: one that our authority signed")
    ] = ""
    key: Annotated[str, about("PEM file; the private key of that certificate")] = ""


class Joining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where boxes join: HTTPS by the centre's own certificate, whose fingerprint is in the join code."""

    host: Annotated[str, about("The address it listens on; 0.0.0.0: all of this machine's")] = "0.0.0.0"
    port: Annotated[Port, about("Its port")] = 8101


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the centre keeps everything."""

    url: Annotated[
        str,
        about("postgresql://user@host/name; its password best in ~/.pgpass. Empty: SQLite, central.db in state_dir"),
    ] = ""
    pool: Annotated[int, Meta(ge=1, le=100), about("How many connections to PostgreSQL each process may hold")] = 8


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How what boxes send is taken in."""

    rows_per_minute: Annotated[
        int, Meta(ge=60, le=10**6), about("Rows that one box may send in a minute; more is refused, and comes again")
    ] = 30_000


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the centre keeps what. Days are kept for good."""

    minutes_days: Annotated[int, Meta(ge=2, le=36_500), about("For how many days sums of single minutes are kept")] = (
        100
    )
    hours_days: Annotated[int, Meta(ge=2, le=36_500), about("For how many days sums of hours are kept")] = 1830
    letters_days: Annotated[
        int, Meta(ge=1, le=36_500), about("For how many days messages that could not be taken are kept")
    ] = 30


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Copies of the SQLite database, made while the centre runs. PostgreSQL has ways of its own: docs/central.md."""

    keep: Annotated[int, Meta(ge=0, le=1000), about("How many copies are kept; 0: the centre makes none by itself")] = 7
    folder: Annotated[str, about("Where copies go, best on another disk; empty: backups/ in state_dir")] = ""


class CentralConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every field has a default, so an empty file is a working centre."""

    name: Annotated[str, Meta(min_length=1, max_length=40), about("The name of this centre, as boxes show it")] = (
        "centre"
    )
    state_dir: Annotated[str, about("The folder of the database, the authority and the broker's files")] = (
        "/var/lib/mb9k-central"
    )
    time_zone: Annotated[
        str,
        about(
            "The time zone in which days begin, such as Europe/Berlin; the same on all machines. Empty: this machine's"
        ),
    ] = ""
    language: Annotated[Language, about(SPEAKS)] = "en"
    web: Site = Site()
    broker: Broker = Broker()
    joining: Joining = Joining()
    database: Database = Database()
    ingest: Ingest = Ingest()
    keep: Keep = Keep()
    backup: Backup = Backup()

    def __post_init__(self) -> None:
        """Refuse what would only fail later, or quietly. Raises ValueError."""
        host = self.broker.public_host
        if host and not re.fullmatch(HOST, host):
            raise ValueError(f"broker.public_host: {host!r} is no host name; write it without a port")
        if not self.broker.own and self.broker.host in ("", "0.0.0.0", "::"):
            raise ValueError("broker.own is false, so broker.host must say where the other broker is")
        if bool(self.broker.certificate) != bool(self.broker.key):
            raise ValueError("broker.certificate and broker.key come together")
        if self.time_zone and named(self.time_zone) is None:
            raise ValueError(
                f"time_zone: {self.time_zone!r} is no time zone that this machine knows, like Europe/Berlin"
            )
        if self.database.url and not re.match(r"postgres(ql)?://", self.database.url):
            raise ValueError("database.url begins with postgresql://, or is empty for SQLite")

    @property
    def zone(self) -> TimeZone:
        """The zone that the setting names, or that of this machine; the one in force is in the database."""
        return named(self.time_zone) or time_zone()

    @property
    def state(self) -> Path:
        """The folder this centre keeps everything in."""
        return Path(self.state_dir)

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        return self.state / "central.db"

    @property
    def database_address(self) -> str:
        """What database.open takes: PostgreSQL's address, or the path of the SQLite file."""
        return self.database.url or str(self.database_path)

    @property
    def audit_head_path(self) -> Path:
        """Where this machine notes the last entry of the audit that it made, outside of the database."""
        return self.state / "audit-head" if self.database.url else head_path(self.database_path)

    @property
    def authority_dir(self) -> Path:
        """The folder of the authority's key, the server's and ingest's own, and their certificates."""
        return self.state / "authority"

    @property
    def broker_dir(self) -> Path:
        """The folder of what we write for mosquitto."""
        return self.state / "broker"

    @property
    def backups_dir(self) -> Path:
        """The folder of the backups of the SQLite database."""
        return Path(self.backup.folder) if self.backup.folder else self.state / "backups"

    @property
    def claim_code_path(self) -> Path:
        """The file with the code for making the first admin; gone once it was used."""
        return self.state / "claim-code"

    @property
    def metrics_token_path(self) -> Path:
        """The file with the digest of the token for /metrics; not there: no program may ask."""
        return self.state / "metrics-token"


def load(path: Path) -> CentralConfig:
    """Read and check the configuration file. Raises ConfigError."""
    return decode(path, CentralConfig)
