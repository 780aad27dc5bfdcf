"""What one version is asked by another that makes or undoes an update: hidden commands, run as the box's user.

Older and newer versions ask them of each other, so their names, arguments and answers stay; appliance/update/asking.py
asks them.
"""

from __future__ import annotations

import importlib
import os
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import click
import msgspec

from appliance.alone import refuse_company
from appliance.commands.kit import config_of
from appliance.config import Config
from appliance.disk import Reserve
from appliance.errors import UserError
from appliance.language import N_
from appliance.rules.recovery import in_one_line
from appliance.service import SERVICES
from appliance.store import Store, backup, soundness
from appliance.store.soundness import Remedy
from appliance.times import now
from appliance.update.asking import Health

BEGUN = ".put-back"
DEAD = N_("{name} does not live")
BEFORE = N_("the record is as it was before, everybody signed out; what there was is kept as {aside}")
ALL_KEPT = N_("all that was counted is kept")
FAULTS = (
    N_("the record is damaged ({reason})"),
    N_("the record was made by a newer mb9k than this one ({reason})"),
    N_("the record is damaged, or a database of another program (it has no list of migrations)"),
    N_("the record cannot be opened"),
    N_("the record cannot be written: its disk or it is read-only"),
    N_("the record is on a disk that is mounted read-only"),
    N_("the record is held by another program"),
    N_("the record cannot be read from the disk ({reason})"),
    N_("the record may not be read and written by this user"),
    N_(
        "`mb9k {name}` runs on {folder} already (process {process}); stop that one, or give this box a state_dir of its"
        " own"
    ),
)
"""What is mostly wrong with a record (store/soundness.py), for whoever shows it."""
ONLY_THEN = N_("only a copy of the record from then could be used")
NOT_WELL = N_("the record is not well after it was migrated: {problem}")


def _copies(config: Config) -> Path:
    """The folder of the copies that an update needs, on the disk of the record."""
    return config.state / "update"


@click.command("ask-keep", hidden=True)
@click.option("--at-rest", is_flag=True, help="No service may run.")
@click.argument("name")
@click.pass_context
def keep(context: click.Context, at_rest: bool, name: str) -> None:
    """Copy the record under this name."""
    config = config_of(context)
    if at_rest:
        for service in ("run", *(service.name for service in SERVICES)):
            refuse_company(config.state, service)
    _copies(config).mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = _copies(config) / name
    _remove(copy)
    if soundness.is_new(config.store_path):
        click.echo("there is no record yet")
        return
    with in_one_line(N_("the record cannot be copied")):
        Reserve(config.state).spend(partial(backup.copy, config.store_path, copy))
    click.echo("the record is copied")


@click.command("ask-trial", hidden=True)
@click.argument("name")
@click.pass_context
def trial(context: click.Context, name: str) -> None:
    """Whether this version can do with this box: its configuration, its record, its model. The copy is migrated."""
    config = config_of(context)
    for service in SERVICES:
        importlib.import_module(service.module)
    from appliance.watch.service import usable_detector

    copy = _copies(config) / name
    if fault := soundness.diagnose(copy):
        hint = f"; {ONLY_THEN}" if fault.remedy is Remedy.UPDATE else ""
        raise UserError(f"the record {fault.what}{hint}")
    with closing(Store.open(copy)) as store:
        if problems := store.problems():
            raise UserError(NOT_WELL.format(problem=problems[0]))
    detector, problem = usable_detector(config)
    if detector is None:
        raise UserError(str(problem))
    click.echo("it can")


@click.command("ask-health", hidden=True)
@click.pass_context
def health(context: click.Context) -> None:
    """How the box is, as JSON. A service gives heartbeats only while it answers as it answers others."""
    config = config_of(context)
    with closing(Store.open_readonly(config.store_path)) as store:
        alive = {status.name: status for status in store.services.all(now()) if status.alive and _is_there(status.pid)}
    needed = [service.name for service in SERVICES if not service.is_newer]
    missing = [DEAD.format(name=name) for name in needed if name not in alive]
    watcher = alive.get("watch")
    pids = {service.name: alive[service.name].pid for service in SERVICES if service.name in alive}
    told = Health(pids, missing, (watcher.problem or "") if watcher else "")
    click.echo(msgspec.json.encode(told).decode())


@click.command("ask-put-back", hidden=True)
@click.argument("name")
@click.pass_context
def put_back(context: click.Context, name: str) -> None:
    """Have a record that this version can use: the one there is, if it can, else the copy. Nothing is deleted."""
    config = config_of(context)
    copy = _copies(config) / name
    begun = copy.with_suffix(BEGUN)  # asked again after a power cut, it still says what was done
    fault = soundness.diagnose(config.store_path, backups=config.backups_dir)
    if fault:
        with in_one_line(N_("the record cannot be put back")):
            begun.parent.mkdir(mode=0o700, exist_ok=True)
            begun.touch()
            _put_back(config, copy, fault)
    if begun.exists():
        aside = max(config.state.glob(f"{config.store_path.name}{soundness.ASIDE}*Z"), default="a file beside it")
        click.echo(BEFORE.format(aside=aside))
    else:
        click.echo(ALL_KEPT)


def _put_back(config: Config, copy: Path, fault: soundness.Fault) -> None:
    """Put the copy in the place of the record."""
    if copy.exists():
        Reserve(config.state).spend(partial(backup.restore, copy, config.store_path, now().utc))
    elif fault.remedy is Remedy.UPDATE:  # there was none before the newer version began one
        backup.start_empty(config.store_path, config.images_dir, now().utc)
    else:
        raise UserError(f"{config.store_path} {fault.what}; `mb9k check` says what to do")


@click.command("ask-forget", hidden=True)
@click.pass_context
def forget(context: click.Context) -> None:
    """Remove the copies."""
    folder = _copies(config_of(context))
    for copy in folder.glob("*.db"):
        _remove(copy)
    for note in (*folder.glob("*.partial"), *folder.glob(f"*{BEGUN}")):
        note.unlink(missing_ok=True)


def _remove(copy: Path) -> None:
    """Remove a copy and what SQLite and the store keep beside it."""
    for suffix in (*soundness.COMPANIONS, ".lock", ""):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _is_there(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        return True
    return False
