"""What every JSON API of ours does alike: answers, bodies, and parameters, read strictly."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from bottle import HTTPError, HTTPResponse, request

from appliance.errors import InputError
from appliance.web.forms import whole_number
from appliance.web.openapi import Operation

MAX_BODY_BYTES = 65_536
GIVEN = "mb9k.query"
Shape = TypeVar("Shape")


class KnownParameters:
    """The plugin that lets an API route be asked with its documented parameters only, each at most once."""

    api = 2
    name = "known parameters"

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.known = {(each.method, each.path): tuple(each.query or ()) for each in operations}

    def apply(self, handler: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap a route's handler (called by Bottle)."""
        if not route.rule.startswith("/api/"):
            return handler
        known = self.known[route.method, re.sub(r"<(\w+)(:\w+)?>", r"{\1}", route.rule)]

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


def id_parameter(name: str) -> int | None:
    """The parameter of this name as an id; None if it is not given. Raises InputError."""
    text = parameters().get(name)
    number = None if text is None else whole_number(text)
    if text is not None and number is None:
        raise InputError(f"{name} must be a whole number.")
    return number


def answer(content: Any, status: int = 200) -> HTTPResponse:
    """Something as JSON."""
    return HTTPResponse(msgspec.json.encode(content), status, {"Content-Type": "application/json"})


def body(shape: type[Shape]) -> Shape:
    """What was sent, if it has the right shape. Raises InputError, and HTTPError where it is too long."""
    if request.content_length > MAX_BODY_BYTES:
        raise HTTPError(413, f"Send at most {MAX_BODY_BYTES} bytes.")
    try:
        return msgspec.json.decode(request.body.read(MAX_BODY_BYTES), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{str(error).rstrip('.')}; see /api/openapi.json.") from error
