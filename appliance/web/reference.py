"""The JSON API as people read it, from its OpenAPI document: nouns, operations, parameters, command lines, answers.

Pure. A `kind` is what values something takes, in words: code stands between backticks, a shape is `[Name](#name)`.
It is told in the language spoken; the document itself is English, and `sentences` names all that is told of it.
"""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from appliance.language import N_, _, p_
from appliance.web.openapi import ID

Document: TypeAlias = Mapping[str, Any]
Schema: TypeAlias = Mapping[str, Any]
TIME = "2026-11-23T16:00:00Z"
WHICH = N_("which one")  # the meaning of a parameter that needs no words
NOTHING = "nothing"  # instead of the MIME type of an answer
EXAMPLES: dict[str, Any] = {
    "name": "hallway",
    "search": "hall",
    "state": "no_mask",
    "first_seen": TIME,
    "step": "hour",
    "by": "group",
    "format": "csv",
    "zones": [{"kind": "line", "name": "stairs", "points": [[0.5, 0.9], [0.5, 0.1]]}],
    "address": "https://updates.example.org/mb9k-0.2.0.mb9k",
    "kind": "rate",
    "parameters": {"minutes": 10},
    "way": "email",
}
"""What stands in a command line for a parameter, or for a field that a body must have."""
ANSWERED: dict[str, Any] = {
    **dict.fromkeys(("at", "time", "last_seen", "created", "begun", "sent", "start", "end", "until", "given"), TIME),
    **dict.fromkeys(("started", "joined", "expires", "complete", "live_since", "state_since"), TIME),
    "time_zone": "Europe/Berlin",
    "zone": "Europe/Berlin",
    "by": "ann",
    "owner": "ann",
    "edited_by": "ann",
    "stream": "ann:hallway",
    "title": "ann:hallway",
    "box": "atrium",
    "site": "Main street",
    "centre": "head office",
    "model": "mb9k-320",
    "address": "office@example.org",
    "recipient": "office",
    "codec": "h264",
    "next": None,
    "stream_key": "7F3K9Q2M5T8W1X4Z6B0D",
    "release": "0.2.0",
    "version": "0.2.0",
    "line": "stairs",
}
"""What stands in the example of an answer besides."""


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter or a field. where: path, query or body; kind: see above."""

    name: str
    where: str
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Described:
    """One operation. anchor: its name in addresses. takes, gives: kinds; empty: nothing. example: of its answer.

    curl: the command line. status: when it worked; refused: when it did not.
    """

    method: str
    path: str
    anchor: str
    summary: str
    parameters: tuple[Value, ...]
    takes: str
    curl: str
    status: str
    gives: str
    example: str
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Noun:
    """What an API is about, as its addresses say: /api/v1/streams."""

    title: str
    anchor: str
    operations: tuple[Described, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a body or an answer looks like. kind: of a value that is one of a few; else it has fields.

    about: all of it in English, in lines as written. In the language spoken: told, of the whole, a paragraph each, and
    meanings, by field.
    """

    name: str
    anchor: str
    about: str
    kind: str
    fields: tuple[Value, ...]
    told: tuple[str, ...]
    meanings: Mapping[str, str]


def sentences(document: Document) -> Iterator[tuple[str | None, str]]:
    """What a document says in words, as it is told here: what the catalogues must have.

    Each with its context, if it has one: of what is said of fields that is their names.
    """
    yield None, document["info"]["description"]
    for path, operations in document["paths"].items():
        yield None, _title(path)
        for operation in operations.values():
            yield None, operation["summary"]
            yield from ((None, one["description"]) for one in operation["parameters"] if "description" in one)
            yield from ((None, why) for why in _refusals(operation).values())
    for schema in document["components"]["schemas"].values():
        of_whole, of_fields = _about(schema)
        yield from ((None, paragraph) for paragraph in of_whole)
        yield from of_fields


