"""Commands from the centre: once, answered each time, and only what the box allows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from appliance.config import Config
from appliance.messages import Command, Outcome
from appliance.secrets import digest
from appliance.store import Store
from appliance.sync.commands import BACK_S, CUT_OFF, IDENTIFY_S, REFUSED, Commands
from appliance.sync.machine import Light
from appliance.sync.outbox import Outbox
from appliance.times import now
from tests.boxes import START_S, Box, end, until
from tests.conftest import REPOSITORY
from tests.test_sync_outbox import BEGIN, box_store, later, record

CONFIG = Config()
PLENTY = "1" * 16


@pytest.fixture
def store() -> Store:
    return box_store()


def commands(store: Store, config: Config = CONFIG, root: Path = Path("/nowhere")) -> Commands:
    return Commands(store, config, Outbox(store.summaries, Random(1)), Light(root))


def command(action: str, detail: str = "", command_id: str = PLENTY, valid_s: float = 600) -> Command:
    fields = {"id": command_id, "action": action, "detail": detail, "by": "kim", "given_utc": int(BEGIN.utc)}
    return msgspec.convert({**fields, "expires_utc": int(BEGIN.utc + valid_s)}, Command)


def outcome(store: Store, given: Command, **options: object) -> Outcome:
    """What comes of a command."""
    obeying = commands(store, **options)  # type: ignore[arg-type]
    obeying.take(given, BEGIN)
    obeying.step(BEGIN)
    (answer,) = obeying.answers
    noted = store.fleet.command(given.id)
    assert noted
    assert (noted.done, noted.words, noted.by) == (answer.done, answer.words, "kim")
    return answer


def test_a_box_may_refuse_all_of_them(store: Store) -> None:
    (key,) = store.streams.active_keys()
    config = msgspec.convert({"fleet": {"commands": False}}, Config)
    answer = outcome(store, command("rotate_key", "1"), config=config)
    assert (answer.done, answer.words) == (False, REFUSED)
    assert list(store.streams.active_keys()) == [key]


def test_one_that_comes_too_late_is_not_carried_out(store: Store) -> None:
    (key,) = store.streams.active_keys()
    answer = outcome(store, command("rotate_key", "1", valid_s=-1))
    assert not answer.done
    assert "It came too late" in answer.words
    assert list(store.streams.active_keys()) == [key]


def test_a_key_is_rotated_and_told_to_nobody(store: Store) -> None:
    (key,) = store.streams.active_keys()
    answer = outcome(store, command("rotate_key", "1"))
    assert answer.done
    (rotated,) = store.streams.active_keys()
    assert rotated != key
    assert not any(digest(word) == rotated for word in answer.words.split())


@pytest.mark.parametrize("detail", ["2", "", "-1", "door", "9" * 40])
def test_a_stream_that_is_not_there_has_no_key_to_rotate(store: Store, detail: str) -> None:
    answer = outcome(store, command("rotate_key", detail))
    assert not answer.done
    assert "There is no stream with the number" in answer.words


def test_a_stream_that_the_box_fetches_keeps_its_source(store: Store) -> None:
    stream_id = store.streams.add_with_source(1, "yard", "rtsp://camera/1", BEGIN.utc)
    answer = outcome(store, command("rotate_key", "2"))
    assert (answer.done, answer.words) == (False, "The box fetches this stream itself, so it has no key.")
    assert stream_id in store.streams.active_sources()


@pytest.mark.parametrize(("detail", "words"), [("nonsense", "There is no service"), ("watch", "is not running here")])
def test_what_does_not_run_cannot_be_ended(store: Store, detail: str, words: str) -> None:
    answer = outcome(store, command("restart", detail))
    assert not answer.done
    assert words in answer.words


def test_the_number_of_a_process_that_is_another_by_now_is_left_alone(store: Store) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        store.services.heartbeat("watch", bystander.pid, BEGIN.utc, None, BEGIN)
        assert not outcome(store, command("restart", "watch")).done
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_one_that_was_cut_off_is_not_begun_a_second_time(store: Store) -> None:
    given = command("rotate_key", "1")
    with store.writing():
        store.fleet.add_command(given)  # and then the box lost its power
    (key,) = store.streams.active_keys()
    answer = outcome(store, given)
    assert (answer.done, answer.words) == (False, CUT_OFF)
    assert list(store.streams.active_keys()) == [key]


def test_one_that_comes_again_is_answered_again_and_not_carried_out_again(store: Store) -> None:
    given = command("rotate_key", "1")
    first = outcome(store, given)
    (rotated,) = store.streams.active_keys()
    assert outcome(store, given) == first
    assert list(store.streams.active_keys()) == [rotated]


def test_send_again_begins_from_the_first_row(store: Store) -> None:
    record(store, 0, 1)
    (state,) = store.summaries.behind(9)
    store.summaries.note_watermarks({state.id: state.seq})
    assert outcome(store, command("send_again")).done
    assert [state.acked for state in store.summaries.behind(9)] == [0]


def test_identify_blinks_for_a_minute_and_then_as_before(store: Store, tmp_path: Path) -> None:
    trigger = tmp_path / "sys/class/leds/ACT/trigger"
    trigger.parent.mkdir(parents=True)
    trigger.write_text("none usb-gadget [mmc0] timer heartbeat\n")
    obeying = commands(store, root=tmp_path)
    obeying.take(command("identify"), BEGIN)
    obeying.step(later(BEGIN, 1))
    assert [(answer.done, answer.words) for answer in obeying.answers] == [
        (True, "For a minute its page says so and its light blinks.")
    ]
    assert trigger.read_text() == "timer"
    obeying.step(later(BEGIN, IDENTIFY_S))
    assert trigger.read_text() == "mmc0"


def test_identify_without_a_light_says_so_on_the_page_alone(store: Store) -> None:
    assert outcome(store, command("identify")).words == "For a minute its page says so."


def test_sync_itself_ends_once_it_has_answered(store: Store) -> None:
    obeying = commands(store)
    obeying.take(command("restart", "sync"), BEGIN)
    obeying.step(BEGIN)
    assert obeying.is_ending
    assert obeying.answers[0].done


def test_a_service_that_does_not_come_back_is_said_so(store: Store) -> None:
    gate = subprocess.Popen([sys.executable, "-c", "input()", "gate"], stdin=subprocess.PIPE)
    try:
        # The kernel lets its parent go on a moment before the new program has its arguments.
        until(lambda: b"gate" in Path(f"/proc/{gate.pid}/cmdline").read_bytes(), START_S, "it has its name")
        store.services.heartbeat("gate", gate.pid, BEGIN.utc, None, BEGIN)
        obeying = commands(store)
        obeying.take(command("restart", "gate"), BEGIN)
        assert gate.wait(START_S)
        obeying.step(later(BEGIN, BACK_S - 1))
        assert obeying.answers == []
        obeying.take(command("restart", "gate"), BEGIN)
        obeying.step(later(BEGIN, BACK_S - 1))
        assert obeying.answers == [], "it is under way"
        obeying.step(later(BEGIN, BACK_S))
        assert [answer.done for answer in obeying.answers] == [False]
    finally:
        gate.kill()
        gate.communicate()


def test_a_real_service_is_ended_and_seen_again(tmp_path: Path, free_port: Callable[[], int]) -> None:
    box = Box(tmp_path, "embedded", free_port)
    words = [sys.executable, "-m", "appliance.cli", "--config", str(box.path), "gate"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(words, cwd=REPOSITORY)

    def is_alive() -> bool:
        return any(each.alive and each.pid == gate.pid for each in box.store.services.all(now()))

    gate = start()
    try:
        until(is_alive, START_S, "the gate runs")
        obeying, moment = commands(box.store, box.config), now()
        given = replace_times(command("restart", "gate"), moment.utc)
        obeying.take(given, moment)
        assert gate.wait(START_S) == 0
        gate = start()  # as `mb9k run` does
        until(is_alive, START_S, "the gate runs again")
        obeying.step(replace(now(), uptime_s=moment.uptime_s + 5))
        assert [answer.words for answer in obeying.answers] == ["The service gate was ended, and runs again."]
    finally:
        end(gate)


def replace_times(given: Command, utc: float) -> Command:
    return msgspec.structs.replace(given, given_utc=int(utc), expires_utc=int(utc) + 600)
