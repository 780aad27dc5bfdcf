"""The steps of an update of the whole system: written into the other slot, started, and good or undone.

What the new system does with the record follows the rules of an update of the program alone (appliance/update): each
version touches it with its own code, and the copy is put back only if the old one cannot use what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from appliance.language import N_, _
from appliance.slots.bundle import SystemBundle
from appliance.slots.loader import ATTEMPTS, Loader, other
from appliance.slots.trials import Step, Trial, Trials
from appliance.update.asking import Box
from appliance.update.health import ailment
from appliance.update.journal import Outcome
from appliance.update.services import Running
from appliance.update.updating import ENDED
from appliance.update.versions import UpdateError, span

ALL_KEPT = N_("all that was counted is kept")
CUT_OFF = N_("the power went, or the updater was ended, while it was written")
NOT_PROVEN = N_("{after} did not prove itself in {attempts} starts, or was not started")
TRIED_COPY, KEPT_COPY = "system-trial.db", "system.db"


@dataclass(frozen=True, slots=True)
class Changer:
    """Changes over to the other slot. slot: the one that runs. python: the interpreter that this code runs in.

    write: puts a bundle into the other slot. restart: restarts the machine, with a word for its firmware or none.
    say: is told each step, for a person to read.
    """

    trials: Trials
    loader: Loader
    box: Box
    running: Running
    slot: str
    python: Path
    write: Callable[[Path, Callable[[str], None]], None]
    restart: Callable[[str], None]
    say: Callable[[str], None]

    def refuse_unfinished(self) -> None:
        """Raise UpdateError if one is under way or was cut off."""
        if trial := self.trials.read():
            raise UpdateError(
                _(
                    "the system {after} is to take over from {before}, and that has not ended;"
                    " restart the machine, and look again in some minutes (`mb9k update list`)",
                    after=trial.after,
                    before=trial.before,
                )
            )

    def update(self, bundle: SystemBundle, before: str, utc: float) -> None:
        """Have a bundle's system start, from when this returns. Raises UpdateError: nothing changed, and why."""
        trial = Trial(Step.WRITING, before, bundle.version, self.slot, other(self.slot), utc)
        self.trials.write(trial)
        try:
            self.box.keep(self.python, KEPT_COPY)  # whether that goes at all is better known before the rest
            self.say(f"Writing {bundle.version} into slot {trial.slot_after} ...")
            self.write(bundle.path, self.say)
            self._change_over(trial)
        except BaseException as error:
            trouble = str(error) or ENDED
            self._undo_before_restart(trouble, utc)
            if isinstance(error, Exception):
                raise UpdateError(
                    _("{trouble}; {before} runs on, nothing was changed", trouble=trouble.rstrip("."), before=before)
                ) from error
            raise

    def _change_over(self, trial: Trial) -> None:
        was_ailing = bool(self.box.health(self.python).problem)
        trial = replace(trial, step=Step.TRYING, was_ailing=was_ailing)
        self.say("Stopping the services, copying the record ...")
        self.trials.write(trial)
        self.running.stop()
        self.box.keep_at_rest(self.python, KEPT_COPY)
        self.loader.set_primary(trial.slot_after)
        self.say(f"Restarting into slot {trial.slot_after}; {trial.after} must prove itself there ...")
        if self.loader.reboot_argument:
            self.loader.begin_attempt()
        self.restart(self.loader.reboot_argument)

    def _undo_before_restart(self, trouble: str, utc: float) -> None:
        trial = self.trials.read()
        if trial is None:
            return
        if trial.step is Step.TRYING:
            self.loader.set_primary(self.slot)
            self.running.start()
        self._forget(trial, Outcome(utc, trial.before, trial.after, trial.before, trouble, ALL_KEPT))

    def _forget(self, trial: Trial, outcome: Outcome) -> None:
        if outcome.trouble:
            self.loader.set_good(trial.slot_after, False)
        self.trials.end(outcome)
        with suppress(UpdateError, OSError):  # copies that are left over go with the next update
            self.box.forget(self.python)

    def resume(self, utc: float, at_boot: bool) -> str:
        """What is to be done in the slot that runs before its services start; what was done.

        at_boot: they are started by others. Raises UpdateError, OSError.
        """
        trial = self.trials.read()
        if trial is None:
            return "no update of the system was cut off"
        if self.slot == trial.slot_after:
            return f"the system {trial.after} is to prove itself"
        if trial.step is Step.WRITING:
            trouble = CUT_OFF
            self._forget(trial, Outcome(utc, trial.before, trial.after, trial.before, trouble, ALL_KEPT))
            return f"{trial.after} was not written to its end; {trial.before} runs on"
        if at_boot and self.loader.begin_attempt():
            self.restart(self.loader.reboot_argument)
            return f"{trial.after} gets another attempt"
        return self._undo(trial, utc, at_boot)

    def _undo(self, trial: Trial, utc: float, at_boot: bool) -> str:
        """Have the record of before in the slot of before, where the new one did not prove itself."""
        self.loader.set_good(trial.slot_after, False)
        if not at_boot:
            self.running.stop()
        try:
            record = self.box.put_back(self.python, KEPT_COPY)
        finally:
            if not at_boot:
                self.running.start()
        trouble = NOT_PROVEN.format(after=trial.after, attempts=ATTEMPTS)
        self._forget(trial, Outcome(utc, trial.before, trial.after, trial.before, trouble, record))
        return f"{trouble}; {trial.before} runs again: {record}"

    def prove(self, patience_s: float, utc: float) -> str:
        """Say that the slot that runs is good; one on trial must be well for that. What was found.

        Raises UpdateError: it is on trial, and not well; OSError. What ails a system that was well before is not mended
        by an older one, so that one need not be well.
        """
        trial = self.trials.read()
        if trial is None or trial.step is not Step.TRYING or trial.slot_after != self.slot:
            self.loader.set_good(self.slot, True)
            return f"slot {self.slot} is good"
        self._refuse_unwell(patience_s, trial.was_ailing)
        self.loader.set_good(self.slot, True)
        self._forget(trial, Outcome(utc, trial.before, trial.after, trial.after))
        return f"the system {trial.after} is well, and stays"

    def _refuse_unwell(self, patience_s: float, was_ailing: bool) -> None:
        trouble = ailment(lambda: self.box.health(self.python), patience_s, patience_s / 30, was_ailing)
        if trouble:
            raise UpdateError(
                _(
                    "this system was not well within {patience_s}: {trouble}",
                    patience_s=span(patience_s),
                    trouble=trouble,
                )
            )
        self.box.keep(self.python, TRIED_COPY)
        self.box.trial(self.python, TRIED_COPY)  # its model, on pictures whose truth is known