def _about(schema: Schema) -> tuple[list[str], list[tuple[str, str]]]:
    """What a shape's description says of the whole, a paragraph each, and of fields.

    "What it is. first, second: of whom; third: which." gives ("first, second", "of whom") and ("third", "which").
    """
    name = "|".join(map(re.escape, schema.get("properties", {}))) or "(?!)"
    of_whole, of_fields = [], []
    for paragraph in inspect.cleandoc(schema["description"]).split("\n\n"):
        before, *said = re.split(rf"(?:^|(?<=[.;] ))((?:{name})(?:, (?:{name}))*): ", " ".join(paragraph.split()))
        of_whole += [before.strip(" ;")] if before else []
        for names, meaning in zip(said[::2], said[1::2], strict=True):
            fragment = meaning.strip(" ;")
            of_fields.append((names, fragment if ". " in fragment else fragment.rstrip(".")))
    return of_whole, of_fields


def _title(path: str) -> str:
    """What an operation is about, by its address."""
    parts = path.split("/")
    return parts[3].replace("-", " ").capitalize() if parts[2] == "v1" else "This document"


def _refusals(operation: Mapping[str, Any]) -> dict[str, str]:
    """By status why it is not done."""
    return {code: of["description"] for code, of in operation["responses"].items() if code.startswith(("4", "5"))}


def refusals(document: Document) -> dict[str, str]:
    """Every status with which something is not done, and why."""
    operations = [one for by_method in document["paths"].values() for one in by_method.values()]
    found = {code: why for operation in operations for code, why in _refusals(operation).items()}
    return {code: _(found[code]) for code in sorted(found)}


