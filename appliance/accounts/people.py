"""People, their sessions and their tokens: the values, and every SQL statement about them."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.errors import NameTaken
from appliance.language import N_, _
from appliance.times import utc_seconds, utc_text

IDLE_S = 7 * 86400.0
ABSOLUTE_S = 30 * 86400.0
TOUCH_S = 3600.0
"""The last use of a session or token is noted at most this often: flash wears."""
DEVICE_S = 180 * 86400.0
"""For how long a browser is known after a person last signed in there."""
DEVICES = 20
"""How many browsers of a person are known; the one unused for longest goes."""


ROLE_WORDS = {"admin": N_("Admin"), "data_scientist": N_("Data Scientist"), "analyst": N_("Analyst")}


class Role(str, enum.Enum):
    """What a person may do."""

    ADMIN = "admin"  # sees and edits all
    DATA_SCIENTIST = "data_scientist"  # of a box: sees and edits what is their own, sees all detections
    ANALYST = "analyst"  # of a centre: sees the sites that an admin gives them

    @property
    def label(self) -> str:
        """As people read it."""
        return _(ROLE_WORDS[self.value])


ROLES_OF_BOX = (Role.ADMIN, Role.DATA_SCIENTIST)
ROLES_OF_CENTRE = (Role.ADMIN, Role.ANALYST)


class Cursor(Protocol):
    """What became of a statement."""

    @property
    def rowcount(self) -> int: ...


class Database(Protocol):
    """What the statements run on: SQLite or PostgreSQL, by `?` and `:name`. Raises sqlite3.Error, whichever it is."""

    def execute(self, sql: str, parameters: Any = None, /) -> Cursor:
        """Carry out a statement."""

    def query(self, sql: str, params: Any = None, /) -> Iterable[Mapping[str, Any]]:
        """The rows that a statement answers with, by name."""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who may sign in."""

    id: int
    name: str
    role: Role
    password_hash: str
    created_utc: str

    @property
    def is_admin(self) -> bool:
        """Whether this person sees and edits all."""
        return self.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser."""

    person: Person
    csrf_token: str
    created_utc: str
    last_used_utc: str

    def is_over(self, now_utc: float) -> bool:
        """Whether it is too old, or was not used for too long."""
        idle_s = now_utc - utc_seconds(self.last_used_utc)
        return idle_s > IDLE_S or now_utc - utc_seconds(self.created_utc) > ABSOLUTE_S


@dataclass(frozen=True, slots=True)
class Token:
    """A token for a program; the secret itself was shown once and is stored nowhere."""

    id: int
    owner: Person
    name: str
    created_utc: str
    last_used_utc: str | None
    expires_utc: str

    def is_over(self, now_utc: float) -> bool:
        """Whether it has expired."""
        return utc_text(now_utc) >= self.expires_utc


_PERSON = "people.id, people.name, people.role, people.password_hash, people.created_utc"


_TOKEN = (
    f"select {_PERSON}, tokens.id as token_id, tokens.name as token_name, tokens.created_utc as made_utc,"
    " last_used_utc, expires_utc from tokens join people on people.id = person_id"
)


def _person(row: Mapping[str, Any]) -> Person:
    return Person(row["id"], row["name"], Role(row["role"]), row["password_hash"], row["created_utc"])


def _token(row: Mapping[str, Any]) -> Token:
    made = row["token_id"], _person(row), row["token_name"], row["made_utc"]
    return Token(*made, row["last_used_utc"], row["expires_utc"])


class People:
    """The statements, in what SQLite and PostgreSQL have in common.

    Writes are single statements unless the caller is inside a transaction (`writing()`).
    """

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self) -> list[Person]:
        """Everyone, by name."""
        return [_person(row) for row in self.db.query(f"select {_PERSON} from people order by lower(name)")]

    def count(self) -> int:
        """How many people there are; 0 means that the site has not been claimed."""
        return next(int(row["people"]) for row in self.db.query("select count(*) as people from people"))

    def _one(self, sql: str, value: int | str) -> Person | None:
        return next((_person(row) for row in self.db.query(sql, [value])), None)

    def get(self, person_id: int) -> Person | None:
        """The person with this id."""
        return self._one(f"select {_PERSON} from people where id = ?", person_id)

    def named(self, name: str) -> Person | None:
        """The person of this name; upper and lower case are alike."""
        return self._one(f"select {_PERSON} from people where lower(name) = lower(?)", name)

    def add(self, name: str, password_hash: str, role: Role, now_utc: float) -> int:
        """Add a person; the new id. Raises NameTaken."""
        try:
            rows = self.db.query(
                "insert into people (name, password_hash, role, created_utc) values (?, ?, ?, ?) returning id",
                [name, password_hash, role.value, utc_text(now_utc)],
            )
            return next(int(row["id"]) for row in list(rows))
        except sqlite3.IntegrityError as error:
            raise NameTaken(_("Someone is already called {name}; choose another name.", name=name)) from error

    def add_first(self, name: str, password_hash: str, now_utc: float) -> int | None:
        """Add the first admin; None if somebody was quicker (there are people already)."""
        rows = self.db.query(
            "insert into people (name, password_hash, role, created_utc)"
            " select ?, ?, 'admin', ? where not exists (select 1 from people) returning id",
            [name, password_hash, utc_text(now_utc)],
        )
        return next((int(row["id"]) for row in list(rows)), None)

    def set_password(
        self, person_id: int, password_hash: str, keep_session: str | None = None, keep_tokens: bool = False
    ) -> None:
        """Change a password and end the person's sessions, except the one with the digest keep_session, and tokens.

        The known devices stay: they admit nobody, and let the person in while somebody guesses.
        """
        self.db.execute("update people set password_hash = ? where id = ?", [password_hash, person_id])
        kept = keep_session or ""  # no digest is empty
        self.db.execute("delete from sessions where person_id = ? and token_sha256 <> ?", [person_id, kept])
        if not keep_tokens:
            self.db.execute("delete from tokens where person_id = ?", [person_id])

    def set_role(self, person_id: int, role: Role) -> bool:
        """Change a role; False (and nothing changed) if no admin would remain."""
        cursor = self.db.execute(
            "update people set role = :role where id = :id and (:role = 'admin' or exists"
            " (select 1 from people where role = 'admin' and id <> :id))",
            {"role": role.value, "id": person_id},
        )
        return cursor.rowcount == 1

    def remove(self, person_id: int) -> bool:
        """Remove a person with sessions and tokens; False if it is the last admin, or still owns something.

        Whatever the site lets people own refers to them with `on delete restrict`, so SQLite itself refuses.
        """
        try:
            cursor = self.db.execute(
                "delete from people where id = :id"
                " and (role <> 'admin' or exists (select 1 from people where role = 'admin' and id <> :id))",
                {"id": person_id},
            )
        except sqlite3.IntegrityError:
            return False
        return cursor.rowcount == 1

    def add_session(self, token_sha256: str, person_id: int, csrf_token: str, now_utc: float) -> None:
        """Remember a browser that signed in."""
        self.db.execute(
            "insert into sessions (token_sha256, person_id, csrf_token, created_utc, last_used_utc)"
            " values (?, ?, ?, ?, ?)",
            [token_sha256, person_id, csrf_token, utc_text(now_utc), utc_text(now_utc)],
        )

    def session(self, token_sha256: str) -> Session | None:
        """The session with this digest; whether it is too old is for the caller to say."""
        rows = self.db.query(
            f"select {_PERSON}, csrf_token, sessions.created_utc as began_utc, last_used_utc"
            " from sessions join people on people.id = person_id where token_sha256 = ?",
            [token_sha256],
        )
        for row in rows:
            return Session(_person(row), row["csrf_token"], row["began_utc"], row["last_used_utc"])
        return None

    def touch_session(self, token_sha256: str, now_utc: float) -> None:
        """Note that a session was used."""
        self.db.execute(
            "update sessions set last_used_utc = ? where token_sha256 = ?", [utc_text(now_utc), token_sha256]
        )

    def end_session(self, token_sha256: str) -> None:
        """Sign out."""
        self.db.execute("delete from sessions where token_sha256 = ?", [token_sha256])

    def forget_old_sessions(self, now_utc: float) -> None:
        """Drop the sessions that are over."""
        self.db.execute(
            "delete from sessions where last_used_utc < ? or created_utc < ?",
            [utc_text(now_utc - IDLE_S), utc_text(now_utc - ABSOLUTE_S)],
        )

    def remember_device(self, id_sha256: str, person_id: int, now_utc: float) -> None:
        """Note that a person signed in in the browser with this digest; only the newest DEVICES of them are kept."""
        self.db.execute(
            "insert into devices (id_sha256, person_id, last_used_utc) values (?, ?, ?)"
            " on conflict (id_sha256, person_id) do update set last_used_utc = excluded.last_used_utc",
            [id_sha256, person_id, utc_text(now_utc)],
        )
        self.db.execute(
            "delete from devices where person_id = :person and id_sha256 not in (select id_sha256 from devices"
            " where person_id = :person order by last_used_utc desc limit :most) and id_sha256 <> :this",
            {"person": person_id, "most": DEVICES, "this": id_sha256},
        )

    def knows_device(self, id_sha256: str, now_utc: float, person_id: int | None = None) -> bool:
        """Whether this person (None: anybody) signed in in this browser within DEVICE_S."""
        found = self.db.query(
            "select person_id from devices where id_sha256 = :id and last_used_utc >= :since"
            " and person_id = coalesce(:person, person_id)",
            {"id": id_sha256, "since": utc_text(now_utc - DEVICE_S), "person": person_id},
        )
        return any(True for _row in found)

    def add_token(self, person_id: int, name: str, token_sha256: str, now_utc: float, expires_utc: float) -> int:
        """Remember a token for a program; its id."""
        rows = self.db.query(
            "insert into tokens (person_id, name, token_sha256, created_utc, expires_utc) values (?, ?, ?, ?, ?)"
            " returning id",
            [person_id, name, token_sha256, utc_text(now_utc), utc_text(expires_utc)],
        )
        return next(int(row["id"]) for row in list(rows))

    def tokens(self, person_id: int) -> list[Token]:
        """A person's tokens, newest first."""
        return [
            _token(row) for row in self.db.query(f"{_TOKEN} where person_id = ? order by tokens.id desc", [person_id])
        ]

    def all_tokens(self) -> list[Token]:
        """Everybody's tokens, by whose they are, newest first."""
        return [_token(row) for row in self.db.query(f"{_TOKEN} order by lower(people.name), tokens.id desc")]

    def token(self, token_sha256: str) -> Token | None:
        """The token with this digest; whether it has expired is for the caller to say."""
        return next((_token(row) for row in self.db.query(f"{_TOKEN} where token_sha256 = ?", [token_sha256])), None)

    def touch_token(self, token_sha256: str, now_utc: float) -> None:
        """Note that a token was used, at most every TOUCH_S."""
        self.db.execute(
            "update tokens set last_used_utc = ?"
            " where token_sha256 = ? and (last_used_utc is null or last_used_utc < ?)",
            [utc_text(now_utc), token_sha256, utc_text(now_utc - TOUCH_S)],
        )

    def remove_token(self, token_id: int, person_id: int | None = None) -> Token | None:
        """Revoke a token, if it is this person's (None: whoever's it is); None if there is none."""
        for row in self.db.query(f"{_TOKEN} where tokens.id = ?", [token_id]):
            token = _token(row)
            if person_id is None or token.owner.id == person_id:
                self.db.execute("delete from tokens where id = ?", [token_id])
                return token
        return None
