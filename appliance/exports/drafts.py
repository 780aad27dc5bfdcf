"""Files that are written only to be sent: nobody finds them by name meanwhile, and nothing of them stays."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from appliance.disk import LOG_BYTES, free_bytes
from appliance.errors import NotSaved
from appliance.exports.formats import Format
from appliance.exports.sheets import Made
from appliance.language import _

ROW_BYTES = 350  # of a row in a SQLite file with its indexes, about
PREFIX, SUFFIX = "sending-", ".partial"
PART_BYTES = 65_536


class Draft:
    """A file in a folder that goes as soon as it is written: what is open can still be read.

    write: writes a new file of that name. size_bytes: of the whole. Raises what `write` raises, and OSError.
    """

    def __init__(self, folder: Path, write: Callable[[Path], object]) -> None:
        sweep(folder)
        path = folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        try:
            write(path)
            self._file: BinaryIO = path.open("rb")
        finally:
            _remove(path)
        self.size_bytes = os.fstat(self._file.fileno()).st_size

    def parts(self) -> Iterator[bytes]:
        """All of it; it is gone afterwards."""
        with self._file:
            while part := self._file.read(PART_BYTES):
                yield part


def sending(made: Made, folder: Path, rows: int, close: Callable[[], None]) -> tuple[Iterator[bytes], int | None]:
    """The parts of an export that is sent, and its size where that is known before: of a SQLite file, which is a draft.

    folder: of drafts. rows: about how many, for the room they take. close: called when no more is read, however it
    ended. Raises NotSaved, OSError, sqlite3.Error.
    """
    try:
        if made.format is not Format.SQLITE:
            return _closing(close, made.parts()), None
        if free_bytes(folder) < rows * ROW_BYTES + LOG_BYTES:
            raise NotSaved(
                _("There is no room on the disk to make a SQLite file of so much. Take a shorter time, or CSV.")
            )
        draft = Draft(folder, made.write_sqlite)
    except BaseException:
        close()
        raise
    close()
    return draft.parts(), draft.size_bytes


def _closing(close: Callable[[], None], parts: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    finally:
        close()


def sweep(folder: Path) -> None:
    """Remove what a process left that ended in the middle; not what this one is writing."""
    for path in folder.glob(f"{PREFIX}*{SUFFIX}*"):
        if not path.name.startswith(f"{PREFIX}{os.getpid()}-"):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(OSError):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
