"""The command `mb9k`. Services are imported inside their command, so that `serve` starts without ONNX Runtime."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from appliance import service
from appliance.accounts.people import ROLES_OF_BOX, Role
from appliance.alone import stay_alone
from appliance.commands.clock import clock
from appliance.commands.kit import Options, config_of, operator, secret, store_of
from appliance.commands.metrics import metrics
from appliance.commands.privacy import privacy
from appliance.commands.streams import stream
from appliance.config import as_toml
from appliance.disk import FULL, means_full
from appliance.errors import UserError
from appliance.rules import check as check_rules
from appliance.rules import people, recovery
from appliance.rules.check import refuse_unsound
from appliance.secrets import claim_code, hash_password
from appliance.times import now

DEFAULT_CONFIG = Path("/etc/mb9k/mb9k.toml")


LATE = {
    # command: (its module and name there, what must be installed for it)
    "alert": ("appliance.commands.alerts", "alert", "click"),
    "audit": ("appliance.commands.audit", "audit", "click"),
    "bench": ("appliance.commands.bench", "bench", "av"),
    "central": ("appliance.commands.central", "central", "paho"),
    "engine": ("appliance.commands.engine", "engine", "onnxruntime"),
    "export": ("appliance.commands.export", "export", "click"),
    "detect": ("appliance.vision.detect", "detect_command", "av"),
    "join": ("appliance.commands.fleet", "join", "cryptography"),
    "leave": ("appliance.commands.fleet", "leave", "cryptography"),
    "first-boot": ("appliance.commands.first_boot", "first_boot", "segno"),
    "fleet": ("appliance.commands.fleet", "fleet", "cryptography"),
    "hotspot": ("appliance.commands.first_boot", "watch_hotspot", "segno"),
    "screen": ("appliance.commands.screen", "show", "segno"),
    "machine": ("appliance.commands.machine", "machine", "cryptography"),
    "slots": ("appliance.commands.slots", "slots", "cryptography"),
    "update": ("appliance.commands.update", "update", "cryptography"),
}


class LazyGroup(click.Group):
    """A group that imports some commands, and the libraries they need, only when they are called for."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name in LATE:
            module, attribute, _ = LATE[name]
            command: click.Command = getattr(_import(module), attribute)
            return command
        return super().get_command(ctx, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names; those in LATE only where what they need is installed, since their help needs it."""
        late = [name for name, (_, _, needed) in LATE.items() if importlib.util.find_spec(needed)]
        return sorted([*super().list_commands(ctx), *late])


def _import(module: str) -> Any:
    """A module of ours that needs an extra, `box` or `central`. Raises UserError if that is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("appliance"):
            raise
        extra, what = ("central", "a centre") if ".central" in module else ("box", "a box")
        raise UserError(
            f"{error.name} is not installed; `pip install 'mb9k[{extra}]'` brings what {what} needs"
        ) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mb9k")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),  # the user of a centre may not read a box's, nor need it
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


def _service_command(entry: service.Service) -> click.Command:
    def start(context: click.Context, engine: str | None = None) -> None:
        service.prepare(entry.name, context.obj.log_level)
        config = config_of(context)
        if engine:
            config = msgspec.structs.replace(config, media=msgspec.structs.replace(config.media, engine=engine))
        stay_alone(config.state, entry.name)
        refuse_unsound(config)
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
    """Run the whole box in the foreground.

    That is the gate, the ingest (MediaMTX or the embedded one), the watcher, the site, and what tells a centre.
    """
    options: Options = context.obj
    service.prepare("run", options.log_level)
    _import("appliance.supervisor").run(config_of(context), options.config_path.resolve(), options.log_level)


@cli.command("config")
@click.pass_context
def show_config(context: click.Context) -> None:
    """Print every setting in force with its meaning, as an mb9k.toml."""
    click.echo(as_toml(config_of(context)), nl=False)


@cli.command()
@click.option(
    "--repair", is_flag=True, help="First count wrong sums again, and make missing triggers and indexes again."
)
@click.pass_context
def check(context: click.Context, repair: bool) -> None:
    """Verify the record, and say what to do if it is not well.

    This looks at the store and its invariants, at every image, and at names and sources by the rules of today.
    """
    config = config_of(context)
    if repair:
        check_rules.refuse_new(config)
        made = check_rules.repair_parts(config)
        if done := check_rules.repair_sums(store_of(config), made):
            click.echo(done)
    path, problems = config.store_path, check_rules.problems(config)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise UserError(f"{path} is not well; see above")
    for note in check_rules.notes(config):
        click.echo(note)
    click.echo(f"{path}: all is well")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.pass_context
def backup(context: click.Context, path: Path | None) -> None:
    """Copy the record while the box runs.

    The copy goes to PATH; without it, among those that the box makes by itself.

    A copy holds people, streams and detections, with hashes of passwords and the addresses of cameras: keep it as safe
    as the box. Images are not in it.
    """
    click.echo(f"{recovery.back_up(config_of(context), path, now().utc, operator())}: the record as it is now")


@cli.command()
@click.argument("copy", type=click.Path(path_type=Path), required=False)
@click.option("--new", is_flag=True, help="Begin an empty record instead; images are set aside, too.")
@click.pass_context
def restore(context: click.Context, copy: Path | None, new: bool) -> None:
    """Put COPY, or the newest backup, in the place of the record. What is there gets another name; nothing is deleted.

    The box must be stopped. What was changed since the copy was made is then as it was: people, passwords, keys.
    """
    if new and copy:
        raise click.UsageError("--new begins an empty record: name no copy.")
    config = config_of(context)
    for name in ("run", *(entry.name for entry in service.SERVICES)):
        stay_alone(config.state, name)
    put_back = recovery.start_empty(config, now().utc, operator()) if new else None
    click.echo(put_back or recovery.restore(config, copy, now().utc, operator()))


@cli.command()
@click.pass_context
def claim(context: click.Context) -> None:
    """Print the claim code by which the first person becomes admin, and with HTTPS what the certificate is known by."""
    config = config_of(context)
    store = store_of(config)
    if store.people.count():
        raise UserError("this box has been claimed already; sign in on its page, or see `mb9k user --help`")
    click.echo(claim_code(config.claim_code_path))
    if config.web.https:
        click.echo(_import("appliance.https").https_words(config, now().utc), err=True)


@cli.command()
@click.pass_context
def fingerprint(context: click.Context) -> None:
    """Print the SHA-256 of the certificate that the page shows, as browsers show it."""
    config = config_of(context)
    if not config.web.https:
        raise UserError("this box speaks plain HTTP; set `https = true` under [web] in the configuration file")
    click.echo(_import("appliance.https").fingerprint(config, now().utc))


@cli.group()
def user() -> None:
    """People who may sign in."""


@user.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([each.value for each in ROLES_OF_BOX]), default="data_scientist", show_default=True
)
@click.pass_context
def user_add(context: click.Context, name: str, role: str) -> None:
    """Add a person. The password is asked for, or read from standard input: one line."""
    config = config_of(context)
    store = store_of(config)
    password_hash = hash_password(secret("password", confirm=True), name, config.box)
    person_id = people.add(store, name, password_hash, Role(role), now().utc)
    click.echo(f"{people.find(store, person_id).name} may sign in now.")


