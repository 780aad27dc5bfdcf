"""`mb9k update`: another version of this program, from a signed bundle, which proves itself or is undone."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from types import FrameType

import click

from appliance.alone import refuse_company, stay_alone
from appliance.commands import asked
from appliance.commands.kit import config_of
from appliance.commands.slots import refuse_during_trial, update_system
from appliance.config import Config
from appliance.errors import UserError
from appliance.slots.bundle import is_of_rauc
from appliance.slots.trials import Trials
from appliance.store.soundness import COMPANIONS, newest_known
from appliance.times import now, utc_text
from appliance.update.asking import Box
from appliance.update.building import refuse_too_full
from appliance.update.bundle import verified
from appliance.update.planning import refuse_unfit, what_changes
from appliance.update.releases import Releases
from appliance.update.services import Systemd
from appliance.update.updating import Patience, Updater
from appliance.update.versions import ELSEWHERE, UpdateError, this_machine, this_python


class UpdateGroup(click.Group):
    """A group whose first word may also be a file: `mb9k update FILE` is `mb9k update install FILE`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words mean."""
        if args and self.get_command(ctx, args[0]) is None:
            args = ["install", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=UpdateGroup, context_settings={"ignore_unknown_options": True})
def update() -> None:
    """Let another version of this program run.

    A FILE in the place of COMMAND is a signed bundle to install. It is tried on a copy of the record first; then the
    services change over, and if the new version is not well within minutes, the old one runs again with its record.
    A bundle of a whole system does the same with the other slot of the machine, which restarts.

    Who may sign stands in the file that update.authority of the configuration names.
    """


@update.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def install(context: click.Context, file: Path, yes: bool) -> None:
    """Let the version in the bundle FILE run; it says beforehand what changes.

    Nothing is unpacked before the signature and every sum were found right. Do it as root. On a machine with two
    slots, FILE may be a whole system: it is written into the slot that does not run, and the machine restarts.
    """
    config = config_of(context)
    updater = _updater(config, context)
    if is_of_rauc(file):
        update_system(context, config, file, yes, _ending.listen)
        return
    releases = updater.releases
    bundle = verified(file, _authorities(config), now().utc)
    current = releases.current()
    refuse_unfit(bundle, current, releases.all(), this_python(), this_machine())
    parts = (Path(f"{config.store_path}{suffix}") for suffix in ("", *COMPANIONS))
    record_bytes = sum(part.stat().st_size for part in parts if part.exists())
    refuse_too_full(bundle, releases, config.state, record_bytes, config.images.min_free_mb * 1_000_000)
    installed = {each.name.replace("_", "-").lower(): each.version for each in distributions()}
    for line in what_changes(bundle, current, installed, newest_known(), config.update.health_s):
        click.echo(line)
    if not yes and sys.stdin.isatty():
        click.confirm("Go on?", abort=True)
    _ending.listen()
    updater.update(bundle, now().utc)
    click.echo(f"{bundle.manifest.version} runs now. `mb9k update back` lets {current} run again.")


@update.command()
@click.option("--to", "version", help="Which one; without it the newest that is older than the one that runs.")
@click.pass_context
def back(context: click.Context, version: str | None) -> None:
    """Let a release run again that is kept.

    It is tried on a copy of the record first: one that cannot read it is refused, and nothing changes.
    """
    updater = _updater(config_of(context), context)
    version = version or updater.releases.before_current()
    _ending.listen()
    updater.back(version, now().utc)
    click.echo(f"{version} runs now.")


@update.command("list")
@click.pass_context
def list_releases(context: click.Context) -> None:
    """List the releases that are kept, and how the last updates ended."""
    config = config_of(context)
    updater = _updater(config, context, may_change=False)
    releases, progress = updater.releases, updater.journal.read()
    current = releases.current()
    for version in releases.all():
        making = progress is not None and progress.is_new and version == progress.after
        word = "runs" if version == current else "is being made" if making else "kept"
        click.echo(f"{version}\t{word}")
    trials = Trials(Path(config.slots.folder))
    ended = [("", each) for each in updater.journal.outcomes()] + [("the system ", each) for each in trials.outcomes()]
    for what, outcome in sorted(ended, key=lambda each: each[1].utc):
        how = f"undone: {outcome.trouble}; {outcome.record}".rstrip("; ") if outcome.trouble else "done"
        click.echo(f"{utc_text(outcome.utc)}\t{what}{outcome.before} -> {outcome.after}\t{how}")
    if progress:
        click.echo(f"under way, or cut off: {progress.before} -> {progress.after}, {progress.step.value}")
    if trial := trials.read():
        click.echo(f"under way, or cut off: the system {trial.before} -> {trial.after}, {trial.step.value}")


@update.command()
@click.option("--at-boot", is_flag=True, help="Nothing runs yet, and the services are started by others.")
@click.option("--if-abandoned", is_flag=True, help="Do nothing, quietly, while an update is under way.")
@click.pass_context
def resume(context: click.Context, at_boot: bool, if_abandoned: bool) -> None:
    """End an update that was cut off: it is undone, or, if the new version had proved itself, tidied up.

    mb9k-update-resume.service does it at every start of the machine, before the services, and
    mb9k-update-abandoned.timer every ten minutes.
    """
    if if_abandoned:
        try:
            refuse_company(Path(config_of(context).update.releases), "update")
        except UserError:
            return
    updater = _updater(config_of(context), context, may_be_unfinished=True, is_boot=at_boot)
    click.echo(updater.resume(now().utc, at_boot))


for _question in (asked.keep, asked.trial, asked.health, asked.put_back, asked.forget):
    update.add_command(_question)


def _updater(
    config: Config,
    context: click.Context,
    may_change: bool = True,
    may_be_unfinished: bool = False,
    is_boot: bool = False,
) -> Updater:
    """The updater of this box, alone on its folder if it may change anything. Raises UserError."""
    folder = Path(config.update.releases)
    if not folder.is_dir() or not config.state.is_dir():
        missing = config.state if folder.is_dir() else folder
        raise UpdateError(f"{missing}: no such folder: {ELSEWHERE}")
    releases = Releases(folder)
    box = Box(config.state, context.obj.config_path.resolve())
    patience = Patience(config.update.health_s)
    updater = Updater(releases, box, Systemd(), Path(sys.executable), patience, _say, _ending)
    if may_change:
        releases.refuse_unwritable()
        stay_alone(folder, "update")
        if not is_boot:
            Systemd.refuse_absent()
        if not may_be_unfinished:
            updater.refuse_unfinished()
            refuse_during_trial(config)
    return updater


def _say(words: str) -> None:
    """Tell whoever listens; a connection that is lost must not end an update."""
    with suppress(OSError):
        click.echo(words)


class _Ending:
    """Whether this process was asked to end; a connection that is lost asks nothing."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def listen(self) -> None:
        """From now on."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


_ending = _Ending()


def _authorities(config: Config) -> str:
    """Who may sign, PEM. Raises UpdateError."""
    path = Path(config.update.authority)
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UpdateError(
            f"{path}: {error}; put the certificate of your updates' authority there (update.authority)"
        ) from error
