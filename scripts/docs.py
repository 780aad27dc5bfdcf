"""The pages of docs/ that are made from the code: `python -m scripts.docs` writes them."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from appliance.central.viewer import openapi as of_centre
from appliance.cli import cli
from appliance.config import Config, sections, settings
from appliance.local import openapi as of_box
from appliance.web.openapi import ID
from scripts import asyncapi, docs_export

FOLDER = Path(__file__).parent.parent / "docs"
MADE = "<!-- Made by `python -m scripts.docs`; change the code, not this page. -->\n"
EXAMPLES: dict[str, Any] = {
    "name": "hallway",
    "search": "door",
    "state": "no_mask",
    "first_seen": "2026-11-23T16:00:00Z",
}
EXAMPLES |= {"step": "hour", "by": "group", "format": "csv"}
EXAMPLES |= {"zones": [{"kind": "line", "name": "door", "points": [[0.5, 0.9], [0.5, 0.1]]}]}
EXAMPLES |= {"address": "https://updates.example.org/mb9k-0.2.0.mb9k"}
EXAMPLES |= {"kind": "rate", "parameters": {"minutes": 10}, "way": "email"}


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
            text += f"| `{setting}` | {_kind(schema)} | {default} | {schema['description']} |\n"
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
    about="`next` and `image` are links: behind a proxy they hold the path below which the box lies.\n",
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
    for path, operations in content["paths"].items():
        for method, operation in operations.items():
            text += _operation(method.upper(), path, operation, of)
    text += "\n# Shapes\n"
    for name, schema in content["components"]["schemas"].items():
        text += f"\n## {name}\n\n{inspect.cleandoc(schema['description'])}\n\n"
        text += f"{_kind(schema)}\n" if "enum" in schema else _fields(schema)
    return text


def _operation(method: str, path: str, operation: dict[str, Any], of: Described) -> str:
    text = f"\n## {method} {path}\n\n{operation['summary']}.\n"
    if operation["parameters"]:
        text += "\n| parameter | in | value | meaning |\n| --- | --- | --- | --- |\n"
    for parameter in operation["parameters"]:
        meaning = parameter.get("description", "which one")
        text += f"| `{parameter['name']}` | {parameter['in']} | {_kind(parameter['schema'])} | {meaning} |\n"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    text += f"\nBody: {_kind(body)}.\n" if body else ""
    status = next(code for code in operation["responses"] if code.isdigit())
    kinds = operation["responses"][status].get("content", {"nothing": {}})
    answer = " or ".join(_answer(kind, described) for kind, described in kinds.items())
    refused = ", ".join(code for code in operation["responses"] if code != status)
    text += f"\nAnswer: {status}, {answer}. Refused with: {refused}.\n"
    return text + f"\n```\n{_curl(method, path, operation, body, of)}\n```\n"


def _answer(kind: str, described: dict[str, Any]) -> str:
    return _kind(described["schema"]) if kind == "application/json" else kind


def _curl(method: str, path: str, operation: dict[str, Any], body: Any, of: Described) -> str:
    """An example of an operation: the first stream, the first detection, what a body must have."""
    in_query = [one["name"] for one in operation["parameters"] if one["in"] == "query" and one["name"] in EXAMPLES]
    for parameter in operation["parameters"]:
        path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example")))
    path += f"?{in_query[0]}={EXAMPLES[in_query[0]]}" if in_query else ""
    words = ["curl"] + ([f"-X {method}"] if method != "GET" else [])
    words += ['-H "Authorization: Bearer $TOKEN"'] if operation.get("security") != [] else []
    if body:
        schema = of.content["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
        names = schema.get("required") or list(schema["properties"])[:1]
        sent = {name: schema["properties"][name].get("examples", [EXAMPLES.get(name, 1)])[0] for name in names}
        words += [f"-d '{json.dumps(sent)}'"]
    words += ["-o image.jpg"] if path.endswith("/image") else []
    words += ["-OJ"] if "/export/" in path else []
    return " ".join([*words, f'"${of.variable}{path}"'])


def _fields(schema: dict[str, Any]) -> str:
    text = "| field | value |\n| --- | --- |\n"
    for name, field in schema["properties"].items():
        left_out = "" if name in schema.get("required", []) else "; may be left out"
        text += f"| `{name}` | {_kind(field)}{left_out} |\n"
    return text


def _kind(schema: dict[str, Any]) -> str:
    """What values a schema takes, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"{len(schema['prefixItems'])} of {_kind(schema['prefixItems'][0])}"
        return f"list of {_kind(schema['items'])}"
    if schema == ID:
        return "an id"
    if schema.get("format") == "date-time":
        return "a time with its zone, `2026-11-23T16:00:00Z`"
    kind: str = schema["type"]
    names = {"integer": "whole number", "boolean": "`true` or `false`", "string": "text"}
    return names.get(kind, kind) + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        return f", {low} or more" if high is None else f", {low} to {high}"
    if "exclusiveMinimum" in schema:
        return f", above {schema['exclusiveMinimum']}, up to {high}"
    if "maxLength" in schema:
        return f", {schema['minLength']} to {schema['maxLength']} characters"
    return f", `{schema['pattern']}`" if "pattern" in schema else ""


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
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (FOLDER / page).write_text(write())
