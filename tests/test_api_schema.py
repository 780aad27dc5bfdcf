"""The JSON API asked by schemathesis: whatever its document allows or forbids, against the real site and store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from appliance.times import utc_text
from appliance.web.forms import EARLIEST_UTC, LATEST_UTC
from tests.test_api import Api

schemathesis.openapi.format(  # its own would mostly draw years before 1970
    "date-time",
    st.integers(EARLIEST_UTC, LATEST_UTC - 1).map(utc_text),
)
schema = schemathesis.pytest.from_fixture("documented")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.ignored_auth,
]
RULED = ("POST /api/v1/streams", "PATCH /api/v1/streams/{stream_id}", "POST /api/v1/detections")
"""What takes names, addresses and pairs of times: the rules refuse some that no schema can describe."""


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document as the site serves it, and the site behind it."""
    api = Api(tmp_path_factory.mktemp("box") / "state", {"names": ["localhost"]})
    yield schemathesis.openapi.from_wsgi("/api/openapi.json", api.app)
    api.store.close()


@pytest.mark.timeout(600)  # it is one test to pytest, of some fifteen seconds of processor time
@schema.parametrize()
@hypothesis.settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_is_as_documented(case: Any) -> None:
    also = [] if case.operation.label in RULED else [checks.positive_data_acceptance]
    case.call_and_validate(headers={"Authorization": "Bearer ann"}, checks=[*CHECKS, *also])
