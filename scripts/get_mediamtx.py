"""MediaMTX for this machine: the binary on PATH, or the pinned release, checked against the sha-256 that stands here.

python scripts/get_mediamtx.py FOLDER           prints the path of the binary, or says in one line why there is none
python scripts/get_mediamtx.py FOLDER MACHINE   the pinned release for another machine: x86_64, aarch64
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

VERSION = "1.20.1"
RELEASE = f"https://github.com/bluenviron/mediamtx/releases/download/v{VERSION}"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7", "armv6l": "armv6"}
SHA256 = {
    "amd64": "81b143f55a5d23d4a8c028d52869c14ea4a59919900528698fcc97a747fd69c6",
    "arm64": "d1689f0bfefb1864e5ed3dcc8495eb2d7ec0a654f90bf3cd48980cb3bd08718a",
}
"""Of the release's archives. Fetched from where the archive comes from, a sum would prove nothing."""
SILENCE_S = 10.0
DEADLINE_S = 300.0  # for all of it, however little comes at a time
MAX_BYTES = 150_000_000  # the archive has 30 MB, the program in it 60
PIECE_BYTES = 65_536


class Unavailable(Exception):
    """There is no MediaMTX here and none can be fetched; the message says why, in one line."""


def binary(folder: Path) -> Path:
    """The path of a MediaMTX binary, downloaded into the folder if there is none yet. Raises Unavailable."""
    on_path = shutil.which("mediamtx")
    return Path(on_path) if on_path else release(folder / f"mediamtx-{VERSION}", platform.machine())


def release(path: Path, machine: str) -> Path:
    """`path`, with the pinned release for a machine (as `uname -m` says), if need be downloaded. Raises Unavailable."""
    if not path.exists():
        name = MACHINES.get(machine, machine)
        if name not in SHA256:
            raise Unavailable(f"no sha-256 of the release for {name} is known here, so it could not be checked")
        install(path, f"{RELEASE}/mediamtx_v{VERSION}_linux_{name}.tar.gz", SHA256[name])
    return path


def install(path: Path, address: str, sha256: str, deadline_s: float = DEADLINE_S) -> None:
    """Fetch the release's archive and write the program in it to `path`, all of it or nothing. Raises Unavailable."""
    archive = _fetched(address, deadline_s)
    if hashlib.sha256(archive).hexdigest() != sha256:
        raise Unavailable("what came is not the release (its sha-256 differs); it was thrown away")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("mediamtx") if "mediamtx" in tar.getnames() else None
        if member is None:
            raise Unavailable("the release holds no program")
        program = member.read()
    try:
        _write(path, program)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written ({error.strerror})") from error


def _write(path: Path, program: bytes) -> None:
    """Write a program under another name, then give it its own. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as draft:
        try:
            draft.write(program)
            draft.flush()
            os.fchmod(draft.fileno(), 0o755)
            Path(draft.name).replace(path)
        except OSError:
            Path(draft.name).unlink()
            raise


def _fetched(address: str, deadline_s: float) -> bytes:
    """What lies at an address. Raises Unavailable, within the deadline even if a byte a minute comes."""
    archives: list[bytes] = []
    reasons: list[str] = []

    def fetch() -> None:
        try:
            archives.append(_read(address, time.monotonic() + deadline_s))
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(str(getattr(error, "reason", error)) or type(error).__name__)

    # A thread, since no deadline reaches into a header that comes byte by byte; nobody waits for it at the end.
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(deadline_s)
    if archives:
        return archives[0]
    reason = reasons[0] if reasons else f"it did not come within {deadline_s:.0f} s"
    raise Unavailable(f"the release cannot be fetched ({' '.join(reason.split())})")


def _read(address: str, until_s: float) -> bytes:
    """All that comes, until a moment of the monotonic clock. Raises OSError, HTTPException, ValueError."""
    content = bytearray()
    # An opener of our own, since urlopen's remembers the proxies of its first call.
    with urllib.request.build_opener().open(address, timeout=SILENCE_S) as answer:
        expected = int(answer.headers.get("Content-Length") or 0)
        while piece := answer.read1(PIECE_BYTES):
            content += piece
            if len(content) > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES // 1_000_000} MB")
            if time.monotonic() > until_s:
                raise TimeoutError("it is too slow")
    if expected and len(content) < expected:
        raise ValueError(f"it broke off after {len(content)} of {expected} bytes")
    return bytes(content)


if __name__ == "__main__":
    try:
        folder, *machines = sys.argv[1:]
        if machines:
            print(release(Path(folder, machines[0], f"mediamtx-{VERSION}"), machines[0]))
        else:
            print(binary(Path(folder)))
    except Unavailable as error:
        sys.exit(f"MediaMTX: {error}; the embedded ingest takes its place")
