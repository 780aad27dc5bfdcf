"""The Python client in docs/, from the OpenAPI document of a box: its types, and one method for each operation."""

from __future__ import annotations

import inspect
import keyword
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from appliance.local.openapi import document
from appliance.web.reference import Schema, body_schema, success

WIDTH = 120
MOST_NAMED = 12  # of more values than that, a type tells nobody anything
BEFORE = '''# Made by `python -m scripts.docs` from the OpenAPI document of a box; change the code, not this file.
"""A client of the JSON API of an mb9k box: one file, nothing but Python's standard library (3.10 or newer).

    from mb9k_client import Box, BoxError

    box = Box("http://lobby.local:8000", "the token that you made on your account page")
    for stream in box.get_streams()["streams"]:
        print(stream["title"], box.get_counts(stream=stream["id"])["mask"])

A method is called like its operation: GET /api/v1/streams/{stream_id}/zones is get_stream_zones(stream_id). What cannot
be done raises BoxError with the sentence that the box says. Types are for editors and type checkers.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any, BinaryIO, Literal, TypedDict, cast
from urllib.parse import quote, urlencode
'''
CLASS = '''

class BoxError(Exception):
    """The box did not do it, and says why. status: of HTTP, such as 404; None: no answer of a box came."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Follows nobody: the token is for the address that was given."""

    def redirect_request(self, *_: Any) -> None:
        """No request."""


class Box:
    """One box. May be used by several threads at once.

    address: what stands in the browser, such as https://box.example.org or http://192.0.2.7:8000. context: for a
    certificate that this machine does not know: ssl.create_default_context(cafile="box.pem").
    """

    def __init__(
        self, address: str, token: str | None = None, timeout_s: float = 30.0, context: ssl.SSLContext | None = None
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"the address of a box begins with http:// or https://: {address!r}")
        self.address = address.rstrip("/")
        self.timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opener = urllib.request.build_opener(_StaysHere, urllib.request.HTTPSHandler(context=context))

    def _open(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> BinaryIO:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        request = urllib.request.Request(  # noqa: S310 - see __init__
            self.address + path + (f"?{urlencode(given)}" if given else ""),
            None if body is None else json.dumps(body).encode(),
            {**self._headers, **({} if body is None else {"Content-Type": "application/json"})},
            method=method,
        )
        try:
            return cast(BinaryIO, self._opener.open(request, timeout=self.timeout_s))
        except urllib.error.HTTPError as error:
            with error:
                raise BoxError(_sentence(error), error.code) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise BoxError(f"The box at {self.address} cannot be reached: {reason}.") from error

    def _bytes(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> bytes:
        try:
            with self._open(method, path, query, body) as answer:
                return answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BoxError(f"The box at {self.address} broke off its answer: {error}.") from error

    def _json(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        content = self._bytes(method, path, query, body)
        try:
            return json.loads(content)
        except ValueError as error:
            raise BoxError(f"What answers at {self.address} is no box of mb9k: it sent no JSON.") from error

'''
AFTER = '''

def _sentence(error: urllib.error.HTTPError) -> str:
    """What the box says of it, or what stands before the box."""
    elsewhere = error.headers.get("Location")
    if 300 <= error.code < 400 and elsewhere:
        return f"The box is at another address: {elsewhere}"
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return f"The answer is {error.code} {error.reason}, without a reason that can be read."


def _path(value: object) -> str:
    return quote(str(value), safe="")
'''


def module() -> str:
    """The whole file."""
    of_box = document()
    text = BEFORE
    for name, schema in of_box["components"]["schemas"].items():
        text += _shape(name, schema)
    text += CLASS
    methods = [
        _method(method.upper(), path, operation)
        for path, operations in of_box["paths"].items()
        for method, operation in operations.items()
    ]
    return _formatted(text + "\n".join(methods) + AFTER)


