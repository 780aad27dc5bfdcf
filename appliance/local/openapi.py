"""The OpenAPI document of the JSON API: the operations in a table, the shapes from their types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from appliance.alerts import api as api_alerts
from appliance.local import (
    api_audit,
    api_calibration,
    api_crossings,
    api_exports,
    api_trends,
    api_updates,
    api_zones,
    receipts,
)
from appliance.local import api_types as shapes
from appliance.local.api_query import FILTERS
from appliance.web.openapi import ID, Api, Operation

PAGING = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": 200}, "how many at most; 50 if left out"),
    "before": (ID, "only what follows the detection with this id; `next` of an answer has it"),
}
STREAM_PAGING = {
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": 200},
        "how many at most; all if it and `after` are left out",
    ),
    "after": (ID, "only streams with a larger id; `next` of an answer has it"),
}
OPERATIONS = (
    Operation("GET", "/api/openapi.json", "This document", dict, public=True),
    Operation("GET", "/api/v1/status", "How the box is: services, and streams that are LIVE", shapes.Status),
    Operation(
        "GET",
        "/api/v1/streams",
        "Your streams; for an admin all",
        shapes.StreamPage,
        query={"search": FILTERS["search"], **STREAM_PAGING},
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
    Operation("DELETE", "/api/v1/streams/{stream_id}/images", "Delete all its images; its detections stay", status=204),
    Operation(
        "POST", "/api/v1/streams/{stream_id}/key", "Give it a new key, and cut off who uses the old one",
        shapes.StreamWithKey,
    ),
    Operation("POST", "/api/v1/streams/{stream_id}/view", "Learn the view of its camera again", shapes.Stream),
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
        "PATCH", "/api/v1/detections/{detection_id}", "Correct its state, or mark it as reviewed (admin)",
        shapes.Detection, takes=shapes.DetectionChange, also=(403,),
    ),
    Operation("DELETE", "/api/v1/detections/{detection_id}", "Delete it with its image (admin)", status=204,
        also=(403,),
    ),
    Operation("POST", "/api/v1/detections/{detection_id}/not-a-person",
        "Delete what is a poster or a screen, and count nobody any more where it was (admin)", status=204, also=(403,),
    ),
    Operation("GET", "/api/v1/counts", "Persons by state, and the compliance rate", shapes.Counts, query=FILTERS),
    *api_calibration.OPERATIONS,
    *api_zones.OPERATIONS,
    *api_crossings.OPERATIONS,
    *api_trends.OPERATIONS,
    *receipts.OPERATIONS,
    *api_exports.OPERATIONS,
    *api_updates.OPERATIONS,
    *api_audit.OPERATIONS,
    *api_alerts.OPERATIONS,
)  # fmt: skip


API = Api(
    title="mb9k",
    description="Streams and detections of one box. Make a token on your account page and send it with"
    " every request: `Authorization: Bearer TOKEN`. An admin sees and edits all; a Data Scientist sees and"
    " edits own streams and sees all detections. Times are UTC.",
    noun="box",
    operations=OPERATIONS,
)


@lru_cache(maxsize=1)
def document(server: str = "/") -> dict[str, Any]:
    """The whole document. server: where the API is, as its user sees it."""
    return API.document(server)
