"""What the commands share: the options before a command, the configuration, the store, a secret that is typed."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from appliance.accounts.audit import Actor, ActorKind
from appliance.config import Config, load
from appliance.errors import UserError
from appliance.rules.check import refuse_unsound
from appliance.store import Store


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    config_path: Path
    log_level: str


def config_of(context: click.Context) -> Config:
    """The configuration that the options name. Raises ConfigError."""
    options: Options = context.obj
    return load(options.config_path)


def store_of(config: Config) -> Store:
    """The store, for a command that a person typed. Raises UserError."""
    refuse_unsound(config)
    store = Store.open(config.store_path)
    store.audit.act_for(operator())
    return store


def operator() -> Actor:
    """Who typed a command: the user who asked for another's rights, else whose rights the command has."""
    user = os.environ.get("SUDO_USER") or ""
    try:
        user = user or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may have users without names
        user = str(os.getuid())
    return Actor(ActorKind.OPERATOR, user)


def secret(what: str, confirm: bool = False) -> str:
    """A secret, never from the command line, which everybody on the machine can read. Raises UserError."""
    if sys.stdin.isatty():
        return str(click.prompt(what.capitalize(), hide_input=True, confirmation_prompt=confirm))
    line = sys.stdin.readline()
    if not line:
        raise UserError(f"no {what} came; call this in a terminal, or pipe it in as one line")
    return line.rstrip("\r\n")
