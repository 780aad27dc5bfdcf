"""Who is told: the value, its checks, and every SQL statement about it."""

from __future__ import annotations

import enum
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from appliance.accounts.people import Database
from appliance.errors import InputError, NameTaken, about
from appliance.language import N_, _
from appliance.names import clean_name
from appliance.times import utc_text

MAX_RECIPIENTS = 100
MAX_ADDRESS, MAX_SECRET = 1000, 200
MIN_SECRET = 16
"""A key of HMAC-SHA256 that is shorter may be guessed by whoever reads one message."""


class Way(str, enum.Enum):
    """How somebody is told."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is told, and how. address: a URL, a mail address, a topic; it may hold a secret, as many webhooks do.

    secret: of a webhook, what its messages are signed with; empty: they are not. It is never shown again.
    """

    id: int
    way: Way
    name: str
    address: str
    created_utc: str
    secret: str = field(default="", repr=False)

    @property
    def has_secret(self) -> bool:
        """Whether messages are signed."""
        return bool(self.secret)

    @property
    def where(self) -> str:
        """The address as it may stand in a log: of a webhook only the server, whose path is often a secret."""
        return urlsplit(self.address).hostname or "" if self.way is Way.WEBHOOK else self.address


class Recipients:
    """The statements. Those that write belong into a transaction of the store."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self) -> list[Recipient]:
        """Everybody, by name."""
        return self._select("")

    def get(self, recipient_id: int) -> Recipient | None:
        """The recipient with this id."""
        return next(iter(self._select("where id = ?", [recipient_id])), None)

    def count(self) -> int:
        """How many there are."""
        return next(int(row["n"]) for row in self.db.query("select count(*) as n from alert_recipients"))

    def add(self, way: Way, name: str, address: str, secret: str, now_utc: float) -> int:
        """Add a recipient; its id. Raises NameTaken."""
        try:
            rows = self.db.query(
                "insert into alert_recipients (kind, name, address, secret, created_utc) values (?, ?, ?, ?, ?)"
                " returning id",
                [way.value, name, address, secret, utc_text(now_utc)],
            )
            return next(int(row["id"]) for row in list(rows))
        except sqlite3.IntegrityError as error:
            raise _taken(name) from error

    def change(self, recipient_id: int, name: str, address: str, secret: str) -> None:
        """Change name, address and secret. Raises NameTaken."""
        try:
            self.db.execute(
                "update alert_recipients set name = ?, address = ?, secret = ? where id = ?",
                [name, address, secret, recipient_id],
            )
        except sqlite3.IntegrityError as error:
            raise _taken(name) from error

    def remove(self, recipient_id: int) -> bool:
        """Remove a recipient; whether there was one. What waits for it is told nobody."""
        self.db.execute(
            "update alert_deliveries set state = 'failed', problem = 'The recipient was removed.'"
            " where recipient_id = ? and state = 'waiting'",
            [recipient_id],
        )
        return self.db.execute("delete from alert_recipients where id = ?", [recipient_id]).rowcount == 1

    def _select(self, which: str, parameters: Any = ()) -> list[Recipient]:
        rows = self.db.query(
            f"select id, kind, name, address, secret, created_utc from alert_recipients {which} order by lower(name)",
            parameters,
        )
        return [_recipient(row) for row in rows]


def _recipient(row: Mapping[str, Any]) -> Recipient:
    return Recipient(
        int(row["id"]), Way(row["kind"]), row["name"], row["address"], row["created_utc"], secret=row["secret"]
    )


def _taken(name: str) -> NameTaken:
    return NameTaken(_("Another recipient is called {name}; choose another name.", name=name))


@about("kind")
def way_named(text: str) -> Way:
    """How somebody is told. Raises InputError."""
    try:
        return Way(text)
    except ValueError as error:
        ways = ", ".join(way.value for way in Way)
        raise InputError(_("Choose how it is told: {ways}.", ways=ways)) from error


def checked(way: Way, name: str, address: str, secret: str) -> tuple[str, str, str]:
    """Name, address and secret as they are stored. Raises InputError."""
    name, address = clean_name(name, N_("Give the recipient a name.")), address.strip()
    if not address or len(address) > MAX_ADDRESS or not address.isprintable():
        raise InputError(_("Give the recipient an address, of at most {most} characters.", most=MAX_ADDRESS), way.value)
    {Way.WEBHOOK: _refuse_url, Way.EMAIL: _refuse_mail_address, Way.MQTT: _refuse_topic}[way](address)
    if secret and way is not Way.WEBHOOK:
        raise InputError(_("Only messages to a webhook are signed; leave the secret empty."), "secret")
    if secret and not (MIN_SECRET <= len(secret) <= MAX_SECRET and secret.isprintable()):
        words = N_("The secret has {least} to {most} characters, or is left empty.")
        raise InputError(_(words, least=MIN_SECRET, most=MAX_SECRET), "secret")
    return name, address, secret


@about("webhook")
def _refuse_url(address: str) -> None:
    words = N_("The address of a webhook is like https://hooks.example.org/mb9k; with http:// or https://.")
    wrong = InputError(_(words))
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  # raises ValueError
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not address.isascii() or " " in address:
        raise wrong
    if "@" in parts.netloc or parts.fragment:
        words = N_("The address of a webhook may hold no user, password or #; a token may stand in its path.")
        raise InputError(_(words))


def _refuse_mail_address(address: str) -> None:
    from appliance.mail import clean_address  # late: every service imports this file, and few send mail

    clean_address(address)


@about("mqtt")
def _refuse_topic(address: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,7}", address):
        raise InputError(
            _("A topic is up to eight words of letters, digits, - and _, with / between, such as mb9k/alerts.")
        )
