"""Who did what, and when: entries that are chained by their hashes, so that none can be changed or left out unseen.

docs/audit.md defines the bytes that are hashed, for whoever verifies them with a program of their own.
"""

from __future__ import annotations

import enum
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.accounts.people import Database
from appliance.language import P_
from appliance.times import utc_text

log = logging.getLogger(__name__)
NOTHING_SHA256 = "0" * 64
"""What the first entry follows."""
MAX_SUBJECT = 200
ENTRIES = P_("audit", "entries {first} to {last}")
KEPT_S = 2 * 365 * 86_400.0
"""How long an entry is kept: two years."""


class Action(str, enum.Enum):
    """What was done, as it is stored."""

    CLAIMED = "claimed"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    PASSWORD_WRONG = "password_wrong"  # noqa: S105  # of somebody signed in, before what asks for it again
    SIGNED_OUT = "signed_out"
    REFUSED = "refused"  # somebody who signed in asked for what they may not do
    PERSON_ADDED = "person_added"
    ROLE_CHANGED = "role_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PERSON_REMOVED = "person_removed"
    TOKEN_MADE = "token_made"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    STREAM_ADDED = "stream_added"
    STREAM_CHANGED = "stream_changed"
    ZONES_CHANGED = "zones_changed"  # where people are counted
    KEY_CHANGED = "key_changed"
    STREAM_DELETED = "stream_deleted"
    DETECTION_ENTERED = "detection_entered"
    DETECTION_CORRECTED = "detection_corrected"
    DETECTION_REVIEWED = "detection_reviewed"  # somebody looked at it, and left it as it is
    REVIEW_TAKEN_BACK = "review_taken_back"
    DETECTION_DELETED = "detection_deleted"
    CALIBRATION_BEGUN = "calibration_begun"  # faces of a stream were drawn, to be labelled
    FACE_LABELLED = "face_labelled"
    LABEL_TAKEN_BACK = "label_taken_back"
    CALIBRATION_FORGOTTEN = "calibration_forgotten"  # with its labels
    IMAGES_VIEWED = "images_viewed"
    IMAGE_DOWNLOADED = "image_downloaded"
    PREVIEW_WATCHED = "preview_watched"
    IMAGES_DELETED = "images_deleted"  # all of a stream, by hand
    STATISTICS_ONLY = "statistics_only"  # from now on nothing finer is kept, and what there was is gone
    DETECTIONS_KEPT = "detections_kept"  # they are again
    IMAGES_FORGOTTEN = "images_forgotten"  # by their age, or because the disk was full
    FORGOTTEN = "forgotten"  # detections and images of a stream, by its own days; once a day, with numbers
    EXPORTED = "exported"
    DOWNLOADED = "downloaded"  # a backup, a bundle for support
    REPORT_SCHEDULED = "report_scheduled"
    REPORT_CHANGED = "report_changed"
    REPORT_REMOVED = "report_removed"
    REPORT_SENT = "report_sent"  # by mail, to one recipient
    COMMAND = "command"  # of a person at the centre
    CENTRE_JOINED = "centre_joined"
    CENTRE_LEFT = "centre_left"
    CLOCK_CONFIRMED = "clock_confirmed"
    ALERT_RULE_ADDED = "alert_rule_added"
    ALERT_RULE_CHANGED = "alert_rule_changed"
    ALERT_RULE_REMOVED = "alert_rule_removed"
    RECIPIENT_ADDED = "recipient_added"  # of alerts
    RECIPIENT_CHANGED = "recipient_changed"
    RECIPIENT_REMOVED = "recipient_removed"
    RECIPIENT_TESTED = "recipient_tested"
    QUIET_HOURS_CHANGED = "quiet_hours_changed"
    MAIL_SERVER_CHANGED = "mail_server_changed"
    SUMS_REPAIRED = "sums_repaired"
    CHANGED = "changed"  # anything else that was sent and accepted; the subject is its route
    RESTORED = "restored"
    BEGUN = "begun"  # an empty record in the place of another
    DROPPED = "dropped"  # the oldest entries, by their age

    @property
    def words(self) -> str:
        """As people read it."""
        return self.value.replace("_", " ")


