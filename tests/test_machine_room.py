"""The machine room: what is asked over a real socket, what root's process makes of it, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import Config, Machine
from appliance.errors import UserError
from appliance.machine.asking import ask
from appliance.machine.requests import Restart
from tests.machine_room import Room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def test_a_restart_is_answered_before_it_happens(room: Room) -> None:
    assert "restarts now" in ask(room.config, Restart()).words
    room.ended()
    assert room.noted() == ["systemctl reboot"]


def test_a_box_set_up_by_hand_says_so() -> None:
    with pytest.raises(UserError, match="set up by hand"):
        ask(Config(), Restart())


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = Config(machine=Machine(socket=str(tmp_path / "none")))
    with pytest.raises(UserError, match=r"mb9k-machine\.socket"):
        ask(config, Restart())
