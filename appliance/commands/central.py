"""`mb9k central`: the centre of a fleet, on a machine of its own or beside a box."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from appliance import service
from appliance.accounts.audit import Action
from appliance.accounts.audit_chain import HeadFile
from appliance.accounts.metrics_token import METRICS
from appliance.accounts.people import People, Role
from appliance.central import authority, broker, members, run
from appliance.central import joining as joining_service
from appliance.central.check import audit_problems, note_restored, problems
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.store import CentralStore
from appliance.commands.central_export import export
from appliance.commands.central_kit import Options
from appliance.commands.central_kit import config_of as _config
from appliance.commands.central_kit import database_of as _database
from appliance.commands.kit import operator, secret
from appliance.commands.metrics import print_token
from appliance.config import as_toml
from appliance.errors import InputError, UserError
from appliance.names import person_name
from appliance.secrets import claim_code, hash_password
from appliance.times import utc_text

DEFAULT_CONFIG = Path("/etc/mb9k/central.toml")
BY = "the command line"
"""Who invites and revokes boxes here, for the record."""


class CentralGroup(click.Group):
    """Says of an error of the database which one it is of."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except sqlite3.Error as error:
            raise UserError(
                f"the database of the centre cannot be used ({error}); `mb9k central check` says more"
            ) from error


@click.group(cls=CentralGroup)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),  # reading it says more
    envvar="MB9K_CENTRAL_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The centre's configuration file (or set MB9K_CENTRAL_CONFIG).",
)
@click.pass_context
def central(context: click.Context, config_path: Path) -> None:
    """The centre, to which many boxes tell what they count."""
    context.obj = Options(config_path, context.obj.log_level)


@central.command("run")
@click.pass_context
def run_all(context: click.Context) -> None:
    """Run the whole centre in the foreground: mosquitto, ingest, the page, where boxes join, and alerts."""
    options: Options = context.obj
    service.prepare("central run", options.log_level)
    run.run(_config(context), options.config_path.resolve(), options.log_level)


def _service(name: str, summary: str, serve: Callable[[CentralConfig], None]) -> None:
    def start(context: click.Context) -> None:
        service.prepare(f"central {name}", context.obj.log_level)
        serve(_config(context))

    text = f"{summary} (A service; `run` starts all.)"
    central.add_command(click.Command(name, callback=click.pass_context(start), help=text))


def _serve_ingest(config: CentralConfig) -> None:
    from appliance.central import ingest

    ingest.serve(config)


def _serve_notify(config: CentralConfig) -> None:
    from appliance.central import notify

    notify.serve(config)


def _serve_site(config: CentralConfig) -> None:
    from appliance.central.viewer import site

    site.serve(config)


central.add_command(export)
_service("ingest", "Take in what boxes send. Any number may run, on any machines, on one PostgreSQL.", _serve_ingest)
_service("serve", "Show the centre's page. Any number may run beside each other.", _serve_site)
_service("joining", "Let boxes join.", joining_service.serve)
_service("notify", "Raise alerts, and tell whoever is to be told.", _serve_notify)


@central.command("config")
@click.pass_context
def show_config(context: click.Context) -> None:
    """Print every setting in force with its meaning, as a central.toml."""
    click.echo(as_toml(_config(context)), nl=False)


@central.command("broker-config")
@click.pass_context
def broker_config(context: click.Context) -> None:
    """Write the broker's files, and say how they are used.

    `run` does so by itself. Another broker needs the same: TLS with certificates of our authority on both sides, the
    common name as user name, the list of revoked certificates, and the rules of the access list.
    """
    config = _config(context)
    with _database(config) as database:
        broker.write(config, authority.prepare(config, time.time()), database, time.time())
    click.echo(f"# {config.broker_dir}: written. mosquitto takes them with `mosquitto -c FILE`; another broker needs")
    click.echo("# what they say in its own words: docs/central.md.")
    for name in (broker.CONFIGURATION, broker.ACCESS):
        click.echo(f"\n# {config.broker_dir / name}\n{(config.broker_dir / name).read_text()}", nl=False)


