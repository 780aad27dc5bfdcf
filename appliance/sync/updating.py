"""An update that the centre asked for: fetched, looked at, begun by root, and answered when it has ended.

The service itself is restarted by the update, maybe as another version. So what was asked stands in a file beside
the uploads: while it is fetched a crash ends it, from the beginning on its outcome is looked for in the journal.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec
from msgspec.structs import replace

from appliance.config import Config
from appliance.errors import UserError
from appliance.files import replace_file
from appliance.language import N_
from appliance.messages import Command
from appliance.outside import system_words
from appliance.rules import updates as rules
from appliance.sync.news import cut, shortened
from appliance.times import Now
from appliance.update.fetching import Fetch, checked_address, name_in
from appliance.update.journal import Step
from appliance.update.uploads import Uploads
from appliance.update.versions import sentence
from appliance.update.words import BY_CENTRE

log = logging.getLogger(__name__)
LOOK_S = 2.0
TROUBLE_CHARACTERS = 150
NOT_ALLOWED = N_(
    "This box takes no updates from its centre; its own page Fleet, or fleet.allow_updates, can allow them."
)
BUSY = N_("An update that the centre asked for is under way already.")
CUT_OFF = N_("The box was cut off while it fetched the bundle. Nothing was changed; give the command again.")
FETCHED = N_("The bundle is fetched: {percent} %.")
FETCHED_ALL = N_("The bundle is fetched.")
VERIFIED = N_("The bundle is verified.")
ABOUT = N_("{to} is about to be tried.")
STEPS = {
    Step.BUILDING: N_("{to}: building."),
    Step.STOPPING: N_("{to}: stopping."),
    Step.COPYING: N_("{to}: copying."),
    Step.SWITCHING: N_("{to}: switching."),
    Step.CHECKING: N_("{to}: checking."),
    Step.UNDOING: N_("{to}: undoing."),
    Step.SETTLING: N_("{to}: settling."),
}
"""How far it is."""
NEVER_BEGAN = N_("It did not begin; the page Updates of the box says what to look at.")
NO_BUNDLE = N_("The command names no bundle.")
NOT_NOW = N_("The page of this box cannot have it updated, or it is just updated.")
NOT_KEPT = N_("The bundle could not be kept ({error}).")
RUNS = N_("Now {version} runs.")


class Order(msgspec.Struct, frozen=True):
    """What was asked. begun_utc: when root was asked; None: not yet."""

    id: str
    by: str
    to: str = ""
    begun_utc: float | None = None


class Updating:
    """For one thread, that of sync. `begin`, then `step` until it has an answer: the command's id, done, words."""

    def __init__(self, config: Config) -> None:
        self._config, self._uploads = config, Uploads(config, "centre")
        self._path: Path = self._uploads.folder / "centre.json"
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._fetch: Fetch | None = None
        self._answer: tuple[str, bool, str] | None = None
        self._look_due_s = 0.0
        self.order = self._read()
        if self.order is not None and self.order.begun_utc is None:
            self._answer = self.order.id, False, CUT_OFF
        self._uploads.sweep()

    def begin(self, command: Command, now: Now) -> None:
        """Fetch what it names, in a thread. Raises UserError, OSError: nothing was begun."""
        if not rules.centre_may_update(self._config):
            raise UserError(NOT_ALLOWED)
        if self.order is not None:
            raise UserError(BUSY)
        if not command.address or not command.sha256:
            raise UserError(NO_BUNDLE)
        there = rules.standing(self._config, now.utc)
        if not there.is_idle:
            raise UserError(there.problem or NOT_NOW)
        fetch = Fetch(self._uploads, checked_address(command.address), self._ending.wait)
        self._uploads.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fetch = fetch
        self._note(Order(command.id, BY_CENTRE.format(name=command.by)))
        self._thread = threading.Thread(target=self._run, args=(fetch, command.sha256, now), daemon=True)
        self._thread.start()

    def step(self, now: Now) -> tuple[str, bool, str] | None:
        """The answer, once there is one."""
        answer = self._answer or self._ended(now)
        if answer is not None:
            self._answer = self.order = None
            self._path.unlink(missing_ok=True)
        return answer

    def words(self, now: Now) -> str:
        """How far it is, in words; empty: there is none."""
        order, fetch = self.order, self._fetch
        if order is None:
            return ""
        if order.begun_utc is None:
            at = fetch.progress if fetch else None
            if not at or not at.total_bytes:
                return FETCHED_ALL
            tenths = 10 * at.received_bytes // at.total_bytes  # each change is told
            return FETCHED.format(percent=10 * tenths) if tenths < 10 else VERIFIED
        progress = rules.standing(self._config, now.utc).progress
        return (STEPS[progress.step] if progress else ABOUT).format(to=order.to)

    def stop(self) -> None:
        """The service ends: what is fetched is left."""
        self._ending.set()

    def _run(self, fetch: Fetch, sha256: str, now: Now) -> None:
        """Fetch, look, and have root begin; what goes wrong is the answer."""
        order = self.order
        assert order is not None
        try:
            part = fetch.run(sha256)
            upload = self._uploads.keep(part, name_in(fetch.address), order.by, now.utc)
            self._note(replace(order, to=upload.plan.after, begun_utc=now.utc))
            rules.start(self._config, self._uploads, order.by, now.utc)
        except UserError as error:
            self._answer = order.id, False, shortened(sentence(error))
        except OSError as error:
            self._answer = order.id, False, NOT_KEPT.format(error=system_words(error))

    def _ended(self, now: Now) -> tuple[str, bool, str] | None:
        """What the journal says of what root began."""
        order = self.order
        if order is None or order.begun_utc is None or now.uptime_s < self._look_due_s:
            return None
        if self._thread is not None and self._thread.is_alive():
            return None
        self._look_due_s = now.uptime_s + LOOK_S
        there = rules.standing(self._config, now.utc)
        if there.is_at_work:
            return None
        for outcome in there.outcomes:
            if outcome.utc >= order.begun_utc and outcome.after == order.to:
                if not outcome.trouble:
                    return order.id, True, RUNS.format(version=outcome.after)
                trouble = cut(shortened(outcome.trouble).rstrip("."), TROUBLE_CHARACTERS)
                return order.id, False, f"{trouble}. {RUNS.format(version=outcome.runs)}"
        if now.utc - order.begun_utc > rules.BEGIN_S:
            return order.id, False, NEVER_BEGAN
        return None

    def _read(self) -> Order | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Order)
        except (OSError, msgspec.DecodeError):
            return None

    def _note(self, order: Order) -> None:
        replace_file(self._path, msgspec.json.encode(order).decode())
        self.order = order
