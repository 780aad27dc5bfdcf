"""A host name of its own for a machine that still has its image's."""

from __future__ import annotations

import hashlib
import re
import socket
from pathlib import Path

from appliance.errors import UserError
from appliance.language import _

DEFAULT_NAMES = frozenset({"", "localhost", "mb9k"})
"""What images are called; a machine with another name was named by somebody."""
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without 0/o, 1/i/l: people type it
_LENGTH = 4
_PURPOSE = b"mb9k host name"


def name_for(machine_id: str) -> str:
    """`mb9k-xxxx`, always the same one for a machine: of two boxes in 900 000 others have this one's.

    From a digest: a machine id must not be shown to a network as it is (machine-id(5)).
    """
    number = int.from_bytes(hashlib.sha256(_PURPOSE + machine_id.strip().encode()).digest()[:8], "big")
    letters = ""
    for _nth in range(_LENGTH):
        number, at = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[at]
    return f"mb9k-{letters}"


def name_machine(etc: Path) -> str:
    """Name this machine if nobody has, in these files and in the running kernel; how it is called now.

    etc: the folder /etc. Raises UserError: it has no machine id; OSError.
    """
    there = _read(etc / "hostname").strip()
    if there not in DEFAULT_NAMES:
        return there
    machine_id = _read(etc / "machine-id").strip()
    if not re.fullmatch("[0-9a-f]{32}", machine_id):
        raise UserError(_("{etc}/machine-id holds no machine id; run systemd-machine-id-setup", etc=etc))
    name = name_for(machine_id)
    _write(etc / "hosts", with_name(_read(etc / "hosts"), name))
    _write(etc / "hostname", f"{name}\n")  # last: with it, this is done
    if socket.gethostname() != name:
        socket.sethostname(name)
    return name


def with_name(hosts: str, name: str) -> str:
    """The file /etc/hosts with this name as the machine's own (hosts(5), Debian's 127.0.1.1)."""
    kept = [line for line in hosts.splitlines() if line.split()[:1] != ["127.0.1.1"]]
    if not any(line.split()[:1] == ["127.0.0.1"] for line in kept):
        kept.insert(0, "127.0.0.1\tlocalhost")
    return "\n".join([*kept, f"127.0.1.1\t{name}", ""])


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}-mb9k")
    draft.write_text(text)
    draft.chmod(0o644)
    draft.rename(path)
