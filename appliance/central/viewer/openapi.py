"""The OpenAPI document of the centre's JSON API: the operations in a table, the shapes from their types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from appliance.alerts import api as api_alerts
from appliance.central.viewer import api_types as shapes
from appliance.exports.sheets import TABULAR
from appliance.messages import BOX
from appliance.web.openapi import ID, TIME_SCHEMA, Api, Operation

BOX_SCHEMA = {"type": "string", "pattern": f"^{BOX}$"}
FORMAT: dict[str, tuple[dict[str, Any], str]] = {
    "format": ({"type": "string", "enum": ["json", "csv"]}, "csv: the same as a table, for a spreadsheet")
}
RANGE: dict[str, tuple[dict[str, Any], str]] = {
    "since": (TIME_SCHEMA, "from this time on, ISO 8601 with its zone; 24 hours before `until` if left out"),
    "until": (TIME_SCHEMA, "before this time, ISO 8601 with its zone; now if left out"),
}
STEP: dict[str, tuple[dict[str, Any], str]] = {
    "step": (
        {"type": "string", "enum": ["minute", "hour", "day"]},
        "how long each step is; days are those of the centre's `time_zone`",
    )
}
OF: dict[str, tuple[dict[str, Any], str]] = {
    "site": (ID, "only of this site"),
    "box": (BOX_SCHEMA, "only of this box"),
    "stream": (ID, "only of this stream"),
}

OPERATIONS = (
    Operation("GET", "/api/openapi.json", "This document", dict, public=True),
    Operation("GET", "/api/v1/status", "How the fleet is", shapes.Status),
    Operation(
        "GET", "/api/v1/boxes", "The boxes you see, those with problems first", shapes.BoxList,
        query={"site": OF["site"], **FORMAT}, table=True,
    ),
    Operation("GET", "/api/v1/boxes/{box_id}", "One box", shapes.Box),
    Operation(
        "GET", "/api/v1/boxes/{box_id}/commands", "What a box was asked to do", shapes.CommandList,
        query=FORMAT, table=True,
    ),
    Operation("GET", "/api/v1/sites", "The sites you see", shapes.SiteList, query=FORMAT, table=True),
    Operation(
        "GET", "/api/v1/streams", "The streams you see", shapes.StreamList,
        query={"site": OF["site"], "box": OF["box"], **FORMAT}, table=True,
    ),
    Operation(
        "GET", "/api/v1/counts", "Persons over time, by state", shapes.Series,
        query={**OF, **RANGE, **STEP, **FORMAT}, table=True,
    ),
    Operation(
        "GET", "/api/v1/compare", "Sites, groups or boxes beside each other", shapes.Comparison,
        query={"by": ({"type": "string", "enum": ["site", "group", "box"]}, "what is compared; sites if left out"),
               **RANGE, **FORMAT},
        table=True,
    ),
    Operation(
        "GET", "/api/v1/export/sums", "The sums of your boxes as a file, a row for each stream and step",
        query={
            "format": ({"type": "string", "enum": [form.value for form in TABULAR]}, "in which form; csv if left out"),
            "step": (STEP["step"][0], "how long a row is; hour if left out; days are those of the centre's zone"),
            **OF,
            "since": (TIME_SCHEMA, "from this time on, ISO 8601 with its zone; all if left out"),
            "until": (TIME_SCHEMA, "before this time, ISO 8601 with its zone; now if left out"),
        },
        files=tuple(form.mime_type.partition(";")[0] for form in TABULAR),
    ),
    Operation(
        "GET", "/api/v1/letters", "Messages that could not be taken (admin)", shapes.LetterList,
        query=FORMAT, also=(403,), table=True,
    ),
    Operation(
        "GET", "/api/v1/events", "Who did what, the newest 1000 (admin)", shapes.EventList,
        query={"box": OF["box"], "before": (ID, "only those before the event with this id: the next 1000"), **FORMAT},
        also=(403,), table=True,
    ),
    *api_alerts.OPERATIONS,
)  # fmt: skip

API = Api(
    title="mb9k centre",
    description="What the boxes of a fleet tell. Make a token on your account page and send it with every request:"
    " `Authorization: Bearer TOKEN`. An admin sees all; an analyst sees the sites that an admin gave them. Times are"
    " UTC; days begin at midnight in the time zone of the centre. A"
    " step in which nobody looked is a gap (`is_gap`), not a zero. With `format=csv` a list comes as a table.",
    noun="centre",
    operations=OPERATIONS,
    in_path={"box_id": (BOX_SCHEMA, "lobby")},
)


@lru_cache(maxsize=1)
def document(server: str = "/") -> dict[str, Any]:
    """The whole document. server: where the API is, as its user sees it."""
    return API.document(server)
