"""Who publishes, by what an ingest says over real HTTP in MediaMTX's dialect."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from appliance.media.mediamtx import EMBEDDED_VERSION, Client
from appliance.secrets import digest
from appliance.watch.publishers import GATE_PATIENCE_S, LIVE_S, NOT_RUNNING, PATIENCE_S, SILENT, Publishers
from tests.stand_in_ingest import StandIn, answering

KEY, OTHER, OLD = "KEYKEYKEYKEYKEYKEY22", "KEYKEYKEYKEYKEYKEY33", "KEYKEYKEYKEYKEYKEY44"
ACTIVE = {digest(KEY): 1, digest(OTHER): 2}


@pytest.fixture
def ingest() -> Iterator[StandIn]:
    """Answers until the end of the test."""
    with answering() as ingest:
        yield ingest


@pytest.fixture
def publishers(ingest: StandIn) -> Publishers:
    """Polls it."""
    return Publishers(Client(ingest.port, "secret"))


def test_a_publisher_with_an_active_key_is_found_with_its_address(ingest: StandIn, publishers: Publishers) -> None:
    ingest.publish("a", f"live/{KEY}")
    ingest.publish("b", f"live//{OTHER}", remote="[fe80::1]:40000")
    found = publishers.poll(ACTIVE, 0)
    assert {(publisher.stream_id, publisher.path, publisher.remote) for publisher in found.values()} == {
        (1, f"live/{KEY}", "10.0.0.5"),
        (2, f"live//{OTHER}", "fe80::1"),
    }
    assert ingest.kicked == []
    assert publishers.problem is None


@pytest.mark.parametrize("path", [f"live/{OLD}", f"live//{OLD}", "live/", "other/path", "live/x/y"])
def test_whoever_publishes_without_an_active_key_is_kicked_at_every_poll(
    ingest: StandIn, publishers: Publishers, path: str
) -> None:
    ingest.publish("a", path)
    ingest.publish("b", f"live/{KEY}")
    assert set(publishers.poll(ACTIVE, 0)) == {1}
    publishers.poll(ACTIVE, 1)
    assert ingest.kicked == ["a", "a"]


def test_a_key_that_was_rotated_ends_its_publisher(ingest: StandIn, publishers: Publishers) -> None:
    ingest.publish("a", f"live/{KEY}")
    assert set(publishers.poll(ACTIVE, 0)) == {1}
    assert publishers.poll({digest(OLD): 1}, 1) == {}
    assert ingest.kicked == ["a"]


def test_an_ingest_that_is_replaced_between_two_polls_is_noticed(ingest: StandIn, publishers: Publishers) -> None:
    engines = []
    for now_s, ingest.version in enumerate((EMBEDDED_VERSION, "v1.20.1")):
        publishers.poll(ACTIVE, now_s)
        engines.append(publishers.engine)
    assert engines == ["embedded", "mediamtx"]


def test_readers_are_left_alone(ingest: StandIn, publishers: Publishers) -> None:
    ingest.conns["r"] = {"id": "r", "remoteAddr": "127.0.0.1:1", "state": "read", "path": f"live/{OLD}"}
    publishers.poll(ACTIVE, 0)
    assert ingest.kicked == []


def test_of_two_for_one_stream_the_first_stays(ingest: StandIn, publishers: Publishers) -> None:
    ingest.publish("z", f"live//{KEY}")
    assert publishers.poll(ACTIVE, 0)[1].path == f"live//{KEY}"
    ingest.publish("a", f"live/{KEY}")
    ingest.items = dict(reversed(ingest.items.items()))  # whatever order they are listed in
    assert publishers.poll(ACTIVE, 1)[1].path == f"live//{KEY}"
    assert ingest.kicked == ["a"]


def test_a_publisher_that_is_only_connecting_is_not_live_yet(ingest: StandIn, publishers: Publishers) -> None:
    ingest.publish("a", f"live/{KEY}")
    ingest.items[f"live/{KEY}"]["available"] = False
    assert publishers.poll(ACTIVE, 0) == {}
    assert publishers.waiting == {1}
    assert ingest.kicked == []


def test_a_frozen_publisher_is_offline_and_live_again_when_bytes_come(ingest: StandIn, publishers: Publishers) -> None:
    ingest.publish("a", f"live/{KEY}")
    for second in range(10):
        ingest.flow()
        assert set(publishers.poll(ACTIVE, second)) == {1}
    assert set(publishers.poll(ACTIVE, 9 + LIVE_S - 0.1)) == {1}
    assert publishers.waiting == set()
    assert publishers.poll(ACTIVE, 9 + LIVE_S) == {}
    assert publishers.waiting == {1}
    ingest.flow()
    assert set(publishers.poll(ACTIVE, 20)) == {1}
    assert publishers.waiting == set()


@pytest.mark.parametrize(
    ("status", "patience_s", "problem"), [(None, PATIENCE_S, NOT_RUNNING), (401, GATE_PATIENCE_S, SILENT)]
)
def test_an_ingest_that_does_not_answer_is_offline_after_a_while(
    ingest: StandIn, status: int | None, patience_s: float, problem: str
) -> None:
    publishers = Publishers(Client(ingest.port, "secret"))
    ingest.publish("a", f"live/{KEY}")
    assert set(publishers.poll(ACTIVE, 0)) == {1}
    if status is None:
        publishers.client = Client(1, "secret")
    else:
        ingest.status = status
    assert set(publishers.poll(ACTIVE, patience_s - 0.1)) == {1}, "a hiccup is nothing"
    assert publishers.poll(ACTIVE, patience_s) == {}
    assert publishers.problem == problem
    ingest.status, publishers.client = 200, Client(ingest.port, "secret")
    ingest.flow()
    assert set(publishers.poll(ACTIVE, 60)) == {1}
    assert publishers.problem is None


def test_which_ingest_it_is_is_heard_from_it_however_late_it_answers_and_whenever_it_is_another(
    ingest: StandIn, publishers: Publishers
) -> None:
    ingest.version, ingest.status = "v1.20.1", 500
    engines = []
    for second in range(3):
        publishers.poll(ACTIVE, second)
        engines.append(publishers.engine)
        ingest.status = 200
        if second == 1:  # it is started again, sooner than anybody would call it gone
            ingest.version = EMBEDDED_VERSION
    assert engines[1:] == ["mediamtx", "embedded"]


def test_a_connection_that_cannot_be_ended_hides_nobody(ingest: StandIn, publishers: Publishers) -> None:
    ingest.publish("a", f"live/{OLD}")
    ingest.publish("b", f"live/{KEY}")
    ingest.kick_status = 500
    for second in range(6):
        ingest.flow()
        assert set(publishers.poll(ACTIVE, second)) == {1}
    assert publishers.problem is None


def test_no_key_reaches_the_log(ingest: StandIn, publishers: Publishers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ingest.publish("a", f"live/{OLD}")
    ingest.publish("b", f"live/{KEY}")
    ingest.publish("c", f"live//{KEY}")
    ingest.kick_status = 500
    publishers.poll(ACTIVE, 0)
    ingest.status = 500
    publishers.poll(ACTIVE, 0)
    publishers.poll(ACTIVE, 60)
    assert caplog.records
    assert KEY not in caplog.text
    assert OLD not in caplog.text
