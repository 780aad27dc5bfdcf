"""`mb9k audit`: who did what, and whether the entries are whole."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

import click

from appliance.accounts.audit import Action
from appliance.accounts.audit_chain import head_of
from appliance.accounts.audit_search import Search, found
from appliance.commands.kit import config_of
from appliance.errors import InputError, UserError
from appliance.rules import audit as rules
from appliance.rules.check import refuse_unsound
from appliance.store import Store
from appliance.times import utc_text
from appliance.web.forms import moment_utc


@click.group()
def audit() -> None:
    """Who did what: signed in, saw images, changed, deleted. Entries are chained, so that none can go unseen."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@click.option("--action", type=click.Choice([each.value for each in Action]), help="Only this action.")
@click.option("--search", default="", help="Only entries that hold this text: a name, a subject, an address.")
@click.option("--since", default="", help="Only from this time on, ISO 8601: 2026-11-23T16:00Z.")
@click.option("--until", default="", help="Only before this time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with all parts and the hash.")
@click.pass_context
def audit_list(
    context: click.Context, limit: int, action: str | None, search: str, since: str, until: str, as_json: bool
) -> None:
    """List entries, newest first."""
    bounds = [
        moment_utc(text, name, zone_needed=False) if text else None
        for name, text in (("since", since), ("until", until))
    ]
    wanted = Search(search, action, *(None if at is None else utc_text(at) for at in bounds))
    config = config_of(context)
    refuse_unsound(config)
    with closing(Store.open_readonly(config.store_path)) as store:
        for entry, sha256 in found(store.audit, wanted, limit=limit):
            if as_json:
                click.echo(json.dumps({**asdict(entry), "sha256": sha256}, ensure_ascii=False))
            else:
                who = entry.actor or entry.actor_kind
                parts = (
                    str(entry.number),
                    entry.at_utc,
                    who,
                    entry.address,
                    entry.action,
                    entry.subject,
                    entry.details,
                )
                click.echo("\t".join(parts))


@audit.command("verify")
@click.option("--head", "written_down", help="Also that this entry is there: NUMBER:HASH, as the page Audit shows it.")
@click.pass_context
def audit_verify(context: click.Context, written_down: str | None) -> None:
    """Verify that no entry was changed or taken away.

    The last entry is compared with the file beside the record and with every backup. Who can write all of these can
    deceive this; a head that was written down elsewhere shows it.
    """
    try:
        noted = head_of(written_down) if written_down else None
    except ValueError as error:
        raise InputError(f"--head: {error}.") from error
    config = config_of(context)
    refuse_unsound(config)
    with closing(Store.open_readonly(config.store_path)) as store:
        for problem in (problems := rules.problems(config, store, noted)):
            click.echo(problem)
        if problems:
            raise UserError("the audit is not whole; see above, and docs/audit.md for what to do")
        click.echo(f"the audit is whole: {store.audit.head().number - store.audit.start().number} entries")


@audit.command("head")
@click.pass_context
def audit_head(context: click.Context) -> None:
    """Print the last entry's number and hash, to write down elsewhere: the option --head of verify asks for it."""
    config = config_of(context)
    refuse_unsound(config)
    with closing(Store.open_readonly(config.store_path)) as store:
        click.echo(str(store.audit.head()))
