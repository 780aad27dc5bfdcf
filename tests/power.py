"""Power cuts: what a real recorder wrote and erased, call by call, and what a disk may hold when the power goes.

The model: what a file held at its last fsync is on the disk. Of what was written since, any sectors may be, in any
order; a file that was never synced may be missing. A disk that says it has synced when it has not is not modelled.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from appliance.accounts.people import Role
from appliance.disk import Reserve
from appliance.faces import Detection, State
from appliance.images import ImageFiles, Integrity, Place
from appliance.previews import Previews
from appliance.rules import detections, streams
from appliance.secrets import new_token
from appliance.store import Store, soundness
from appliance.times import Now, now
from appliance.vision.analysis import Sighting
from appliance.watch.recorder import Recorder
from tests.conftest import REPOSITORY

UTC = 1_790_000_000.0
SECTOR = 512
SECONDS = 150
CALLS = "write,pwrite64,ftruncate,fsync,fdatasync,unlink"
HEX = rb"((?:\\x[0-9a-f]{2})*)"
LINE = re.compile(rb"^(?:\d+ +)?(\w+)\((?:(\d+)<" + HEX + rb'>)?(?:, "' + HEX + rb'")?(.*)\) += (-?\d+)')


def write(folder: Path, pragmas: str, seconds: int) -> None:
    """Record people with their images, one transaction a second, as the watcher does, and delete some, as people do.

    What is committed is said: a line of JSON each.
    """
    store = Store.open(folder / "mb9k.db")
    store.db.executescript(pragmas)
    if not store.people.count():
        store.people.add("ann", "hash", Role.ADMIN, UTC)
        store.streams.add_with_key(1, "door", "digest", UTC)
    with store.writing():  # as every start does
        store.summaries.begin_epoch(now(), believed=True)
    images = ImageFiles(folder / "images")
    recorder, chance = Recorder(images, Reserve(images.folder.parent)), random.Random(2)
    for second in range(seconds):
        stream_id = 1
        if second % 10 == 5:
            stream_id = store.streams.add_with_key(1, f"short-lived {new_token()[:12]}", new_token(), UTC)
        for person in range(second, second + 3):  # each is in view for three seconds
            recorder.take(_sighting(person, second, stream_id, chance))
        with store.writing():
            recorder.write(store, float(second), everything=True)
            store.summaries.add_watched({1: 1}, Now(UTC + second, "", 0.0))
        rows = store.db.execute("select id, votes from detections order by id desc limit 6").fetchall()
        recorder.committed(float(second))
        _say(kept=[list(row) for row in rows])
        if second % 10 == 6:
            _delete(store, images, stream_id=max(store.streams.ids()))
        elif second % 3 == 2:
            _delete(store, images, detection_id=rows[chance.randrange(len(rows))]["id"])


def _delete(store: Store, images: ImageFiles, detection_id: int = 0, stream_id: int = 0) -> None:
    """Delete a detection, or a stream with all that it has, as people do; say what goes, and then that it is gone."""
    going = store.db.execute(
        "select id, image_day, image_offset, image_size from detections where id = ? or stream_id = ?",
        [detection_id, stream_id],
    )
    _say(going=[list(row) for row in going])
    if stream_id:
        stream = streams.find(store, stream_id, now())
        streams.delete(store, images, Previews(images.folder.parent / "previews"), streams.OPERATOR, stream, now())
    else:
        detections.delete(store, images, streams.OPERATOR, detection_id, now())
    _say(gone=True)


def _say(**words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _sighting(person: int, second: int, stream_id: int, chance: random.Random) -> Sighting:
    seen = Detection(UTC + person, UTC + second + 3, State.MASK, 0.9, 1 + second, (1, 2, 3, 4), 640, 360, "a model")
    jpeg = b"\xff\xd8" + chance.randbytes(chance.randrange(500, 9000)) + b"\xff\xd9"
    return Sighting(f"person {person}", stream_id, None, seen, jpeg, ended=second == person)


@dataclass
class Said:
    """What a writer said. votes: of each committed detection; going: those being deleted, with their images."""

    votes: dict[int, int] = field(default_factory=dict)
    going: dict[int, Place] = field(default_factory=dict)
    deleted: dict[int, Place] = field(default_factory=dict)

    def hear(self, line: bytes | str) -> None:
        """Another line of it."""
        words = json.loads(line)
        self.votes.update((number, votes) for number, votes in words.get("kept", ()))
        if "going" in words:
            self.going = {number: Place(*place) for number, *place in words["going"]}
        if "gone" in words:
            self.deleted |= self.going
            for number in self.going:
                self.votes.pop(number, None)
            self.going = {}


@dataclass(frozen=True)
class Call:
    """One system call. file: relative to the folder; "" for what was said to be committed (data)."""

    kind: str
    file: str
    data: bytes = b""
    offset: int = 0


def record(folder: Path, pragmas: str = "") -> list[Call]:
    """What a writer in a process of its own asked of the disk and said, in order. Needs strace."""
    trace = folder.with_name("trace")
    command = ["strace", "-f", "-y", "-xx", "-s", "100000", "-e", f"trace={CALLS}", "-o", str(trace)]
    subprocess.run([*command, *writer(folder, pragmas, SECONDS)], check=True, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
    with trace.open("rb") as lines:
        return list(_calls(lines, folder))


def writer(folder: Path, pragmas: str, seconds: int) -> list[str]:
    """The command that records into the store in this folder and prints what it has committed."""
    arguments = f"Path({str(folder)!r}), {pragmas!r}, {seconds}"
    return [sys.executable, "-c", f"from tests.power import write; from pathlib import Path; write({arguments})"]


def _calls(lines: Iterable[bytes], folder: Path) -> Iterator[Call]:
    for line in lines:
        match = LINE.match(line)
        if match is None:
            assert b"unfinished" not in line, "two threads write at once"
            continue
        kind, handle, path, data, rest, result = match.groups()
        if kind == b"unlink":
            path = rest.strip(b'"')
        name, content = (bytes.fromhex((text or b"").replace(b"\\x", b"").decode()) for text in (path, data))
        if kind == b"write" and handle == b"1":
            yield Call("said", "", content)
        if not name.startswith(os.fsencode(folder) + b"/") or name.endswith((b".lock", b"-shm")):
            continue
        file = os.fsdecode(name)[len(str(folder)) + 1 :]
        if kind in (b"write", b"pwrite64"):
            assert int(result) == len(content), line[:200]
            yield Call(kind.decode(), file, content, int(rest.split(b",")[2]) if kind == b"pwrite64" else 0)
        elif kind == b"ftruncate":
            yield Call("truncate", file, b"", int(rest.split(b",")[1]))
        else:
            yield Call("unlink" if kind == b"unlink" else "sync", file)


@dataclass
class File:
    """A file of the model. durable: at its last sync, None: it has had none; pending: what came since."""

    durable: bytes | None = None
    now: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut to this length

    def apply(self, call: Call) -> None:
        """What a call does."""
        if call.kind == "sync":
            self.durable, self.pending = bytes(self.now), []
            return
        offset = len(self.now) if call.kind == "write" else call.offset  # day files are opened for appending
        change = (offset, None if call.kind == "truncate" else call.data)
        _change(self.now, *change)
        self.pending.append(change)

    def after_cut(self, chance: random.Random, mode: str) -> bytes | None:
        """What may be found on the disk; None: no such file."""
        if self.durable is None and mode != "all" and chance.random() < 0.3:
            return None
        found = bytearray(self.durable or b"")
        first = chance.randrange(len(self.pending) + 1)
        for number, (offset, data) in enumerate(self.pending):
            if mode == "none" or (mode == "first" and number > first):
                break
            if data is None:
                if mode != "some" or chance.random() < 0.5:
                    _change(found, offset, None)
                continue
            torn = mode == "some" or (mode == "first" and number == first)
            for start, piece in _sectors(offset, data):
                if not torn or chance.random() < 0.5:
                    _change(found, start, piece)
        return bytes(found)


def _change(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
        yield offset + at, data[at : at + length]
        at += length


def cuts(calls: list[Call], number: int, seed: int) -> Iterator[tuple[int, dict[str, bytes | None], Said]]:
    """Cuts at random calls, in order: (call, the files as they may be found, what the writer had said)."""
    chance = random.Random(seed)
    files: dict[str, File] = {}
    said = Said()
    at = 0
    for cut in sorted(chance.randrange(len(calls) + 1) for _ in range(number)):
        for call in calls[at:cut]:
            if call.kind == "said":
                said.hear(call.data)
            elif call.kind == "unlink":
                files.pop(call.file, None)  # whatever is synced next on this disk makes this durable, too
            else:
                files.setdefault(call.file, File()).apply(call)
        at = cut
        mode = chance.choice(("none", "first", "some", "some", "all"))
        yield cut, {name: file.after_cut(chance, mode) for name, file in files.items()}, deepcopy(said)


def losses(folder: Path, said: Said) -> list[str]:
    """What was committed and is missing, was deleted and is there, or is not clean, at the first start after a cut.

    What was being deleted is there, with its image, or gone, and its image erased by what a start tidies.
    """
    path = folder / "mb9k.db"
    if fault := soundness.diagnose(path, thorough=True):
        return [fault.what]
    store = Store.open(path)
    votes = {row[0]: row[1] for row in store.db.execute("select id, votes from detections")}
    least = {number: count for number, count in said.votes.items() if number in votes or number not in said.going}
    found = [f"detection {number}" for number, count in least.items() if votes.get(number, -1) < count]
    images = ImageFiles(folder / "images")
    while detections.erase_some(store, images):
        pass
    deleted = said.deleted | {number: place for number, place in said.going.items() if number not in votes}
    found += [f"detection {number} is there again" for number in said.deleted if number in votes]
    found += [
        f"the image of detection {number} is not erased"
        for number, place in deleted.items()
        if images.integrity(place) is not Integrity.ERASED
    ]
    spoiled = [image for image in store.detections.all_images() if images.integrity(image) is not Integrity.WHOLE]
    found += [f"an image of {image.day} at {image.offset}" for image in spoiled]
    found += store.problems()
    store.close()
    return found
