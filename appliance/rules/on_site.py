"""The broker on site: as mb9k.toml names it, or else as an admin set it on the page. The file wins."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance.config import Config
from appliance.errors import InputError, NotAllowed, NotSaved
from appliance.files import replace_file
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.sections import Mqtt

SETTINGS, PASSWORD = "broker-on-site.json", "broker-on-site.password"
"""Files, not rows: copies of the record must not carry a password."""
SENTENCE = "The broker on site"
"""How everything begins that `sync` says of it."""
_WORDS = {
    "host": N_("The broker is a host name or an address, without mqtt:// and without a port."),
    "port": N_("The port is a number from 1 to 65535; mostly 1883, with TLS 8883."),
    "topic": N_("Topics begin with up to four words of letters, digits, - and _, with / between them, such as mb9k."),
    "discovery": N_("The discovery prefix is one word of letters, digits, - and _, mostly homeassistant; or empty."),
    "password_file": N_("There is a password but no user whose it is; name the user, too."),
}


def is_in_file(config: Config) -> bool:
    """Whether mb9k.toml names the broker, so that the page cannot."""
    return bool(config.mqtt.host)


def in_force(config: Config) -> Mqtt:
    """The broker that is told; without host: none. Raises NotSaved: what the page set cannot be read."""
    if is_in_file(config):
        return config.mqtt
    path = config.state / SETTINGS
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mqtt)
    except FileNotFoundError:
        return Mqtt()
    except (OSError, msgspec.MsgspecError) as error:
        raise NotSaved(
            _(
                "{path} cannot be read ({error}); set the broker on site on the page Fleet again.",
                path=path,
                error=system_words(error),
            )
        ) from error


def version(settings: Mqtt) -> tuple[Mqtt, int]:
    """The settings, and what differs whenever their password was written again."""
    try:
        written = Path(settings.password_file).stat().st_mtime_ns if settings.password_file else 0
    except OSError:
        written = 0
    return settings, written


def set_broker(
    config: Config, host: str, port: int | None, user: str, password: str, tls: bool, topic: str, discovery: str
) -> None:
    """Have this broker told from now on. password: empty: the one that was set for this user stays.

    Raises InputError, NotAllowed: mb9k.toml names one, NotSaved.
    """
    _refuse_fixed(config)
    if not host:
        raise InputError(_(_WORDS["host"]), "host")
    if any(ord(letter) < 32 for letter in password):
        raise InputError(_("The password must be one line, without control characters."), "password")
    kept = _password_of(config, user)
    path = str(config.state / PASSWORD) if password else kept
    wished = {"host": host, "port": port, "user": user, "password_file": path, "tls": tls}
    try:
        settings = msgspec.convert({**wished, "topic": topic, "discovery": discovery}, Mqtt)
    except msgspec.ValidationError as error:
        wrong = next((name for name in _WORDS if name in str(error)), None)
        field = "user" if wrong == "password_file" else wrong or "host"
        raise InputError(_(_WORDS[wrong]) if wrong else str(error), field) from error
    try:
        if password:
            replace_file(config.state / PASSWORD, f"{password}\n")
        replace_file(config.state / SETTINGS, msgspec.json.encode(settings).decode())
        if not path:
            (config.state / PASSWORD).unlink(missing_ok=True)
    except OSError as error:
        raise NotSaved(
            _(
                "The broker on site cannot be saved: {trouble}.",
                trouble=system_words(error),
            )
        ) from error


def _password_of(config: Config, user: str) -> str:
    """The file with the password that was set for this user; empty: there is none, or nothing that can be read."""
    try:
        before = in_force(config)
    except NotSaved:
        return ""
    return before.password_file if user and user == before.user else ""


def forget_broker(config: Config) -> None:
    """Have no broker told that the page had set. Raises NotAllowed: mb9k.toml names one, NotSaved."""
    _refuse_fixed(config)
    try:
        for name in (SETTINGS, PASSWORD):
            (config.state / name).unlink(missing_ok=True)
    except OSError as error:
        raise NotSaved(
            _(
                "The broker on site cannot be taken out: {trouble}.",
                trouble=system_words(error),
            )
        ) from error


def _refuse_fixed(config: Config) -> None:
    if is_in_file(config):
        raise NotAllowed(_("The broker on site stands in mb9k.toml, under [mqtt]; change it there."))
