"""The box itself, as people set it: what it is called on its pages, what its screen shows, and its services."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.files import replace_file
from appliance.language import N_, _
from appliance.names import MAX_LENGTH, clean_name, is_readable
from appliance.outside import system_words
from appliance.service import SERVICES
from appliance.store import Store
from appliance.times import Now


def box_title(config: Config) -> str:
    """What the pages call this box: as people set it, else its name in the configuration."""
    try:
        text = config.title_path.read_text(errors="replace").strip()
    except OSError:
        return config.box
    return text if text and len(text) <= MAX_LENGTH and is_readable(text) else config.box


def set_box_title(config: Config, text: str) -> None:
    """Call the box so on its pages; by its name again where there is nothing. Raises InputError, OSError."""
    if not text.strip() or text.strip() == config.box:
        config.title_path.unlink(missing_ok=True)
        return
    replace_file(config.title_path, f"{clean_name(text, N_('Give the box a name.'))}\n")


def screen_shows_counts(config: Config) -> bool:
    """Whether the box's own screen shows today's counts once the box is claimed."""
    return config.screen.counts or _counts_path(config).exists()


def let_screen_show_counts(config: Config, shown: bool) -> None:
    """Have it show them, or not. Raises InputError: the configuration file has it show them; OSError."""
    if config.screen.counts:
        raise InputError(_("It stands in mb9k.toml (screen.counts), and is changed there."))
    if shown:
        replace_file(_counts_path(config), "")
    else:
        _counts_path(config).unlink(missing_ok=True)


def _counts_path(config: Config) -> Path:
    return config.state / "screen-shows-counts"


def known_service(name: str) -> None:
    """Refuse what is no service of ours. Raises InputError."""
    if name not in {service.name for service in SERVICES}:
        raise InputError(_("There is no service {name}.", name=f"{name!r}"))


def process_of(store: Store, name: str, now: Now) -> int:
    """The process of a service that runs here. Raises UserError."""
    running = next((each for each in store.services.all(now) if each.name == name), None)
    if running is None or not running.alive or not _is_service(running.pid, name):
        raise UserError(_("The service {name} is not running here, so it cannot be ended.", name=name))
    return running.pid


def end_service(store: Store, name: str, now: Now) -> int:
    """Ask a service to end, which whatever runs the box then starts again; its process. Raises UserError."""
    pid = process_of(store, name, now)
    end_process(pid)
    return pid


def end_process(pid: int) -> None:
    """Ask a process of ours to end. Raises UserError."""
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError as error:
        raise UserError(_("The service could not be ended ({trouble}).", trouble=system_words(error))) from error


def _is_service(pid: int, name: str) -> bool:
    """Whether this process is that service: its number may be another's by now."""
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
