"""The steps of an update, each in the journal before it is begun, and how all of them are undone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from appliance.language import N_, _
from appliance.update.asking import Box
from appliance.update.building import build
from appliance.update.bundle import Bundle
from appliance.update.health import ailment
from appliance.update.journal import Journal, Outcome, Progress, Step
from appliance.update.releases import CURRENT, PROVEN, Releases
from appliance.update.services import Running
from appliance.update.versions import UpdateError, span

TRIED_COPY, KEPT_COPY = "trial.db", "before.db"
OLD_ONE_S = 120.0
ENDED = N_("it was asked to end")
CUT_OFF = {
    Step.BUILDING: N_("the power went, or the updater was ended, while it was building"),
    Step.STOPPING: N_("the power went, or the updater was ended, while it was stopping"),
    Step.COPYING: N_("the power went, or the updater was ended, while it was copying"),
    Step.SWITCHING: N_("the power went, or the updater was ended, while it was switching"),
    Step.CHECKING: N_("the power went, or the updater was ended, while it was checking"),
    Step.UNDOING: N_("the power went, or the updater was ended, while it was undoing"),
}
"""Why one is undone that was cut off, by the step at which it was."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a release may take to be well."""

    health_s: float

    @property
    def steady_s(self) -> float:
        """For how long it must then be: ten seconds of five minutes."""
        return self.health_s / 30


