"""`mb9k slots`: the whole system in two slots; and the part of `mb9k update` that is about it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from appliance.alone import refuse_company, stay_alone
from appliance.commands.kit import config_of
from appliance.config import Config
from appliance.errors import UserError
from appliance.slots import loader, rauc
from appliance.slots.changing import Changer
from appliance.slots.machine import Machine
from appliance.slots.preparing import prepare_system
from appliance.slots.trials import Trials
from appliance.times import now
from appliance.update.asking import Box
from appliance.update.services import Systemd
from appliance.update.versions import UpdateError

MACHINE = Machine()
LOCK = "update"


@click.group(invoke_without_command=True)
@click.pass_context
def slots(context: click.Context) -> None:
    """Show the slots of the whole system, of which one runs and the other takes updates.

    Its commands are for the units of an image and for RAUC; for people there is `mb9k update FILE`.
    """
    if context.invoked_subcommand is None:
        config = config_of(context)
        state, runs = MACHINE.loader(config.slots), MACHINE.slot()
        build = MACHINE.build()
        for slot in loader.SLOTS:
            words = ["good" if state.is_good(slot) else "not to be started"]
            words += [f"runs {build}"] * (slot == runs) + ["starts next"] * (slot == state.primary())
            click.echo(f"{slot}\t{', '.join(words)}")


@slots.command("good")
@click.pass_context
def good(context: click.Context) -> None:
    """Say that the slot that runs is good; a system that is new there must be well within minutes, or this fails.

    mb9k-slot-good.service does it at every start; if it fails for a new system, the machine restarts.
    """
    config = config_of(context)
    click.echo(_changer(config, context).prove(config.update.health_s, now().utc))


@slots.command("resume")
@click.option("--at-boot", is_flag=True, help="Nothing runs yet, and the services are started by others.")
@click.option("--if-abandoned", is_flag=True, help="Do nothing, quietly, while an update is under way.")
@click.pass_context
def resume(context: click.Context, at_boot: bool, if_abandoned: bool) -> None:
    """End an update of the system that was cut off or did not prove itself.

    mb9k-slot-resume.service does it at every start of the machine, before the services, and mb9k-slot-abandoned.timer
    every ten minutes.
    """
    config = config_of(context)
    folder = Path(config.slots.folder)
    if if_abandoned:
        try:
            refuse_company(folder, LOCK)
        except UserError:
            return
    stay_alone(folder, LOCK)
    click.echo(_changer(config, context).resume(now().utc, at_boot))


def _contract(name: str, says: str, *words: str) -> click.Command:
    """One word of the contract of RAUC's custom backend."""

    def answer(**given: str) -> None:
        slots_of = config_of(click.get_current_context()).slots
        said = loader.answer(MACHINE.loader(slots_of), [name, *given.values()], MACHINE.command_line.read_text())
        if said:
            click.echo(said)

    arguments: list[click.Parameter] = [click.Argument([word]) for word in words]
    return click.Command(name, callback=answer, params=arguments, help=f"{says}, as RAUC asks.", hidden=True)


for _command in (
    _contract("get-primary", "The slot that starts next"),
    _contract("set-primary", "Have this slot start next", "slot"),
    _contract("get-state", "Whether a slot may start", "slot"),
    _contract("set-state", "Say whether it may", "slot", "state"),
    _contract("get-current", "The slot that runs"),
):
    slots.add_command(_command)


def update_system(context: click.Context, config: Config, path: Path, yes: bool, listen: Callable[[], None]) -> None:
    """Let the system in a bundle of RAUC's start, after it said what changes. listen: from now on, end in order.

    Raises UpdateError.
    """
    changer = _changer(config, context)
    if os.geteuid():
        raise UpdateError(f"this user may not change the system; do it as root: sudo {sys.argv[0]} update ...")
    stay_alone(changer.trials.folder, LOCK)
    changer.refuse_unfinished()
    prepared = prepare_system(config, path, MACHINE)
    for line in prepared.lines:
        click.echo(line)
    if not yes and sys.stdin.isatty():
        click.confirm("Go on?", abort=True)
    listen()
    changer.update(prepared.bundle, prepared.before, now().utc)


def refuse_during_trial(config: Config) -> None:
    """Raise UpdateError if a system must prove itself, or was cut off: then nothing else may change."""
    if config.slots.loader != "none" and (trial := Trials(Path(config.slots.folder)).read()):
        raise UpdateError(f"the system {trial.after} is to prove itself first; try again in some minutes")


def _changer(config: Config, context: click.Context) -> Changer:
    """What changes slots. Raises UpdateError: there are none."""
    if not config.state.is_dir():
        raise UpdateError(f"{config.state}: no such folder; start the box once (`systemctl start mb9k.target`)")
    return Changer(
        Trials(Path(config.slots.folder)),
        MACHINE.loader(config.slots),
        Box(config.state, context.obj.config_path.resolve()),
        Systemd(),
        MACHINE.slot(),
        Path(sys.executable),
        rauc.install,
        _restart,
        click.echo,
    )


def _restart(argument: str) -> None:
    """Restart the machine in order. Raises UpdateError."""
    words = ["systemctl", "reboot", *([f"--reboot-argument={argument}"] if argument else [])]
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise UpdateError(f"`{' '.join(words)}`: {error}") from error
