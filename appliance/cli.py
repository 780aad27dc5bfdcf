"""The command `mb9k`. Services are imported inside their command, so that `serve` starts without ONNX Runtime."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from appliance import service
from appliance.accounts.people import Role
from appliance.config import Config, as_toml, load
from appliance.disk import means_full
from appliance.errors import UserError
from appliance.rules import people, streams
from appliance.secrets import claim_code, hash_password
from appliance.store import Store, WallClock
from appliance.times import now, utc_text

DEFAULT_CONFIG = Path("/etc/mb9k/mb9k.toml")


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    config_path: Path
    log_level: str


class LazyGroup(click.Group):
    """A group that imports `detect` (and with it PyAV and ONNX Runtime) only when it is called for."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name == "detect":
            command: click.Command = _import("appliance.vision.detect").detect_command
            return command
        return super().get_command(ctx, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names; `detect` only where PyAV is installed, since its help needs it."""
        names = super().list_commands(ctx)
        return sorted([*names, "detect"]) if importlib.util.find_spec("av") else names


def _import(module: str) -> Any:
    """A module of ours that needs the extra `box`. Raises UserError if that is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("appliance"):
            raise
        raise UserError(f"{error.name} is not installed; `pip install 'mb9k[box]'` brings what a box needs") from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mb9k")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar="MB9K_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file (or set MB9K_CONFIG).",
)
@click.option(
    "--log-level",
    type=click.Choice(service.LOG_LEVELS),
    default="info",
    show_default=True,
    help="How much services write to the log.",
)
@click.pass_context
def cli(context: click.Context, config_path: Path, log_level: str) -> None:
    """A box that counts who wears a mask, and wears it properly, in live RTMP streams."""
    context.obj = Options(config_path, log_level)


def _config(context: click.Context) -> Config:
    options: Options = context.obj
    return load(options.config_path)


def _service_command(entry: service.Service) -> click.Command:
    def start(context: click.Context, engine: str | None = None) -> None:
        service.prepare(entry.name, context.obj.log_level)
        config = _config(context)
        if engine:
            config = msgspec.structs.replace(config, media=msgspec.structs.replace(config.media, engine=engine))
        _import(entry.module).serve(config)

    params: list[click.Parameter] = []
    if entry.name == "ingest":
        engines = click.Choice(("auto", "mediamtx", "embedded"))
        params.append(click.Option(["--engine"], type=engines, help="Instead of media.engine in the configuration."))
    return click.Command(
        entry.name,
        callback=click.pass_context(start),
        params=params,
        help=f"{entry.summary} (A service; `run` starts all.)",
    )


for _entry in service.SERVICES:
    cli.add_command(_service_command(_entry))


@cli.command()
@click.pass_context
def run(context: click.Context) -> None:
    """Run the whole box in the foreground: gate, MediaMTX or the embedded ingest, watch, serve."""
    options: Options = context.obj
    service.prepare("run", options.log_level)
    _import("appliance.supervisor").run(_config(context), options.config_path.resolve(), options.log_level)


@cli.command("config")
@click.pass_context
def show_config(context: click.Context) -> None:
    """Print the effective configuration: every setting with its meaning, as an mb9k.toml."""
    click.echo(as_toml(_config(context)), nl=False)


@cli.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Verify the store, its invariants, its images and the rules for names and sources, and say what to do."""
    config = _config(context)
    path = config.store_path
    if not path.exists():
        raise UserError(f"{path}: there is no store yet; `mb9k run` makes one")
    problems = _import("appliance.rules.check").problems(config)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise UserError(f"{path} is not well; see above")
    click.echo(f"{path}: all is well")


@cli.command()
@click.pass_context
def claim(context: click.Context) -> None:
    """Print the claim code by which the first person becomes admin."""
    config = _config(context)
    store = Store.open(config.store_path)
    if store.people.count():
        raise UserError("this box has been claimed already; sign in on its page, or see `mb9k user --help`")
    click.echo(claim_code(config.claim_code_path))


@cli.group()
def user() -> None:
    """People who may sign in."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default="data_scientist", show_default=True)
