"""Copies of the record: make one, put one back, or begin an empty one. Nothing that is there is ever deleted."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from appliance.accounts.audit import ITSELF, Action, Actor, record
from appliance.accounts.audit_subjects import COPY
from appliance.config import Config
from appliance.disk import FULL, Reserve, means_full
from appliance.errors import UserError
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.rules.check import refuse_new, refuse_unsound
from appliance.store import Store, backup
from appliance.store.backup import BackupError, Backups

log = logging.getLogger(__name__)


def back_up(config: Config, path: Path | None, utc: float, by: Actor = ITSELF) -> Path:
    """Copy the record to `path`, or among the backups; where the copy is. Raises UserError."""
    if path is None:
        with _copying(config):
            keep = max(1, config.backup.keep)
            path = Backups(config.backups_dir).make(config.store_path, utc, keep).path
    else:
        copy_unnoted(config, path)
    _note_copy(config, path, utc, by)
    return path


def copy_unnoted(config: Config, path: Path) -> None:
    """Copy the record to `path` for who has put it on record already. Raises UserError."""
    with _copying(config):
        backup.copy(config.store_path, path)


@contextmanager
def _copying(config: Config) -> Iterator[None]:
    refuse_unsound(config)
    with in_one_line(N_("the copy cannot be made")):
        refuse_new(config)
        yield


def _note_copy(config: Config, path: Path, utc: float, by: Actor) -> None:
    """On record as far as it can be: a record that cannot be written, or is of an older version, is copied, too."""
    try:
        with closing(Store.open_existing(config.store_path)) as store:
            store.audit.act_for(by, utc)
            record(store, Action.DOWNLOADED, COPY, file=path.name)
    except (UserError, sqlite3.Error) as error:
        log.warning("the copy is made, but that it was is not on record: %s", error)


def restore(config: Config, chosen: Path | None, utc: float, by: Actor = ITSELF) -> str:
    """Put a copy, or the newest backup, in the place of the record; what was done. Raises UserError."""
    with in_one_line("the copy cannot be put back"):
        newest = Backups(config.backups_dir).newest()
        source = chosen or (newest.path if newest else None)
        if source is None:
            raise BackupError(f"there is no backup in {config.backups_dir}; name a copy, or see `mb9k restore --help`")
        aside = Reserve(config.state).spend(partial(backup.restore, source, config.store_path, utc, by))
    return f"{config.store_path} is {source} again, everybody signed out.{_kept(aside)}"


def start_empty(config: Config, utc: float, by: Actor = ITSELF) -> str:
    """Set the record and its images aside and begin an empty one; what was done. Raises UserError."""
    with in_one_line("an empty record cannot be begun"):
        make = partial(backup.start_empty, config.store_path, config.images_dir, utc, by)
        aside = Reserve(config.state).spend(make)
    return f"{config.store_path} is empty and new; `mb9k claim` prints its claim code.{_kept(*aside)}"


def _kept(*paths: Path | None) -> str:
    there = [str(path) for path in paths if path]
    return f" What was there is kept until you delete it: {', '.join(there)}" if there else ""


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Trouble with the disk or the store as one line: what could not be done (marked), and why."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if means_full(error):
            raise UserError(_("{deed}: {why}", deed=_(what), why=_(FULL))) from error
        words = N_("{deed}: {error}; is there room, and may this user write there?")
        raise UserError(_(words, deed=_(what), error=system_words(error))) from error
