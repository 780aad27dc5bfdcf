"""The JSON API asked by schemathesis: whatever its document allows or forbids, against the real site and store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi import checks

from tests.test_api import Api

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
RULED = ("POST /api/v1/streams", "PATCH /api/v1/streams/{stream_id}")
"""What takes names and addresses: the rules refuse some that no schema can describe."""


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document as the site serves it, and the site behind it."""
    api = Api(tmp_path_factory.mktemp("box") / "state", {"names": ["localhost"]})
    yield schemathesis.openapi.from_wsgi("/api/openapi.json", api.app)
    api.store.close()


@schema.parametrize()
@hypothesis.settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_is_as_documented(case: Any) -> None:
    also = [] if case.operation.label in RULED else [checks.positive_data_acceptance]
    case.call_and_validate(headers={"Authorization": "Bearer ann"}, checks=[*CHECKS, *also])
