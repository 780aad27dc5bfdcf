"""A bundle of either kind looked at: of this program alone, or of a whole system."""

from __future__ import annotations

from pathlib import Path

from appliance.config import Config
from appliance.slots.bundle import is_of_rauc
from appliance.slots.machine import Machine
from appliance.slots.preparing import PreparedSystem, prepare_system
from appliance.update.preparing import Prepared, prepare


def prepare_either(config: Config, path: Path, utc: float, copy_bytes: int = 0) -> Prepared | PreparedSystem:
    """What it would change. copy_bytes: what root's own copy of it will take. Raises UpdateError, OSError."""
    if is_of_rauc(path):
        return prepare_system(config, path, Machine(), copy_bytes)
    return prepare(config, path, utc, copy_bytes)
