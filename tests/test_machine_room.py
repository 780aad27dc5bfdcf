"""The machine room: what is asked over a real socket, what root's process makes of it, and what it refuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.machine import answering, doing, naming, programs
from appliance.machine.asking import ask
from appliance.machine.requests import (
    MAX_LINE_BYTES,
    Done,
    FactoryReset,
    Name,
    Refused,
    Restart,
    ShutDown,
    TimeZone,
    answer_in,
    as_line,
)
from appliance.sections import Machine, Update
from tests.boxes import until
from tests.conftest import REPOSITORY
from tests.machine_room import Room

NOBODY = 65534


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def test_a_restart_is_answered_before_it_happens(room: Room) -> None:
    assert "restarts now" in ask(room.config, Restart()).words
    room.ended()
    assert room.noted() == ["systemctl reboot"]


def test_the_machine_is_shut_down(room: Room) -> None:
    assert "shuts down now" in ask(room.config, ShutDown()).words
    room.ended()
    assert room.noted() == ["systemctl poweroff"]


def test_a_name_is_for_the_network_and_the_page_begins_again_by_it(room: Room) -> None:
    assert "front-door" in ask(room.config, Name(" Front-Door ")).words
    room.ended()
    assert [line.split()[0] for line in room.noted()] == ["hostnamectl", "sed", "systemctl", "systemctl"]
    assert room.noted()[0] == "hostnamectl set-hostname front-door" and "/etc/hosts" in room.noted()[1]
    assert room.noted()[2:] == [
        "systemctl try-restart avahi-daemon.service",
        "systemctl try-restart mb9k-serve.service",
    ]


NO_NAMES = ["", " ", "-a", "a-", "a b", "a.b", "a" * 64, "häuschen", "a\nb", "a;reboot", "$(reboot)", "12", "localhost"]


@pytest.mark.parametrize("host", NO_NAMES)
def test_what_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="name"):
        naming.host_name(host)


def test_root_looks_at_a_name_itself(room: Room) -> None:
    for host in ("--help", "a\nb"):
        with pytest.raises(InputError, match="A name in the network"):
            ask(room.config, Name(host))
    assert room.noted() == []


@pytest.mark.parametrize("host", ["a", "a1", "1a", "a-b", "a--b", "mb9k-7f3a", "a" * 63, "A"])
def test_what_is_a_name_is_one(host: str) -> None:
    assert naming.host_name(host) == host.lower()


def test_a_time_zone_is_one_of_the_systems(room: Room) -> None:
    assert "Asia/Kathmandu" in ask(room.config, TimeZone("Asia/Kathmandu")).words
    assert room.noted()[0] == "timedatectl set-timezone Asia/Kathmandu"
    for zone in ("", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe/Berlin; reboot", "asia/kathmandu"):
        with pytest.raises(InputError, match="no such time zone"):
            ask(room.config, TimeZone(zone))
    assert len(room.noted()) == 2


def test_the_zone_in_force_is_read_from_the_systems_link(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    assert naming.zone(link) == "UTC"
    link.symlink_to("../usr/share/zoneinfo/America/Argentina/Salta")
    assert naming.zone(link) == "America/Argentina/Salta" and naming.zone(link) in naming.zones()


def test_what_a_program_complains_of_is_said(room: Room) -> None:
    room.stand_in("hostnamectl", "Could not set property: Access denied", code=1)
    with pytest.raises(UserError, match="Access denied") as failed:
        ask(room.config, Name("door"))
    assert not isinstance(failed.value, InputError)
    (room.programs / "hostnamectl").unlink()
    with pytest.raises(UserError, match="could not be run"):
        ask(room.config, Name("door"))


def test_a_verb_that_the_configuration_leaves_out_is_refused(tmp_path: Path) -> None:
    made = Room(tmp_path, machine={"may": ["name"]})
    with pytest.raises(UserError, match=r"not in machine\.may"):
        ask(made.config, Restart())
    made.close()
    assert made.noted() == []


def test_one_thing_is_done_at_a_time(room: Room) -> None:
    with answering.alone(room.config), pytest.raises(UserError, match="being changed just now"):
        ask(room.config, Restart())
    assert "restarts" in ask(room.config, Restart()).words


def test_whoever_hangs_up_does_not_stop_what_was_asked(room: Room) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(str(room.socket_path))
        gone.sendall(as_line(TimeZone("Europe/Oslo")))
    until(lambda: bool(room.processes), 60, "it is heard")
    room.ended()
    assert room.noted()[0] == "timedatectl set-timezone Europe/Oslo"


ASKS = """
import socket, sys
with socket.socket(socket.AF_UNIX) as room:
    room.connect(sys.argv[1])
    room.sendall(b'{"verb": "restart"}' + bytes([10]))
    print(room.makefile().read())