@click.password_option(help="Asked for when not given.")
@click.pass_context
def user_add(context: click.Context, name: str, role: str, password: str) -> None:
    """Add a person."""
    store = Store.open(_config(context).store_path)
    person_id = people.add(store, name, hash_password(password), Role(role), now().utc)
    click.echo(f"{people.find(store, person_id).name} may sign in now.")


@user.command("password")
@click.argument("name")
@click.password_option(help="Asked for when not given.")
@click.pass_context
def user_password(context: click.Context, name: str, password: str) -> None:
    """Give a person another password (for one who forgot it); ends all of the person's sessions."""
    store = Store.open(_config(context).store_path)
    person = people.named(store, name)
    people.set_password(store, person, hash_password(password))
    click.echo(f"{person.name} has another password now.")


@user.command("list")
@click.pass_context
def user_list(context: click.Context) -> None:
    """List people and their roles."""
    for person in Store.open(_config(context).store_path).people.all():
        click.echo(f"{person.name}\t{person.role.value}")


@cli.group()
def stream() -> None:
    """Video sources."""


@stream.command("add")
@click.argument("name")
@click.option("--owner", required=True, help="Whose stream it is.")
@click.option("--source", help="Let the box pull it: rtsp://..., a file, /dev/video0. Without: people publish to it.")
@click.pass_context
def stream_add(context: click.Context, name: str, owner: str, source: str | None) -> None:
    """Add a stream; prints its stream key, this once."""
    config = _config(context)
    store = Store.open(config.store_path)
    _, key = streams.add(store, streams.OPERATOR, owner, name, source, now())
    if key:
        host = config.rtmp.public_host or "<this box>"
        click.echo(f"Server: rtmp://{host}:{config.rtmp.port}/live\nStream key: {key}")


@stream.command("list")
@click.pass_context
def stream_list(context: click.Context) -> None:
    """List streams, and which are LIVE."""
    for each in Store.open(_config(context).store_path).streams.all(now()):
        state = "LIVE" if each.live else "offline" if each.active else "deactivated"
        click.echo(f"{each.title}\t{state}\t{each.problem or ''}".rstrip())


@cli.group()
def clock() -> None:
    """The time, by which images become too old."""


@clock.command("show")
@click.pass_context
def clock_show(context: click.Context) -> None:
    """Say whether the clock of the box is believed, and what to do if not."""
    moment = now()
    noted = Store.open(_config(context).store_path).ages.clock()
    click.echo(f"It is {utc_text(moment.utc)} by the clock of the box.")
    if noted is None:
        click.echo("The watcher has not noted it yet; start the box.")
    elif noted.notice or noted.at(moment).wall_clock is not WallClock.BELIEVED:
        click.echo(noted.notice or "Nothing has said yet that it is right, so no image becomes too old by it.")
    else:
        click.echo("It is believed.")


@clock.command("confirm")
@click.pass_context
def clock_confirm(context: click.Context) -> None:
    """Say that the clock of the box is right: images that are too old by it then go within a minute."""
    store, moment = Store.open(_config(context).store_path), now()
    with store.saving():
        store.ages.believe(moment)
    click.echo(f"It is {utc_text(moment.utc)}. Images that are too old by this clock go within a minute.")


def main() -> None:
    """The entry point: a person's mistake is one line and exit code 1."""
    try:
        cli(standalone_mode=False)
    except UserError as error:
        click.echo(f"mb9k: {error}", err=True)
        sys.exit(1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        click.echo(f"mb9k: {error.format_message()}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (OSError, sqlite3.Error) as error:
        if not means_full(error):
            raise
        click.echo(f"mb9k: {error}; make room on the disk, then do it again", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
