"""Wi-Fi from a file that people write on the card: read, handed to NetworkManager, and removed from the card."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import InputError
from appliance.files import replace_file, sync
from appliance.language import N_, _

FILE = "mb9k-wifi.txt"
NAME = "mb9k-wifi"
"""Of the connection."""
_NAMES = frozenset({FILE, f"{FILE}.txt"})  # some editors add the second .txt, and hide it
MAX_BYTES = 4096
MAX_SSID_BYTES = 32
PRIORITY = 10  # over connections that somebody made by hand
_NAMESPACE = uuid.UUID("8d6f3c1e-7a0b-4c43-9a6e-0f6f7c2b9d51")
_EXAMPLE = N_("It has three lines: ssid=NAME, password=PASSWORD and country=DE.")


@dataclass(frozen=True, slots=True)
class Wifi:
    """A Wi-Fi to join. password: empty for an open one. country: two letters, for the radio; empty: as it is."""

    ssid: str
    password: str
    country: str

    def __repr__(self) -> str:
        return f"Wifi({self.ssid!r})"  # whatever prints it, no password is in it


def parse(content: bytes) -> Wifi:
    """Understand the file. Raises InputError: what is wrong, on which line, without the password."""
    if len(content) > MAX_BYTES:
        raise InputError(_("{file} is too long. {example}", file=FILE, example=_(_EXAMPLE)))
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(_("{file} is no plain text; save it as UTF-8.", file=FILE)) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip().lower()
        if not equals or name not in ("ssid", "password", "country"):
            raise InputError(
                _("{file}, line {number}: it must begin with ssid=, password= or country=.", file=FILE, number=number)
            )
        if name in found:
            raise InputError(_("{file}, line {number}: {name}= is there twice.", file=FILE, number=number, name=name))
        found[name] = value.strip()
    if "ssid" not in found:
        raise InputError(
            _("{file}: ssid= is missing, the name of the Wi-Fi. {example}", file=FILE, example=_(_EXAMPLE))
        )
    if "password" not in found:
        raise InputError(_("{file}: password= is missing; leave it empty for a Wi-Fi without one.", file=FILE))
    try:
        return checked(found["ssid"], found["password"], found.get("country", ""))
    except InputError as error:
        raise InputError(_("{file} cannot be used: {error}", file=FILE, error=error)) from error


def checked(ssid: str, password: str, country: str) -> Wifi:
    """A Wi-Fi as there can be one. Raises InputError, whose words repeat nothing of the password."""
    country = country.upper()
    if not ssid or len(ssid.encode("utf-8", "replace")) > MAX_SSID_BYTES or not ssid.isprintable():
        raise InputError(_("The name of a Wi-Fi has 1 to 32 bytes, and nothing invisible in it."))
    is_key = re.fullmatch("[0-9a-fA-F]{64}", password)
    if password and not is_key and not re.fullmatch("[ -~]{8,63}", password):
        raise InputError(_("A Wi-Fi password has 8 to 63 characters, without accents and umlauts."))
    if country and not re.fullmatch("[A-Z]{2}", country):
        raise InputError(_("The country is two letters, such as DE or US."))
    return Wifi(ssid, password, country)


def connection(wifi: Wifi) -> str:
    """The connection as NetworkManager's keyfile plugin reads it.

    nm-settings-keyfile(5): an SSID may be a list of bytes, of which none has a meaning of its own.
    """
    security = f"\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={escaped(wifi.password)}\n" if wifi.password else ""
    return f"""[connection]
id={NAME}
uuid={uuid.uuid5(_NAMESPACE, wifi.ssid)}
type=wifi
autoconnect-priority={PRIORITY}
autoconnect-retries=0

[wifi]
mode=infrastructure
ssid={ssid_bytes(wifi.ssid)}
{security}
[ipv4]
method=auto

[ipv6]
method=auto
"""


def ssid_bytes(ssid: str) -> str:
    """An SSID as a list of bytes: 109;98;57;107;"""
    return "".join(f"{byte};" for byte in ssid.encode())


def escaped(value: str) -> str:
    """A value as GLib's key files want it: a space at its beginning, and every backslash."""
    plain = value.replace("\\", "\\\\")
    return f"\\s{plain[1:]}" if plain.startswith(" ") else plain


def find(folder: Path) -> Path | None:
    """The file on the card, in whatever case it was written; None: there is none. Raises OSError."""
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() in _NAMES), None)


def read(path: Path) -> Wifi:
    """What the file says. Raises InputError, OSError."""
    with path.open("rb") as file:
        return parse(file.read(MAX_BYTES + 1))


def keep(wifi: Wifi, etc: Path) -> None:
    """Hand it to NetworkManager, which ignores files that others may read, and note its country. Raises OSError.

    etc: the folder /etc.
    """
    connections = etc / "NetworkManager" / "system-connections"
    connections.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(connections / f"{NAME}.nmconnection", connection(wifi))
    if wifi.country:
        (etc / "mb9k").mkdir(exist_ok=True)
        replace_file(etc / "mb9k" / "wifi-country", f"{wifi.country}\n")


def country_line(etc: Path) -> str:
    """What tells the kernel's radio code the country when it is loaded (modprobe.d(5)); empty: nobody named one."""
    try:
        country = (etc / "mb9k" / "wifi-country").read_text().strip()
    except FileNotFoundError:
        return ""
    return f"options cfg80211 ieee80211_regdom={country}\n" if re.fullmatch("[A-Z]{2}", country) else ""


def wipe(path: Path) -> None:
    """Overwrite the file where it lies, then remove it: FAT would keep its content otherwise. Raises OSError.

    A memory card may keep an older copy of a block all the same, where no file system can reach it.
    """
    with path.open("r+b") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        file.write(bytes(size_bytes))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync(path.parent)
