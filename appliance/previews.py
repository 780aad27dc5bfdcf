"""Live previews: the one thing besides the store that the watcher and the site share.

A picture a second has no business in a database on an SD card, so previews are small files in the run folder
(tmpfs on a box). The site says that somebody is watching; only then does the watcher draw.

Who watches one stream sees it move, and it is decoded in full for that. Who glances at many, on the wall of Home, sees
what the watcher looks at anyway, small: a page that is open all day must not cost what the streams need.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

REQUEST_S = 10.0
GLANCED_S = 20.0  # a page without a script comes again after fifteen seconds
AGE_HEADER = "X-Picture-Age-S"  # in seconds by the box's own clock: nobody needs to trust a browser's
FRESH_S = 3.0
"""An older picture is not live: pages that have it go on showing it with its age (OLD_MS in app.js)."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of a stream, and how long ago the watcher drew it."""

    jpeg: bytes
    age_s: float


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

    def write(self, stream_id: int, jpeg: bytes) -> None:
        """Show this picture from now on; a reader never sees half of one. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / f"{stream_id}.new"
        fresh.write_bytes(jpeg)
        fresh.replace(self.folder / f"{stream_id}.jpg")

    def read(self, stream_id: int) -> Preview | None:
        """The newest picture; None if there is none of the last FRESH_S seconds."""
        try:
            with (self.folder / f"{stream_id}.jpg").open("rb") as file:  # one file, for the watcher may replace it now
                age_s = abs(time.time() - os.fstat(file.fileno()).st_mtime)
                return Preview(file.read(), age_s) if age_s < FRESH_S else None
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
