"""Whether the audit's chain is whole, and its head, which is kept outside of the database, too.

The hashes show an entry that was changed or taken out of the middle. That the last ones are missing only somebody can
tell who knows the last one: a small file beside the database, each backup, and whoever wrote it down.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.accounts.audit import COLUMNS, NOTHING_SHA256, Action, Audit, Entry, Head, entry_of

log = logging.getLogger(__name__)
_HEAD = re.compile(r"^0*([0-9]{1,18}):([0-9a-f]{64})$")
AT_ONCE = 1000
MAX_PROBLEMS = 20
NOTHING = Head(0, NOTHING_SHA256)


def head_of(text: str) -> Head:
    """A head as it is written: 12:0a1b... Raises ValueError."""
    match = _HEAD.match(text.strip().lower())
    if match is None:
        raise ValueError("a head is the number of an entry, a colon, and 64 letters and digits of its hash")
    return Head(int(match[1]), match[2])


def head_path(database_path: Path) -> Path:
    """Where the head is noted beside a database."""
    return database_path.with_name(f"{database_path.name}.audit-head")


class HeadFile:
    """The file with the head. It is written in its place: that takes no room, and a sector is written whole or not.

    A head that the chain does not know is never replaced: it is what shows that something is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Head | None:
        """What was noted; None: nothing yet. Raises OSError, ValueError."""
        try:
            text = self.path.read_text("ascii")
        except FileNotFoundError:
            return None
        return head_of(text) if text else None

    def note(self, head: Head, fits: Callable[[Head], bool]) -> None:
        """Note a head that was committed, unless a later one stands there. Raises OSError."""
        with self._locked() as (handle, text):
            try:
                known = head_of(text) if text else NOTHING
            except ValueError:
                log.error("%s cannot be read, and stays as it is; `mb9k audit verify` says more", self.path)
                return
            if known.number >= head.number and fits(known):
                return  # another process was quicker
            if fits(known):
                _write(handle, head)
            else:
                log.error("%s knows an entry that is not in the record; `mb9k audit verify` says more", self.path)

    def replace(self, head: Head) -> None:
        """Another record was put in the place of the one there was, whose head this is. Raises OSError."""
        with self._locked() as (handle, _):
            _write(handle, head)

    @contextmanager
    def _locked(self) -> Iterator[tuple[int, str]]:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle, os.pread(handle, 200, 0).decode("ascii", "replace")
        finally:
            os.close(handle)


def _write(handle: int, head: Head) -> None:
    os.pwrite(handle, f"{head.number:018}:{head.sha256}\n".encode(), 0)  # always as long
    os.fdatasync(handle)


def problems(audit: Audit, known: Mapping[str, Head]) -> list[str]:
    """What is wrong with the chain, a sentence each; empty when all is well. Belongs into one moment of the database.

    known: heads from elsewhere, by where they are from.
    """
    start, head = audit.start(), audit.head()
    found, last = _links(audit, start)
    if last.number != head.number:
        found.append(_missing(last.number + 1, head.number, f"entry {head.number} was the last"))
    elif last.sha256 != head.sha256:
        found.append(f"entry {last.number} is not the one that was recorded last")
    if start.number and not _says(audit, Action.DROPPED, str(start)):
        found.append(f"entries 1 to {start.number} are gone, and no entry says that they were dropped")
    for where, outside in known.items():
        if problem := _compared(audit, where, outside, last):
            found.append(problem)
    return found[:MAX_PROBLEMS]


def _links(audit: Audit, start: Head) -> tuple[list[str], Head]:
    """What is wrong between the entries, and the last one there is."""
    found: list[str] = []
    last = start
    for entry, stored in entries(audit):
        if entry.number != last.number + 1:
            found.append(_missing(last.number + 1, entry.number - 1, "they were taken out"))
        elif entry.sha256(last.sha256) != stored:
            found.append(f"entry {entry.number} ({entry.at_utc}) is not as it was recorded")
        last = Head(entry.number, stored)
        if len(found) >= MAX_PROBLEMS:
            break
    return found, last


def entries(audit: Audit, after: int = 0) -> Iterator[tuple[Entry, str]]:
    """Every entry with the hash that is stored with it, in order."""
    while True:
        some = f"select {COLUMNS}, sha256 from audit where number > ? order by number limit {AT_ONCE}"
        rows = list(audit.db.query(some, [after]))
        for row in rows:
            yield entry_of(row), row["sha256"]
        if len(rows) < AT_ONCE:
            return
        after = rows[-1]["number"]


def _compared(audit: Audit, where: str, outside: Head, last: Head) -> str | None:
    if audit.fits(outside):
        return None
    if any(entry.number <= outside.number <= _newest_aside(entry) for entry in audit.beginnings()):
        return None  # made between the copy that was put back and that moment
    if outside.number > last.number:
        return _missing(last.number + 1, outside.number, f"{where} knows entry {outside.number}")
    return f"entry {outside.number} is not the one that {where} knows"


def _newest_aside(entry: Entry) -> int:
    """The last entry of the record that another was put in the place of."""
    try:
        return max(head_of(text).number for text in json.loads(entry.details)["set_aside"])
    except (ValueError, KeyError, TypeError):
        return 0


def _says(audit: Audit, action: Action, text: str) -> bool:
    rows = audit.db.query("select details from audit where action = ?", [action.value])
    return any(text in str(row["details"]) for row in rows)


def _missing(first: int, last: int, why: str) -> str:
    return f"entry {first} is missing: {why}" if first == last else f"entries {first} to {last} are missing: {why}"
