"""The machine's name in the network and its time zone."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from appliance.errors import InputError, about
from appliance.language import _
from appliance.machine.programs import run, try_run

LOCAL_TIME, ZONES, HOSTS = Path("/etc/localtime"), Path("/usr/share/zoneinfo"), Path("/etc/hosts")
SITE, SYNC = "mb9k-serve.service", "mb9k-sync.service"
OWN_NAME = r"s/^127\.0\.1\.1\s.*/127.0.1.1\t{}/"
"""What puts it into Debian's line of /etc/hosts: a machine that does not find itself by name is slow in places."""


@about("host")
def host_name(text: str) -> str:
    """A name in the network as it is set: one label of RFC 1123, in lower case. Raises InputError."""
    name = text.strip().lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise InputError(
            _("A name in the network has 1 to 63 letters a to z, digits and hyphens, no hyphen first or last.")
        )
    if name.isdigit():
        raise InputError(_("A name in the network needs a letter; digits alone could be an address."))
    if name == "localhost":
        raise InputError(_("Every machine calls itself localhost; give this one a name of its own."))
    return name


def set_host_name(text: str) -> str:
    """Name the machine, for the network (.local) and for itself; the name. Raises InputError, UserError."""
    name = host_name(text)
    run("hostnamectl", "set-hostname", name)
    try_run("sed", "-i", OWN_NAME.format(name), HOSTS)
    try_run("systemctl", "try-restart", "avahi-daemon.service")
    return name


@lru_cache(maxsize=2)
def zones(folder: Path = ZONES) -> tuple[str, ...]:
    """The time zones that this system knows and where people live, sorted, and `UTC`."""
    found = {"UTC"}
    with suppress(OSError):
        lines = (folder / "zone.tab").read_text().splitlines()
        found |= {line.split("\t")[2] for line in lines if not line.startswith("#") and line.count("\t") > 1}
    return tuple(sorted(found))


def zone(link: Path = LOCAL_TIME) -> str:
    """The machine's time zone."""
    try:
        return str(link.readlink()).partition("zoneinfo/")[2] or "UTC"
    except OSError:
        return "UTC"


def set_zone(text: str) -> str:
    """Set the machine's time zone; its name. Raises InputError, UserError."""
    name = text.strip()
    if name not in zones():
        raise InputError(_("This system knows no such time zone; choose one of the list."))
    run("timedatectl", "set-timezone", name)
    try_run("systemctl", "try-restart", SYNC)  # it says since when today is
    return name
