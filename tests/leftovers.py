"""What is still on the disk of a box: every byte of every file in its folders, free pages and write-ahead log too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

JPEG_START = b"\xff\xd8\xff"


def files_with(folder: Path, trace: bytes) -> list[str]:
    """The names of the files below a folder that hold these bytes anywhere."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and trace in path.read_bytes())


def left(folder: Path, traces: Iterable[bytes]) -> list[tuple[bytes, list[str]]]:
    """Those of the traces that are still there, and where."""
    return [(trace, found) for trace in traces if (found := files_with(folder, trace))]
