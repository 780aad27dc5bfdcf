"""The pages of docs/ that are made from the code: `python -m scripts.docs` writes them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from appliance.central.viewer import openapi as of_centre
from appliance.cli import cli
from appliance.config import Config, sections, settings
from appliance.local import openapi as of_box
from appliance.web import reference
from scripts import asyncapi, docs_client, docs_export

FOLDER = Path(__file__).parent.parent / "docs"
MADE = "<!-- Made by `python -m scripts.docs`; change the code, not this page. -->\n"


def configuration() -> str:
    """The reference of mb9k.toml, from config.py and sections.py."""
    text = f"""{MADE}
# Configuration

A box reads one file, `/etc/mb9k/mb9k.toml`; `--config FILE` or the variable `MB9K_CONFIG` names another. It says how
this box is wired. People, streams and keys are made on the page and live in the store.

An empty file is a working box. `mb9k config` prints what is in force, with every setting in it. A key that is not
listed here, or a value out of range, stops the command with one line that names it. Restart the box after a change.

A small box in a hallway, which keeps no image:

```toml
box = "hallway"

[vision]
model = "mb9k-320"
frames_per_second = 3

[images]
keep = false
```

A box behind a proxy that speaks HTTPS on the same machine, with RTMPS for its publishers:

```toml
box = "front-door"

[web]
host = "127.0.0.1"
base_url = "https://box.example.org"
proxies = ["127.0.0.1"]

[rtmp]
public_host = "box.example.org"
tls_certificate = "/etc/mb9k/tls/fullchain.pem"
tls_key = "/etc/mb9k/tls/privkey.pem"
```
"""
    for name, section in sections(Config()):
        text += f"\n## [{name}]\n\n{section.__doc__}\n\n" if name else "\n## Above all sections\n\n"
        text += "| setting | value | default | meaning |\n| --- | --- | --- | --- |\n"
        for setting, schema in settings(type(section)).items():
            default = f"`{json.dumps(schema['default'])}`"
            text += f"| `{setting}` | {reference.kind(schema)} | {default} | {schema['description']} |\n"
    return text


def commands() -> str:
    """Every command with its help, from click."""
    text = f"""{MADE}
# Commands

Nouns group, verbs act. A mistake is one line on stderr and exit code 1. `gate`, `ingest`, `watch` and `serve` are the
services; `run` starts them all. `detect` needs the extra `box`, as a box has it.
"""
    for context in _tree(click.Context(cli, info_name="mb9k", terminal_width=100, **cli.context_settings)):
        text += f"\n## `{context.command_path}`\n\n```\n{context.get_help()}\n```\n"
    return text


def _tree(context: click.Context) -> Iterator[click.Context]:
    """A command and all below it, in the order of the help."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            if command.hidden:
                continue
            yield from _tree(click.Context(command, info_name=name, parent=context))


@dataclass(frozen=True)
class Described:
    """A JSON API that gets a page. noun: whose it is; address: where it mostly is; about: what else to know of it."""

    title: str
    noun: str
    address: str
    content: dict[str, Any]
    about: str = ""

    @property
    def variable(self) -> str:
        """What the shell calls its address."""
        return self.noun.upper()


OF_BOX = Described(
    title="The JSON API",
    noun="box",
    address="http://localhost:8000",
    content=of_box.document(),
    about="`next` and `image` are links: behind a proxy they hold the path below which the box lies.\n\n"
    "[mb9k_client.py](mb9k_client.py) is a Python client of one file that needs nothing else.\n",
)
OF_CENTRE = Described(
    title="The JSON API of a centre",
    noun="centre",
    address="http://localhost:8100",
    content=of_centre.document(),
    about="It only tells, but for alerts: boxes, sites and people are changed on the pages.\n",
)


def api(of: Described) -> str:
    """A JSON API, from its OpenAPI document."""
    content = of.content
    text = f"""{MADE}
# {of.title}

{content["info"]["description"]}

What cannot be done is answered with a status of 4xx or 5xx and the reason, as an [Error](#error); so is a parameter or
a field that is not listed here. A time has its zone, as in `2026-11-23T16:00:00Z` or `2026-11-23T17:00:00+01:00`.
{of.about}
A {of.noun} serves the same as a document for programs (OpenAPI {content["openapi"]}) at `/api/openapi.json`. The
examples take the address of the {of.noun} and the token from the shell:

```
{of.variable}={of.address} TOKEN=...
```
"""
    for noun in reference.nouns(content, f"${of.variable}", "$TOKEN"):
        text += "".join(_operation(one) for one in noun.operations)
    text += "\n# Shapes\n"
    for shape in reference.shapes(content):
        text += f"\n## {shape.name}\n\n{shape.about}\n\n"
        text += f"{shape.kind}\n" if shape.kind else _fields(shape.fields)
    return text


def _operation(one: reference.Described) -> str:
    text = f"\n## {one.method} {one.path}\n\n{one.summary}.\n"
    if one.parameters:
        text += "\n| parameter | in | value | meaning |\n| --- | --- | --- | --- |\n"
    for each in one.parameters:
        text += f"| `{each.name}` | {each.where} | {each.kind} | {each.meaning} |\n"
    text += f"\nBody: {one.takes}.\n" if one.takes else ""
    text += f"\nAnswer: {one.status}, {one.gives}. Refused with: {', '.join(one.refused)}.\n"
    return text + f"\n```\n{one.curl}\n```\n"


def _fields(fields: Sequence[reference.Value]) -> str:
    text = "| field | value |\n| --- | --- |\n"
    for field in fields:
        text += f"| `{field.name}` | {field.kind}{f'; {field.meaning}' if field.meaning else ''} |\n"
    return text


def over_mqtt() -> str:
    """Everything that goes over MQTT, as AsyncAPI."""
    return json.dumps(asyncapi.document(), indent=1, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "cli.md": commands,
    "api.md": functools.partial(api, OF_BOX),
    "central-api.md": functools.partial(api, OF_CENTRE),
    "asyncapi.json": over_mqtt,
    "export.md": lambda: MADE + docs_export.page(),
    "mb9k_client.py": docs_client.module,
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (FOLDER / page).write_text(write())