@central.command("add-box")
@click.argument("name", required=False, default="")
@click.option("--site", help="The name of the site where it stands.")
@click.option("--boxes", type=int, default=1, show_default=True, help="For how many boxes, which then name themselves.")
@click.option("--days", type=float, help="For how many days the code is good; without it, for an hour.")
@click.option("--again", metavar="ID", help="For a box that was here and has lost its key: it keeps its id and record.")
@click.pass_context
def add_box(
    context: click.Context, name: str, site: str | None, boxes: int, days: float | None, again: str | None
) -> None:
    """Invite a box called NAME, or several, and print the join code, this once."""
    config, now_s = _config(context), time.time()
    valid_s = members.HOUR_S if days is None else days * 86_400
    with _database(config) as database:
        site_id = None if site is None else _site(database, site)
        trust = authority.prepare(config, now_s)
        code = members.invite(
            database,
            config,
            trust,
            now_s,
            by=BY,
            title=name,
            site_id=site_id,
            boxes=boxes,
            valid_s=valid_s,
            again=again,
        )
    click.echo(code)
    ending, whom = utc_text(now_s + valid_s)[:16].replace("T", " "), "one box" if boxes == 1 else f"{boxes} boxes"
    click.echo(f"For {whom}, until {ending} UTC: paste it on the box's page Fleet, or `mb9k join CODE`.", err=True)


def _site(database: Database, name: str) -> int:
    found = database.one("select id from sites where lower(name) = lower(?)", [name])
    if found is None:
        known = ", ".join(row["name"] for row in database.execute("select name from sites order by name"))
        raise InputError(
            f"There is no site {name}; there are: {known or 'none yet'}. `mb9k central add-site` adds one."
        )
    return int(found)


@central.command("add-site")
@click.argument("name")
@click.option("--group", default="", help="Sites of one group are shown together.")
@click.option("--at", type=(float, float), metavar="LATITUDE LONGITUDE", help="Where it is, in degrees, for the map.")
@click.pass_context
def add_site(context: click.Context, name: str, group: str, at: tuple[float, float] | None) -> None:
    """Add a site, where boxes stand."""
    latitude, longitude = at or (None, None)
    with _database(_config(context)) as database:
        try:
            database.execute(
                "insert into sites (name, group_name, latitude, longitude) values (?, ?, ?, ?)",
                [name.strip(), group.strip(), latitude, longitude],
            )
        except sqlite3.IntegrityError as error:
            raise InputError(f"There is a site {name} already.") from error


@central.command("boxes")
@click.pass_context
def list_boxes(context: click.Context) -> None:
    """List boxes: id, name, site, and what is known of each."""
    with _database(_config(context)) as database:
        rows = database.execute(
            "select boxes.id as id, title, sites.name as site, revoked_utc, status, problem, told_problem from boxes"
            " left join sites on sites.id = site_id order by boxes.id"
        )
        for row in rows:
            state = "revoked" if row["revoked_utc"] else row["status"] or "never heard of"
            parts = (row["id"], row["title"], row["site"] or "", state, row["told_problem"] or row["problem"])
            click.echo("\t".join(parts).rstrip())


@central.command("revoke")
@click.argument("box_id")
@click.pass_context
def revoke(context: click.Context, box_id: str) -> None:
    """Shut the box BOX_ID out at once, also on the connection it has. What it told stays."""
    config, now_s = _config(context), time.time()
    with _database(config) as database:
        told = members.revoke(database, config, authority.prepare(config, now_s), box_id, BY, now_s)
    click.echo(f"{box_id} is shut out.")
    if not told:
        click.echo(
            f"No mosquitto of ours runs on this machine: bring {config.broker_dir} to the broker, if it is elsewhere.",
            err=True,
        )


