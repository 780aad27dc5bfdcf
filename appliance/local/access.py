"""Whose streams are whose: the `stream` that an OWNER route names by its id, and how many are other people's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bottle import HTTPError

from appliance.accounts.guard import Visitor
from appliance.language import _
from appliance.store import Store
from appliance.times import Now


def owned_stream(store: Store, now: Now, visitor: Visitor, address: Mapping[str, Any]) -> dict[str, Any]:
    """The stream. Raises HTTPError 404 both where there is none and where it is another's: nobody learns which."""
    stream_id = address.get("stream_id")
    stream = store.streams.get(stream_id, now) if isinstance(stream_id, int) else None
    if stream is None or not visitor.may_edit(stream.owner_id):
        raise HTTPError(404, _("There is no such stream, or it is not yours."))
    return {"stream": stream}


def streams_of_others(store: Store, visitor: Visitor) -> int:
    """How many streams there are that a visitor does not see in lists of streams, though their persons are counted."""
    return 0 if visitor.sees_only is None else store.streams.of_others(visitor.sees_only)
