"""The service `notify`: what it finds on a box, and the real process with a real webhook, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance import mail
from appliance.alerts import changes, kinds
from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL, OF_BOX, Subject
from appliance.alerts.log import Outcome
from appliance.alerts.recipients import Way
from appliance.alerts.rounds import Rounds
from appliance.faces import Counts, Detection, PictureFault, State
from appliance.mail import MailServer, Security
from appliance.notify.looking import Looking
from appliance.rules import on_site
from appliance.service import SERVICES
from appliance.store import BoxClock, DetectionFilter, FleetStatus, Store, WallClock
from appliance.times import now
from tests.boxes import Box as RunningBox
from tests.boxes import end, until
from tests.brokers import running_broker
from tests.conftest import REPOSITORY
from tests.hooks import hanging_server, hook_server
from tests.site import Box
from tests.sync_room import SyncedBox
from tests.test_on_site import Subscriber

DOOR, LAB = 1, 2
LOOK_S = 15.0  # seldom enough for the disk of the tests


class Room(Box):
    """A box whose services live, unless they are said to be dead, and whose alerts are judged as time passes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rounds, self.dead = Rounds(), set[str]()
        now = self.clock.now
        self.store.ages.note_clock(BoxClock(9e6, now.boot_id, now.uptime_s, now.utc, WallClock.BELIEVED))
        self.store.summaries.begin_epoch(now, believed=True)

    def rule(self, kind: str, subject: Subject = ALL, **numbers: int) -> int:
        return changes.add_rule(self.store, kind, numbers, subject, "x", None, self.clock.now.utc, OF_BOX)

    def minutes(self, minutes: float) -> list[str]:
        """Let time pass; what is wrong then."""
        for _ in range(int(minutes * 60 / LOOK_S)):
            self.clock.forward(LOOK_S)
            self.look()
        return self.wrong()

    def look(self) -> None:
        now = self.clock.now
        with self.store.writing():
            for service in SERVICES:
                if service.name not in self.dead:
                    self.store.services.heartbeat(service.name, 1, now.utc, None, now)
        look = Looking(self.config, self.store, self.store.alerts.rules.all(), now)
        self.rounds.step(self.store, look, now, self.store.trends.zone())

    def wrong(self) -> list[str]:
        return [each.raised.event.words for each in self.store.alerts.log.open()]

    def last(self) -> str:
        event = self.store.alerts.log.page(1)[0].event
        return f"{event.what.value}: {event.words}"

    def live(self, *stream_ids: int) -> None:
        for stream_id in stream_ids:
            self.store.streams.set_live(stream_id, "192.0.2.7", self.clock.now.utc)

    def passes(self, state: State, times: int = 1, stream_id: int = DOOR) -> None:
        with self.store.writing():
            self.store.summaries.follow_clock(self.clock.now, True)
            for _ in range(times):
                at = self.clock.now.utc
                seen = Detection(at, at + 3, state, 0.9, 7, (1, 2, 30, 40), 640, 360, "m")
                self.store.detections.add(stream_id, seen)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "state")
    yield made
    made.close()


def test_a_rate_is_judged_once_enough_people_were(room: Room) -> None:
    room.rule("rate", percent=80, minutes=15, persons=20)
    room.rule("rate", kinds.stream(LAB), percent=50, minutes=15, persons=5)
    room.clock.forward(1200)  # who passed when the box was made is long gone
    room.passes(State.NO_MASK, 19)
    room.passes(State.UNKNOWN, 50)
    assert room.minutes(1) == []
    room.passes(State.MASK, 6, LAB)
    assert room.minutes(0.5) == [
        "The rate of all streams is 24 % (11 to 43 %, n = 25) over 15 min, which is under 80 %."
    ]
    figures = room.store.alerts.log.page(1)[0].event.figures
    assert figures == {"n": 25, "unknown": 50, "span_s": 900, "rate": 0.24, "low": 0.115, "high": 0.4343}
    room.passes(State.MASK, 100)
    assert room.minutes(0.5) == []
    assert room.last().startswith("over: The rate of all streams is 85 % ")
    room.passes(State.INCORRECT, 20, LAB)
    assert room.minutes(0.5)[-1].startswith("The rate of sci:lab is 23 % ")
    assert room.minutes(20) == []
    assert room.last() == "over: The rate of sci:lab cannot be told any more: 0 people judged in 15 min."