"""


def test_others_than_the_boxs_user_are_refused() -> None:
    """As root: somebody else asks. As somebody: the box is another's."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:  # a folder that everybody can enter
        folder = Path(name)
        folder.chmod(0o755)
        made = Room(folder, **({} if is_root else {"state_dir": "/"}))
        made.socket_path.chmod(0o666)
        command, user = ["/usr/bin/python3", "-c", ASKS, str(made.socket_path)], NOBODY if is_root else None
        said = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", user=user).stdout
        assert json.loads(said)["answer"] == "refused" and "own services" in said
        made.close()
        assert made.noted() == []


def test_a_box_set_up_by_hand_says_so() -> None:
    with pytest.raises(InputError, match="set up by hand"):
        ask(Config(), Restart())


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = Config(machine=Machine(socket=str(tmp_path / "none")))
    with pytest.raises(UserError, match=r"mb9k-machine\.socket"):
        ask(config, Restart())


@pytest.mark.parametrize("said", [b"", b"rubbish\n", b'{"answer": "other"}\n', b'{"answer": "said", "words": "half'])
def test_a_room_that_answers_nonsense_is_an_error_in_a_line(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "room.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        command = (
            "import socket, sys; s = socket.socket(fileno=0).accept()[0]; s.recv(999); s.sendall(sys.argv[1].encode())"
        )
        room = subprocess.Popen([sys.executable, "-c", command, said.decode()], stdin=listening.fileno())
        with pytest.raises(UserError):
            ask(Config(machine=Machine(socket=str(path))), Restart())
        room.wait(30)


def test_a_room_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "room.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with pytest.raises(UserError, match="does not answer"):
            ask(Config(machine=Machine(socket=str(path))), Restart(), patience_s=0.2)


def test_it_needs_a_connection(room: Room) -> None:
    process = room.start(subprocess.DEVNULL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and b"mb9k-machine.socket" in said


# From here on in this process: many lines, quickly.


def answers(config: Config, data: bytes) -> list[object]:
    """What is answered to these bytes, after which nothing more comes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(30)
        try:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
        except BrokenPipeError:  # more than is read
            pass
        answering.answer(ours, config)
        said = b"".join(iter(lambda: theirs.recv(65_536), b""))
    return [answer_in(line) for line in said.splitlines()]


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A box whose programs are all absent, so that whatever would be done fails; and that waits for no page."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(programs, "ANSWER_S", 0.0)
    machine = Machine(socket=str(tmp_path / "room.sock"), ssh_dir=str(tmp_path / "ssh"))
    return Config(state_dir=str(tmp_path), machine=machine, update=Update(releases=str(tmp_path / "none")))


WORDS = st.text(max_size=80) | st.sampled_from(
    ["restart", "ssh", "../x", "a\x00b", "\ud800".encode("utf-8", "replace").decode()]
)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | WORDS, lambda inner: st.lists(inner, max_size=3))
LINES = st.binary(max_size=300) | st.dictionaries(
    st.sampled_from(["verb", "host", "zone", "on", "keys", "confirmed"]) | WORDS, VALUES, max_size=5
).map(lambda made: json.dumps(made).encode())
VERBS = st.sampled_from(["name", "time_zone", "ssh", "factory_reset", "update", "", "Restart"])


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=LINES, verb=VERBS)
def test_whatever_is_said_there_is_one_answer_which_refuses(quick: Config, line: bytes, verb: str) -> None:
    for data in (line, line + b"\n", json.dumps({"verb": verb}).encode()[:-1] + b", " + line[1:] + b"\n"):
        said = answers(quick, data)
        assert len(said) == 1 and isinstance(said[0], Refused), data
        assert said[0].because == "input" or verb in ("name", "time_zone", "ssh", "factory_reset")
        assert "\n" not in said[0].words and "Traceback" not in said[0].words


def test_a_line_too_long_is_not_read_to_its_end(quick: Config) -> None:
    (refused,) = answers(quick, b'{"verb": "name", "host": "' + b"a" * (MAX_LINE_BYTES + 9) + b'"}\n')
    assert isinstance(refused, Refused) and "too long" in refused.words


def test_whoever_sends_half_a_line_is_not_waited_for_long(quick: Config) -> None:
    ours, theirs = socket.socketpair()
    times = iter([0.0, 0.1, 99.0])
    with ours, theirs:
        theirs.sendall(b'{"verb"')
        answering.answer(ours, quick, lambda: next(times))
        assert b"in time" in theirs.recv(1000)


def test_only_one_line_counts(quick: Config) -> None:
    (refused,) = answers(quick, b'{"verb": "restart"}\n{"verb": "shut_down"}\n')
    assert isinstance(refused, Refused)


def test_an_answer_reads_back_as_itself() -> None:
    for said in (Done("done"), Refused("no", "input"), Refused("no")):
        assert answer_in(as_line(said)) == said


def test_a_reset_that_is_not_meant_wipes_nothing(quick: Config) -> None:
    with pytest.raises(InputError, match=socket.gethostname()):
        doing.do(quick, FactoryReset("another"), print)


def test_the_command_is_in_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "machine", "--help"], capture_output=True, cwd=REPOSITORY
    )
    assert b"answer" in done.stdout and b"reset" in done.stdout