@central.command("claim")
@click.pass_context
def claim(context: click.Context) -> None:
    """Print the claim code by which the first person becomes admin."""
    config = _config(context)
    with _database(config) as database:
        if People(database).count():
            raise UserError("this centre has been claimed already; sign in on its page")
    click.echo(claim_code(config.claim_code_path))


@central.command("metrics-token")
@click.option("--end", is_flag=True, help="Only end the token that there is.")
@click.pass_context
def metrics_token(context: click.Context, end: bool) -> None:
    """Print another token for this machine's /metrics; the one before ends at once.

    It is printed this once, and kept nowhere: whoever has it may read figures, and nothing else.
    """
    config = _config(context)
    with _database(config) as database:
        store = CentralStore(database, config.audit_head_path)
        store.audit.act_for(operator())
        with store.saving():  # first: none is made that is not on record
            done = "the metrics token was ended" if end else "another metrics token was made"
            store.records.note(time.time(), done, BY)
            store.audit.add(Action.TOKEN_REVOKED if end else Action.TOKEN_MADE, METRICS)
    print_token(config.metrics_token_path, end)


@central.command("check")
@click.pass_context
def check(context: click.Context) -> None:
    """Verify the database, the keys and what is sent by whom, and say what to do if it is not well."""
    config = _config(context)
    found = problems(config, time.time())
    for problem in found:
        click.echo(problem)
    if found:
        raise UserError("the centre is not well; see above")
    click.echo("all is well")


@central.group("audit")
def audit() -> None:
    """Who did what at the centre; the page *Audit* shows it."""


@audit.command("verify")
@click.option("--head", "written_down", help="Also that this entry is there: NUMBER:HASH, as the page shows it.")
@click.pass_context
def audit_verify(context: click.Context, written_down: str | None) -> None:
    """Verify that no entry was changed or taken away, as far as the database and the file beside it know."""
    config = _config(context)
    with _database(config) as database:
        if found := audit_problems(config, database, written_down):
            for problem in found:
                click.echo(problem)
            raise UserError("the audit is not whole; see above, and docs/audit.md for what to do")
        head = CentralStore(database).audit.head()
    click.echo(f"the audit is whole; the last entry is {head}")


@audit.command("restored")
@click.pass_context
def audit_restored(context: click.Context) -> None:
    """Say that an older copy of the database was put back, while the centre is stopped.

    This is an entry of its own, with the head that this machine knew: what came after the copy is then missed no more.
    """
    config = _config(context)
    with _database(config) as database:
        store = CentralStore(database, config.audit_head_path)
        store.audit.act_for(operator())
        if not note_restored(store, HeadFile(config.audit_head_path)):
            raise UserError("nothing is missing that this machine knows of; `mb9k central audit verify` says more")
    click.echo("entered; the audit goes on from here")


@central.group("user")
def user() -> None:
    """People who may sign in at the centre."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "analyst"]), default="analyst", show_default=True)
@click.option("--site", "sites", multiple=True, help="A site that an analyst sees; may be given several times.")
@click.pass_context
def user_add(context: click.Context, name: str, role: str, sites: tuple[str, ...]) -> None:
    """Add a person. The password is asked for, or read from standard input: one line."""
    config, name = _config(context), person_name(name)
    with _database(config) as database:
        site_ids = [_site(database, site) for site in sites]
        password_hash = hash_password(secret("password", confirm=True), name, config.name)
        store = CentralStore(database, config.audit_head_path)
        store.audit.act_for(operator())
        with store.saving():
            person_id = store.people.add(name, password_hash, Role(role), time.time())
            store.audit.add(Action.PERSON_ADDED, name, role=role)
            for site_id in site_ids:
                database.execute("insert into person_sites (person_id, site_id) values (?, ?)", [person_id, site_id])
    click.echo(f"{name} may sign in now.")


@user.command("list")
@click.pass_context
def user_list(context: click.Context) -> None:
    """List people and their roles."""
    with _database(_config(context)) as database:
        for person in People(database).all():
            click.echo(f"{person.name}\t{person.role.value}")
