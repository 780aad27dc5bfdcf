"""What the commands of a centre share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from appliance.central.config import CentralConfig, load
from appliance.central.database import Database
from appliance.central.opening import open_database


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    config_path: Path
    log_level: str


def config_of(context: click.Context) -> CentralConfig:
    """The configuration that the options name. Raises ConfigError."""
    options: Options = context.obj
    return load(options.config_path)


@contextmanager
def database_of(config: CentralConfig) -> Iterator[Database]:
    """The database, migrated. Raises DatabaseError."""
    database = open_database(config.database_address)
    try:
        yield database
    finally:
        database.close()
