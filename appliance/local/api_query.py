"""What the address of an API request asks for, read strictly: what is not understood is refused, never passed over."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from bottle import HTTPError, request

from appliance.errors import InputError
from appliance.faces import State
from appliance.local.openapi import OPERATIONS
from appliance.store import DetectionFilter
from appliance.web.forms import moment_utc, whole_number

MAX_LIMIT, DEFAULT_LIMIT = 200, 50
GIVEN = "mb9k.query"


class KnownParameters:
    """The plugin that lets an API route be asked with its documented parameters only, each at most once."""

    api = 2
    name = "known parameters"

    def apply(self, handler: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap a route's handler (called by Bottle)."""
        if not route.rule.startswith("/api/"):
            return handler
        path = re.sub(r"<(\w+)(:\w+)?>", r"{\1}", route.rule)
        known = {(each.method, each.path): tuple(each.query or ()) for each in OPERATIONS}[route.method, path]

        @functools.wraps(handler)
        def checked(**arguments: Any) -> Any:
            try:
                request.environ[GIVEN] = _read(request.query_string, known)
            except InputError as error:
                raise HTTPError(400, str(error)) from error
            return handler(**arguments)

        return checked


def _read(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters of an address. Raises InputError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:  # not UTF-8, or too many of them
        raise InputError("The parameters after the `?` cannot be read; write them percent-encoded.") from error
    for name, value in pairs:
        if name not in known:
            raise InputError(f"There is no parameter {name[:40]!r}; known here: {', '.join(known) or 'none'}.")
        if not value and name != "search":
            raise InputError(f"{name} has no value; leave it out or give it one.")
    if len(dict(pairs)) < len(pairs):
        raise InputError("A parameter is given twice; give each one once.")
    return dict(pairs)


def parameters() -> dict[str, str]:
    """What the present request was asked with."""
    given: dict[str, str] = request.environ[GIVEN]
    return given


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


def id_parameter(name: str) -> int | None:
    """The parameter of this name as an id; None if it is not given. Raises InputError."""
    text = parameters().get(name)
    number = None if text is None else whole_number(text)
    if text is not None and number is None:
        raise InputError(f"{name} must be a whole number.")
    return number


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
