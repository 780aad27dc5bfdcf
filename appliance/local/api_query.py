"""What detections the address of an API request asks for: what is not understood is refused, never passed over."""

from __future__ import annotations

from typing import Any

from appliance.errors import InputError
from appliance.faces import State
from appliance.store import DetectionFilter
from appliance.web.api import id_parameter, parameters
from appliance.web.forms import moment_utc
from appliance.web.openapi import ID
from appliance.web.openapi import TIME_SCHEMA as TIME

FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "stream": (ID, "only this stream's"),
    "state": ({"type": "string", "enum": [state.value for state in State]}, "only this state"),
    "since": (TIME, "first seen at this time or later, ISO 8601 with its zone"),
    "until": (TIME, "first seen before this time, ISO 8601 with its zone"),
    "reviewed": ({"type": "boolean"}, "only those that somebody reviewed, or only those that nobody did"),
    "search": ({"type": "string"}, "owner:name contains this, in any case"),
}
MAX_LIMIT, DEFAULT_LIMIT = 200, 50


def detection_filter() -> DetectionFilter:
    """The filters of the address. Raises InputError."""
    given = parameters()
    return DetectionFilter(
        stream_id=id_parameter("stream"),
        state=_state(given.get("state")),
        since_utc=moment_utc(given["since"], "since") if "since" in given else None,
        until_utc=moment_utc(given["until"], "until") if "until" in given else None,
        search=given.get("search", "").strip(),
        reviewed=_reviewed(given.get("reviewed")),
    )


def limit_parameter() -> int:
    """How many to answer with at most. Raises InputError."""
    limit = id_parameter("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"limit must be from 1 to {MAX_LIMIT}.")
    return limit


def _state(text: str | None) -> State | None:
    try:
        return None if text is None else State(text)
    except ValueError as error:
        raise InputError(f"state must be one of {', '.join(state.value for state in State)}.") from error


def _reviewed(text: str | None) -> bool | None:
    if text not in (None, "true", "false"):
        raise InputError("reviewed must be true or false.")
    return None if text is None else text == "true"
