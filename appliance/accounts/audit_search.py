"""Finding entries: newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from appliance.accounts.audit import COLUMNS, Audit, Entry, entry_of
from appliance.accounts.audit_meant import NOTHING, PLACE, Meant

_CONDITIONS = {
    "action": "action = :action",
    "since_utc": "at_utc >= :since_utc",
    "until_utc": "at_utc < :until_utc",
    "before": "number < :before",
}
_TEXTS = ("actor", "address", "subject", "details")
_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Search:
    """What entries are asked for. text: in who, where, of what or the details, in any case. Times as stored."""

    text: str = ""
    action: str | None = None
    since_utc: str | None = None
    until_utc: str | None = None


def found(
    audit: Audit, wanted: Search, before: int | None = None, limit: int = 50, also: Meant = NOTHING
) -> list[tuple[Entry, str]]:
    """Entries with their hashes, newest first. before: only those with a lower number. also: what the text may mean."""
    given = {name: getattr(wanted, name) for name in ("action", "since_utc", "until_utc")} | {"before": before}
    values = _Values({name: value for name, value in given.items() if value is not None})
    conditions = [_CONDITIONS[name] for name in values]
    if wanted.text:
        conditions.append(f"({' or '.join([*_as_typed(wanted.text, values), *_as_meant(also, values)])})")
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = audit.db.query(
        f"select {COLUMNS}, sha256 from audit {where} order by number desc limit :limit", {**values, "limit": limit}
    )
    return [(entry_of(row), row["sha256"]) for row in rows]


class _Values(dict[str, Any]):
    """What stands in the places of a statement, by name."""

    def place(self, value: str) -> str:
        """A place for one more."""
        name = f"text{len(self)}"
        self[name] = value
        return f":{name}"

    def like(self, column: str, pattern: str) -> str:
        """A condition. pattern: in small letters."""
        return f"lower({column}) like {self.place(pattern)} escape '!'"


def _as_typed(text: str, values: _Values) -> Iterator[str]:
    """SQLite makes only the letters of ASCII small, PostgreSQL all."""
    for small in dict.fromkeys((text.lower(), text.translate(_SMALL))):
        yield from (values.like(column, f"%{_escaped(small)}%") for column in _TEXTS)


def _as_meant(also: Meant, values: _Values) -> Iterator[str]:
    for column, words in (("action", also.actions), ("actor_kind", also.actor_kinds)):
        if words:
            yield f"{column} in ({', '.join(map(values.place, words))})"
    for action, subject in also.subjects:
        pattern = PLACE.sub("%", _escaped(subject.lower()))
        yield f"(action = {values.place(action)} and {values.like('subject', pattern)})"
    yield from (values.like("details", f"%{_escaped(each)}%") for each in also.details)


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
