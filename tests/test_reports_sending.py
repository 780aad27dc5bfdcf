"""Reports by mail: each period once, to a real mail server, over kills, restarts and clocks that are wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from appliance import mail
from appliance.accounts.people import Role
from appliance.config import Config
from appliance.errors import NotSaved
from appliance.reports import changes, sending
from appliance.reports.schedules import DeliveryState, Plan
from appliance.reports.sending import Sender
from appliance.rules.reports import site_of_box
from appliance.store import Store
from appliance.times import Now, now
from tests.boxes import until
from tests.mail_servers import Inbox, mail_server
from tests.site import new_store
from tests.test_reports import BERLIN, see, utc

HOUR_S, DAY_S = 3600.0, 86_400.0
FRIDAY = utc("2026-11-27T12:00")


@dataclass
class Room:
    """A box that sends. The clock is believed wherever `moment` says so."""

    config: Config
    store: Store
    inbox: Inbox
    knows_time: bool = True

    def sender(self) -> Sender[Store]:
        """As after a restart."""
        return Sender(replace(site_of_box(self.config), knows_time=lambda _store, _now: self.knows_time))

    def plan(self, kind: str = "day", to: str = "owner@example.org", clock: str = "07:00", made: float = FRIDAY) -> int:
        plan = changes.plan_of(kind, clock, to, None, [], "stream")
        return changes.add(self.store, plan, made, BERLIN)

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"].removeprefix("lobby: ") for message in self.inbox.messages]


def moment(utc_s: float) -> Now:
    return Now(utc_s, now().boot_id, utc_s % 1e7)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A box with one stream and 30 persons a day, and a mail server."""
    config = msgspec.convert({"box": "lobby", "state_dir": str(tmp_path / "state")}, Config)
    store = new_store(config.store_path)
    with store.writing():
        store.trends.follow_zone(BERLIN)
        ann = store.people.add("ann", "hash", Role.ADMIN, FRIDAY)
        store.streams.add_with_key(ann, "door", "key", FRIDAY)
        for day in range(3):
            for _ in range(30):
                see(store, utc(f"2026-11-{26 + day}T12:00"))
    with mail_server(tmp_path) as inbox:
        mail.save(config.state, inbox.server)
        yield Room(config, store, inbox)
    store.close()


def test_a_report_is_sent_to_each_once_when_its_time_has_come(room: Room) -> None:
    number = room.plan(to="owner@example.org, boss@example.org")
    sender = room.sender()
    assert sender.step(moment(FRIDAY)) == 0, "what was over before is not sent"
    assert sender.step(moment(utc("2026-11-28T06:59"))) == 0
    assert sender.step(moment(utc("2026-11-28T07:00"))) == 2
    assert sender.step(moment(utc("2026-11-28T07:01"))) == 0 and room.sender().step(moment(FRIDAY + DAY_S)) == 0
    assert room.subjects == ["100 % (n = 30), Friday, 27 November 2026"] * 2
    assert sorted(each.rcpt_tos[0] for each in room.inbox.envelopes) == ["boss@example.org", "owner@example.org"]
    assert {each.state for each in room.store.reports.newest()} == {DeliveryState.SENT}
    entries = list(room.store.db.query("select subject, details from audit where action = 'report_sent'"))
    assert [each["subject"] for each in entries] == [f"report {number}"] * 2 and "boss@example.org" in str(entries)


def test_of_a_box_that_was_off_the_latest_report_is_sent_late(room: Room) -> None:
    room.plan()
    assert room.sender().step(moment(utc("2026-11-30T15:00"))) == 1
    assert room.subjects == ["0 persons, Sunday, 29 November 2026"]


