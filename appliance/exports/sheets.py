"""A table on its way into a file of any form, whoever's rows they are: a box's or those of a centre."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.errors import UserError
from appliance.exports.batches import Batch
from appliance.exports.columns import Table
from appliance.exports.formats import Format, csv_parts, json_line_parts, write_sqlite
from appliance.language import _
from appliance.times import utc_text

TABULAR = (Format.CSV, Format.JSON_LINES, Format.SQLITE)
"""The forms that hold rows and nothing else."""


class Made(Protocol):
    """What can be written as a file or sent as one."""

    @property
    def format(self) -> Format: ...

    def parts(self) -> Iterator[bytes]: ...

    def write_sqlite(self, path: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table in a form. batches: gives its rows, once. about: what is known of the whole, for a SQLite file.

    said: is told how many rows more are done.
    """

    table: Table
    format: Format
    batches: Callable[[], Iterator[Batch]]
    about: Mapping[str, str]
    said: Callable[[int], None] = lambda _row: None

    def parts(self) -> Iterator[bytes]:
        """All of it, part by part; a SQLite file must be written. Raises OSError, sqlite3.Error."""
        writer = csv_parts if self.format is Format.CSV else json_line_parts
        return writer(self.table, self._counted())

    def write_sqlite(self, path: Path) -> None:
        """All of it as a new SQLite file. Raises OSError, sqlite3.Error."""
        write_sqlite(path, self.table, self._counted(), self.about)

    def _counted(self) -> Iterator[Batch]:
        for batch in self.batches():
            yield batch
            self.said(len(batch))


def stamp(utc: float) -> str:
    """A time as it stands in the name of a file: 20261127T201500Z."""
    return f"{utc_text(utc)[:19].replace('-', '').replace(':', '')}Z"


def named_file(machine: str, what: str, form: Format, now_utc: float) -> str:
    """What a file is called: mb9k-hallway-detections-20261127T201500Z.csv. machine: a box or a centre."""
    return f"mb9k-{machine}-{what}-{stamp(now_utc)}.{form.value}"


def refuse_to_write_over(path: Path) -> None:
    """Raises UserError where there is a file already."""
    if path.exists():
        raise UserError(_("{path} is there already; name another file", path=path))


def write_file(made: Made, path: Path) -> None:
    """An export as a file that only its owner may read: whole, or not there.

    Raises UserError (there is one already), OSError, sqlite3.Error.
    """
    refuse_to_write_over(path)
    draft = path.with_name(f"{path.name}.partial")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(0o600)
        if made.format is Format.SQLITE:
            made.write_sqlite(draft)
        else:
            _write(draft, made.parts())
        draft.rename(path)
    except (OSError, sqlite3.Error):
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _write(path: Path, parts: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