class ActorKind(str, enum.Enum):
    """Who may do something."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105  # a program, with a token of a person
    OPERATOR = "operator"  # at the command line of the machine
    CENTRE = "centre"  # a person at the centre, by a command to the box
    ITSELF = "itself"  # the machine, by its own rules
    STRANGER = "stranger"  # nobody who signed in


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. id: of the person. address: from where, as far as that is known."""

    kind: ActorKind
    name: str = ""
    id: int | None = None
    address: str = ""


ITSELF = Actor(ActorKind.ITSELF)


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain; number 0: there is none yet."""

    number: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.number}:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, in the order in which its parts are hashed.

    at_utc: 2026-11-27T16:00:00.250Z. details: a JSON object as text, empty if there are none.
    """

    number: int
    at_utc: str
    actor_kind: str
    actor_id: int | None
    actor: str
    address: str
    action: str
    subject: str
    details: str

    @property
    def parts(self) -> list[str | int | None]:
        """All of it, in order."""
        who = (self.actor_kind, self.actor_id, self.actor, self.address)
        return [self.number, self.at_utc, *who, self.action, self.subject, self.details]

    def sha256(self, previous_sha256: str) -> str:
        """Its hash after the entry with that one: of a JSON array, written as RFC 8785 has it."""
        return hashlib.sha256(canonical([previous_sha256, *self.parts])).hexdigest()