class Updater:
    """Makes one update at a time. python: the interpreter of the release whose code this is.

    say: is told each step, for a person to read. is_to_end: whether it was asked to end, which undoes the update at the
    next step: a signal's exception may come where Python only reports it.
    """

    def __init__(
        self,
        releases: Releases,
        box: Box,
        running: Running,
        python: Path,
        patience: Patience,
        say: Callable[[str], None],
        is_to_end: Callable[[], bool] = lambda: False,
    ) -> None:
        self.releases, self.box, self.running, self.python = releases, box, running, python
        self.patience, self._say, self._is_to_end = patience, say, is_to_end
        self.journal = Journal(releases.folder)

    def update(self, bundle: Bundle, utc: float) -> None:
        """Let a bundle's version run. Raises UpdateError: it was undone, and why."""
        before, after = self.releases.current(), bundle.manifest.version
        self._guarded(
            Progress(Step.BUILDING, before, after, utc, is_new=True), lambda: self._build(bundle, before), utc
        )

    def back(self, version: str, utc: float) -> None:
        """Let a release run that is kept. Raises UpdateError: it was undone, and why."""
        before = self.releases.current()
        if version not in self.releases.all():
            kept = ", ".join(self.releases.all())
            raise UpdateError(_("there is no release {version}; there are {kept}", version=version, kept=kept))
        if version == before:
            raise UpdateError(_("{version} runs already; `mb9k update list` shows what is kept", version=version))
        self._guarded(Progress(Step.BUILDING, before, version, utc, is_new=False), lambda: self._try(version), utc)

    def resume(self, utc: float, at_boot: bool) -> str:
        """End what was cut off; what was done. at_boot: nothing runs yet, and what runs is started by others.

        Raises UpdateError, OSError.
        """
        self.releases.waiting.unlink(missing_ok=True)
        progress = self.journal.read()
        if progress is None:
            self.releases.sweep()
            return "no update was cut off"
        if progress.step is Step.SETTLING:
            self._settle(progress, utc)
            return f"the update to {progress.after} was done, and runs"
        trouble = progress.trouble or CUT_OFF[progress.step]
        return self._undo(progress, trouble, utc, at_boot)

    def refuse_unfinished(self) -> None:
        """Raise UpdateError if an update was cut off and is still to be ended."""
        if self.journal.read():
            raise UpdateError(
                _("an update was cut off; `mb9k update resume` ends it, or a restart of the machine does")
            )

    def _guarded(self, progress: Progress, prepare: Callable[[], None], utc: float) -> None:
        self.releases.point(PROVEN, progress.before)
        self.journal.write(progress)
        try:
            prepare()
            self._switch_over(progress, utc)
        except BaseException as error:
            there = self.journal.read()
            if there is None or there.step is Step.SETTLING:
                raise  # it stands; `resume` tidies up
            trouble = str(error) if isinstance(error, Exception) else ENDED
            done = self._undo(there, trouble, utc, at_boot=False)
            if isinstance(error, Exception):
                raise UpdateError(_("{trouble}; {done}", trouble=trouble.rstrip("."), done=done)) from error
            raise

    def _build(self, bundle: Bundle, before: str) -> None:
        self._say(f"Making {bundle.manifest.version} from {len(bundle.manifest.wheels)} wheels ...")
        build(bundle, self.releases, before)
        self._try(bundle.manifest.version)

    def _try(self, version: str) -> None:
        self._say(f"Trying {version} on a copy of the record, and its model on pictures whose truth is known ...")
        self.box.keep(self.python, TRIED_COPY)
        try:
            self.box.trial(self.releases.python(version), TRIED_COPY)
        except UpdateError as error:
            raise UpdateError(_("{version} cannot do with this box: {error}", version=version, error=error)) from error
        self.box.forget(self.python)
        self._refuse_if_ended()

    def _refuse_if_ended(self) -> None:
        if self._is_to_end():
            raise UpdateError(_(ENDED))

    def _switch_over(self, progress: Progress, utc: float) -> None:
        before = self.box.health(self.releases.python(progress.before))
        progress = self._step(progress, Step.STOPPING, "Stopping the services ...", outage=True)
        self.running.stop()
        progress = self._step(progress, Step.COPYING, "Copying the record ...")
        self.box.keep_at_rest(self.python, KEPT_COPY)
        progress = self._step(progress, Step.SWITCHING, f"Switching to {progress.after} ...")
        self.releases.point(CURRENT, progress.after)
        progress = self._step(progress, Step.CHECKING, f"Starting {progress.after}, which must prove itself ...")
        self.running.start()
        trouble = self._ailment(progress.after, self.patience.health_s, bool(before.problem), self._refuse_if_ended)
        if trouble:
            raise UpdateError(
                _(
                    "{after} was not well within {health_s}: {trouble}",
                    after=progress.after,
                    health_s=span(self.patience.health_s),
                    trouble=trouble,
                )
            )
        progress = self._step(progress, Step.SETTLING, f"{progress.after} is well.")
        self._settle(progress, utc)

    def _settle(self, progress: Progress, utc: float) -> None:
        self.releases.point(PROVEN, progress.after)
        for old in self.releases.prune():
            self._say(f"{old} is no longer kept.")
        self.releases.sweep()
        self.box.forget(self.python)
        self.journal.end(Outcome(utc, progress.before, progress.after, progress.after))

    def _undo(self, progress: Progress, trouble: str, utc: float, at_boot: bool) -> str:
        """Have the release and the record of before; what was done. May be cut off and begun again at any point."""
        said = f"{progress.before} runs on, nothing was changed"
        with suppress(OSError):  # on a full disk: the step before leads here, too
            progress = self._step(progress, Step.UNDOING, f"Undoing it: {trouble}", trouble=trouble)
        if progress.outage:
            if not at_boot:
                self.running.stop()
            self.releases.point(CURRENT, progress.before)
            try:
                done = self.box.put_back(self.python, KEPT_COPY)
                progress = replace(progress, record=progress.record or done)
                self.journal.write(progress)
            finally:
                if not at_boot:
                    self.running.start()
            said = f"{progress.before} runs again; {progress.record}"
            if not at_boot and (ailment := self._ailment(progress.before, OLD_ONE_S, was_ailing=True)):
                said += f", but it is not well: {ailment}; look into `journalctl -u 'mb9k-*'`"
        if progress.is_new:
            self.releases.remove(progress.after)
        self.releases.sweep()
        self.box.forget(self.python)
        self.journal.end(Outcome(utc, progress.before, progress.after, progress.before, trouble, progress.record))
        return said

    def _step(self, progress: Progress, step: Step, words: str, **changes: object) -> Progress:
        if step not in (Step.UNDOING, Step.SETTLING):
            self._refuse_if_ended()
        progress = replace(progress, step=step, **changes)
        self.journal.write(progress)
        self._say(words)
        return progress

    def _ailment(
        self, version: str, within_s: float, was_ailing: bool, refuse: Callable[[], None] = lambda: None
    ) -> str | None:
        """What keeps a release from being well; None as soon as it has been well for long enough."""
        python = self.releases.python(version)
        return ailment(lambda: self.box.health(python), within_s, self.patience.steady_s, was_ailing, refuse)
