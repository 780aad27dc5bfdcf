"""How the box and its centre get on, as the store has it."""

from __future__ import annotations

from dataclasses import replace

from appliance.messages import Command, Outcome
from appliance.store import CommandRecord, FleetStatus, Store
from appliance.store.fleet import MAX_COMMANDS

AT = 1_795_521_600
COMMAND = Command(id="0" * 16, action="restart", detail="watch", by="ann", given_utc=AT, expires_utc=AT + 60)


def command(number: int) -> Command:
    return Command(id=f"{number:016x}", action="identify", by="ann", given_utc=AT + number, expires_utc=AT + 900)


def test_how_it_is_comes_back_as_it_was_noted(store: Store) -> None:
    assert store.fleet.status() is None
    status = FleetStatus(connected=False, since_utc=AT, problem="The name central.example does not resolve.")
    for noted in (status, replace(status, connected=True, watermark_utc=AT + 5, problem=None)):
        store.fleet.note_status(noted)
        assert store.fleet.status() == noted
    store.fleet.forget_status()
    assert store.fleet.status() is None


def test_a_command_is_on_record_with_what_came_of_it(store: Store) -> None:
    assert store.fleet.add_command(COMMAND)
    record = CommandRecord("0" * 16, "restart", "watch", "ann", AT, None, "", None)
    assert store.fleet.command("0" * 16) == record
    store.fleet.note_outcome(Outcome(id="0" * 16, done=True, words="watch was started again", at_utc=AT + 2))
    done = replace(record, done=True, words="watch was started again", at_utc=AT + 2)
    assert store.fleet.commands() == [done]
    assert not store.fleet.add_command(COMMAND), "it came twice"
    assert store.fleet.commands() == [done]
    assert store.fleet.command("1" * 16) is None


def test_the_newest_commands_are_kept(store: Store) -> None:
    with store.writing():
        for number in range(MAX_COMMANDS + 5):
            assert store.fleet.add_command(command(number))
    kept = store.fleet.commands(limit=2 * MAX_COMMANDS)
    assert [each.id for each in kept] == [command(number).id for number in range(MAX_COMMANDS + 4, 4, -1)]
