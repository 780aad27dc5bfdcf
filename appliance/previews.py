"""Live previews: the one thing besides the store that the watcher and the site share.

A picture a second has no business in a database on an SD card, so previews are small files in the run folder
(tmpfs on a box). The site says that somebody is watching; only then does the watcher draw.

Who watches one stream sees it move, and it is decoded in full for that. Who glances at many, on the wall of Home, sees
what the watcher looks at anyway, small: a page that is open all day must not cost what the streams need.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.faces import Face, State

REQUEST_S = 10.0
GLANCED_S = 20.0  # a page without a script comes again after fifteen seconds
AGE_HEADER = "X-Picture-Age-S"  # in seconds by the box's own clock: nobody needs to trust a browser's
FRESH_S = 3.0
"""An older picture is not live: pages that have it go on showing it with its age (OLD_MS in previews.js)."""
MARKED_AT_MOST = 60
"""What is said of a picture goes over the network as a header: of more faces, the largest."""
_START, _APP0, _COMMENT, _SCAN = b"\xff\xd8", b"\xff\xe0", b"\xff\xfe", b"\xff\xda"
_MAGIC = b"mb9k faces "  # FFmpeg writes a comment of its own


class Marked(msgspec.Struct, frozen=True, array_like=True):
    """A face that is marked in a picture: its state, and its bbox in px of that picture. As JSON: an array."""

    state: State
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of a stream, how long ago the watcher drew it, and the faces that are marked in this very picture."""

    jpeg: bytes
    age_s: float
    faces: Sequence[Marked] = ()

    @property
    def faces_json(self) -> str:
        """The faces, in ASCII: `[["mask",10,20,90,120]]`."""
        return msgspec.json.encode(self.faces).decode()


class Previews:
    """The newest picture of each stream, bboxes drawn, eyes pixelated like every stored image."""

    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir / "previews"

    def request(self, stream_id: int) -> None:
        """Somebody is watching this stream. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / f"{stream_id}.requested").touch()

    def glance(self, stream_id: int) -> None:
        """Somebody sees this stream among others. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / f"{stream_id}.glanced").touch()

    def is_glanced_at(self, stream_id: int) -> bool:
        """Whether somebody glanced at it within the last GLANCED_S seconds."""
        return _age_s(self.folder / f"{stream_id}.glanced") < GLANCED_S

    def is_fresh(self, stream_id: int) -> bool:
        """Whether there is a picture of the last FRESH_S seconds, which nobody has to read for that."""
        return _age_s(self.folder / f"{stream_id}.jpg") < FRESH_S

    def is_requested(self, stream_id: int) -> bool:
        """Whether somebody watched within the last REQUEST_S seconds."""
        return _age_s(self.folder / f"{stream_id}.requested") < REQUEST_S

    def write(self, stream_id: int, jpeg: bytes, faces: Iterable[Face] = ()) -> None:
        """Show this picture from now on; a reader never sees half of one. Raises OSError.

        faces: those that are marked in it, in its px. They go into the same file, as a comment of the JPEG, so that
        nobody can take what was said of one moment for what another shows.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / f"{stream_id}.new"
        fresh.write_bytes(_with_faces(jpeg, faces))
        fresh.replace(self.folder / f"{stream_id}.jpg")

    def read(self, stream_id: int) -> Preview | None:
        """The newest picture; None if there is none of the last FRESH_S seconds."""
        try:
            with (self.folder / f"{stream_id}.jpg").open("rb") as file:  # one file, for the watcher may replace it now
                age_s = abs(time.time() - os.fstat(file.fileno()).st_mtime)
                if age_s >= FRESH_S:
                    return None
                jpeg = file.read()
                return Preview(jpeg, age_s, _faces_in(jpeg))
        except OSError:
            return None

    def forget(self, stream_id: int) -> None:
        """Remove the files of a stream that ended."""
        for suffix in ("requested", "glanced", "new", "jpg"):
            (self.folder / f"{stream_id}.{suffix}").unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return abs(time.time() - path.stat().st_mtime)
    except OSError:
        return float("inf")


def _with_faces(jpeg: bytes, faces: Iterable[Face]) -> bytes:
    """The JPEG with a comment that says where faces are marked in it; as it is, if there are none."""
    marked = [Marked(face.state, *map(round, face.bbox_px)) for face in faces]
    if not marked or not jpeg.startswith(_START):
        return jpeg
    marked.sort(key=lambda each: (each.right - each.left) * (each.bottom - each.top), reverse=True)
    comment = _MAGIC + msgspec.json.encode(marked[:MARKED_AT_MOST])
    # JFIF wants its own segment to be the first.
    at = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == _APP0 else 2
    return jpeg[:at] + _COMMENT + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[at:]


def _faces_in(jpeg: bytes) -> Sequence[Marked]:
    """What the comment of a JPEG says; empty if it has none."""
    at = len(_START)
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at : at + 2] != _SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at : at + 2] == _COMMENT and jpeg.startswith(_MAGIC, at + 4):
            return msgspec.json.decode(jpeg[at + 4 + len(_MAGIC) : end], type=list[Marked])
        at = end
    return ()
