"""The audit for programs of admins."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from bottle import HTTPResponse
from msgspec import Meta, Struct

from appliance.accounts.audit import Action, ActorKind, Entry
from appliance.accounts.audit_search import Search, found
from appliance.errors import InputError
from appliance.local.api_query import limit_parameter
from appliance.local.api_types import Time
from appliance.local.pages import Site
from appliance.store import Store
from appliance.times import utc_text
from appliance.web.access import Access, App
from appliance.web.api import answer, id_parameter, parameters
from appliance.web.forms import moment_utc
from appliance.web.openapi import ID, TIME_SCHEMA, Operation

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class AuditEntry(Struct, kw_only=True):
    """Who did what. details: a JSON object as text, or empty. sha256: its hash, see docs/audit.md.

    actor: a name; of a program with its token's. address: from where. subject: of what.
    """

    number: int
    at_utc: Time
    actor_kind: ActorKind
    actor_id: int | None
    actor: str
    address: str
    action: str
    subject: str
    details: str
    sha256: Sha256


class AuditPage(Struct, kw_only=True):
    """Entries, newest first. next: where the ones before them are. head: the last entry there is, NUMBER:HASH."""

    entries: list[AuditEntry]
    next: str | None
    head: str


_QUERY: dict[str, tuple[dict[str, Any], str]] = {
    "search": ({"type": "string"}, "who, from where, of what or the details contain this, in any case"),
    "action": ({"type": "string", "enum": [each.value for each in Action]}, "only this action"),
    "since": (TIME_SCHEMA, "recorded at this time or later, ISO 8601 with its zone"),
    "until": (TIME_SCHEMA, "recorded before this time, ISO 8601 with its zone"),
    "limit": ({"type": "integer", "minimum": 1, "maximum": 200}, "how many at most; 50 if left out"),
    "before": (ID, "only entries with a lower number; `next` of an answer has it"),
}
OPERATIONS = (
    Operation("GET", "/api/v1/audit", "Who did what, newest first (admin)", AuditPage, query=_QUERY, also=(403,)),
)


def add_routes(app: App, site: Site) -> None:
    """The one operation."""

    @app.get("/api/v1/audit", access=Access.ADMIN)
    def audit(store: Store) -> HTTPResponse:
        """Entries of the audit, newest first, filtered and paged."""
        limit, given = limit_parameter(), parameters()
        some = found(store.audit, _search(given), id_parameter("before"), limit + 1)
        query = {name: value for name, value in given.items() if name not in ("before", "limit")}
        following = (
            urlencode({**query, "limit": limit, "before": some[limit - 1][0].number}) if len(some) > limit else ""
        )
        page = AuditPage(
            entries=[_entry(entry, sha256) for entry, sha256 in some[:limit]],
            next=f"{site.pages.address.prefix}/api/v1/audit?{following}" if following else None,
            head=str(store.audit.head()),
        )
        return answer(page)


def _search(given: dict[str, str]) -> Search:
    action = given.get("action")
    if action is not None and action not in {each.value for each in Action}:
        raise InputError("action must be one of those in /api/openapi.json.")
    times = [utc_text(moment_utc(given[name], name)) if name in given else None for name in ("since", "until")]
    return Search(given.get("search", "").strip(), action, *times)


def _entry(entry: Entry, sha256: str) -> AuditEntry:
    return msgspec.convert({**{name: getattr(entry, name) for name in Entry.__slots__}, "sha256": sha256}, AuditEntry)
