"""Tables as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Iterable
from typing import Any

import msgspec
from bottle import HTTPResponse

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|")
"""What a spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


def cell(value: Any) -> str | int | float:
    """A value as a spreadsheet may have it: text that looks like a formula has an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def as_csv(shape: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> str:
    """A table with the fields of a shape as its columns."""
    own = inspect.get_annotations(shape)
    # What a shape adds to another one says what a row is: it comes first.
    columns = sorted((field.encode_name for field in msgspec.structs.fields(shape)), key=lambda name: name not in own)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        built = msgspec.to_builtins(row)
        writer.writerow([cell(built[column]) for column in columns])
    return text.getvalue()


def csv_answer(name: str, shape: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> HTTPResponse:
    """The table as a file of this name. A byte order mark, as Excel asks for it, would be data to everybody else."""
    headers = {
        "Content-Type": "text/csv; charset=utf-8; header=present",
        "Content-Disposition": f'attachment; filename="{name}.csv"',
    }
    return HTTPResponse(as_csv(shape, rows), headers=headers)
