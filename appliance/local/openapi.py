"""The OpenAPI document of the JSON API: the operations in a table, the shapes from their types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from appliance.faces import State
from appliance.local import api_types as shapes
from appliance.web.forms import MAX_ID

ID = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
TIME = shapes.TIME_SCHEMA
FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "stream": (ID, "only this stream's"),
    "state": ({"type": "string", "enum": [state.value for state in State]}, "only this state"),
    "since": (TIME, "first seen at this time or later, ISO 8601 with its zone"),
    "until": (TIME, "first seen before this time, ISO 8601 with its zone"),
    "search": ({"type": "string"}, "owner:name contains this, in any case"),
}
PAGING = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": 200}, "how many at most; 50 if left out"),
    "before": (ID, "only what follows the detection with this id; `next` of an answer has it"),
}
REFUSED = {
    400: "What was sent cannot be read, or is not known here.",
    401: "There is no token with it, or one that is not known.",
    403: "This person may not do it.",
    404: "It does not exist, or is another's.",
    409: "The name is taken.",
    413: "It is too long.",
    421: "The site is not known by the name in the address.",
    503: "The box cannot do it just now.",
}
"""Every status with which something is refused."""


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

    @property
    def refused(self) -> list[int]:
        """The statuses with which it may be refused."""
        found = {400, 421, *self.also}
        found |= set() if self.public else {401, 503}
        found |= {404} if "{" in self.path else set()
        found |= {413} if self.takes is not None else set()
        return sorted(found)


OPERATIONS = (
    Operation("GET", "/api/openapi.json", "This document", dict, public=True),
    Operation("GET", "/api/v1/status", "How the box is: services, and streams that are LIVE", shapes.Status),
    Operation(
        "GET",
        "/api/v1/streams",
        "Your streams; for an admin all",
        shapes.StreamPage,
        query={"search": FILTERS["search"]},
    ),
    Operation(
        "POST", "/api/v1/streams", "Make a stream; the answer holds its key, this once", shapes.StreamWithKey, 201,
        shapes.NewStream, also=(403, 409),
    ),
    Operation("GET", "/api/v1/streams/{stream_id}", "One stream", shapes.Stream),
    Operation("PATCH", "/api/v1/streams/{stream_id}", "Change a stream", shapes.Stream, takes=shapes.StreamChange,
        also=(403, 409),
    ),
    Operation("DELETE", "/api/v1/streams/{stream_id}", "Delete a stream with all its detections", status=204),
    Operation(
        "POST", "/api/v1/streams/{stream_id}/key", "Give it a new key, and cut off who uses the old one",
        shapes.StreamWithKey,
    ),
    Operation(
        "GET", "/api/v1/detections", "Detections, newest first", shapes.DetectionPage, query={**FILTERS, **PAGING}
    ),
    Operation(
        "POST", "/api/v1/detections", "Enter a detection by hand (admin)", shapes.Detection, 201, shapes.NewDetection,
        also=(403, 404),
    ),
    Operation("GET", "/api/v1/detections/{detection_id}", "One detection", shapes.Detection),
    Operation("GET", "/api/v1/detections/{detection_id}/image", "Its image", bytes),
    Operation(
        "PATCH", "/api/v1/detections/{detection_id}", "Correct its state (admin)", shapes.Detection,
        takes=shapes.DetectionChange, also=(403,),
    ),
    Operation("DELETE", "/api/v1/detections/{detection_id}", "Delete it with its image (admin)", status=204,
        also=(403,),
    ),
    Operation("GET", "/api/v1/counts", "Persons by state, and the compliance rate", shapes.Counts, query=FILTERS),
)  # fmt: skip


@lru_cache(maxsize=1)
def document(server: str = "/") -> dict[str, Any]:
    """The whole document. server: where the API is, as its user sees it."""
    types = {shape for each in OPERATIONS for shape in (each.answers, each.takes) if isinstance(shape, type)}
    ours = sorted(types - {dict, bytes}, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components([*ours, shapes.Error], ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mb9k",
            "version": "1",
            "description": "Streams and detections of one box. Make a token on your account page and send it with"
            " every request: `Authorization: Bearer TOKEN`. An admin sees and edits all; a Data Scientist sees and"
            " edits own streams and sees all detections. Times are UTC.",
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _describe(operation: Operation) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", operation.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": ID, "example": 1} for name in names] + [
        {"name": name, "in": "query", "required": False, "description": about, "schema": schema}
        for name, (schema, about) in (operation.query or {}).items()
    ]
    refused = {
        str(status): {"description": REFUSED[status], "content": _json(shapes.Error)} for status in operation.refused
    }
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', operation.path.lower()).strip('_')}",
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
    if operation.answers is None:
        return {"description": "Done."}
    if operation.answers is bytes:
        return {"description": "A JPEG.", "content": {"image/jpeg": {}}}
    if operation.answers is dict:
        return {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"description": "Done.", "content": _json(operation.answers)}


def _json(shape: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}
