"""A power cut at any step of an update leaves a box that works, old or new: everything is killed -9, then it starts.

More than CI has time for: MB9K_UPDATE_CUTS=all .venv/bin/pytest tests/test_update_cuts.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.update.releases import CURRENT, PROVEN
from tests.machine.test_update import NEW_FORM, NO_SITE
from tests.update_cut import ALONE, CALLS, IN_PIP, cut_at_call, cut_off
from tests.update_room import Bundles, Room

ALL = os.environ.get("MB9K_UPDATE_CUTS") == "all"
# Without ALL, those after which the disk is the same as after their neighbour but for the journal are left out.
WHILE_BUILDING = [IN_PIP, "after trial", *(["after point proven", "say Making", "say Trying", "after keep"] * ALL)]
WHILE_NOTHING_RUNS = [
    *("after stop", "after keep_at_rest", "after point current"),
    *(["say Stopping", "say Copying", "say Switching"] * ALL),
]
WHILE_IT_RUNS = ["after start", *(["say Starting"] * ALL)]
WHILE_SETTLING = ["say is well", "after point proven", "after prune", "after forget"]
WHILE_UNDOING = ["say Undoing", "after point current", "after put_back", "after forget"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, bundles: Bundles, good: Path) -> Iterator[Room]:
    """0.1.0 runs, 0.2.0 and 0.5.0 are kept; the latter does not come up, and gives the record another form."""
    bad = bundles.make("0.5.0", {**NO_SITE, **NEW_FORM})
    room = Room.make(tmp_path_factory.mktemp("room"), bundles, bundles.make("0.1.0"), good, bad)
    yield room
    room.systemctl("stop")


def resume(room: Room) -> str:
    """What the unit does at the next start of the machine, before the services."""
    done = room.mb9k("update", "resume", "--at-boot", version="proven")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_a_cut_while_the_release_is_made_leaves_the_old_one(room: Room, bundles: Bundles, at: str) -> None:
    bundle = bundles.folder / "mb9k-0.6.0.mb9k"
    if not bundle.exists():
        bundles.make("0.6.0")
    cut_off(room, at, "update", str(bundle))
    resume(room)
    assert room.faults("0.1.0") == []
    assert room.releases.all() == ["0.1.0", "0.2.0", "0.5.0"]


@pytest.mark.parametrize("at", WHILE_NOTHING_RUNS)
def test_a_cut_while_nothing_runs_leaves_the_old_one(room: Room, at: str) -> None:
    cut_off(room, at, "back", "0.2.0")
    assert "0.1.0 runs again; all that was counted is kept" in resume(room)
    assert room.faults("0.1.0") == []


@pytest.mark.parametrize("at", WHILE_IT_RUNS)
def test_a_cut_while_the_new_one_is_to_prove_itself_leaves_the_old_one(room: Room, at: str) -> None:
    with room.running():
        cut_off(room, at, "back", "0.2.0")
        assert "0.1.0 runs again; all that was counted is kept" in resume(room)
        room.systemctl("start")
        room.wait_for_site()
    assert room.faults("0.1.0") == []


def test_an_updater_that_is_killed_alone_is_noticed_without_a_restart(room: Room) -> None:
    cut_off(room, f"{ALONE}after point current", "back", "0.2.0")
    assert "an update was cut off; `mb9k update resume` ends it" in room.mb9k("update", "back").stderr
    assert "under way, or cut off: 0.1.0 -> 0.2.0, switching" in room.mb9k("update", "list").stdout
    done = room.mb9k("update", "resume", "--if-abandoned", version="proven")
    assert "0.1.0 runs again; all that was counted is kept" in done.stdout, done.stderr
    room.wait_for_site()
    room.systemctl("stop")
    assert room.faults("0.1.0") == []


def test_cuts_of_the_undoing_itself_leave_the_old_one_with_its_record(room: Room) -> None:
    room.add_person("before")
    cut_off(room, "after point current", "back", "0.5.0")
    assert room.mb9k("user", "list", version="0.5.0").returncode == 0  # opens the record, and so migrates it
    room.add_person("meanwhile")
    assert room.mb9k("check", version="0.1.0").returncode == 1, "0.1.0 can read it"
    for at in WHILE_UNDOING:
        cut_off(room, at, "resume")
    assert "the record is as it was before" in resume(room)
    assert room.faults("0.1.0") == []
    assert room.people() == ["ann", "before"]
    (aside,) = room.config.state.glob("mb9k.db.aside-*Z")
    assert room.people(aside) == ["ann", "before", "meanwhile"]


@pytest.mark.timeout(300)
def test_cuts_after_it_has_proved_itself_leave_the_new_one(room: Room) -> None:
    with room.running():
        cut_off(room, WHILE_SETTLING[0], "back", "0.2.0")
    for at in WHILE_SETTLING[1:]:
        cut_off(room, at, "resume")
    assert "0.2.0 was done, and runs" in resume(room)
    assert room.faults("0.2.0") == []
    assert room.releases.proven() == "0.2.0"
    for link in (CURRENT, PROVEN):  # for the next test
        room.releases.point(link, "0.1.0")


if ALL:

    @pytest.mark.timeout(1200)
    def test_a_cut_at_each_system_call_of_the_updater_leaves_a_box_that_works(room: Room) -> None:
        room.releases.point(PROVEN, "0.1.0")
        cuts = 0
        for call in CALLS:
            ended_in: list[str] = []
            while cut_at_call(room, call, len(ended_in) + 1, "back", "0.2.0"):
                resume(room)
                ended_in.append(room.releases.current())
                assert room.faults(ended_in[-1]) == [], (call, len(ended_in))
                for link in (CURRENT, PROVEN):
                    room.releases.point(link, "0.1.0")
            assert ended_in == sorted(ended_in), f"{call}: old up to a point, then new"
            cuts += len(ended_in)
        print(f"{cuts} cuts")
        assert cuts > 5
        for link in (CURRENT, PROVEN):
            room.releases.point(link, "0.1.0")
