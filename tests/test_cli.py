"""The command: what a person types, and what it says when it is wrong."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.faces import Detection, State
from appliance.images import ImageFiles
from appliance.store import BoxClock, Store, StoredImage, WallClock
from appliance.times import now


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A configuration file for a box of its own."""
    path = tmp_path / "mb9k.toml"
    path.write_text(f'state_dir = "{tmp_path / "state"}"\n')
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def mb9k(box: Path, *words: str) -> Ended:
    """The command in this process, from its entry point on: starting Python takes longer than all that it does."""
    said, complained, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.setattr(sys, "argv", ["mb9k", "--config", str(box), *words])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, said.getvalue(), complained.getvalue())


def mb9k_process(box: Path, *words: str) -> Ended:
    """The command as a process of its own, in which every warning is an error."""
    command = [sys.executable, "-m", "appliance.cli", "--config", str(box), *words]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_persons_mistake_is_one_line_and_exit_code_1(box: Path) -> None:
    for words, said in (
        (["check"], "there is no store yet"),
        (["strem"], "No such command"),
        (["stream", "add", "door", "--owner", "nobody"], "nobody called nobody"),
        (["user", "password", "nobody", "--password", "long enough"], "nobody called nobody"),
        (["user", "add", "ann", "--password", "short"], "at least 8"),
        (["detect", "--no-such-option"], "No such option"),
    ):
        done = mb9k(box, *words)
        assert done.returncode == 1, words
        assert said in done.stderr, words
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_wrong_configuration_is_one_line(box: Path) -> None:
    box.write_text("colour = 1")
    done = mb9k_process(box, "run")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "colour" in done.stderr


def test_people_and_streams_are_made_and_listed(box: Path) -> None:
    assert mb9k(box, "user", "add", "ann", "--role", "admin", "--password", "long enough").returncode == 0
    again = mb9k(box, "user", "add", "Ann", "--password", "long enough")
    assert again.returncode == 1
    assert "already called" in again.stderr
    made = mb9k_process(box, "stream", "add", "door", "--owner", "ann")
    key = made.stdout.split()[-1]
    assert len(key) == 20
    assert mb9k(box, "stream", "add", "door", "--owner", "ann").returncode == 1
    assert mb9k(box, "stream", "add", "yard", "--owner", "ann", "--source", "rtsp://camera/1").returncode == 0
    assert mb9k(box, "stream", "list").stdout == "ann:door\toffline\nann:yard\toffline\n"
    assert mb9k(box, "user", "list").stdout == "ann\tadmin\n"
    state = (box.parent / "state" / "mb9k.db").read_bytes()
    assert key.encode() not in state, "the key itself is kept nowhere"


def test_the_claim_code_is_the_same_until_it_was_used(box: Path) -> None:
    first = mb9k(box, "claim").stdout
    assert len(first.strip()) == 9
    assert mb9k(box, "claim").stdout == first
    mb9k(box, "user", "add", "ann", "--role", "admin", "--password", "long enough")
    assert "claimed already" in mb9k(box, "claim").stderr


def test_check_finds_a_lost_image_and_says_what_to_do(box: Path) -> None:
    mb9k(box, "user", "add", "ann", "--role", "admin", "--password", "long enough")
    mb9k(box, "stream", "add", "door", "--owner", "ann")
    assert mb9k(box, "check").returncode == 0
    store = Store.open(box.parent / "state" / "mb9k.db")
    images = ImageFiles(box.parent / "state" / "images")
    place = images.append(b"\xff\xd8\xff\xd9", 0.0)
    seen = Detection(0, 1, State.MASK, 1, 3, (0, 0, 9, 9), 99, 99, "m")
    store.detections.add(1, seen, StoredImage(place.day, place.offset, place.size_bytes, "token"))
    store.close()
    assert mb9k(box, "check").returncode == 0
    images.forget(place.day)
    done = mb9k(box, "check")
    assert done.returncode == 1
    assert "1 images cannot be read" in done.stdout


def test_the_clock_is_shown_and_confirmed(box: Path) -> None:
    store = Store.open(box.parent / "state" / "mb9k.db")
    assert "The watcher has not noted it yet; start the box." in mb9k(box, "clock", "show").stdout
    moment = now()
    store.ages.note_clock(BoxClock(5.0, moment.boot_id, moment.uptime_s, 0.0, WallClock.LEAPT, "It went from to."))
    assert "It went from to." in mb9k(box, "clock", "show").stdout
    confirmed = mb9k(box, "clock", "confirm")
    assert confirmed.returncode == 0
    assert "Images that are too old by this clock go within a minute." in confirmed.stdout
    assert (clock := store.ages.clock())
    assert (clock.wall_clock, clock.notice) == (WallClock.BELIEVED, None)
    assert clock.utc is not None
    assert abs(clock.utc - moment.utc) < 60
    assert "It is believed." in mb9k(box, "clock", "show").stdout
    store.ages.note_clock(BoxClock(5.0, "an earlier start", 9.0, moment.utc, WallClock.BELIEVED))
    assert "Nothing has said yet that it is right" in mb9k(box, "clock", "show").stdout


def test_every_command_explains_itself(box: Path) -> None:
    for words in (
        [],
        ["run"],
        ["gate"],
        ["ingest"],
        ["watch"],
        ["serve"],
        ["check"],
        ["user", "add"],
        ["stream", "add"],
    ):
        done = mb9k(box, *words, "--help")
        assert done.returncode == 0
        assert "Usage:" in done.stdout
