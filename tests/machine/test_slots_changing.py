"""An update of the whole system, step by step: what is undone, and what becomes of the record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from appliance.slots.grubenv import Grub, choose
from appliance.slots.loader import other
from appliance.slots.trials import Step, Trial
from appliance.slots.tryboot import Tryboot
from appliance.update.versions import UpdateError
from tests.slot_room import UTC, SlotRoom, bundle, grubenv
from tests.test_cli import mb9k
from tests.test_slots import AUTOBOOT

PATIENCE_S = 0.1


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlotRoom:
    room = SlotRoom(tmp_path)
    room.begin_record("ann")
    monkeypatch.setenv("PATH", room.path_of_programs())
    assert room.changer().prove(PATIENCE_S, UTC) == "slot A is good"
    return room


def migrate(room: SlotRoom) -> None:
    """Let a version that is still to come have migrated the record."""
    with closing(sqlite3.connect(room.config.store_path)) as connection, connection:
        connection.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values ('appliance', 'm999_later', '')"
        )


def restart(room: SlotRoom) -> None:
    """What the machine does when it starts: GRUB chooses, and what is to be done before the services is done."""
    assert isinstance(room.loader, Grub)
    choice = choose(room.loader.variables())
    grubenv(room.loader.path, "".join(f"{name}={value}\n" for name, value in choice.variables.items()).encode())
    room.slot = choice.slot
    room.said.append(room.changer().resume(UTC, at_boot=True))


def test_a_system_that_is_written_starts_next_with_a_copy_of_the_record_kept(room: SlotRoom) -> None:
    room.changer().update(bundle(), "0.1.0", UTC)
    assert room.restarts == [""] and room.loader.primary() == "B"
    target, units = room.systemctl_was_told()
    assert (target, units.split()[:2]) == ("stop mb9k.target", ["stop", "mb9k-gate.service"]), "and waits for each"
    trial = room.trials.read()
    assert trial and (trial.step, trial.slot_after, trial.after) == (Step.TRYING, "B", "0.2.0")
    assert (room.config.state / "update" / "system.db").exists()
    assert room.said[:2] == ["Writing 0.2.0 into slot B ...", "Writing it: 100 %"]
    restart(room)
    assert (room.slot, room.said[-1]) == ("B", "the system 0.2.0 is to prove itself")


def test_a_system_that_does_not_come_up_is_undone_after_three_starts_and_nothing_is_lost(room: SlotRoom) -> None:
    room.changer().update(bundle(), "0.1.0", UTC)
    for _ in range(3):
        restart(room)
        assert room.slot == "B"
        with pytest.raises(UpdateError, match=r"not well within 0\.1 s: gate does not live"):
            room.changer().prove(PATIENCE_S, UTC)
    room.begin_record("ben")
    restart(room)
    assert room.slot == "A" and "0.1.0 runs again: all that was counted is kept" in room.said[-1]
    assert room.people() == ["ann", "ben"] and room.trials.read() is None
    (outcome,) = room.trials.outcomes()
    assert (outcome.runs, outcome.record) == ("0.1.0", "all that was counted is kept")
    assert not room.loader.is_good("B"), "it is not tried again"
    assert list((room.config.state / "update").iterdir()) == []
    assert room.changer().prove(PATIENCE_S, UTC) == "slot A is good"
    restart(room)
    assert room.slot == "A"


def test_the_record_is_as_it_was_before_if_the_old_system_cannot_read_the_new_one(room: SlotRoom) -> None:
    room.changer().update(bundle(), "0.1.0", UTC)
    room.begin_record("ben")
    migrate(room)
    for _ in range(4):
        restart(room)
    assert room.slot == "A" and "the record is as it was before, everybody signed out" in room.said[-1]
    assert room.people() == ["ann"]
    assert len(list(room.config.state.glob("mb9k.db.aside-*Z"))) == 1


def test_a_power_cut_while_it_is_undone_is_undone_further(room: SlotRoom) -> None:
    room.changer().update(bundle(), "0.1.0", UTC)
    migrate(room)
    trial = room.trials.read()
    for _ in range(4):
        restart(room)
    assert trial
    room.trials.write(trial)  # as if the power had gone before this was forgotten
    restart(room)
    assert room.slot == "A" and room.people() == ["ann"] and room.trials.read() is None


@pytest.mark.parametrize("step", ["keep", "write", "stop"])
def test_what_fails_before_the_restart_changes_nothing(room: SlotRoom, step: str) -> None:
    def refused(_path: Path, _say: Callable[[str], None]) -> None:
        raise UpdateError("it could not be written (no room); look into `journalctl -u rauc`")

    if step == "keep":
        migrate(room)
    elif step == "write":
        room.write = refused
    else:
        (room.folder / "bin" / "systemctl").write_text('#!/bin/sh\n# A stand-in.\n[ "$1" != stop ] || exit 1\n')
    with pytest.raises(UpdateError, match=r"0\.1\.0 runs on, nothing was changed"):
        room.changer().update(bundle(), "0.1.0", UTC)
    assert room.trials.read() is None and room.restarts == []
    assert (room.loader.primary(), room.loader.is_good("B")) == ("A", False)
    assert room.trials.outcomes()[0].trouble
    if step != "stop":
        assert room.systemctl_was_told() == []


def test_a_restart_that_does_not_come_lets_the_old_system_run_on(room: SlotRoom) -> None:
    changer = room.changer()
    object.__setattr__(changer, "restart", lambda _argument: (_ for _ in ()).throw(UpdateError("`systemctl reboot`")))
    with pytest.raises(UpdateError, match="nothing was changed"):
        changer.update(bundle(), "0.1.0", UTC)
    assert room.systemctl_was_told()[-1] == "start mb9k.target" and room.loader.primary() == "A"


def test_a_power_cut_while_it_is_written_leaves_the_old_system(room: SlotRoom) -> None:
    def cut(_path: Path, _say: Callable[[str], None]) -> None:
        room.loader.set_good("B", False)
        raise SystemExit

    room.write = cut
    with pytest.raises(SystemExit):
        room.changer().update(bundle(), "0.1.0", UTC)
    assert room.trials.read() is None, "what was asked to end tidies up"
    room.trials.write(_trial(Step.WRITING, "0.2.0"))  # and what was killed does not
    with pytest.raises(UpdateError, match="that has not ended; restart the machine"):
        room.changer().refuse_unfinished()
    restart(room)
    assert room.slot == "A" and room.said[-1] == "0.2.0 was not written to its end; 0.1.0 runs on"


def test_an_updater_that_was_killed_alone_is_noticed_without_a_restart(room: SlotRoom) -> None:
    room.trials.write(_trial(Step.TRYING, "0.2.0"))
    assert "0.1.0 runs again: all that was counted is kept" in room.changer().resume(UTC, at_boot=False)
    told = room.systemctl_was_told()
    assert (told[0], told[-1]) == ("stop mb9k.target", "start mb9k.target")


def test_a_system_that_is_not_on_trial_need_not_be_well(room: SlotRoom) -> None:
    """It would not be mended by an older one."""
    room.loader.set_good("B", True)
    assert room.changer().prove(PATIENCE_S, UTC) == "slot A is good"
    room.trials.write(_trial(Step.WRITING, "0.2.0"))
    assert room.changer().prove(PATIENCE_S, UTC) == "slot A is good"
    assert room.trials.read()


def test_a_pi_comes_back_to_the_old_slot_between_the_attempts(room: SlotRoom) -> None:
    path = room.folder / "autoboot.txt"
    path.write_text(AUTOBOOT)
    room.loader = Tryboot(path)
    room.changer().update(bundle(), "0.1.0", UTC)
    assert room.restarts == ["0 tryboot"]
    for attempt in (2, 3):
        assert room.changer().resume(UTC, at_boot=True) == "0.2.0 gets another attempt"
        assert room.restarts == ["0 tryboot"] * attempt
    assert "0.1.0 runs again" in room.changer().resume(UTC, at_boot=True)
    assert room.loader.primary() == "A" and not room.loader.is_good("B")


def test_the_list_shows_how_the_last_updates_of_the_system_ended(room: SlotRoom) -> None:
    (room.folder / "releases" / "0.1.0").mkdir(parents=True)
    (room.folder / "releases" / "current").symlink_to("0.1.0")
    settings = f'[update]\nreleases = "{room.folder / "releases"}"\n[slots]\nfolder = "{room.trials.folder}"\n'
    room.config_path.write_text(room.config_path.read_text() + settings)
    room.trials.write(_trial(Step.TRYING, "0.2.0"))
    assert "cut off: the system 0.1.0 -> 0.2.0, trying" in mb9k(room.config_path, "update", "list").stdout
    room.changer().resume(UTC, at_boot=True)
    said = mb9k(room.config_path, "update", "list").stdout
    assert "the system 0.1.0 -> 0.2.0\tundone: 0.2.0 did not prove itself in 3 starts" in said


def test_files_that_cannot_be_read_are_left_to_people(room: SlotRoom) -> None:
    room.trials.folder.mkdir()
    room.trials.path.write_bytes(b"{")
    with pytest.raises(UpdateError, match="remove it"):
        room.trials.read()
    (room.trials.folder / "outcomes.json").write_bytes(b"[")
    assert room.trials.outcomes() == []


def _trial(step: Step, after: str) -> Trial:
    return Trial(step, "0.1.0", after, "A", other("A"), UTC)
