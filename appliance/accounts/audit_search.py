"""Finding entries: newest first, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.accounts.audit import COLUMNS, Audit, Entry, entry_of

_CONDITIONS = {
    "action": "action = :action",
    "since_utc": "at_utc >= :since_utc",
    "until_utc": "at_utc < :until_utc",
    "before": "number < :before",
}
_TEXTS = ("actor", "address", "subject", "details")


@dataclass(frozen=True, slots=True)
class Search:
    """What entries are asked for. text: in who, where, of what or the details, in any case. Times as stored."""

    text: str = ""
    action: str | None = None
    since_utc: str | None = None
    until_utc: str | None = None


def found(audit: Audit, wanted: Search, before: int | None = None, limit: int = 50) -> list[tuple[Entry, str]]:
    """Entries with their hashes, newest first. before: only those with a lower number."""
    given = {name: getattr(wanted, name) for name in ("action", "since_utc", "until_utc")} | {"before": before}
    parameters = {name: value for name, value in given.items() if value is not None}
    conditions = [_CONDITIONS[name] for name in parameters]
    if wanted.text:
        escaped = wanted.text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
        parameters["text"] = f"%{escaped}%"
        conditions.append("(" + " or ".join(f"lower({column}) like :text escape '!'" for column in _TEXTS) + ")")
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = audit.db.query(
        f"select {COLUMNS}, sha256 from audit {where} order by number desc limit :limit", {**parameters, "limit": limit}
    )
    return [(entry_of(row), row["sha256"]) for row in rows]
