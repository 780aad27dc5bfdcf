"""The command: what a person types, and what it says when it is wrong."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from appliance import mail
from appliance.cli import cli, main
from appliance.faces import Detection, State
from appliance.images import ImageFiles
from appliance.secrets import password_matches
from appliance.store import BoxClock, Store, StoredImage, WallClock
from appliance.times import now
from tests.alerted import OFFICE, OFFLINE, something_is_wrong
from tests.mail_servers import mail_server


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


def mb9k(box: Path, *words: str, typed: str = "") -> Ended:
    """The command in this process, from its entry point on: starting Python takes longer than all that it does."""
    said, complained, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.setattr(sys, "argv", ["mb9k", "--config", str(box), *words])
        patch.setattr(sys, "stdin", io.StringIO(typed))
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


ADD_SOURCE = ["stream", "add", "door", "--owner", "ann", "--source", "rtsp://camera/1"]


def test_a_persons_mistake_is_one_line_and_exit_code_1(box: Path) -> None:
    for words, typed, said in (
        (["check"], "", "there is no record yet"),
        (["strem"], "", "No such command"),
        (["stream", "add", "door", "--owner", "nobody"], "", "nobody called nobody"),
        (["user", "password", "nobody"], "long enough\n", "nobody called nobody"),
        (["user", "add", "ann"], "short\n", "at least 8"),
        (["user", "add", "ann"], "", "no password came"),
        ([*ADD_SOURCE, "--source-user", "admin"], "", "no password of the camera came"),
        (["user", "add", "ann", "--password", "long enough"], "", "No such option"),
        (["detect", "--no-such-option"], "", "No such option"),
    ):
        done = mb9k(box, *words, typed=typed)
        assert done.returncode == 1, words
        assert said in done.stderr, words
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_wrong_configuration_is_one_line(box: Path) -> None:
    box.write_text("colour = 1")
    done = mb9k_process(box, "run")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "colour" in done.stderr


def test_people_and_streams_are_made_and_listed(box: Path) -> None:
    assert mb9k(box, "user", "add", "ann", "--role", "admin", typed="long enough\n").returncode == 0
    again = mb9k(box, "user", "add", "Ann", typed="long enough\n")
    assert again.returncode == 1
    assert "already called" in again.stderr
    made = mb9k_process(box, "stream", "add", "door", "--owner", "ann")
    key = made.stdout.split()[-1]
    assert len(key) == 20
    assert mb9k(box, "stream", "add", "door", "--owner", "ann").returncode == 1
    assert mb9k(box, "stream", "add", "yard", "--owner", "ann", "--source", "rtsp://camera/1").returncode == 0
    assert mb9k(box, "stream", "list").stdout == "ann:door\tnot known\nann:yard\tnot known\n", "no watcher runs"
    assert mb9k(box, "user", "list").stdout == "ann\tadmin\n"
    state = (box.parent / "state" / "mb9k.db").read_bytes()
    assert key.encode() not in state, "the key itself is kept nowhere"


def test_a_password_is_typed_unseen_twice_in_a_terminal(box: Path) -> None:
    command = [sys.executable, "-m", "appliance.cli", "--config", str(box), "user", "add", "ann"]
    process, terminal = pty.fork()
    if process == 0:
        os.execv(command[0], command)  # noqa: S606
    shown = b""
    for asked in (b"Password: ", b"Repeat for confirmation: "):
        while asked not in shown:
            shown += os.read(terminal, 1000)
        arguments = Path(f"/proc/{process}/cmdline").read_bytes()
        os.write(terminal, b"long enough\n")
    with suppress(OSError):  # the terminal ends with its process
        while more := os.read(terminal, 1000):
            shown += more
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    os.close(terminal)
    assert b"ann may sign in now." in shown
    assert b"long enough" not in shown + arguments


def test_a_password_is_read_from_standard_input_as_it_is(box: Path) -> None:
    mb9k(box, "user", "add", "ann", typed=" spaces belong to it \nthis does not\n")
    store = Store.open(box.parent / "state" / "mb9k.db")
    ann = store.people.named("ann")
    assert ann and password_matches(" spaces belong to it ", ann.password_hash)
    store.close()


def test_no_command_takes_a_password_as_an_argument() -> None:
    def options(command: click.Command) -> Iterator[str]:
        for option in command.params:
            yield from option.opts
        for below in getattr(command, "commands", {}).values():
            yield from options(below)

    assert not [each for each in options(cli) if re.search("password|secret|token$|key$", each)]


def test_a_new_password_ends_tokens_unless_they_are_kept_and_they_are_listed(box: Path) -> None:
    mb9k(box, "user", "add", "ann", typed="long enough\n")
    store = Store.open(box.parent / "state" / "mb9k.db")
    store.people.add_token(1, "report", "digest", 0.0, 60.0)
    listed = "ann\treport\t1970-01-01T00:00:00.000Z\tnever used\t1970-01-01T00:01:00.000Z\n"
    assert mb9k(box, "user", "tokens").stdout == listed
    assert mb9k(box, "user", "password", "ann", "--keep-tokens", typed="another one\n").returncode == 0
    assert len(store.people.tokens(1)) == 1
    assert mb9k(box, "user", "password", "ann", typed="another one\n").returncode == 0
    assert store.people.tokens(1) == []
    store.close()


def test_the_claim_code_is_the_same_until_it_was_used(box: Path) -> None:
    first = mb9k(box, "claim").stdout
    assert len(first.strip()) == 9
    assert mb9k(box, "claim").stdout == first
    mb9k(box, "user", "add", "ann", "--role", "admin", typed="long enough\n")
    assert "claimed already" in mb9k(box, "claim").stderr


def test_check_finds_a_lost_image_and_says_what_to_do(box: Path) -> None:
    mb9k(box, "user", "add", "ann", "--role", "admin", typed="long enough\n")
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
    assert "1 image is gone (19700101: 1)" in done.stdout


def test_check_counts_wrong_sums_again_if_it_is_asked_to(box: Path) -> None:
    assert "there is no record yet" in mb9k(box, "check", "--repair").stderr
    mb9k(box, "user", "add", "ann", "--role", "admin", typed="long enough\n")
    mb9k(box, "stream", "add", "door", "--owner", "ann")
    assert "repair" not in mb9k(box, "check", "--repair").stdout
    store = Store.open(box.parent / "state" / "mb9k.db")
    store.detections.add(1, Detection(0, 1, State.MASK, 1, 3, (0, 0, 9, 9), 99, 99, "m"))
    store.db.execute("update summaries set mask = 7")
    store.close()
    done = mb9k(box, "check")
    assert done.returncode == 1
    assert "mb9k check --repair" in done.stdout
    done = mb9k(box, "check", "--repair")
    assert done.returncode == 0
    assert "1 minute was counted again" in done.stdout and "all is well" in done.stdout
    assert mb9k(box, "check").returncode == 0


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
    assert "Since the machine started, nothing has said that it is right" in mb9k(box, "clock", "show").stdout
    store.ages.note_clock(BoxClock(5.0, moment.boot_id, moment.uptime_s, moment.utc, WallClock.LEAPT))
    assert "It was believed, and then leapt, so" in mb9k(box, "clock", "show").stdout


def test_what_is_wrong_is_listed_and_a_recipient_is_tried_out(box: Path, tmp_path: Path) -> None:
    store = Store.open(box.parent / "state" / "mb9k.db")
    assert mb9k(box, "alert", "list").stdout == ""
    assert "`notify` is not running" in mb9k(box, "alert", "list").stderr
    assert "There are: none yet" in mb9k(box, "alert", "test", "office").stderr
    with store.writing():
        something_is_wrong(store.alerts, now())
    assert mb9k(box, "alert", "list").stdout.endswith(f"\tann:door\t{OFFLINE}\n")
    assert "There are: Office." in mb9k(box, "alert", "test", "nobody").stderr
    untold = mb9k(box, "alert", "test", "office")
    assert (untold.returncode, untold.stdout) == (1, "") and "No mail server is set" in untold.stderr
    with mail_server(tmp_path) as inbox:
        mail.save(tmp_path / "state", inbox.server)
        assert "The test was taken" in mb9k(box, "alert", "test", "office").stdout
        assert [message["To"] for message in inbox.messages] == [OFFICE]
    store.close()


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