def canonical(values: list[str | int | None]) -> bytes:
    """Texts and whole numbers as RFC 8785 writes them: no space, UTF-8, only what must be escaped is."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


class Outside(Protocol):
    """Where the head is kept beside the database."""

    def note(self, head: Head, fits: Callable[[Head], bool]) -> None:
        """Note a head that was committed. Raises OSError."""


class AuditedStore(Protocol):
    """What an entry is written to."""

    @property
    def audit(self) -> Audit: ...

    def saving(self) -> AbstractContextManager[None]: ...


COLUMNS = "number, at_utc, actor_kind, actor_id, actor, address, action, subject, details"


class Audit:
    """The entries of one store, and whose doing what is added to them is. Entries are added within a transaction.

    The SQL is what SQLite and PostgreSQL have in common. outside: None: the head is kept nowhere else.
    """

    def __init__(self, db: Database, outside: Outside | None = None, clock: Callable[[], float] = time.time) -> None:
        self.db = db
        self.outside = outside
        self.added = 0  # by this connection
        self._clock = clock
        self._actor, self._at_utc = ITSELF, None
        self._is_open = False
        self._head: Head | None = None  # of the transaction

    _at_utc: float | None

    def act_for(self, actor: Actor, at_utc: float | None = None) -> None:
        """What is added from now on is this one's doing. at_utc: when; None: whenever it is added."""
        self._actor, self._at_utc = actor, at_utc

    def add(self, action: Action, subject: str = "", /, **details: Any) -> int:
        """Add an entry to the open transaction; its number. details: never a key, a password or a token.

        Raises sqlite3.Error, RuntimeError outside of a transaction.
        """
        if not self._is_open:
            raise RuntimeError("an audit entry belongs into the transaction of what it tells of")
        # This locks the row: with PostgreSQL, too, entries are made one after the other.
        rows = self.db.query("update audit_chain set number = number + 1 where id = 1 returning number, sha256")
        number, previous = next((int(row["number"]), str(row["sha256"])) for row in list(rows))
        actor, at_utc = self._actor, self._clock() if self._at_utc is None else self._at_utc
        text = json.dumps(details, ensure_ascii=False, separators=(",", ":")) if details else ""
        doer = (actor.kind.value, actor.id, clean(actor.name), clean(actor.address))
        entry = Entry(number, utc_text(at_utc), *doer, action.value, clean(subject), clean(text, len(text)))
        head = Head(number, entry.sha256(previous))
        places = ", ".join("?" * 10)
        self.db.execute(f"insert into audit ({COLUMNS}, sha256) values ({places})", [*entry.parts, head.sha256])
        self.db.execute("update audit_chain set sha256 = ? where id = 1", [head.sha256])
        self._head = head
        self.added += 1
        return number

    @contextmanager
    def within(self, transaction: AbstractContextManager[Any]) -> Iterator[None]:
        """A transaction of the store to which entries can be added. What it commits is noted outside."""
        try:
            with transaction:
                self._is_open, self._head = True, None
                yield
        finally:
            self._is_open = False
        self._note_outside(self._head)

    def _note_outside(self, head: Head | None) -> None:
        """A disk that refuses does not undo what was done."""
        if head is None or self.outside is None:
            return
        try:
            self.outside.note(head, self.fits)
        except OSError as error:
            log.error("the head of the audit cannot be noted beside the record, trying again later: %s", error)

    def head(self) -> Head:
        """The last entry."""
        return next(Head(int(row["number"]), row["sha256"]) for row in self._chain())

    def start(self) -> Head:
        """The last entry that was dropped by its age; number 0: none was."""
        return next(Head(int(row["start_number"]), row["start_sha256"]) for row in self._chain())

    def _chain(self) -> list[Mapping[str, Any]]:
        return list(self.db.query("select number, sha256, start_number, start_sha256 from audit_chain where id = 1"))

    def sha256_of(self, number: int) -> str | None:
        """The hash that is stored with an entry; None: there is no such entry."""
        rows = self.db.query("select sha256 from audit where number = ?", [number])
        return next((str(row["sha256"]) for row in rows), None)

    def fits(self, head: Head) -> bool:
        """Whether a head that is known from elsewhere is of this chain, or of one that this record was put in place of.

        What was dropped by its age cannot be told any more, and fits.
        """
        start = self.start()
        if head.number <= start.number:
            return head.number < start.number or head.sha256 == start.sha256
        if self.sha256_of(head.number) == head.sha256:
            return True
        return any(str(head) in str(entry.details) for entry in self.beginnings())

    def beginnings(self) -> list[Entry]:
        """The entries that say that a copy, or an empty record, was put in the place of another."""
        rows = self.db.query(
            f"select {COLUMNS} from audit where action in (?, ?) order by number",
            [Action.RESTORED.value, Action.BEGUN.value],
        )
        return [entry_of(row) for row in rows]

    def drop(self, before_utc: float) -> int:
        """Drop the entries that are older than this, and say so in a new one; how many. Belongs into a transaction."""
        rows = self.db.query(
            "select number, sha256 from audit where number = (select min(number) - 1 from audit where at_utc >= ?)",
            [utc_text(before_utc)],
        )
        last = next((Head(int(row["number"]), row["sha256"]) for row in list(rows)), None)
        if last is None:
            return 0
        start = self.start()
        self.db.execute(
            "update audit_chain set start_number = ?, start_sha256 = ? where id = 1", [last.number, last.sha256]
        )
        self.db.execute("delete from audit where number <= ?", [last.number])
        self.add(Action.DROPPED, ENTRIES.format(first=start.number + 1, last=last.number), last=str(last))
        return last.number - start.number


def clean(text: str, length: int = MAX_SUBJECT) -> str:
    """Text that every program writes as the same bytes: without half characters, and not longer than this."""
    return text.encode(errors="replace").decode()[:length]


def entry_of(row: Mapping[str, Any]) -> Entry:
    """An entry from its row."""
    return Entry(*(row[name] for name in COLUMNS.split(", ")))


def record(store: AuditedStore, action: Action, subject: str = "", /, **details: Any) -> None:
    """An entry in a transaction of its own: of what does not happen in the database. Raises NotSaved."""
    with store.saving():
        store.audit.add(action, subject, **details)


def listed(ids: Iterable[int]) -> list[int]:
    """Ids as details hold them: in order, each once."""
    return sorted(set(ids))
