"""Whether a centre is well: `mb9k central check`."""

from __future__ import annotations

import sqlite3

from appliance import certificates
from appliance.accounts.audit import Action, Audit, record
from appliance.accounts.audit_chain import HeadFile, head_of
from appliance.accounts.audit_chain import problems as chain_problems
from appliance.accounts.audit_subjects import OLDER_COPY
from appliance.central import run
from appliance.central.authority import Trust, prepare
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.opening import open_database
from appliance.central.status import CLOCK_AHEAD, CLOCK_BEHIND, NOT_TAKEN
from appliance.central.store import CentralStore
from appliance.errors import InputError, UserError


def problems(config: CentralConfig, now_s: float) -> list[str]:
    """What is wrong and what to do, a sentence each; empty when all is well."""
    found: list[str] = []
    try:
        trust = prepare(config, now_s)
        found += _of_keys(trust, now_s)
        trust.broker_tls(config)
        if config.broker.own:
            run.broker_command(config)
    except UserError as error:
        found.append(str(error))
    try:
        database = open_database(config.database_address)
    except UserError as error:
        return [*found, str(error)]
    try:
        return [*found, *_of_database(database), *_of_boxes(database, now_s)]
    except sqlite3.Error as error:
        return [*found, f"the database cannot be read: {error}"]
    finally:
        database.close()


def audit_problems(config: CentralConfig, database: Database, written_down: str | None = None) -> list[str]:
    """What is wrong with the audit, a sentence each. Raises InputError, sqlite3.Error, OSError.

    written_down: a head that somebody knows.
    """
    known, found = {}, []
    try:
        if written_down:
            known["whoever wrote it down"] = head_of(written_down)
    except ValueError as error:
        raise InputError(f"--head: {error}.") from error
    audit = Audit(database)
    path = config.audit_head_path
    try:
        beside = HeadFile(path).read()
    except ValueError:
        return [f"{path.name}, which knows the last entry, cannot be read"]
    if beside is not None:
        known[path.name] = beside
    elif audit.head().number > 1 and not config.database.url:  # this machine may have made none in a shared database
        found.append(f"{path.name}, which knows the last entry, is gone")
    with database.writing():  # one moment
        return found + chain_problems(audit, known)


def note_restored(store: CentralStore, beside: HeadFile) -> bool:
    """Enter that an older copy of the database was put back, and go on from it; whether one was, as this machine knows.

    Raises NotSaved, OSError, ValueError.
    """
    known = beside.read()
    if known is None or store.audit.fits(known):
        return False
    record(store, Action.RESTORED, OLDER_COPY, set_aside=[str(known)])
    beside.replace(store.audit.head())
    return True


def _of_keys(trust: Trust, now_s: float) -> list[str]:
    """The authority lasts for a hundred years, unless the clock was wrong when it was made."""
    ends = certificates.facts(trust.authority.certificate).expires_utc
    if ends - now_s < certificates.SERVER_DAYS * 86_400:
        return ["the authority's certificate ends within ten years: is the clock of this machine right?"]
    return []


def _of_database(database: Database) -> list[str]:
    if database.dialect != "sqlite":
        return []
    said = [row[0] for row in database.execute("pragma integrity_check(10)").fetchall()]
    return [
        f"the database is damaged: {words}; put back a backup, and boxes send the rest"
        for words in said
        if words != "ok"
    ]


def _next_step(box: str, told: str) -> str:
    """What to do about what we see wrong with a box, where that does not say it."""
    if told.startswith(NOT_TAKEN.partition("{")[0]):
        return f" What to do stands on its page, /boxes/{box}."
    if told.startswith(tuple(words.partition("{")[0] for words in (*CLOCK_BEHIND, *CLOCK_AHEAD))):
        return " Set the clock of the box, or give it a time server that it reaches."
    return ""


def _of_boxes(database: Database, now_s: float) -> list[str]:
    """What boxes have against us, or we against them."""
    found = [
        f"{row['id']}: {row['told_problem']}{_next_step(row['id'], row['told_problem'])}"
        for row in database.execute(
            "select id, told_problem from boxes where told_problem <> '' and revoked_utc is null order by id"
        )
    ]
    ending = database.execute(
        "select box_id, max(expires_utc) as ends from certificates where revoked_utc is null"
        " group by box_id having max(expires_utc) <= ? order by box_id",
        [int(now_s)],
    )
    found += [
        f"{box}: its certificate has expired; `mb9k central add-box --again {box}` lets it come back"
        for box in (row["box_id"] for row in ending)
    ]
    return found
