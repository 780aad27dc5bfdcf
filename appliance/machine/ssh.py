"""ssh for admins: a second sshd of ours, for root, by the keys that the page lists and by nothing else.

Not the system's: whoever set up the machine may need that one as it is. And root rather than a user with sudo: who
repairs a box needs root for all of it, sudo without a password is the same right through one more program, and a
password would have to be kept in /etc/shadow, which another system brings along.

The folder (machine.ssh_dir) is root's; the page reads it. In it: `keys`, an authorized_keys; `on`, without which
mb9k-ssh.service does not start; `host_ed25519` and its `.pub`, made when ssh is first turned on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.files import sync
from appliance.language import _
from appliance.machine.keys import Key, key
from appliance.machine.programs import run, try_run
from appliance.machine.requests import Ssh
from appliance.outside import system_words

UNIT = "mb9k-ssh.service"
MAX_KEYS = 20
HEAD = "# Written by the page Settings of mb9k; what is added here by hand it forgets.\n"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in by ssh. on: whether anybody. host: the fingerprint the machine is known by; "": none."""

    on: bool
    keys: tuple[Key, ...]
    host: str


def access(config: Config) -> Access:
    """How ssh is set, as far as our own goes; needs no right but to read the folder."""
    folder = Path(config.machine.ssh_dir)
    return Access((folder / "on").exists(), tuple(_keys(folder / "keys")), _host_fingerprint(folder))


def _keys(path: Path) -> list[Key]:
    found = []
    for line in _text(path).splitlines():
        try:
            found.append(key(line))
        except InputError:
            continue
    return found


def _host_fingerprint(folder: Path) -> str:
    try:
        return key(_text(folder / "host_ed25519.pub")).fingerprint
    except InputError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def set_access(config: Config, asked: Ssh) -> str:
    """Let exactly these keys in, or nobody; says so. Raises InputError, UserError."""
    folder = Path(config.machine.ssh_dir)
    if len(asked.keys) > MAX_KEYS:
        raise InputError(_("More than {max_keys} keys are not kept; remove one first.", max_keys=MAX_KEYS))
    keys = {each.fingerprint: each for each in map(key, asked.keys)}
    if asked.on and not keys:
        raise InputError(_("Add a public key first: with none nobody could come in."))
    was_on = (folder / "on").exists()
    try:
        _replace(folder / "keys", HEAD + "".join(f"{each.line}\n" for each in keys.values()))
        if not asked.on:
            (folder / "on").unlink(missing_ok=True)
            sync(folder)
    except OSError as error:
        raise UserError(
            _(
                "{folder}: {strerror}; this machine was not set up for ssh by the page.",
                folder=folder,
                strerror=system_words(error),
            )
        ) from error
    if asked.on:
        _open(folder)
        return _("ssh is on.")
    close(was_on)
    return _("ssh is off.")


def _open(folder: Path) -> None:
    """Have sshd run, now and at each start. Raises UserError."""
    _make_host_key(folder)
    _replace(folder / "on", "")
    try:
        run("systemctl", "start", UNIT)
    except UserError:
        (folder / "on").unlink(missing_ok=True)
        raise


def close(was_on: bool) -> None:
    """Let nobody in, and those out that are. Raises UserError."""
    run("systemctl", "stop", UNIT)
    if was_on:
        try_run("loginctl", "terminate-user", "root")  # sessions are in a unit of their own where there is logind


def forget(config: Config) -> None:
    """Close it, and forget the keys and the machine's own. Raises OSError, UserError."""
    folder = Path(config.machine.ssh_dir)
    close((folder / "on").exists())
    for name in ("on", "keys", "host_ed25519", "host_ed25519.pub"):
        (folder / name).unlink(missing_ok=True)


def _make_host_key(folder: Path) -> None:
    """The key by which the machine is known: made once, there whole or not at all. Raises UserError."""
    made = folder / "host_ed25519"
    if made.exists():
        return
    draft = folder / ".host"
    for path in (draft, draft.with_name(".host.pub")):
        path.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", draft)
    draft.with_name(".host.pub").chmod(0o644)  # the page shows its fingerprint
    draft.with_name(".host.pub").replace(folder / "host_ed25519.pub")
    draft.replace(made)
    sync(folder)


def _replace(path: Path, text: str) -> None:
    """Replace a file that everybody may read: public keys are no secret, and sshd wants nobody else to write it."""
    draft = path.with_name(f".{path.name}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, 0o644)
        file.write(text)
        file.flush()
        os.fsync(handle)
    draft.replace(path)
    sync(path.parent)
