"""`mb9k screen` as a process: on a real terminal, on a serial line, with a real record; and when these are missing."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.certificates import whole_fingerprint
from appliance.commands.screen import show
from appliance.config import load
from appliance.disk import Reserve
from appliance.faces import Detection, State
from appliance.https import Keeper
from appliance.interfaces import addresses
from appliance.language import speaking
from appliance.notes import Hotspot, Notes
from appliance.screen.looking import DISK_FULL, PATIENCE_S, Looker
from appliance.screen.terminal import AGAIN_S, Console, Serial, serial_consoles
from appliance.service import SERVICES
from appliance.store import Store
from appliance.times import Now, now
from tests.boxes import end, until
from tests.conftest import REPOSITORY
from tests.screens import Terminal, scanned

WAIT_S = 30.0
NOBODY = 65534


class Pty:
    """A terminal of this machine, and what stands on it."""

    def __init__(self, columns: int = 80, rows: int = 25) -> None:
        self.ours, self.theirs = pty.openpty()
        self.path = Path(os.ttyname(self.theirs))
        self.shown = Terminal(columns, rows)
        self.raw = b""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.shown = Terminal(columns, rows)

    def read(self) -> list[str]:
        """What stands there, after all that was written so far."""
        while select.select([self.ours], [], [], 0.05)[0]:
            data = os.read(self.ours, 65536)
            self.raw += data
            self.shown.feed(data)
        return self.shown.lines()

    def has(self, words: str) -> bool:
        return words in " ".join(" ".join(self.read()).split())

    def close(self) -> None:
        for handle in (self.ours, self.theirs):
            with suppress(OSError):
                os.close(handle)


@pytest.fixture
def terminal() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.close()


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "mb9k.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\n[web]\nhttps = true\nport = 443\n[screen]\ncounts = true\n')
    return path


@pytest.fixture
def store(config_path: Path) -> Iterator[Store]:
    made = Store.open(load(config_path).store_path)
    yield made
    made.close()


def be_alive(store: Store, *but: str) -> None:
    """What all services say of themselves."""
    for service in SERVICES:
        if service.name not in but:
            store.services.heartbeat(service.name, 1, now().utc, None, now())


@pytest.fixture
def screen(config_path: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started = []

    def start(*options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "appliance.cli", "--config", str(config_path), "screen"]
        command += ["--notes", str(tmp_path / "notes"), *options]
        with (tmp_path / "log").open("ab") as log:
            started.append(subprocess.Popen(command, cwd=REPOSITORY, stderr=log))
        return started[-1]

    yield start
    for process in started:
        end(process)


def test_a_screen_says_how_to_claim_the_box_until_it_is_claimed_and_counts_then(
    terminal: Pty, screen: Callable[..., subprocess.Popen[bytes]], store: Store, config_path: Path, tmp_path: Path
) -> None:
    config, serial = load(config_path), Pty()
    Keeper(config).refresh(now().utc)
    be_alive(store)
    process = screen("--tty", str(terminal.path), "--serial", str(serial.path))
    until(lambda: terminal.has("belongs to nobody yet"), WAIT_S, "it says that it is nobody's")
    be_alive(store)
    code = config.claim_code_path.read_text().strip()
    assert terminal.has(code)
    pem = config.served_certificate_path.read_text()
    fingerprint = whole_fingerprint(pem[pem.index("-----BEGIN CERTIFICATE") :])
    assert terminal.has(fingerprint[:23])
    if addresses():
        assert scanned(terminal.read(), 80).endswith(f"/claim#{code}")

    store.people.add("ann", "no password", Role.ADMIN, now().utc)
    stream = store.streams.add_with_key(1, "door", "digest", now().utc)
    until(lambda: terminal.has("Today"), WAIT_S, "it counts")
    assert not terminal.has(code)
    at = now().utc
    seen = Detection(at, at + 4, State.MASK, 0.93, 12, (210.0, 80.0, 330.0, 240.0), 1280, 720, "mb9k-test")
    before = terminal.read()
    store.detections.add(stream, seen, None)
    until(lambda: terminal.read() != before, WAIT_S, "the count is another one")

    end(process)
    assert b"\x1b[?25h" in terminal.raw + os.read(terminal.ours, 1000), "the cursor is back"
    told = b"".join(iter_read(serial)).decode()
    assert told.count(code) == 1 and told.count("This box is set up") == 1
    serial.close()


def iter_read(serial: Pty) -> Iterator[bytes]:
    while select.select([serial.ours], [], [], 0.1)[0]:
        yield os.read(serial.ours, 65536)


def test_nothing_is_written_while_nothing_changes_and_all_when_the_size_does(
    terminal: Pty, screen: Callable[..., subprocess.Popen[bytes]], store: Store, config_path: Path
) -> None:
    store.people.add("ann", "no password", Role.ADMIN, now().utc)
    config_path.write_text(f'language = "de"\n{config_path.read_text()}')
    screen("--tty", str(terminal.path))
    until(lambda: terminal.has("Heute"), WAIT_S, "it is drawn, in the language of the box")
    before = len(terminal.raw)
    time.sleep(5)
    terminal.read()
    assert len(terminal.raw) == before
    terminal.resize(120, 40)
    until(lambda: terminal.has("Heute"), WAIT_S, "it is drawn for the other size")


def test_a_console_that_is_not_there_is_waited_for_and_one_that_goes_is_forgotten(
    screen: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    link, first, second = tmp_path / "tty", Pty(), Pty()
    process = screen("--tty", str(link))
    log = tmp_path / "log"
    until(lambda: "cannot be drawn on" in log.read_text(), WAIT_S, "it says so, and goes on")
    link.symlink_to(first.path)
    until(lambda: first.has("mb9k"), WAIT_S, "it is drawn on")
    link.unlink()
    link.symlink_to(second.path)
    first.close()  # hangs up
    until(lambda: second.has("mb9k"), WAIT_S, "the other one is drawn on")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    second.close()


def test_what_somebody_types_does_not_appear_nor_stop_it(terminal: Pty) -> None:
    console = Console(terminal.path)
    assert console.size() == (80, 25)
    os.write(terminal.ours, b"who is there\x13")
    assert console.draw(["first"], (80, 25), 0.0) and not console.draw(["first"], (80, 25), AGAIN_S - 1)
    assert terminal.has("first") and not terminal.has("who")
    os.write(terminal.theirs, b"\x1b[Hsomebody writes over it")
    assert console.draw(["first"], (80, 25), AGAIN_S) and terminal.read()[0] == "first"
    assert console.draw(["next"], (80, 25), AGAIN_S + 1) and terminal.read()[0] == "next"
    console.close()


def test_a_console_that_may_only_be_written_is_one(terminal: Pty) -> None:
    """As Debian's are for the group `tty`: click would refuse a file that it cannot read."""
    terminal.path.chmod(0o222)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child does not need
        child = os.fork()
    if not child:
        try:
            if not os.geteuid():
                os.setresuid(NOBODY, NOBODY, NOBODY)
            console = show.make_context("screen", ["--tty", str(terminal.path)]).params["tty"]
            os._exit(0 if Console(console).size() else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_line_that_nobody_reads_holds_nothing_up(terminal: Pty) -> None:
    serial = Serial(terminal.path)
    assert serial.tell(["x" * 100_000]), "as far as it goes"
    assert not Serial(Path("/nowhere/tty")).tell(["a"])


def test_serial_consoles_are_those_of_the_kernel_without_a_screen(tmp_path: Path) -> None:
    (tmp_path / "active").write_text("tty0 tty1 ttyS0 ttyAMA10 hvc0\n")
    assert serial_consoles(tmp_path / "active") == [Path("/dev/ttyS0"), Path("/dev/ttyAMA10"), Path("/dev/hvc0")]
    assert serial_consoles(tmp_path / "none") == []


def test_what_is_wrong_is_seen(store: Store, config_path: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    notes = Notes(tmp_path / "notes")
    looker = Looker(load(config_path), notes)
    moment = now()
    be_alive(store, "watch", "serve")
    assert looker.look(moment).problems == (), "they may be starting"
    later = Now(moment.utc, moment.boot_id, moment.uptime_s + PATIENCE_S - 0.5)
    store.services.heartbeat("gate", 1, later.utc, None, later)
    store.services.heartbeat("sync", 1, later.utc, "This box has not reached its centre.", later)
    much_later = Now(later.utc, later.boot_id, later.uptime_s + 1)
    seen = looker.look(much_later)
    text = " ".join(seen.problems)
    assert "The page does not answer" in text and "nothing is being judged" in text and "its centre" in text
    assert "no stream can be let in" not in text and not seen.is_ready

    notes.say_wifi("mb9k-wifi.txt, line 2: it must begin with ssid=.")
    notes.say_hotspot(Hotspot("mb9k-4xk2", "abcd-efgh-jkmn", "10.42.0.1"))
    seen = looker.look(much_later)
    assert seen.wifi.startswith("mb9k-wifi.txt, line 2") and seen.hotspot and seen.hotspot.ssid == "mb9k-4xk2"
    notes.say_hotspot(None)
    assert looker.look(much_later).hotspot is None
    looker.close()


def test_what_is_wrong_is_seen_in_the_language_of_the_box(store: Store, config_path: Path, tmp_path: Path) -> None:
    looker = Looker(load(config_path), Notes(tmp_path))
    with speaking("de"):
        looker.look(now())
        later = Now(now().utc, now().boot_id, now().uptime_s + 2 * PATIENCE_S)
        store.services.heartbeat("gate", 1, later.utc, DISK_FULL, later)
        problems = looker.look(later).problems
    assert "Die Seite antwortet nicht. Wenn das so bleibt, starten Sie die Box neu." in problems
    assert "Der Beobachter läuft nicht; darum wird nichts beurteilt." in problems
    assert any(each.startswith("Der Speicher ist voll") for each in problems), "a service put it on record in English"
    looker.close()


def test_a_full_disk_is_told_instead_of_services_that_cannot_write_that_they_live(
    store: Store, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reserve, "is_needed", lambda _: True)
    looker = Looker(load(config_path), Notes(tmp_path))
    looker.look(now())
    seen = looker.look(Now(now().utc, now().boot_id, now().uptime_s + 2 * PATIENCE_S))
    assert seen.problems == ("The disk is full: no images are kept. Sign in and delete old detections.",)
    looker.close()


def test_without_a_record_it_says_that_the_box_starts_and_then_that_something_is_wrong(
    config_path: Path, tmp_path: Path
) -> None:
    config = load(config_path)
    looker = Looker(config, Notes(tmp_path))
    moment = now()
    assert looker.look(moment).starts
    late = Now(moment.utc, moment.boot_id, moment.uptime_s + PATIENCE_S)
    assert "cannot be read" in looker.look(late).problems[0]
    config.state.mkdir()
    config.store_path.write_bytes(b"no database at all" * 100)
    assert "cannot be read" in looker.look(moment).problems[0]
    with speaking("de"):
        (problem,) = looker.look(moment).problems
    assert problem == (
        f"Die Aufzeichnung lässt sich nicht lesen: {config.store_path}: die Datei ist keine Datenbank; wurde die Box"
        " gestartet? `mb9k check` sagt mehr"
    )
    looker.close()


def test_what_stands_on_the_screen_can_be_printed_anywhere(store: Store, config_path: Path, tmp_path: Path) -> None:
    be_alive(store)
    joined = "The Wi-Fi Hall 5 could not be joined: is its password right, and is it near enough?"
    (tmp_path / "wifi").write_text(joined)
    config_path.write_text(f'language = "fr"\n{config_path.read_text()}')
    command = [sys.executable, "-m", "appliance.cli", "--config", str(config_path), "screen"]
    command += ["--once", "--notes", str(tmp_path)]
    size = {**os.environ, "COLUMNS": "100", "LINES": "30"}
    text = subprocess.run(command, cwd=REPOSITORY, env=size, capture_output=True, text=True, check=True).stdout
    code = load(config_path).claim_code_path.read_text().strip()
    assert code in text and "! Impossible de rejoindre le Wi-Fi Hall 5 : son mot" in " ".join(text.split())
    assert all(len(line) <= 100 for line in text.splitlines())