def test_a_clock_that_is_wrong_or_set_back_sends_nothing_twice_and_keeps_nothing_from_being_sent(room: Room) -> None:
    room.plan()
    sender = room.sender()
    assert sender.step(moment(utc("2026-11-28T08:00"))) == 1
    assert sender.step(moment(utc("2026-11-27T08:00"))) == 0
    assert sender.step(moment(utc("2031-01-01T08:00"))) == 1, "believed, and wrong: the one message too many"
    assert sender.step(moment(utc("2026-11-28T09:00"))) == 0
    assert sender.step(moment(utc("2026-11-29T08:00"))) == 1, "what a wrong clock sent is no reason to send no more"
    room.knows_time = False
    assert sender.step(moment(utc("2026-11-30T08:00"))) == 0
    room.knows_time = True
    assert sender.step(moment(utc("2026-11-30T08:01"))) == 1


def test_killed_before_it_could_note_it_sends_the_same_message_once_more(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.plan()
    due = moment(utc("2026-11-28T08:00"))
    script = (
        "import sys\nfrom dataclasses import replace\nfrom appliance.config import load\nfrom pathlib import Path\n"
        "from appliance.reports.sending import Sender\nfrom appliance.rules.reports import site_of_box\n"
        "from appliance.times import Now\n"
        "site = replace(site_of_box(load(Path(sys.argv[1]))), knows_time=lambda store, now: True)\n"
        f"Sender(site).step(Now({due.utc}, 'boot', 5.0))\n"
    )
    path = room.config.state / "mb9k.toml"
    path.write_text(f'box = "lobby"\nstate_dir = "{room.config.state}"\n')
    killed: list[subprocess.Popen[bytes]] = []
    take = Inbox.handle_DATA

    async def take_and_kill(inbox: Inbox, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await take(inbox, server, session, envelope)
        os.kill(killed[0].pid, signal.SIGKILL)  # before it hears that
        return answer

    monkeypatch.setattr(Inbox, "handle_DATA", take_and_kill)
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as process:
        killed.append(process)
    assert killed[0].returncode == -signal.SIGKILL
    monkeypatch.undo()
    assert len(room.inbox.messages) == 1, "the server has it, and the box does not know"
    assert room.sender().step(due) == 1 and room.sender().step(due) == 0
    first, second = room.inbox.messages
    assert first["Message-ID"] == second["Message-ID"]


def test_a_disk_that_refuses_the_note_leads_to_no_second_message(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.plan()
    sender, due = room.sender(), moment(utc("2026-11-28T08:00"))
    sending.note_due(sender._site, room.store, due)

    def refuse(*_: object) -> None:
        raise NotSaved("The disk is full.")

    with monkeypatch.context() as full:
        full.setattr(Sender, "_note", refuse)
        for _ in range(3):
            with pytest.raises(NotSaved):
                sender.step(due)
    assert len(room.inbox.messages) == 1 and sender.step(due) == 0
    assert [each.state for each in room.store.reports.newest()] == [DeliveryState.SENT]


def test_what_fails_is_tried_again_for_a_day_and_said_and_one_who_is_refused_keeps_nobody_else(room: Room) -> None:
    room.plan(to="gone@example.org, owner@example.org")
    room.inbox.refuses = {"gone@example.org": "550 no such user", "owner@example.org": "450 try later"}
    sender, due_utc = room.sender(), utc("2026-11-28T07:00")
    sender.step(moment(due_utc))
    by_address = {each.address: each for each in room.store.reports.newest()}
    assert by_address["gone@example.org"].state is DeliveryState.FAILED
    assert "550 no such user" in by_address["gone@example.org"].problem
    assert by_address["owner@example.org"].state is DeliveryState.WAITING
    assert sender.problem is not None and "450 try later" in sender.problem
    assert sender.step(moment(due_utc + 30)) == 0 and sender.problem is not None, "it waits a minute"
    room.inbox.refuses = {}
    assert sender.step(moment(due_utc + 61)) == 1 and sender.problem is None


def test_what_fails_for_a_day_is_given_up(room: Room) -> None:
    room.plan(kind="week")
    room.inbox.refuses = {"owner@example.org": "450 try later"}
    sender, due_utc = room.sender(), utc("2026-11-30T07:00")
    for hour in range(30):
        sender.step(moment(due_utc + HOUR_S * hour))
        (one,) = room.store.reports.newest()
        assert one.state is (DeliveryState.WAITING if one.tries < sending.MOST_TRIES else DeliveryState.FAILED)
        assert (one.state is DeliveryState.WAITING) == (hour < 27)
    pauses = [*sending.PAUSES_S, *[sending.LONGEST_PAUSE_S] * (sending.MOST_TRIES - 1 - len(sending.PAUSES_S))]
    assert 23 * HOUR_S < sum(pauses) < 25 * HOUR_S


def test_without_a_mail_server_it_waits_and_goes_as_soon_as_there_is_one(room: Room) -> None:
    room.plan()
    mail.save(room.config.state, None)
    sender, due_utc = room.sender(), utc("2026-11-28T07:00")
    assert sender.step(moment(due_utc)) == 0 and sender.problem == f"Reports cannot be sent. {sending.NO_SERVER}"
    mail.save(room.config.state, replace_port(room.inbox, 1))
    assert sender.step(moment(due_utc + 60)) == 0 and "cannot be reached" in str(sender.problem)
    mail.save(room.config.state, room.inbox.server)
    assert sender.step(moment(due_utc + 61)) == 1, "another server, so nothing has to wait for its pause"
    mail.save(room.config.state, None)
    for day in range(1, 4):
        sender.step(moment(due_utc + day * DAY_S))
    waiting = room.store.reports.waiting()
    assert len(waiting) == 1, "only the latest waits; the others were overtaken"
    mail.save(room.config.state, room.inbox.server)
    assert sender.step(moment(due_utc + 3 * DAY_S + 60)) == 1


def replace_port(inbox: Inbox, port: int) -> mail.MailServer:
    return msgspec.structs.replace(inbox.server, port=port)


def test_who_is_taken_off_a_plan_and_what_is_removed_gets_nothing_more(room: Room) -> None:
    number = room.plan(to="gone@example.org, owner@example.org")
    changes.send_again(room.store, number, FRIDAY, BERLIN)
    kept = changes.find(room.store, number).plan
    plan = Plan(kept.kind, kept.minute_of_day, ("owner@example.org",))
    changes.change(room.store, number, plan, FRIDAY, BERLIN)
    assert room.sender().step(moment(FRIDAY)) == 1
    assert room.inbox.envelopes[0].rcpt_tos == ["owner@example.org"]
    changes.send_again(room.store, number, FRIDAY, BERLIN)
    changes.remove(room.store, number)
    assert room.sender().step(moment(FRIDAY + 7 * DAY_S)) == 0


def test_a_stream_that_is_deleted_is_not_taken_for_all_streams(room: Room) -> None:
    plan = changes.plan_of("day", "07:00", "owner@example.org", ["1"], ["1"], "stream")
    number = changes.add(room.store, plan, FRIDAY, BERLIN)
    with room.store.writing():
        room.store.streams.remove(1)
    assert changes.find(room.store, number).plan.subjects == ()
    assert room.sender().step(moment(utc("2026-11-28T07:00"))) == 0
    (failed,) = room.store.reports.newest()
    assert (failed.state, failed.problem) == (DeliveryState.FAILED, sending.NO_SUBJECTS)


def test_the_service_notify_sends_what_waits_and_ends_when_it_is_told_to(room: Room) -> None:
    path = room.config.state / "mb9k.toml"
    path.write_text(f'box = "lobby"\nstate_dir = "{room.config.state}"\n')
    number = room.plan()
    changes.send_again(room.store, number, now().utc, BERLIN)
    words = [sys.executable, "-m", "appliance.cli", "--config", str(path), "notify"]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        try:
            until(lambda: bool(room.inbox.envelopes), 60, "the report arrives")
            until(lambda: room.store.reports.waiting() == [], 30, "it is noted")
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 0 and b"Traceback" not in said, said
    assert len(room.inbox.messages) == 1