def _formatted(text: str) -> str:
    """As all our code is: lines of 120 characters."""
    command = [sys.executable, "-m", "ruff", "format", f"--line-length={WIDTH}", "--stdin-filename=mb9k_client.py", "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, text=True).stdout


def method_name(method: str, path: str) -> str:
    """get_stream_zones, from GET /api/v1/streams/{stream_id}/zones: what an id follows is one of several."""
    parts = path.removeprefix("/api/").removeprefix("v1/").replace(".json", "").split("/")
    words = [
        re.sub("es$" if part.endswith("xes") else "s$", "", part) if following.startswith("{") else part
        for part, following in zip(parts, [*parts[1:], ""], strict=True)
        if not part.startswith("{")
    ]
    return "_".join([method.lower(), *words]).replace("-", "_")


def _shape(name: str, schema: Schema) -> str:
    about = _docstring(schema["description"], "    ")
    if "enum" in schema:
        first = inspect.cleandoc(schema["description"]).splitlines()[0]
        return f"\n{name} = {_annotation(schema)}\n" + f'"""{first}"""\n'
    fields, required = schema.get("properties", {}), schema.get("required", [])
    if any(keyword.iskeyword(field) for field in fields):  # `in`: such a type is made by a call
        made = ", ".join(f'"{field}": {_forward(of)}' for field, of in fields.items())
        assert len(required) == len(fields)
        return f'\n{name} = TypedDict("{name}", {{{made}}})\n{_docstring(schema["description"], "")}'
    sure = "".join(f"    {field}: {_annotation(of)}\n" for field, of in fields.items() if field in required)
    perhaps = "".join(f"    {field}: {_annotation(of)}\n" for field, of in fields.items() if field not in required)
    if not perhaps:
        return f"\n\nclass {name}(TypedDict):\n{about}\n{sure}"
    text = f"\n\nclass _{name}(TypedDict):\n{sure}" if sure else ""
    base = f"_{name}" if sure else "TypedDict"
    return f"{text}\n\nclass {name}({base}, total=False):\n{about}\n{perhaps}"


def _docstring(text: str, indent: str) -> str:
    lines = inspect.cleandoc(text).splitlines()
    first = f'{indent}"""{lines[0]}'
    if len(lines) == 1:
        return f'{first}"""\n'
    rest = "".join(f"{indent}{line}\n" if line else "\n" for line in lines[1:])
    return f'{first}\n{rest}{indent}"""\n'


def _annotation(schema: Schema) -> str:
    """The type of a value, as Python writes it."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "enum" in schema:
        if len(schema["enum"]) > MOST_NAMED:
            return "str"
        return f"Literal[{', '.join(_quoted(value) for value in schema['enum'])}]"
    if "anyOf" in schema:
        return " | ".join(_annotation(one) for one in schema["anyOf"])
    if schema["type"] == "array":
        return f"list[{_annotation((schema.get('prefixItems') or [schema['items']])[0])}]"
    if schema["type"] == "object":
        of = schema.get("additionalProperties")
        return f"dict[str, {_annotation(of) if isinstance(of, Mapping) else 'Any'}]"
    return {"integer": "int", "number": "float", "boolean": "bool", "null": "None", "string": "str"}[schema["type"]]


def _forward(schema: Schema) -> str:
    """The type of a value, where names are looked up at once: ours are told as text."""
    return re.sub(r"\b(?!Literal|None)([A-Z]\w+)", r'"\1"', _annotation(schema))


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _method(method: str, path: str, operation: Mapping[str, Any]) -> str:
    in_path = [one for one in operation["parameters"] if one["in"] == "path"]
    in_query = [one for one in operation["parameters"] if one["in"] == "query"]
    body = body_schema(operation)
    arguments = ["self", *(f"{one['name']}: {_annotation(one['schema'])}" for one in in_path)]
    arguments += [f"body: {_annotation(body)}"] if body else []
    arguments += ["*"] if in_query else []
    arguments += [f"{one['name']}: {_annotation(one['schema'])} | None = None" for one in in_query]
    _, kinds = success(operation)
    gives, asks = _gives(kinds)
    address = re.sub(r"{(\w+)}", r"{_path(\1)}", path)
    asked = [f'"{method}"', f'{"f" if in_path else ""}"{address}"']
    names = ", ".join(f'"{one["name"]}": {one["name"]}' for one in in_query)
    asked += [f"{{{names}}}"] if in_query else []
    asked += ["body=body"] if body else []
    call = f"self.{asks}({', '.join(asked)})"
    call = f"cast({gives}, {call})" if asks == "_json" else call
    text = f"    def {method_name(method, path)}({', '.join(arguments)}) -> {gives}:\n"
    text += f'        """{_about(operation, in_query)}\n'
    return f"{text}        {'' if gives == 'None' else 'return '}{call}\n"


def _about(operation: Mapping[str, Any], in_query: list[Any]) -> str:
    if not in_query:
        return f'{operation["summary"]}."""'
    meanings = "".join(f"        {one['name']}: {one['description']}\n" for one in in_query)
    return f'{operation["summary"]}.\n\n{meanings}        """'


def _gives(kinds: Mapping[str, Any]) -> tuple[str, str]:
    """What a method returns, and which of the helpers asks for it."""
    if "application/json" in kinds:
        return _annotation(kinds["application/json"]["schema"]), "_json"
    if "nothing" in kinds:
        return "None", "_bytes"
    return ("bytes", "_bytes") if list(kinds) == ["image/jpeg"] else ("BinaryIO", "_open")