@user.command("password")
@click.argument("name")
@click.option("--keep-tokens", is_flag=True, help="Let the person's programs go on; without it their tokens end, too.")
@click.pass_context
def user_password(context: click.Context, name: str, keep_tokens: bool) -> None:
    """Give a person another password, for one who forgot it.

    All of the person's sessions and tokens end. The password is asked for, or read from standard input: one line.
    """
    config = config_of(context)
    store = store_of(config)
    person = people.named(store, name)
    password_hash = hash_password(secret("password", confirm=True), person.name, config.box)
    people.set_password(store, person, password_hash, keep_tokens=keep_tokens)
    click.echo(f"{person.name} has another password now.")


@user.command("tokens")
@click.pass_context
def user_tokens(context: click.Context) -> None:
    """List everybody's tokens for programs.

    A line each: whose it is, its name, when it was made, when it was last used, when it expires.
    """
    for token in store_of(config_of(context)).people.all_tokens():
        times = (token.created_utc, token.last_used_utc or "never used", token.expires_utc)
        click.echo("\t".join((token.owner.name, token.name, *times)))


@user.command("list")
@click.pass_context
def user_list(context: click.Context) -> None:
    """List people and their roles."""
    for person in store_of(config_of(context)).people.all():
        click.echo(f"{person.name}\t{person.role.value}")


cli.add_command(stream)
cli.add_command(clock)
cli.add_command(privacy)
cli.add_command(metrics)


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
        if means_full(error):
            click.echo(f"mb9k: {FULL}, then do it again", err=True)
        elif isinstance(error, sqlite3.Error):
            click.echo(f"mb9k: the store cannot be used ({error}); `mb9k check` says what to do", err=True)
        else:
            raise
        sys.exit(1)


if __name__ == "__main__":
    main()
