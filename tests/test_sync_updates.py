"""An update that the centre asks for: only where the box allows it, once, and answered when it has ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest
from msgspec.structs import replace as changed

from appliance.config import Config
from appliance.messages import Command
from appliance.messages import Outcome as Answer
from appliance.rules import updates as rules
from appliance.sync.commands import Commands
from appliance.sync.machine import Light
from appliance.sync.outbox import Outbox
from appliance.sync.updating import CUT_OFF, NOT_ALLOWED, Order
from appliance.times import Now, now
from appliance.update.journal import Outcome, Progress, Step
from tests.boxes import until
from tests.bundle_shelf import Shelf, serving_shelf
from tests.update_pages import UpdateBox
from tests.update_room import Bundles

BEGIN = "systemctl start --no-block mb9k-update@waiting.service"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def good(bundles: Bundles) -> bytes:
    return bundles.make("0.2.0").read_bytes()


@pytest.fixture
def box(tmp_path: Path, bundles: Bundles) -> Iterator[UpdateBox]:
    made = UpdateBox(tmp_path, bundles)
    yield made
    made.close()


@pytest.fixture
def shelf(
    tmp_path: Path, free_port: Callable[[], int], good: bytes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shelf]:
    with serving_shelf(tmp_path, free_port(), good, monkeypatch) as there:
        yield there


def obeying(box: UpdateBox, config: Config | None = None) -> Commands:
    """The service, as it starts."""
    store = box.site.store
    return Commands(store, config or box.site.config, Outbox(store.summaries, Random(1)), Light(Path("/nowhere")))


def update(shelf: Shelf, command_id: str = "1" * 16, sha256: str = "", valid_s: float = 600) -> Command:
    at = int(now().utc)
    return Command(
        id=command_id,
        action="update",
        detail="mb9k.mb9k",
        by="kim",
        given_utc=at,
        expires_utc=int(at + valid_s),
        address=f"{shelf.address}/mb9k.mb9k",
        sha256=sha256 or hashlib.sha256(shelf.content).hexdigest(),
    )


def answer(commands: Commands, later_s: float = 0.0) -> Answer | None:
    """What it says by now, or so much later."""
    moment = now()
    commands.step(replace(moment, utc=moment.utc + later_s, uptime_s=moment.uptime_s + later_s + 10))
    return commands.answers.pop(0) if commands.answers else None


def answered(commands: Commands, later_s: float = 0.0) -> Answer:
    """What it says as soon as it has something to say."""
    found: list[Answer] = []

    def is_there() -> bool:
        told = answer(commands, later_s)
        found.extend([told] if told else [])
        return bool(found)

    until(is_there, 30, "an answer")
    return found[0]


def allow(box: UpdateBox) -> None:
    rules.let_centre_update(box.site.config, allowed=True)


def test_from_the_command_to_the_version_that_runs(box: UpdateBox, shelf: Shelf, good: bytes) -> None:
    allow(box)
    commands, command = obeying(box), update(shelf)
    commands.take(command, now())
    commands.take(command, now())  # the broker may bring it twice
    until(lambda: box.room.noted() == [BEGIN], 30, "root's part")
    assert box.releases.waiting.read_bytes() == good
    assert answer(commands) is None and commands.updating.words(now()) == "0.2.0 is about to be tried."
    box.journal.write(Progress(Step.CHECKING, "0.1.0", "0.2.0", now().utc, is_new=True))
    assert answer(commands) is None and commands.updating.words(now()) == "0.2.0: checking."
    commands.stop()

    commands = obeying(box)  # the update has restarted it
    commands.take(command, now())
    assert answer(commands) is None
    box.journal.end(Outcome(now().utc, "0.1.0", "0.2.0", "0.2.0"))
    told = answered(commands)
    assert (told.done, told.words) == (True, "Now 0.2.0 runs.")
    commands.take(command, now())
    assert answered(commands).words == told.words and box.room.noted() == [BEGIN], "it is carried out once"
    assert "centre.json" not in box.files


def test_one_that_was_undone_says_why(box: UpdateBox, shelf: Shelf) -> None:
    allow(box)
    commands = obeying(box)
    commands.take(update(shelf), now())
    until(lambda: box.room.noted() == [BEGIN], 30, "root's part")
    box.journal.end(Outcome(now().utc, "0.1.0", "0.2.0", "0.1.0", "0.2.0 was not well: " + "x" * 300))
    told = answered(commands)
    assert not told.done and told.words.startswith("0.2.0 was not well") and told.words.endswith(". Now 0.1.0 runs.")


def test_without_the_box_s_leave_nothing_is_fetched(box: UpdateBox, shelf: Shelf) -> None:
    assert answer_to(box, update(shelf)).words == NOT_ALLOWED
    config = changed(box.site.config, fleet=changed(box.site.config.fleet, allow_updates=True, commands=False))
    assert "takes no commands" in answer_to(box, update(shelf, "2" * 16), config).words
    allow(box)
    assert "too late" in answer_to(box, update(shelf, "3" * 16, valid_s=-5)).words
    rules.let_centre_update(box.site.config, allowed=False)
    assert answer_to(box, update(shelf, "4" * 16)).words == NOT_ALLOWED
    assert shelf.ranges == [] and box.room.noted() == [] and box.files == []


def answer_to(box: UpdateBox, command: Command, config: Config | None = None) -> Answer:
    commands = obeying(box, config)
    commands.take(command, now())
    told = answered(commands)
    assert not told.done
    return told


def test_what_is_no_bundle_for_this_box_changes_nothing(box: UpdateBox, shelf: Shelf, bundles: Bundles) -> None:
    allow(box)
    assert "its sha-256 is another" in answer_to(box, update(shelf, "1" * 16, "0" * 64)).words
    shelf.content = b"garbage" * 10_000
    assert "is no bundle of mb9k" in answer_to(box, update(shelf, "2" * 16)).words
    shelf.content = bundles.make("0.0.8").read_bytes()
    assert "older than 0.1.0" in answer_to(box, update(shelf, "3" * 16)).words
    nothing = changed(update(shelf, "4" * 16), address="")
    assert "names no bundle" in answer_to(box, nothing).words
    plain = changed(update(shelf, "5" * 16), address="http://updates.example.org/a")
    assert "must begin with https" in answer_to(box, plain).words
    gone = changed(update(shelf, "6" * 16), address=f"{shelf.address}/nothing")
    assert "has nothing there" in answer_to(box, gone).words
    assert box.room.noted() == [] and box.files == []


def test_one_at_a_time(box: UpdateBox, shelf: Shelf) -> None:
    allow(box)
    shelf.pause_s = 0.05
    commands = obeying(box)
    commands.take(update(shelf), now())
    commands.take(update(shelf, "2" * 16), now())
    told = answered(commands)
    assert told.id == "2" * 16 and "under way already" in told.words
    until(lambda: box.room.noted() == [BEGIN], 30, "root's part")


def test_a_box_that_is_cut_off_while_it_fetches_says_so_and_keeps_nothing(box: UpdateBox) -> None:
    box.uploads.mkdir(mode=0o700)
    (box.uploads / "centre.json").write_bytes(msgspec.json.encode(Order("1" * 16, "kim")))
    (box.uploads / "centre-1.part").write_bytes(b"half")
    told = answered(obeying(box))
    assert (told.done, told.words) == (False, CUT_OFF) and box.files == []


def test_one_that_did_not_begin_is_said(box: UpdateBox, shelf: Shelf) -> None:
    allow(box)
    commands = obeying(box)
    commands.take(update(shelf), now())
    until(lambda: box.room.noted() == [BEGIN], 30, "root's part")
    told = answered(commands, later_s=200)
    assert not told.done and "did not begin" in told.words


def test_an_admin_allows_it_on_the_page(box: UpdateBox) -> None:
    ann = box.site.browser("ann")
    assert not rules.centre_may_update(box.site.config)
    ann.post("/fleet/updates", allowed="yes")
    assert rules.centre_may_update(box.site.config)
    ann.post("/fleet/updates", allowed="no")
    assert not rules.centre_may_update(box.site.config)
    assert box.site.browser("sci").post("/fleet/updates", allowed="yes").status_code == 403


def test_an_old_centre_s_commands_are_read_as_before(box: UpdateBox) -> None:
    moment: Now = now()
    fields = {"id": "1" * 16, "action": "identify", "by": "kim", "given_utc": int(moment.utc)}
    command = msgspec.convert({**fields, "expires_utc": int(moment.utc) + 60}, Command)
    commands = obeying(box)
    commands.take(command, moment)
    assert answered(commands).done