def test_what_is_counted_since_is_what_the_record_counts(room: Room) -> None:
    for minute in range(20):
        room.clock.forward(60)
        room.passes(list(State)[minute % 4], minute % 3, 1 + minute % 2)
        if minute % 9 == 0:
            with room.store.writing():  # another start of the watcher
                room.store.summaries.begin_epoch(room.clock.now, believed=True)
        if minute == 15:
            found = room.store.detections.page(DetectionFilter(), limit=20)
            with room.store.writing():
                room.store.detections.correct_state(found[1].id, State.MASK, "ann")
                room.store.detections.remove(found[2].id)
    for minutes in (2, 5, 19):
        since_utc = -(-int(room.clock.now.utc - 60 * minutes) // 60) * 60
        counted = room.store.summaries.counted_since(room.clock.now.utc - 60 * minutes)
        for stream_id in (DOOR, LAB):
            rows = room.store.detections.counts(DetectionFilter(stream_id=stream_id, since_utc=since_utc))
            assert counted.get(stream_id, Counts()) == rows, minutes


def test_streams_are_watched_each_for_itself_while_the_watcher_lives(room: Room) -> None:
    room.rule("offline", minutes=5)
    room.rule("nobody", minutes=10)
    room.live(DOOR)
    assert room.minutes(6) == ["sci:lab is offline."]
    room.live(LAB)
    room.passes(State.MASK)
    assert room.minutes(8) == []
    assert room.minutes(6) == [
        "sci:lab is LIVE, but nobody was judged. See what the camera shows.",
        "ann:door is LIVE, but nobody was judged. See what the camera shows.",
    ]
    room.passes(State.UNKNOWN)
    assert len(room.minutes(1)) == 2, "who is not judged is nobody"
    room.passes(State.NO_MASK)
    assert len(room.minutes(0.5)) == 1
    assert room.last() == "over: Somebody was judged in ann:door again."
    room.dead = {"watch"}
    before = room.wrong()
    assert room.minutes(10) == before, "of streams nothing is known now"
    room.store.streams.set_active(LAB, False)
    room.dead = set()
    assert room.minutes(0.5) == []


def test_an_alert_says_whether_the_box_is_at_fault_and_who_was_refused(room: Room) -> None:
    room.rule("offline", kinds.stream(LAB), minutes=5)
    room.minutes(1)
    room.dead = {"gate"}
    assert room.minutes(6) == [
        "sci:lab is not LIVE, and the box is at fault. The gate of the box has not answered. So the box lets nobody in"
        " who sends to it. The camera may well be all right. If this stays for more than a minute, restart the box."
    ]
    room.dead = set()
    room.live(LAB)
    assert room.minutes(1) == []
    room.store.streams.set_offline(LAB, room.clock.now.utc)
    room.store.streams.add_refusal("10.0.0.9", "publish", "Another key.", 1, room.clock.now.utc + 1, LAB)
    assert room.minutes(6) == ["sci:lab is offline. Refused, from 10.0.0.9: Another key."]


def test_a_stream_with_a_rule_of_its_own_goes_by_that(room: Room) -> None:
    room.rule("offline", minutes=5)
    own = room.rule("offline", kinds.stream(LAB), minutes=60)
    assert room.minutes(6) == ["ann:door is offline."]
    rule = changes.find_rule(room.store, own)
    changes.change_rule(room.store, rule, {"minutes": 60}, "sci:lab", None, OF_BOX, 60, active=False)
    assert room.minutes(61) == ["ann:door is offline."], "one that is off leaves the stream out"


def test_a_picture_that_changed_says_what_to_do(room: Room) -> None:
    room.rule("picture", minutes=2)
    room.live(DOOR)
    room.minutes(1)
    room.store.streams.set_picture_fault(DOOR, PictureFault.DARK, "2026-11-24T12:00:00.000Z")
    assert room.minutes(1.5) == []
    assert room.minutes(1) == ["The picture of ann:door is dark: is the lamp off, or the lens covered?"]
    room.store.streams.set_picture_fault(DOOR, None, None)
    assert room.minutes(0.5) == []
    assert room.last() == "over: The picture of ann:door is as it should be again."


def test_a_service_that_is_not_running_and_a_clock_that_nobody_set(room: Room) -> None:
    room.rule("service", minutes=2)
    room.rule("clock", minutes=15)
    room.dead = {"gate", "sync", "notify"}
    assert room.minutes(3) == [
        "The service gate is not running. The gate is not running, so no stream can be let in. Restart the box.",
        "The service sync is not running. Restart the box.",
    ]
    room.dead = set()
    assert room.minutes(0.5) == []
    room.clock.now = replace(room.clock.now, boot_id="another", uptime_s=20.0)
    assert room.minutes(10) == []
    assert room.minutes(6) == [
        "Nothing has set the clock of the box. See its network, or say on its page that the time is right."
    ]


def test_a_disk_that_fills_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 100e9
    monkeypatch.setattr("appliance.notify.looking.free_bytes", lambda _folder: int(free))
    monkeypatch.setattr("appliance.notify.looking.size_bytes", lambda _folder: int(128e9))
    room.rule("disk", percent=5)
    assert room.minutes(0.5) == []
    free = 6e9
    assert room.minutes(0.5) == [
        "The disk is almost full: 6.0 GB of 128 GB is free (5 %). Delete old detections, or keep images for fewer days."
    ]
    free = 7e9
    assert len(room.minutes(0.5)) == 1, "a little more is no news"
    free = 20e9
    assert room.minutes(0.5) == []
    monkeypatch.setattr("appliance.notify.looking.size_bytes", lambda _folder: int(32e6))
    free = 1.2e6
    assert room.minutes(0.5)[0].startswith("The disk is almost full: 1.2 MB of 32 MB is free (4 %).")


def test_a_centre_that_is_not_reached_or_does_not_get_what_is_counted(room: Room) -> None:
    room.rule("centre", minutes=15)
    assert room.minutes(20) == [], "a box without a centre misses none"
    status = FleetStatus(False, room.clock.now.utc, None, "The name centre.lan does not resolve.")
    room.store.fleet.note_status(status)
    assert room.minutes(16) == ["The centre is not reached. The name centre.lan does not resolve."]
    room.store.fleet.note_status(replace(status, connected=True, problem=None))
    assert room.minutes(0.5) == ["The centre is not reached. The name centre.lan does not resolve."], "it lacks minutes"
    with room.store.writing():
        epoch = room.store.summaries.newest_epoch()
        assert epoch
        room.store.summaries.note_watermarks(room.store.summaries.tops())
    assert room.minutes(0.5) == []
    assert room.last() == "over: The centre gets what this box counts again."


def test_statistics_only_judge_by_what_is_kept_and_forget_what_was_finer(room: Room) -> None:
    room.rule("rate", percent=80, minutes=15, persons=5)
    room.passes(State.NO_MASK, 9)
    assert len(room.minutes(0.5)) == 1
    with room.store.writing():
        room.store.privacy.keep_statistics_only("ann", room.clock.now.utc)
    assert room.store.alerts.log.page(10) == [] and room.wrong() == []
    room.clock.forward(3 * 3600)
    assert room.minutes(0.5) == []
    with room.store.writing():  # as the watcher does, every twenty minutes
        room.store.without_row.add({DOOR: Counts(no_mask=7)}, int(room.clock.now.utc // 1200) * 1200 - 1200)
    assert room.minutes(0.5) == ["The rate of all streams is 0 % (0 to 35 %, n = 7) over 60 min, which is under 80 %."]
    assert room.store.problems() == []


# The real process


class Notifying(RunningBox):
    """A box with a rule that is broken: nobody wears a mask; and one that is told by a webhook."""

    def __init__(self, folder: Path, free_port: Callable[[], int], address: str, **sections: Any) -> None:
        super().__init__(folder, "embedded", free_port, **sections)
        at = now()
        changes.add_recipient(self.store, Way.WEBHOOK, "ops", address, "", at.utc)
        changes.add_rule(self.store, "rate", {}, ALL, "x", None, at.utc, OF_BOX)
        with self.store.writing():
            self.store.summaries.begin_epoch(at, believed=True)
            for _ in range(25):
                seen = Detection(at.utc, at.utc + 3, State.NO_MASK, 0.9, 7, (1, 2, 30, 40), 640, 360, "m")
                self.store.detections.add(self.stream_id, seen)

    @contextmanager
    def notifying(self) -> Iterator[subprocess.Popen[bytes]]:
        words = [sys.executable, "-m", "appliance.cli", "--config", str(self.path), "notify"]
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, cwd=REPOSITORY, env={**os.environ})
        try:
            yield process
        finally:
            if process.poll() is None:
                end(process)
            print(self.log())

    def outcomes(self) -> dict[str, Outcome]:
        return {each.recipient: each.outcome for each in self.store.alerts.log.page(1)[0].deliveries}


def test_an_alert_arrives_while_a_mail_server_hangs_and_once_over_a_kill(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with hook_server() as hook, hanging_server() as hanging:
        box = Notifying(tmp_path, free_port, hook.url)
        mail.save(box.config.state, MailServer("127.0.0.1", "box@example.org", hanging, Security.NONE))
        changes.add_recipient(box.store, Way.EMAIL, "ann", "ann@example.org", "", now().utc)
        with box.notifying() as process:
            until(lambda: box.store.services.is_alive("notify", now()), 30, "it lives")
            until(lambda: bool(hook.messages), 30, "the webhook is told")
            until(lambda: box.outcomes()["ops"] is Outcome.SENT, 30, "it is noted")
            assert box.outcomes()["ann"] is Outcome.WAITING
            process.send_signal(signal.SIGKILL)
            process.wait()
        with box.notifying() as process:
            first = box.store.services.all(now())[0].started_utc
            until(lambda: box.store.services.all(now())[0].started_utc != first, 30, "another one lives")
            box.store.alerts.recipients.add(Way.MQTT, "hall", "mb9k/alerts", "", now().utc)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        assert [each["kind"] for each in hook.messages] == ["rate"]
        assert box.outcomes()["ann"] is Outcome.WAITING
        assert "Traceback" not in box.log()
        box.store.close()


def test_a_topic_is_told_by_the_broker_on_site(tmp_path: Path, free_port: Callable[[], int]) -> None:
    synced = SyncedBox(tmp_path / "box", free_port)
    hall = changes.add_recipient(synced.store, Way.MQTT, "hall", "site/alerts", "", now().utc)
    recipient = changes.find_recipient(synced.store, hall)
    port = free_port()
    from appliance.alerts.sending import Undelivered
    from appliance.alerts.trial import send_test

    with running_broker(tmp_path / "broker", port), synced.syncing():
        subscriber = Subscriber(port)
        until(lambda: synced.store.services.is_alive("sync", now()), 30, "sync runs")
        with pytest.raises(Undelivered, match="No broker on site is set: set one on the page Fleet"):
            send_test(synced.store, {}, recipient, "Hall", now().utc)
        on_site.set_broker(synced.config, "127.0.0.1", port, "", "", False, "mb9k", "homeassistant")
        until(lambda: bool(subscriber.heard), 30, "the broker is told figures")

        def arrives() -> bool:
            try:
                return bool(send_test(synced.store, {}, recipient, "Hall", now().utc))
            except Undelivered:
                return False

        until(arrives, 60, "after the pause it is tried again")
        assert subscriber.json("site/alerts")["what"] == What.TEST.value
        subscriber.stop()
    Store.close(synced.store)
