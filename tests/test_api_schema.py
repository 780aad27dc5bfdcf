"""The JSON APIs asked by schemathesis: whatever their documents allow or forbid, against real sites and databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from appliance.faces import Counts
from appliance.times import utc_text
from appliance.web.forms import EARLIEST_UTC, LATEST_UTC
from tests.fleets import NOON, Fleet
from tests.postgres import Cluster
from tests.test_api import Api

schemathesis.openapi.format(  # its own would mostly draw years before 1970
    "date-time",
    st.integers(EARLIEST_UTC, LATEST_UTC - 1).map(utc_text),
)
of_a_box = schemathesis.pytest.from_fixture("box")
of_a_centre_on_sqlite = schemathesis.pytest.from_fixture("centre_on_sqlite")
of_a_centre_on_postgresql = schemathesis.pytest.from_fixture("centre_on_postgresql")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.ignored_auth,
]
RULED = (
    *("POST /api/v1/streams", "PATCH /api/v1/streams/{stream_id}", "POST /api/v1/detections"),
    "PUT /api/v1/streams/{stream_id}/zones",
    *("POST /api/v1/updates/start", "POST /api/v1/updates/back", "POST /api/v1/updates/fetch"),
    "GET /api/v1/trends",
    *("POST /api/v1/alert-rules", "PATCH /api/v1/alert-rules/{rule_id}", "POST /api/v1/alert-recipients"),
    *("POST /api/v1/alert-rules of a centre", "PATCH /api/v1/alert-rules/{rule_id} of a centre"),
    "POST /api/v1/alert-recipients of a centre",
    *("GET /api/v1/counts of a centre", "GET /api/v1/compare of a centre", "GET /api/v1/export/sums of a centre"),
)
"""What takes names, addresses and pairs of times: the rules refuse some that no schema can describe."""
Test = TypeVar("Test", bound=Callable[..., Any])


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document as a box serves it, and the site behind it."""
    api = Api(tmp_path_factory.mktemp("box") / "state", {"names": ["localhost"]})
    yield schemathesis.openapi.from_wsgi("/api/openapi.json", api.app)
    api.store.close()


@pytest.fixture(scope="module")
def centre_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document as a centre serves it, and the site behind it."""
    folder = tmp_path_factory.mktemp("centre")
    yield from _centre(folder, str(folder / "central.db"))


@pytest.fixture(scope="module")
def centre_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[Any]:
    """The same on the other database."""
    from appliance.central.postgresql import close_pools

    address = postgres.new_database()
    yield from _centre(tmp_path_factory.mktemp("centre"), address)
    close_pools()
    postgres.drop(address)


def _centre(folder: Path, address: str) -> Iterator[Any]:
    fleet = Fleet(folder / "state", address, web={"names": ["localhost"]})
    fleet.add_hour(1, NOON - 3600, Counts(mask=3, no_mask=1, unknown=2))
    fleet.db.execute(
        "insert into letters (at_utc, box_id, topic, reason, payload) values (?, 'x', 'y', 'z', ?)", [NOON, b"\xff"]
    )
    yield schemathesis.openapi.from_wsgi("/api/openapi.json", fleet.app)
    fleet.close()


def some_requests(test: Test) -> Test:
    """How many requests of each kind, and that they are the same each time."""
    limited = hypothesis.settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    # It is one test to pytest, of some fifteen seconds of CPU.
    patient: Test = pytest.mark.timeout(600)(limited(test))
    return patient


def _ask(case: Any, token: str, whose: str = "") -> None:
    # A parameter without a value is in no address: what was made to be refused would come as something that is right.
    hypothesis.assume(all(value not in (None, [], {}) for value in (case.query or {}).values()))
    # Whoever asks for another site is told so before anything else is read.
    hypothesis.assume(all(name.lower() != "host" for name in case.headers or {}))
    also = [] if case.operation.label + whose in RULED else [checks.positive_data_acceptance]
    # Packed answers have their own tests; whoever asks here without a server unpacks none.
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    case.call_and_validate(headers=headers, checks=[*CHECKS, *also])


@of_a_box.parametrize()
@some_requests
def test_every_answer_of_a_box_is_as_documented(case: Any) -> None:
    _ask(case, "ann")


@of_a_centre_on_sqlite.parametrize()
@some_requests
def test_every_answer_of_a_centre_is_as_documented(case: Any) -> None:
    _ask(case, "token of ann", " of a centre")


@of_a_centre_on_postgresql.parametrize()
@some_requests
def test_every_answer_of_a_centre_on_postgresql_is_as_documented(case: Any) -> None:
    _ask(case, "token of ann", " of a centre")
