"""The OpenAPI document of the JSON API: the operations in a table, the shapes from their types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from appliance.faces import State
from appliance.local import api_types as shapes

FILTERS = {
    "stream": ("integer", "only this stream's"),
    "state": ("string", "only this state"),
    "since": ("string", "first seen at this time or later, ISO 8601"),
    "until": ("string", "first seen before this time, ISO 8601"),
    "search": ("string", "owner:name contains this, in any case"),
}
PAGING = {
    "limit": ("integer", "how many at most, 1 to 200; 50 if left out"),
    "before": ("integer", "only what follows the detection with this id; `next` of an answer has it"),
}


@dataclass(frozen=True)
class Operation:
    """One thing a program may ask. answers: what comes back when it worked; JPEG and nothing are no types."""

    method: str
    path: str
    summary: str
    answers: Any = None
    status: int = 200
    takes: Any = None
    query: dict[str, tuple[str, str]] | None = None
    public: bool = False


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
        shapes.NewStream,
    ),
    Operation("GET", "/api/v1/streams/{stream_id}", "One stream", shapes.Stream),
    Operation("PATCH", "/api/v1/streams/{stream_id}", "Change a stream", shapes.Stream, takes=shapes.StreamChange),
    Operation("DELETE", "/api/v1/streams/{stream_id}", "Delete a stream with all its detections", status=204),
    Operation(
        "POST", "/api/v1/streams/{stream_id}/key", "Give it a new key, and cut off who uses the old one",
        shapes.StreamWithKey,
    ),
    Operation(
        "GET", "/api/v1/detections", "Detections, newest first", shapes.DetectionPage, query={**FILTERS, **PAGING}
    ),
    Operation(
        "POST", "/api/v1/detections", "Enter a detection by hand (admin)", shapes.Detection, 201, shapes.NewDetection
    ),
    Operation("GET", "/api/v1/detections/{detection_id}", "One detection", shapes.Detection),
    Operation("GET", "/api/v1/detections/{detection_id}/image", "Its image", bytes),
    Operation(
        "PATCH", "/api/v1/detections/{detection_id}", "Correct its state (admin)", shapes.Detection,
        takes=shapes.DetectionChange,
    ),
    Operation("DELETE", "/api/v1/detections/{detection_id}", "Delete it with its image (admin)", status=204),
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
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "integer"}} for name in names] + [
        _query_parameter(name, *about) for name, about in (operation.query or {}).items()
    ]
    failed = {"description": "Not done; says why.", "content": _json(shapes.Error)}
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', operation.path.lower()).strip('_')}",
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {str(operation.status): _success(operation), "4XX": failed, "5XX": failed},
    }
    if operation.takes is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.takes)}
    if operation.public:
        described["security"] = []
    return described


def _query_parameter(name: str, kind: str, about: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    if name == "state":
        schema["enum"] = [state.value for state in State]
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


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
