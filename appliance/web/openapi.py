"""The OpenAPI document of a site's JSON API: made from a table of its operations and the types of their shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from appliance.web.forms import MAX_ID

ID = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
TIME_SCHEMA = {"type": "string", "format": "date-time", "pattern": "^(19[7-9][0-9]|2[0-9]{3})-"}
REFUSED = {
    400: "What was sent cannot be read, or is not known here.",
    401: "There is no token with it, or one that is not known.",
    403: "This person may not do it.",
    404: "It does not exist, or is another's.",
    409: "The name is taken.",
    413: "It is too long.",
    421: "The site is not known by the name in the address.",
    503: "The {noun} cannot do it just now.",
}
"""Every status with which something is refused."""


class Error(Struct):
    """Why it was not done, and the next step."""

    error: str


@dataclass(frozen=True)
class Operation:
    """One thing a program may ask. answers: what comes back when it worked; JPEG and nothing are no types."""

    method: str
    path: str
    summary: str
    answers: Any = None
    status: int = 200
    takes: Any = None
    query: dict[str, tuple[dict[str, Any], str]] | None = None
    public: bool = False
    also: tuple[int, ...] = ()  # with what it is refused, beside what every operation of its kind is
    table: bool = False  # it also comes as CSV
    files: tuple[str, ...] = ()  # the MIME types of what comes instead of JSON

    @property
    def refused(self) -> list[int]:
        """The statuses with which it may be refused."""
        found = {400, 421, *self.also}
        found |= set() if self.public else {401, 503}
        found |= {404} if "{" in self.path else set()
        found |= {413} if self.takes is not None else set()
        return sorted(found)


@dataclass(frozen=True)
class Api:
    """A site's API. description: for whoever writes a program. in_path: schema and example of names in paths (else
    an id). noun: what people call the machine.
    """

    title: str
    description: str
    noun: str
    operations: Sequence[Operation]
    in_path: Mapping[str, tuple[dict[str, Any], Any]] = field(default_factory=dict)

    def document(self, server: str = "/") -> dict[str, Any]:
        """The whole document. server: where the API is, as its user sees it."""
        types = {shape for each in self.operations for shape in (each.answers, each.takes) if isinstance(shape, type)}
        ours = sorted(types - {dict, bytes}, key=lambda shape: shape.__name__)
        _, components = msgspec.json.schema_components([*ours, Error], ref_template="#/components/schemas/{name}")
        paths: dict[str, dict[str, Any]] = {}
        for operation in self.operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = self._describe(operation)
        return {
            "openapi": "3.1.0",
            "info": {"title": self.title, "version": "1", "description": self.description},
            "servers": [{"url": server}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}],
        }

    def _describe(self, operation: Operation) -> dict[str, Any]:
        in_path = {name: self.in_path.get(name, (ID, 1)) for name in re.findall(r"{(\w+)}", operation.path)}
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": schema, "example": example}
            for name, (schema, example) in in_path.items()
        ] + [
            {"name": name, "in": "query", "required": False, "description": about, "schema": schema}
            for name, (schema, about) in (operation.query or {}).items()
        ]
        refused = {
            str(status): {"description": REFUSED[status].format(noun=self.noun), "content": _json(Error)}
            for status in operation.refused
        }
        name = re.sub(r"[^a-z0-9]+", "_", operation.path.lower()).strip("_")
        described: dict[str, Any] = {
            "operationId": f"{operation.method.lower()}_{name}",
            "summary": operation.summary,
            "parameters": parameters,
            "responses": {str(operation.status): _success(operation), **refused},
        }
        if operation.takes is not None:
            described["requestBody"] = {"required": True, "content": _json(operation.takes)}
        if operation.public:
            described["security"] = []
        return described


def _success(operation: Operation) -> dict[str, Any]:
    if operation.files:
        return {"description": "A file.", "content": {mime_type: {} for mime_type in operation.files}}
    if operation.answers is None:
        return {"description": "Done."}
    if operation.answers is bytes:
        return {"description": "A JPEG.", "content": {"image/jpeg": {}}}
    if operation.answers is dict:
        return {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}}
    as_csv = {"text/csv": {"schema": {"type": "string"}}} if operation.table else {}
    return {"description": "Done.", "content": {**_json(operation.answers), **as_csv}}


def _json(shape: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}
