"""A bundle for support: what helps to find a fault, and nothing of people, cameras, keys and pictures.

Only what is named here goes in. On its way every text loses, wherever they stand, the names of people and streams, the
addresses of cameras, everything that looks like an address or a key; a fault in one of the two leaves the other.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from appliance import address
from appliance.config import Config, as_toml
from appliance.disk import free_bytes
from appliance.errors import InputError
from appliance.rules.boxes import box_title
from appliance.secrets import KEY_ALPHABET
from appliance.store import Store, Stream
from appliance.times import Now, utc_text

HIDDEN = "•••"
LOG_LINES = 4000
LOG_BYTES = 2_000_000
LOG_S = 10.0
README = """What is in this file, for whoever helps with a fault. Look at it before you pass it on: it is all text.

figures.json        versions, the machine, its disk and memory, services, streams by number and their health
configuration.toml  the settings in force, without names, addresses and secrets
log.txt             the last lines of the log, if the box may read it

There is no picture, no name of a person or a stream, no address of a camera or a publisher, no password and no key.
"""
NO_LOG = "The box may not read its log. As root: journalctl -u 'mb9k*' -n 4000\n"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]+-----[\s\S]*?(-----END [A-Z ]+-----|$)",
        r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+",  # any address, with whatever it holds
        r"(?<=live/)[^\s\"'?]+",
        rf"\b[{KEY_ALPHABET}]{{20}}\b",
        r"\bSHA256:[A-Za-z0-9+/]{43}",  # whose key let them in by ssh
        r"\b[A-Za-z0-9_-]{40,}\b",  # tokens, digests, join codes
        rf"\b[{KEY_ALPHABET}]{{4}}-[{KEY_ALPHABET}]{{4}}\b",
        r"\b\d{1,3}(\.\d{1,3}){3}\b",
        r"(?<![\w:.])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{6,}[0-9A-Fa-f](?![\w:.-])(?<!\d\d:\d\d:\d\d)",
        r"\b[\w.+-]+@[\w.-]+\b",
    )
)
_HIDDEN_SETTINGS = frozenset(
    {"base_url", "box", "host", "join_code", "names", "password_file", "proxies", "public_host", "topic", "user"}
)


def stamp(utc: float) -> str:
    """A time as it stands in the name of a file: 20261123-160005."""
    return datetime.fromtimestamp(utc, timezone.utc).strftime("%Y%m%d-%H%M%S")


def make(config: Config, store: Store, now: Now, log_text: str, version: str, model: str) -> bytes:
    """The bundle, a zip file. log_text: of the services; empty: it cannot be read."""
    hide = _Hiding(_names(config, store, now))
    figures = {"mb9k": version, "model": model, **_figures(config, store, now, hide)}
    files = {
        "README.txt": README,
        "figures.json": json.dumps(figures, indent=2, ensure_ascii=False),
        "configuration.toml": hide(_settings(config)),
        "log.txt": hide(log_text) or NO_LOG,
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            bundle.writestr(name, text)
    return made.getvalue()


def journal() -> str:
    """The last lines that the services wrote into systemd's journal; empty where it may not be read."""
    program = shutil.which("journalctl")
    if program is None:
        return ""
    command = [program, "--unit=mb9k*", f"--lines={LOG_LINES}", "--no-pager", "--quiet", "--output=short-iso"]
    command += ["--no-hostname"]  # it may have been another one then
    try:
        read = subprocess.run(command, capture_output=True, timeout=LOG_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return read.stdout[-LOG_BYTES:].decode(errors="replace")


class _Hiding:
    """Hides words and whatever looks like an address or a key."""

    def __init__(self, words: Iterable[str]) -> None:
        ordered = sorted({word for word in words if word.strip()}, key=len, reverse=True)
        joined = "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in ordered)
        self._words = re.compile(joined, re.IGNORECASE) if joined else None

    def __call__(self, text: str) -> str:
        for pattern in _PATTERNS[:1]:  # a key has many lines
            text = pattern.sub(HIDDEN, text)
        if self._words:
            text = self._words.sub(HIDDEN, text)
        for pattern in _PATTERNS[1:]:
            text = pattern.sub(HIDDEN, text)
        return text


def _names(config: Config, store: Store, now: Now) -> set[str]:
    """Every word that may not leave the box."""
    found = {person.name for person in store.people.all()} | {token.name for token in store.people.all_tokens()}
    for stream in store.streams.all(now):
        found |= {stream.name, stream.title, stream.remote or ""}
        for text in (stream.source_url or "", stream.watch_url or ""):
            found |= _parts(text)
    found |= {box_title(config), config.box} - {Config().box}
    found |= {socket.gethostname()} - {Config().box, "localhost", "mb9k"}
    found |= {config.fleet.join_code, config.mqtt.user, config.mqtt.host}
    return found


def _parts(text: str) -> set[str]:
    """An address, its host, user and password."""
    found = {text}
    try:
        parsed = address.parse(text)
    except InputError:
        return found
    return found | {parsed.host, *(parsed.credentials or ())}


def _settings(config: Config) -> str:
    """The settings in force; of those that may tell a name or an address only whether they are set."""
    lines = []
    for line, plain in zip(as_toml(config).splitlines(), as_toml(Config()).splitlines(), strict=True):
        name = line.partition(" = ")[0]
        lines.append(f'{name} = "{HIDDEN}"' if name in _HIDDEN_SETTINGS and line != plain else line)
    return "\n".join(lines) + "\n"


def _figures(config: Config, store: Store, now: Now, hide: _Hiding) -> dict[str, Any]:
    """Words of ours and numbers; only what a service says of itself may quote anything."""
    return {
        "made_utc": utc_text(now.utc),
        "uptime_s": round(now.uptime_s),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "memory_kb": _memory_kb(),
        "disk_free_bytes": free_bytes(config.state),
        "record_bytes": config.store_path.stat().st_size,
        "people": store.people.count(),
        "services": [
            {
                "name": each.name,
                "alive": each.alive,
                "started_utc": each.started_utc,
                "problem": hide(each.problem or ""),
                "judging": {key: hide(text or "") for key, text in msgspec.to_builtins(each.judging or {}).items()},
            }
            for each in store.services.all(now)
        ],
        "streams": [_stream(stream) for stream in store.streams.all(now)],
    }


def _stream(stream: Stream) -> dict[str, Any]:
    """A stream without its name, its owner and its address; whether it has a problem, which may quote them."""
    return {
        "id": stream.id,
        "kind": "key" if stream.has_key else "source",
        "active": stream.active,
        "live": stream.live,
        "codec": stream.codec,
        "width": stream.width,
        "height": stream.height,
        "decoded_by": stream.decoded_by,
        "has_problem": bool(stream.problem),
        "picture_fault": stream.picture_fault,
        "health": msgspec.to_builtins(stream.health),
    }


def _memory_kb() -> dict[str, int]:
    """What the kernel says of the memory, the lines that matter."""
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree"):
            found[name] = int(value.split()[0])
    return found
