"""MediaMTX for this machine: the binary on PATH, or the pinned release, checked against upstream's sha-256.

python scripts/get_mediamtx.py FOLDER      prints the path of the binary, or says in one line why there is none
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import sys
import tarfile
import urllib.request
from pathlib import Path

VERSION = "1.20.1"
RELEASE = f"https://github.com/bluenviron/mediamtx/releases/download/v{VERSION}"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7", "armv6l": "armv6"}
TIMEOUT_S = 10.0


class NotToBeHad(Exception):
    """There is no MediaMTX here and none can be fetched; the message says why, in one line."""


def binary(folder: Path) -> Path:
    """The path of a MediaMTX binary, downloaded into the folder if there is none yet. Raises NotToBeHad."""
    on_path = shutil.which("mediamtx")
    if on_path:
        return Path(on_path)
    cached = folder / f"mediamtx-{VERSION}"
    if not cached.exists():
        program = _download()
        folder.mkdir(parents=True, exist_ok=True)
        draft = cached.with_suffix(".new")
        draft.write_bytes(program)
        draft.chmod(0o755)
        draft.replace(cached)
    return cached


def _download() -> bytes:
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise NotToBeHad(f"there is no release for {platform.machine()}")
    name = f"mediamtx_v{VERSION}_linux_{machine}.tar.gz"
    try:
        sums = _get("checksums.sha256").decode()
        archive = _get(name)
    except OSError as error:
        raise NotToBeHad(f"the release cannot be fetched ({getattr(error, 'reason', error)})") from error
    return unpack(archive, name, sums)


def unpack(archive: bytes, name: str, sums: str) -> bytes:
    """The program inside the archive, if its sha-256 is the one in `sums`. Raises NotToBeHad."""
    by_name = {line.split()[1].lstrip("*"): line.split()[0] for line in sums.splitlines() if len(line.split()) == 2}
    if hashlib.sha256(archive).hexdigest() != by_name.get(name):
        raise NotToBeHad(f"{name} is not what upstream released (its sha-256 differs); it was thrown away")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("mediamtx")
        if member is None:
            raise NotToBeHad(f"{name} holds no program")
        return member.read()


def _get(name: str) -> bytes:
    with urllib.request.urlopen(f"{RELEASE}/{name}", timeout=TIMEOUT_S) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


if __name__ == "__main__":
    try:
        print(binary(Path(sys.argv[1])))
    except NotToBeHad as error:
        sys.exit(f"MediaMTX: {error}; the embedded ingest takes its place")
