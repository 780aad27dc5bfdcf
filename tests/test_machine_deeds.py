"""What root does for the page with ssh and for a reset: real files, ssh-keygen and find, a stand-in for systemctl."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import InputError, UserError
from appliance.machine import reset, ssh
from appliance.machine.asking import ask
from appliance.machine.requests import FactoryReset, Ssh
from tests.machine_room import Room
from tests.test_machine_keys import ED25519, keygen, packed

OTHER = f"ssh-ed25519 {packed(b'ssh-ed25519', bytes(range(32)))} bob"
UNITS = (
    "mb9k.target mb9k-gate.service mb9k-ingest.service mb9k-watch.service mb9k-serve.service mb9k-sync.service"
    " mb9k-notify.service*"
)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_ssh_is_turned_on_with_keys_only_and_off_again(room: Room) -> None:
    folder = Path(room.config.machine.ssh_dir)
    with pytest.raises(InputError, match="Add a public key first"):
        ask(room.config, Ssh(True, ()))
    assert not ssh.access(room.config).on and "systemctl start mb9k-ssh.service" not in room.noted()

    assert ask(room.config, Ssh(True, (ED25519, OTHER, ED25519))).words == "ssh is on."
    there = ssh.access(room.config)
    assert there.on and [each.comment for each in there.keys] == ["ann@example", "bob"]
    assert there.host == keygen("-lf", str(folder / "host_ed25519")).split()[1]
    assert room.noted()[-1] == "systemctl start mb9k-ssh.service"
    assert names(folder) == {"keys", "on", "host_ed25519", "host_ed25519.pub"}
    assert (folder / "host_ed25519").stat().st_mode & 0o777 == 0o600
    assert (folder / "keys").stat().st_mode & 0o777 == 0o644, "sshd refuses one that others may write"

    assert ask(room.config, Ssh(False, (OTHER,))).words == "ssh is off."
    assert room.noted()[-2:] == ["systemctl stop mb9k-ssh.service", "loginctl terminate-user root"]
    off = ssh.access(room.config)
    assert not off.on and [each.comment for each in off.keys] == ["bob"] and off.host == there.host


def test_root_looks_at_every_key_itself(room: Room) -> None:
    for line in (f'command="reboot" {ED25519}', f"{ED25519}\n{OTHER}", "rubbish"):
        with pytest.raises(InputError):
            ask(room.config, Ssh(True, (OTHER, line)))
    with pytest.raises(InputError, match="More than 20 keys"):
        ask(room.config, Ssh(False, (OTHER,) * 21))
    assert names(Path(room.config.machine.ssh_dir)) == set()


def test_ssh_that_does_not_start_is_off(room: Room) -> None:
    room.stand_in("systemctl", "Job for mb9k-ssh.service failed", code=1)
    with pytest.raises(UserError, match="failed"):
        ask(room.config, Ssh(True, (OTHER,)))
    assert not ssh.access(room.config).on


def test_ssh_on_a_machine_without_its_folder_is_an_error_in_a_line(room: Room) -> None:
    Path(room.config.machine.ssh_dir).rmdir()
    with pytest.raises(UserError, match="not set up for ssh"):
        ask(room.config, Ssh(False, ()))
    assert ssh.access(room.config) == ssh.Access(False, (), "")


def fill(room: Room, outside: Path) -> None:
    """A box that was used: files, folders, links that lead out of it."""
    state = room.config.state
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (state / "images/2026").mkdir(parents=True)
    (state / "images/2026/a").write_text("a picture")
    (state / ".hidden").write_text("x")
    (state / "mb9k.db").write_text("x")
    (state / "way-out").symlink_to(outside)
    (state / "images/way-out").symlink_to("..")


def test_a_reset_stops_the_box_empties_its_folders_and_starts_it(tmp_path: Path) -> None:
    room = Room(tmp_path / "room", run_dir=str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/preview").write_text("a picture")
    fill(room, tmp_path / "outside")
    ask(room.config, Ssh(True, (ED25519,)))
    room.noted_path.unlink()
    assert "wiped now" in ask(room.config, FactoryReset(f" {socket.gethostname().upper()}")).words
    room.close()
    assert names(room.config.state) == names(tmp_path / "run") == names(Path(room.config.machine.ssh_dir)) == set()
    assert names(tmp_path / "outside") == {"kept"} and not reset.mark_path(room.config).exists()
    assert room.noted() == [
        f"systemctl stop {UNITS}",
        "systemctl stop mb9k-ssh.service",
        "loginctl terminate-user root",
        "systemctl start mb9k.target",
    ]


def test_a_reset_that_is_not_meant_wipes_nothing(room: Room, tmp_path: Path) -> None:
    fill(room, tmp_path / "outside")
    for words in ("", "another", "."):
        with pytest.raises(InputError, match="type its name"):
            ask(room.config, FactoryReset(words))
    assert room.noted() == [] and "mb9k.db" in names(room.config.state)
    assert not reset.mark_path(room.config).exists()


def test_a_reset_that_was_cut_off_is_ended_before_the_services_start(room: Room, tmp_path: Path) -> None:
    fill(room, tmp_path / "outside")
    reset.mark_path(room.config).touch()
    process = room.start(subprocess.DEVNULL, "reset")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and b"wiped" in out, err
    assert names(room.config.state) == set() and not reset.mark_path(room.config).exists()
    assert not [line for line in room.noted() if line.startswith("systemctl start")], "systemd starts them"
    again = room.start(subprocess.DEVNULL, "reset")
    assert b"no factory reset was begun" in again.communicate(timeout=60)[1]


def test_a_reset_that_cannot_stop_the_box_wipes_nothing_yet(room: Room, tmp_path: Path) -> None:
    fill(room, tmp_path / "outside")
    room.stand_in("systemctl", "Failed to connect to bus", code=1)
    ask(room.config, FactoryReset(socket.gethostname()))
    said = room.ended()
    assert "Failed to connect to bus" in said and "mb9k.db" in names(room.config.state)
    assert reset.mark_path(room.config).exists(), "the next start ends it"


def test_an_image_is_wiped_by_its_own_start(tmp_path: Path) -> None:
    mark = tmp_path / "factory-reset"
    room = Room(tmp_path / "room", machine={"reset_file": str(mark)})
    fill(room, tmp_path / "outside")
    assert "restarts now" in ask(room.config, FactoryReset(socket.gethostname())).words
    room.close()
    assert mark.exists() and room.noted() == ["systemctl reboot"] and "mb9k.db" in names(room.config.state)


def test_an_image_whose_mark_cannot_be_written_says_so(tmp_path: Path) -> None:
    room = Room(tmp_path / "room", machine={"reset_file": str(tmp_path / "absent/factory-reset")})
    with pytest.raises(UserError, match="nothing was wiped"):
        ask(room.config, FactoryReset(socket.gethostname()))
    room.close()
    assert room.noted() == []