def nouns(document: Document, server: str, token: str) -> tuple[Noun, ...]:
    """The whole API by nouns, as they stand in the document. server, token: as they stand in the command lines."""
    found: dict[str, list[Described]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            described = _described(document, method.upper(), path, operation, server, token)
            found.setdefault(_title(path), []).append(described)
    return tuple(Noun(_(title), f"of-{title.lower().replace(' ', '-')}", tuple(each)) for title, each in found.items())


def shapes(document: Document) -> tuple[Shape, ...]:
    """What bodies and answers look like, by name."""
    return tuple(_shape(name, schema) for name, schema in document["components"]["schemas"].items())


def _shape(name: str, schema: Schema) -> Shape:
    of_whole, of_fields = _about(schema)
    return Shape(
        name,
        name.lower(),
        inspect.cleandoc(schema["description"]),
        kind(schema) if "enum" in schema else "",
        tuple(
            Value(field, "body", kind(of), "" if field in schema.get("required", []) else _("may be left out"))
            for field, of in schema.get("properties", {}).items()
        ),
        tuple(_(paragraph) for paragraph in of_whole),
        {field: p_(names, meaning) for names, meaning in of_fields for field in names.split(", ")},
    )


def _described(
    document: Document, method: str, path: str, operation: Mapping[str, Any], server: str, token: str
) -> Described:
    status, kinds = success(operation)
    places = {"path": p_("where a parameter stands", "path"), "query": p_("where a parameter stands", "query")}
    parameters = tuple(
        Value(one["name"], places[one["in"]], kind(one["schema"]), _(one.get("description", WHICH)))
        for one in operation["parameters"]
    )
    body = body_schema(operation)
    schema = kinds.get("application/json", {}).get("schema")
    shown = "" if schema is None or schema.get("type") == "object" else json.dumps(example(schema, document), indent=2)
    return Described(
        method=method,
        path=path,
        anchor=operation["operationId"],
        summary=_(operation["summary"]),
        parameters=parameters,
        takes=kind(body) if body else "",
        curl=curl(document, method, path, operation, server, token),
        status=status,
        gives=_(" or ").join(answer_kind(mime_type, content) for mime_type, content in kinds.items()),
        example=shown,
        refused=tuple(_refusals(operation)),
    )


def success(operation: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The status of an operation that worked, and by MIME type what it answers."""
    status = next(code for code in operation["responses"] if code.isdigit())
    return status, operation["responses"][status].get("content", {NOTHING: {}})


def answer_kind(mime_type: str, content: Mapping[str, Any]) -> str:
    """What comes back."""
    if mime_type == "application/json":
        return kind(content["schema"])
    return _("nothing") if mime_type == NOTHING else mime_type


def body_schema(operation: Mapping[str, Any]) -> Schema | None:
    """What an operation takes."""
    content = operation.get("requestBody", {}).get("content", {})
    found: Schema | None = content.get("application/json", {}).get("schema")
    return found


def curl(document: Document, method: str, path: str, operation: Mapping[str, Any], server: str, token: str) -> str:
    """An example of an operation: the first stream, the first detection, what a body must have."""
    in_query = [one["name"] for one in operation["parameters"] if one["in"] == "query" and one["name"] in EXAMPLES]
    for parameter in operation["parameters"]:
        path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example")))
    path += f"?{in_query[0]}={EXAMPLES[in_query[0]]}" if in_query else ""
    words = ["curl"] + ([f"-X {method}"] if method != "GET" else [])
    words += [f'-H "Authorization: Bearer {token}"'] if operation.get("security") != [] else []
    body = body_schema(operation)
    if body:
        schema = document["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
        names = schema.get("required") or list(schema["properties"])[:1]
        sent = {name: schema["properties"][name].get("examples", [EXAMPLES.get(name, 1)])[0] for name in names}
        words += [f"-d '{json.dumps(sent)}'"]
    words += ["-o image.jpg"] if path.endswith("/image") else []
    words += ["-OJ"] if "/export/" in path else []
    return " ".join([*words, f'"{server}{path}"'])


def kind(schema: Schema) -> str:
    """What values a schema takes, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return _(" or ").join(kind(one) for one in schema["anyOf"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return _(
                "{count} of {kind}",
                count=len(schema["prefixItems"]),
                kind=kind(schema["prefixItems"][0]),
            )
        return _("list of {kind}", kind=kind(schema["items"]))
    if schema == ID:
        return _("an id")
    if schema.get("format") == "date-time":
        return _("a time with its zone, `{time}`", time=TIME)
    names = {
        "integer": _("whole number"),
        "number": _("number"),
        "boolean": _("`true` or `false`"),
        "string": _("text"),
        "object": _("object"),
    }
    kind_name: str = schema["type"]
    return names.get(kind_name, kind_name) + _range(schema)


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        return _(", {low} or more", low=low) if high is None else _(", {low} to {high}", low=low, high=high)
    if "exclusiveMinimum" in schema:
        return _(
            ", above {low}, up to {high}",
            low=schema["exclusiveMinimum"],
            high=high,
        )
    if "maxLength" in schema:
        return _(
            ", {least} to {most} characters",
            least=schema["minLength"],
            most=schema["maxLength"],
        )
    return f", `{schema['pattern']}`" if "pattern" in schema else ""


def example(schema: Schema, document: Document, name: str = "", depth: int = 0) -> Any:
    """A value that a schema takes; name: of the field it is in."""
    if "$ref" in schema:
        referred = schema["$ref"].rsplit("/", 1)[1]
        return example(document["components"]["schemas"][referred], document, name, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        is_nothing = depth > 4 or ANSWERED.get(name, "") is None
        return None if is_nothing else example(schema["anyOf"][0], document, name, depth)
    if "examples" in schema:
        return schema["examples"][0]
    if schema["type"] == "object":
        fields = schema.get("properties", {})
        return {field: example(of, document, field, depth) for field, of in fields.items()}
    if schema["type"] == "array":
        items = schema.get("prefixItems") or [schema["items"]]
        return [example(one, document, name, depth) for one in items]
    return _plain_example(schema, name)


def _plain_example(schema: Schema, name: str) -> Any:
    if schema["type"] == "string":
        if schema.get("format") == "date-time":
            return TIME
        if schema.get("pattern") == "^[0-9a-f]{64}$":
            return "0" * 64
        return ANSWERED.get(name) or str(EXAMPLES.get(name, "…"))
    if schema["type"] == "number":
        return 0.93
    return {"boolean": True, "integer": max(1, schema.get("minimum", 1)), "null": None}[schema["type"]]


def kind_markup(text: str) -> str:
    """A kind as markup: its code as code, its shapes as links."""
    code = re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\[(\w+)\]\(#(\w+)\)", r'<a href="#\2">\1</a>', code)
