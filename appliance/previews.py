"""Live previews: the one thing besides the store that the watcher and the site share.

A picture a second has no business in a database on an SD card, so previews are small files in the run folder
(tmpfs on a box). The site says that somebody is watching; only then does the watcher draw.
"""

from __future__ import annotations

import time
from pathlib import Path

REQUEST_S = 10.0
FRESH_S = 5.0


class Previews:
    """The newest picture of each stream, bboxes drawn, eyes pixelated like every stored image."""

    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir / "previews"

    def request(self, stream_id: int) -> None:
        """Somebody is watching this stream. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / f"{stream_id}.requested").touch()

    def is_requested(self, stream_id: int) -> bool:
        """Whether somebody watched within the last REQUEST_S seconds."""
        return _age_s(self.folder / f"{stream_id}.requested") < REQUEST_S

    def write(self, stream_id: int, jpeg: bytes) -> None:
        """Show this picture from now on; a reader never sees half of one. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / f"{stream_id}.new"
        fresh.write_bytes(jpeg)
        fresh.replace(self.folder / f"{stream_id}.jpg")

    def read(self, stream_id: int) -> bytes | None:
        """The newest picture; None if there is none of the last FRESH_S seconds."""
        path = self.folder / f"{stream_id}.jpg"
        if _age_s(path) >= FRESH_S:
            return None
        try:
            return path.read_bytes()
        except OSError:
            return None

    def forget(self, stream_id: int) -> None:
        """Remove the files of a stream that ended."""
        for suffix in ("requested", "new", "jpg"):
            (self.folder / f"{stream_id}.{suffix}").unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return abs(time.time() - path.stat().st_mtime)
    except OSError:
        return float("inf")
