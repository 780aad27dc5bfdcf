"""Updates that people ask for away from the command line: how things stand, and having root act."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.config import Config
from appliance.errors import InputError, NotSaved, UserError
from appliance.files import replace_file
from appliance.language import _
from appliance.machine.asking import ask, can
from appliance.machine.requests import Update
from appliance.outside import system_words
from appliance.slots.trials import Trial, Trials
from appliance.update.journal import Journal, Outcome, Progress
from appliance.update.releases import Releases
from appliance.update.uploads import Upload, Uploads
from appliance.update.versions import UpdateError, sentence

TAKE_OVER_S = 600.0
"""Root copies and verifies hundreds of megabytes, on a slow card."""
BEGIN_S = 120.0
"""What was asked for begins within this time, or not at all."""


class Asked(msgspec.Struct, frozen=True):
    """What people had root begin. to: the version. by: who."""

    utc: float
    to: str
    by: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a box stands with its updates.

    current: the release that runs; None: it has no releases, and `problem` says why. releases: oldest first, of which
    one may be made just now. before: the one to go back to. progress: of an update that is under way or was cut off;
    trial: of a whole system, the same. outcomes: of both, newest first. asked: begun by root, not in the journal yet.
    can: whether the page may have root act.
    """

    current: str | None
    releases: list[str]
    before: str | None
    progress: Progress | None
    trial: Trial | None
    outcomes: list[Outcome]
    asked: Asked | None
    can: bool
    problem: str = ""

    @property
    def is_at_work(self) -> bool:
        """Whether an update is under way, or begins."""
        return any(each is not None for each in (self.progress, self.trial, self.asked))

    @property
    def is_idle(self) -> bool:
        """Whether one could begin."""
        return self.can and self.current is not None and not self.is_at_work


def standing(config: Config, utc: float) -> Standing:
    """How things stand. Raises nothing: what cannot be read is said."""
    releases = Releases(Path(config.update.releases))
    journal, trials = Journal(releases.folder), Trials(Path(config.slots.folder))
    may = can(config, "update")
    try:
        current, there, progress = releases.current(), releases.all(), journal.read()
        trial = trials.read() if config.slots.loader != "none" else None
    except UpdateError as error:
        return Standing(None, [], None, None, None, [], None, may, sentence(error))
    except OSError as error:
        words = _(
            "{folder} cannot be read ({trouble}): this box was set up in another way; update it so.",
            folder=releases.folder,
            trouble=system_words(error),
        )
        return Standing(None, [], None, None, None, [], None, may, words)
    outcomes = _outcomes(config)
    try:
        before = releases.before_current()
    except UpdateError:
        before = None
    if progress and progress.is_new and progress.after in there:
        there.remove(progress.after)
    asked = _asked(config)
    if asked and (
        not asked.utc <= utc < asked.utc + BEGIN_S or progress or trial or any(asked.utc < o.utc for o in outcomes)
    ):
        asked = None
    return Standing(current, there, before, progress, trial, outcomes, asked, may)


def never_began(config: Config, utc: float) -> Asked | None:
    """What was asked for in the last day and did not begin."""
    asked = _asked(config)
    if asked is None or not asked.utc + BEGIN_S <= utc < asked.utc + 86_400:
        return None
    return None if any(asked.utc < outcome.utc for outcome in _outcomes(config)) else asked


def usable_upload(config: Config, uploads: Uploads, utc: float) -> Upload | None:
    """The bundle that is there, with a plan for what runs now; it goes when it does not fit any more."""
    upload = uploads.current()
    if upload is None:
        return None
    try:
        if any(upload.utc < outcome.utc and not outcome.trouble for outcome in _outcomes(config)):
            raise UpdateError(_("it was installed, or another was"))
        if upload.plan.release == Releases(Path(config.update.releases)).current():
            return upload
        return uploads.look_again(upload, utc)
    except (UpdateError, OSError):
        uploads.forget()
        return None


def start(config: Config, uploads: Uploads, by: str, utc: float) -> str:
    """Have root install the bundle that is there; what happens now. Raises InputError, UserError."""
    upload = uploads.current()
    if upload is None:
        raise InputError(_("There is no bundle to install any more; send it again."))
    said = ask(config, Update(upload.file), patience_s=TAKE_OVER_S).words
    _note(config, Asked(utc, upload.plan.after, by))
    return said


def back(config: Config, by: str, utc: float) -> str:
    """Have root let the release before run again; what happens now. Raises InputError, UserError."""
    try:
        before = Releases(Path(config.update.releases)).before_current()
    except UpdateError as error:
        raise InputError(sentence(error)) from error
    said = ask(config, Update(), patience_s=TAKE_OVER_S).words
    _note(config, Asked(utc, before, by))
    return said


def centre_may_update(config: Config) -> bool:
    """Whether this box lets its centre update it."""
    return config.fleet.allow_updates or _allowed_path(config).exists()


def let_centre_update(config: Config, allowed: bool) -> None:
    """Allow it, or end that. Raises InputError: the configuration file allows it; NotSaved."""
    if config.fleet.allow_updates:
        raise InputError(_("It stands in mb9k.toml (fleet.allow_updates), and is changed there."))
    try:
        if allowed:
            replace_file(_allowed_path(config), "")
        else:
            _allowed_path(config).unlink(missing_ok=True)
    except OSError as error:
        raise NotSaved(
            _("This could not be kept ({trouble}); see whether the disk is full.", trouble=system_words(error))
        ) from error


def _allowed_path(config: Config) -> Path:
    return config.state / "centre-may-update"


def _outcomes(config: Config) -> list[Outcome]:
    """How the last updates ended, of this program and of whole systems; newest first."""
    ended = Journal(Path(config.update.releases)).outcomes()
    if config.slots.loader != "none":
        ended += Trials(Path(config.slots.folder)).outcomes()
    return sorted(ended, key=lambda outcome: outcome.utc, reverse=True)


def _path(config: Config) -> Path:
    return config.uploads_dir / "asked.json"


def _asked(config: Config) -> Asked | None:
    try:
        return msgspec.json.decode(_path(config).read_bytes(), type=Asked)
    except (OSError, msgspec.DecodeError):
        return None


def _note(config: Config, asked: Asked) -> None:
    """For the page, until the journal says more. Raises UserError."""
    try:
        config.uploads_dir.mkdir(mode=0o700, exist_ok=True)
        replace_file(_path(config), msgspec.json.encode(asked).decode())
    except OSError as error:
        raise UserError(
            _("It begins, but that could not be noted ({trouble}).", trouble=system_words(error))
        ) from error
