"""`mb9k central`: the whole centre as real processes, and its commands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from appliance import joining
from appliance.central import broker, run
from appliance.central.check import problems
from appliance.central.config import CentralConfig, load
from appliance.central.opening import open_database
from appliance.central.status import CLOCK_AHEAD, CLOCK_BEHIND, NOT_TAKEN
from appliance.cli import cli
from appliance.config import ConfigError, as_toml, sections, settings
from appliance.errors import UserError
from appliance.join_code import parse
from appliance.messages import NOT_JSON, Kind, topic
from tests.boxes import START_S, end, is_listening, until
from tests.brokers import mosquitto
from tests.centres import PATIENCE_S, Centre
from tests.conftest import REPOSITORY

TAKEN = {"Success", "No matching subscribers"}


@pytest.fixture
def centre(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Centre]:
    made = Centre(tmp_path / "centre", free_port)
    yield made
    made.close()


def mb9k(centre: Centre, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """A command at this centre."""
    command = [sys.executable, "-m", "appliance.cli", "central", "--config", str(centre.path), *words]
    return subprocess.run(command, input=typed, capture_output=True, text=True, cwd=REPOSITORY, timeout=START_S)


@contextmanager
def running(centre: Centre) -> Iterator[subprocess.Popen[bytes]]:
    """`mb9k central run`, from when all of it answers until the end of the block."""
    mosquitto()
    command = [sys.executable, "-m", "appliance.cli", "central", "--config", str(centre.path), "run"]
    ports = (centre.config.broker.port, centre.config.joining.port, centre.config.web.port)
    with (centre.folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=REPOSITORY)
    try:
        until(lambda: all(map(is_listening, ports)) or process.poll() is not None, START_S, "all of it answers")
        yield process
    finally:
        end(process)
        print((centre.folder / "log").read_text())


def children(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """What it runs: name and number."""
    found = {}
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        found["mosquitto" if b"mosquitto" in words[0] else words[-1].decode()] = int(pid)
    return found


def test_one_command_runs_a_centre_and_ends_all_of_it(centre: Centre, tmp_path: Path) -> None:
    with running(centre) as process:
        started = children(process)
        assert set(started) == {"mosquitto", "ingest", "serve", "joining", "notify"}
        joined = joining.ask(parse(centre.invite()), "hallway", time.time())
        assert joined.answer.box == "hallway"
        page = httpx.get(f"http://127.0.0.1:{centre.config.web.port}/health", timeout=PATIENCE_S)
        assert page.status_code == 200
        process.send_signal(signal.SIGINT)  # Ctrl-C
        assert process.wait(PATIENCE_S) == 128 + signal.SIGINT
        for pid in started.values():
            assert not Path(f"/proc/{pid}").exists()
    log = (centre.folder / "log").read_text()
    assert re.search(r"enter the claim code \w{4}-\w{4} to make the first admin", log)
    assert "Traceback" not in log


def test_what_dies_is_started_again(centre: Centre) -> None:
    with running(centre) as process:
        before = children(process)
        for name in ("mosquitto", "joining"):
            os.kill(before[name], signal.SIGKILL)
        until(
            lambda: all(children(process).get(name, before[name]) != before[name] for name in ("mosquitto", "joining")),
            START_S,
            "they are started again",
        )
        until(lambda: is_listening(centre.config.broker.port), START_S, "the broker answers")


def test_a_box_that_is_revoked_elsewhere_is_cut_off_by_the_machine_with_the_broker(
    centre: Centre, tmp_path: Path
) -> None:
    there = centre.box(tmp_path / "box")
    with running(centre):
        centre.database.execute("update boxes set machine = '0000000000000000'")
        client = centre.client_of(there)
        assert client.connect() == "Success"
        assert client.publish(topic(there.box, Kind.STATE)) in TAKEN
        # As another machine does it that has the database, but neither the broker nor its files.
        centre.database.execute("update boxes set revoked_utc = 1")
        centre.database.execute("update certificates set revoked_utc = 1")
        until(lambda: bool(client.disconnected), PATIENCE_S, "it is cut off")
        client.close()


def test_a_broker_that_hangs_is_ended(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HUNG_S", 0.5)
    monkeypatch.setattr(run, "CHECK_S", 0.0)
    monkeypatch.setattr(run, "CHECK_TIMEOUT_S", 0.2)
    mosquitto()
    broker.write(centre.config, centre.trust, centre.database, time.time())
    child = run.children(centre.config, centre.path, "info")[0]
    child.start(time.monotonic())
    assert child.process
    try:
        until(lambda: is_listening(centre.config.broker.port), PATIENCE_S, "mosquitto answers")
        keeper = run.BrokerKeeper(centre.config, centre.trust, child, set())
        for _ in range(8):
            keeper.step()
            keeper.end_if_hung(time.monotonic())
            time.sleep(0.1)
        assert child.process.poll() is None, "one that answers is left alone"
        child.process.send_signal(signal.SIGSTOP)

        def is_ended() -> bool:
            keeper.step()
            keeper.end_if_hung(time.monotonic())
            return child.process is not None and child.process.poll() is not None

        until(is_ended, PATIENCE_S, "it is ended")
    finally:
        child.process.kill()
        child.process.wait()
        child.forget()


def test_without_mosquitto_it_says_what_to_do(centre: Centre) -> None:
    other = msgspec.structs.replace(centre.config.broker, binary="no-such-mosquitto")
    with pytest.raises(UserError, match=r"install the package mosquitto, or set broker\.own = false"):
        run.broker_command(msgspec.structs.replace(centre.config, broker=other))


def test_with_another_broker_none_is_started(centre: Centre) -> None:
    elsewhere = msgspec.structs.replace(centre.config.broker, own=False, host="broker.example.org")
    config = msgspec.structs.replace(centre.config, broker=elsewhere)
    assert [child.name for child in run.children(config, centre.path, "info")] == [
        "ingest",
        "serve",
        "joining",
        "notify",
    ]


def test_boxes_sites_and_people_are_made_at_the_command_line(centre: Centre, tmp_path: Path) -> None:
    assert mb9k(centre, "add-site", "Hospital", "--group", "North", "--at", "48.1", "11.5").returncode == 0
    assert "is a site Hospital already" in mb9k(centre, "add-site", "Hospital").stderr
    added = mb9k(centre, "add-box", "Front door", "--site", "hospital")
    assert added.returncode == 0 and "For one box, until" in added.stderr
    assert parse(added.stdout).host == "localhost"
    assert "There is no site Nowhere; there are: Hospital." in mb9k(centre, "add-box", "x", "--site", "Nowhere").stderr
    assert parse(mb9k(centre, "add-box", "--boxes", "30", "--days", "14").stdout)
    there = centre.box(tmp_path / "box")
    assert "hallway\thallway\t\tnever heard of" in mb9k(centre, "boxes").stdout
    assert "hallway is shut out." in mb9k(centre, "revoke", there.box).stdout
    again = mb9k(centre, "revoke", there.box)
    assert (again.returncode, again.stderr.startswith("mb9k: There is no box hallway")) == (1, True)
    assert mb9k(centre, "claim").stdout.strip()
    words = ("user", "add", "bea", "--site", "Hospital")
    assert "bea may sign in now." in mb9k(centre, *words, typed="four words long enough\n").stdout
    assert mb9k(centre, "user", "list").stdout == "bea\tanalyst\n"
    assert "claimed already" in mb9k(centre, "claim").stderr


def test_the_broker_s_files_are_written_and_shown(centre: Centre) -> None:
    shown = mb9k(centre, "broker-config").stdout
    assert "use_identity_as_username true" in shown and "pattern write mb9k/%u/sums" in shown
    assert (centre.config.broker_dir / broker.REVOKED).exists()


def test_a_centre_is_checked(centre: Centre, tmp_path: Path) -> None:
    mosquitto()
    assert problems(centre.config, time.time()) == []
    centre.box(tmp_path / "box")
    centre.database.execute("update boxes set told_problem = 'Two machines use this name.'")
    centre.database.execute("update certificates set expires_utc = 1")
    first, second = problems(centre.config, time.time())
    assert first == "hallway: Two machines use this name."
    assert "`mb9k central add-box --again hallway`" in second
    for told, next_step in (
        (NOT_TAKEN.format(reason=NOT_JSON), "What to do stands on its page, /boxes/hallway."),
        (CLOCK_BEHIND[1].format(count=3), "Set the clock of the box, or give it a time server that it reaches."),
        (CLOCK_AHEAD[0].format(count=9), "Set the clock of the box, or give it a time server that it reaches."),
    ):
        centre.database.execute("update boxes set told_problem = ?", [told])
        assert problems(centre.config, time.time())[0] == f"hallway: {told} {next_step}"
    checked = mb9k(centre, "check")
    assert checked.returncode == 1 and "the centre is not well" in checked.stderr


def test_an_empty_file_is_a_working_centre_and_what_is_printed_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "central.toml"
    path.write_text("")
    assert load(path) == CentralConfig()
    path.write_text(as_toml(CentralConfig()))
    assert load(path) == CentralConfig()


def test_every_setting_is_explained() -> None:
    for _, section in sections(CentralConfig()):
        fields = {field.name for field in msgspec.structs.fields(section)}
        parts = {name for name in fields if isinstance(getattr(section, name), msgspec.Struct)}
        assert settings(type(section)).keys() == fields - parts


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = 'red'", "colour"),
        ("[broker]\nport = 0", "port"),
        ("[broker]\npublic_host = 'https://centre'", "public_host"),
        ("[broker]\nown = false", "broker.host must say"),
        ("[broker]\ncertificate = 'x.pem'", "come together"),
        ("[database]\nurl = 'mysql://x'", "begins with postgresql://"),
        ("[keep]\nminutes_days = 0", "minutes_days"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "central.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load(path)


def test_a_centre_needs_not_read_the_configuration_of_a_box(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    box = tmp_path / "mb9k.toml"
    box.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    found = CliRunner().invoke(cli, ["--config", str(box), "central", "--config", str(centre.path), "config"])
    assert found.exit_code == 0, found.output


def test_a_metrics_token_that_is_made_or_ended_at_the_command_line_is_on_record(centre: Centre) -> None:
    asked = ["central", "--config", str(centre.path), "metrics-token"]
    made, ended = CliRunner().invoke(cli, asked), CliRunner().invoke(cli, [*asked, "--end"])
    assert (made.exit_code, ended.exit_code) == (0, 0), made.output + ended.output
    with closing(open_database(centre.config.database_address)) as database:
        rows = list(database.query("select action, actor_kind, subject, details from audit order by number"))
    told = [(row["action"], row["actor_kind"], row["subject"]) for row in rows]
    assert told == [("token_made", "operator", "for /metrics"), ("token_revoked", "operator", "for /metrics")]
    assert not any(made.output.strip() in str(row["details"]) for row in rows)
