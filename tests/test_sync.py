"""The service `sync`: a real process, and a real mosquitto over TLS with the centre's own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.messages import Kind
from appliance.times import now
from tests.boxes import until
from tests.sync_room import PATIENCE_S, CentreRoom, SyncedBox
from tests.test_sync_outbox import all_rows, record


@pytest.fixture
def room(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[CentreRoom]:
    with CentreRoom(tmp_path, free_port).running() as room:
        yield room


@pytest.fixture
def box(tmp_path: Path, free_port: Callable[[], int]) -> SyncedBox:
    box = SyncedBox(tmp_path / "box", free_port)
    box.store.summaries.begin_epoch(now(), believed=True)
    return box


def passes(box: SyncedBox, *minutes_ago: int) -> None:
    record(box.store, *minutes_ago, now=now())


def until_told(box: SyncedBox, room: CentreRoom) -> None:
    """The centre has what the box has, and the box knows."""
    until(
        lambda: room.ingest.model.rows == all_rows(box.store) and not box.store.summaries.behind(1),
        PATIENCE_S,
        "the centre has everything",
    )


def test_what_a_box_counts_reaches_its_centre(box: SyncedBox, room: CentreRoom) -> None:
    room.join(box.config.state)
    passes(box, 0, 1, 500)
    with box.syncing():
        until_told(box, room)
        (hello, *_) = room.ingest.of(Kind.HELLO)
        assert hello.streams == {"1": "door"}
        assert hello.epoch == box.store.summaries.newest_epoch()
        assert len(hello.machine) == 16
        assert hello.takes_commands
        until(lambda: room.ingest.statuses() == ["running"], PATIENCE_S, "the state is told")
        status = box.store.fleet.status()
        assert status and status.connected and not status.problem
        passes(box, 0)
        until_told(box, room)
        until(lambda: box.store.services.is_alive("sync", now()), PATIENCE_S, "a heartbeat")
        assert box.end_sync() == 0
        until(lambda: room.ingest.statuses()[-1] == "stopped", PATIENCE_S, "it says that it stopped")
        assert not box.is_connected()
