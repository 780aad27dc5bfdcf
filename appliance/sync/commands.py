"""What people at the centre ask of the box. Each command is carried out once at most, and always answered.

That it came is on record before it is begun, so one that is cut off by a crash is not begun a second time: it is
answered with what is known of it. A command that comes again is answered again.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass

from appliance.accounts.audit import ITSELF, Action, Actor, ActorKind
from appliance.config import Config
from appliance.errors import UserError
from appliance.language import N_, _
from appliance.messages import Command, Outcome
from appliance.outside import system_words
from appliance.rules import boxes, streams
from appliance.store import Store
from appliance.sync.machine import Light
from appliance.sync.outbox import Outbox
from appliance.sync.updating import Updating
from appliance.times import Now, utc_text

log = logging.getLogger(__name__)

NAME = "sync"
BACK_S = 60.0
"""A service that was ended is awaited for so long."""
IDENTIFY_S = 60.0
MAX_ANSWERS = 100
REFUSED = N_("This box takes no commands: fleet.commands is false in its mb9k.toml.")
ENDS_NOW = N_("It ends now, and is started again by whatever runs the box.")
SENT_AGAIN = N_("Everything is told again, the newest first.")
NEW_KEY = N_(
    "It has a new key, which nobody knows; whoever published with the old one is cut off. Its owner makes a"
    " key to publish with on the box's page."
)
SAYS_SO = N_("For a minute its page says so.")
BLINKS = N_("For a minute its page says so and its light blinks.")
RESTARTED = N_("The service {service} was ended, and runs again.")
NOT_BACK = N_("The service {service} was ended, but has not come back within a minute.")
TOO_LATE = N_("It came too late: it was valid until {until}Z, and by the box's clock it was {now}Z.")
CUT_OFF = N_("The box was cut off while it did this. See whether it is done; if not, give the command again.")


@dataclass(frozen=True, slots=True)
class _Restart:
    """A service that was ended and is awaited. pid: of the process that was ended."""

    command_id: str
    service: str
    pid: int
    until_s: float


class Commands:
    """For one thread. `take` each command that comes, `step` now and then, and publish what is in `answers`.

    updating: an update that was asked for. is_ending: this very service is to end, once its answers are published.
    """

    def __init__(self, store: Store, config: Config, outbox: Outbox, light: Light) -> None:
        self.answers: list[Outcome] = []
        self.is_ending = False
        self._store = store
        self._config = config
        self._outbox = outbox
        self._light = light
        self._dark_due_s: float | None = None
        self._restarts: list[_Restart] = []
        self._unwritten: list[Outcome] = []
        self.updating = Updating(config)

    def take(self, command: Command, now: Now) -> None:
        """Carry a command out, unless it came before. Raises sqlite3.Error; then nothing was done."""
        if self._came_before(command, now):
            return
        self._store.audit.act_for(Actor(ActorKind.CENTRE, command.by), now.utc)
        try:
            self._begin(command, now)
        finally:
            self._store.audit.act_for(ITSELF)

    def _begin(self, command: Command, now: Now) -> None:
        with self._store.writing():
            self._store.fleet.add_command(command)
            self._store.audit.add(Action.COMMAND, command.action, detail=command.detail, id=command.id)
        log.warning("%s at the centre: %s %s", command.by, command.action, command.detail)
        if not self._config.fleet.commands:
            self._answer(command.id, False, REFUSED, now)
        elif now.utc > command.expires_utc:
            self._answer(
                command.id,
                False,
                TOO_LATE.format(until=utc_text(command.expires_utc)[:16], now=utc_text(now.utc)[:16]),
                now,
            )
        else:
            self._carry_out(command, now)

    def _came_before(self, command: Command, now: Now) -> bool:
        known = self._store.fleet.command(command.id)
        if known is None:
            return False
        if known.done is not None:
            self._give(Outcome(id=known.id, done=known.done, words=known.words, at_utc=int(known.at_utc or now.utc)))
        elif command.id not in {
            *(restart.command_id for restart in self._restarts),
            *(outcome.id for outcome in self._unwritten),
            *((self.updating.order.id,) if self.updating.order else ()),
        }:
            self._answer(command.id, False, CUT_OFF, now)
        return True

    def _carry_out(self, command: Command, now: Now) -> None:
        try:
            if command.action == "restart":
                self._restart(command, now)
            elif command.action == "send_again":
                self._send_again(command, now)
            elif command.action == "update":
                self.updating.begin(command, now)
            elif command.action == "rotate_key":
                self._answer(command.id, True, self._rotate_key(command.detail, now), now)
            else:
                self._answer(command.id, True, self._identify(command.by, now), now)
        except (UserError, OSError, sqlite3.Error) as error:
            self._answer(command.id, False, system_words(error), now)

    def _restart(self, command: Command, now: Now) -> None:
        boxes.known_service(command.detail)
        if command.detail == NAME:
            self.is_ending = True
            self._answer(command.id, True, ENDS_NOW, now)
            return
        pid = boxes.end_service(self._store, command.detail, now)
        self._restarts.append(_Restart(command.id, command.detail, pid, now.uptime_s + BACK_S))

    def _send_again(self, command: Command, now: Now) -> None:
        outcome = Outcome(id=command.id, done=True, words=SENT_AGAIN, at_utc=_whole(now.utc))
        with self._store.writing():
            self._store.summaries.forget_watermarks()
            self._store.fleet.note_outcome(outcome)
        self._outbox.begin_again()
        self._give(outcome)

    def _rotate_key(self, number: str, now: Now) -> str:
        ids = self._store.summaries.stream_ids()
        stream_id = ids.get(int(number)) if number.isdecimal() else None
        if stream_id is None:
            raise UserError(_("There is no stream with the number {number}, or no longer.", number=number))
        if not streams.find(self._store, stream_id, now).has_key:
            raise UserError(_("The box fetches this stream itself, so it has no key."))
        streams.rotate_key(self._store, stream_id)
        return NEW_KEY

    def _identify(self, by: str, now: Now) -> str:
        log.warning("%s at the centre asks which box this is: it is this one", by)
        shines = self._light.blink()
        self._dark_due_s = now.uptime_s + IDENTIFY_S
        return BLINKS if shines else SAYS_SO

    def step(self, now: Now) -> None:
        """Answer what has come to its end meanwhile, and note what could not be noted. Raises sqlite3.Error."""
        if self._dark_due_s is not None and now.uptime_s >= self._dark_due_s:
            self._light.stop()
            self._dark_due_s = None
        if self._restarts:
            running = {each.name: each for each in self._store.services.all(now) if each.alive}
            for restart in list(self._restarts):
                back = running.get(restart.service)
                if back is not None and back.pid != restart.pid:
                    self._end(restart, True, RESTARTED.format(service=restart.service), now)
                elif now.uptime_s >= restart.until_s:
                    words = NOT_BACK.format(service=restart.service)
                    self._end(restart, False, words, now)
        if updated := self.updating.step(now):
            self._answer(*updated, now)
        while self._unwritten:
            with self._store.writing():
                self._store.fleet.note_outcome(self._unwritten[0])
            self._give(self._unwritten.pop(0))

    def stop(self) -> None:
        """Leave nothing behind."""
        self._light.stop()
        self.updating.stop()

    def _end(self, restart: _Restart, done: bool, words: str, now: Now) -> None:
        self._restarts.remove(restart)
        self._answer(restart.command_id, done, words, now)

    def _answer(self, command_id: str, done: bool, words: str, now: Now) -> None:
        """To be noted, then published: by `step`, which comes next, and again if the store cannot be written."""
        log.info("outcome: %s", words)
        self._unwritten.append(Outcome(id=command_id, done=done, words=words[:200], at_utc=_whole(now.utc)))

    def _give(self, outcome: Outcome) -> None:
        self.answers = [*self.answers, outcome][-MAX_ANSWERS:]


def _whole(utc: float) -> int:
    return max(0, int(utc))
