"""What detections the address of an API request asks for: what is not understood is refused, never passed over."""

from __future__ import annotations

from appliance.errors import InputError
from appliance.faces import State
from appliance.store import DetectionFilter
from appliance.web.api import id_parameter, parameters
from appliance.web.forms import moment_utc

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
