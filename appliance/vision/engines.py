"""The engines a box has built, in a folder of its state: one file each, whole or not there, checked before it is used.

A file is one line of JSON (Entry), then the engine. An engine that was refused leaves its figures, so that it is not
built again at every start.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from appliance.errors import UserError
from appliance.files import sync
from appliance.vision.gpu_errors import Stopped

log = logging.getLogger(__name__)

ENGINE, REFUSED, BEGUN, LOCK, DRAFT = ".engine", ".refused", ".begun", ".lock", ".draft"
MOST_KEPT = 8  # of a box that is updated again and again; the engines longest not used go
MAX_HEADER_BYTES = 10_000
POLL_S = 0.2


class Key(msgspec.Struct, frozen=True):
    """What an engine is of and for; another one of any of these is another engine.

    form_sha256: of the ONNX file; side_px: of its input; pictures: in a batch at most; gpu: its name; capability: its
    compute capability.
    """

    form_sha256: str
    side_px: int
    precision: str
    pictures: int
    tensorrt: str
    gpu: str
    capability: str

    @property
    def name(self) -> str:
        """Of its file, for people; unique by its last part."""
        digest = hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")[:30]
        return f"{self.precision}-{self.side_px}-trt{self.tensorrt}-{gpu}-sm{self.capability.replace('.', '')}-{digest}"


class Entry(msgspec.Struct, frozen=True):
    """What is known of an engine. sha256, size_bytes: of the engine alone. figures: how it agreed with ONNX Runtime.

    built_s: how long that took. refused: whether it may not be used; then there is no engine.
    """

    key: Key
    sha256: str
    size_bytes: int
    built_utc: str
    built_s: float
    figures: str
    refused: bool = False


class Engines:
    """The folder. For any number of processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: Key) -> bytes | None:
        """The engine, if there is one, whole and for this key; one that is not is removed."""
        path = self._path(key, ENGINE)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the engine %s cannot be read (%s)", path.name, error.strerror)
            return None
        header, _, plan = content.partition(b"\n")
        try:
            entry = msgspec.json.decode(header, type=Entry)
        except msgspec.DecodeError:
            entry = None
        if entry is None or entry.key != key or entry.sha256 != hashlib.sha256(plan).hexdigest():
            log.warning("the engine %s is damaged; it is built again", path.name)
            self._unlink(path)
            return None
        with suppress(OSError):
            os.utime(path)  # it is used
        return plan

    def keep(self, key: Key, plan: bytes, built_utc: str, built_s: float, figures: str) -> None:
        """Have the engine on disk: whole or not at all. Raises OSError."""
        digest = hashlib.sha256(plan).hexdigest()
        entry = Entry(key, digest, len(plan), built_utc, round(built_s, 1), figures)
        self._write(self._path(key, ENGINE), msgspec.json.encode(entry) + b"\n" + plan)
        self._unlink(self._path(key, REFUSED))
        for old in sorted(self.folder.glob(f"*{ENGINE}"), key=_used_s, reverse=True)[MOST_KEPT:]:
            self._unlink(old)

    def refuse(self, key: Key, built_utc: str, built_s: float, figures: str) -> None:
        """Remember that the engine of this key judges wrongly. Raises OSError."""
        entry = Entry(key, "", 0, built_utc, round(built_s, 1), figures, refused=True)
        self._write(self._path(key, REFUSED), msgspec.json.encode(entry))
        self._unlink(self._path(key, BEGUN))

    def refusal(self, key: Key) -> str | None:
        """The figures for which the engine of this key was refused; None: it was not."""
        entry = _entry(self._path(key, REFUSED))
        return entry.figures if entry is not None and entry.key == key else None

    def forget(self, key: Key) -> None:
        """Build it again next time, whatever was known."""
        for suffix in (ENGINE, REFUSED):
            self._unlink(self._path(key, suffix))

    def cut_off(self, key: Key) -> int:
        """How often in a row what was `begun` never came to an end: the process or the machine ended with it."""
        try:
            return int(self._path(key, BEGUN).read_text())
        except (OSError, ValueError):
            return 0

    @contextmanager
    def begun(self, key: Key) -> Iterator[None]:
        """Do what may take the machine with it: build an engine, or try one."""
        path = self._path(key, BEGUN)
        with suppress(OSError):  # a full disk must not keep the engine from being built
            self._write(path, str(self.cut_off(key) + 1).encode())
        try:
            yield
        finally:
            self._unlink(path)

    def all(self) -> list[tuple[str, Entry | None]]:
        """Every engine and refusal by name; None: it cannot be read."""
        paths = sorted(path for path in self.folder.glob("*") if path.suffix in (ENGINE, REFUSED))
        return [(path.stem, _entry(path)) for path in paths]

    def remove(self, name: str) -> None:
        """Remove an engine, or what is known of a refused one. Raises UserError."""
        paths = [self.folder / f"{name}{suffix}" for suffix in (ENGINE, REFUSED)]
        there = [path for path in paths if path.parent == self.folder and path.is_file()]
        if not there:
            raise UserError(f"there is no engine {name!r}; `mb9k engine list` names them")
        for path in there:
            path.unlink()

    @contextmanager
    def building(self, key: Key, is_stopping: Callable[[], bool], waits: Callable[[], None]) -> Iterator[None]:
        """Be the only one who builds the engine of this key; see `alone`. Raises Stopped, OSError."""
        with alone(self._path(key, LOCK), is_stopping, waits):
            for draft in self.folder.glob(f"{key.name}.*{DRAFT}"):  # of one that was killed
                self._unlink(draft)
            yield

    def _path(self, key: Key, suffix: str) -> Path:
        return self.folder / f"{key.name}{suffix}"

    def _write(self, path: Path, content: bytes) -> None:
        draft = self.folder / f"{path.stem}.{secrets.token_hex(4)}{DRAFT}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
            sync(self.folder)
        finally:
            self._unlink(draft)

    def _unlink(self, path: Path) -> None:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path, is_stopping: Callable[[], bool], waits: Callable[[], None]) -> Iterator[None]:
    """Be the only one of all processes that hold this file. waits: told once when another one does.

    Raises Stopped, OSError.
    """
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        told = False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not told:
                waits()
                told = True
            if is_stopping():
                raise Stopped("the box stops")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(handle)


def _entry(path: Path) -> Entry | None:
    """What a file says of itself; None: nothing that can be read."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.readline(MAX_HEADER_BYTES), type=Entry)
    except (OSError, msgspec.DecodeError):
        return None


def _used_s(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
