"""A bundle of the whole system looked at before anything is done: whether it may follow, and what people should know.

Nothing is changed; whoever can read the bundle and the configuration can ask, and root asks again before it acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config
from appliance.disk import LOG_BYTES, free_bytes
from appliance.language import ENGLISH, _, speaking
from appliance.slots.bundle import SystemBundle, inspected
from appliance.slots.machine import Machine
from appliance.slots.planning import refuse_unfit, what_changes
from appliance.store.soundness import COMPANIONS, newest_known
from appliance.update.releases import Releases
from appliance.update.versions import UpdateError, number

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class PreparedSystem:
    """What would be installed. before, after: versions of the system. lines: what changes, a sentence each."""

    bundle: SystemBundle
    before: str
    after: str
    lines: list[str]


def prepare_system(config: Config, path: Path, machine: Machine, copy_bytes: int = 0) -> PreparedSystem:
    """Look at a bundle of RAUC's (bundle.is_of_rauc). copy_bytes: what root's own copy of it will take.

    Raises UpdateError: it may not follow what runs, or this machine has no slots; OSError.
    """
    machine.loader(config.slots)
    if not Path(config.update.authority).exists():
        raise UpdateError(
            _(
                "{authority} is not there; put the certificate of your updates' authority there",
                authority=config.update.authority,
            )
        )
    build, program = machine.build(), number(Releases(Path(config.update.releases)).current())
    bundle = inspected(path, machine.rauc)
    refuse_unfit(bundle, machine.compatible(), build, program)
    _refuse_too_full(config, copy_bytes)
    with speaking(ENGLISH):  # they are noted with the bundle, for whoever looks at it later
        lines = what_changes(bundle, build, program, newest_known(), config.update.health_s)
    return PreparedSystem(bundle, number(build), bundle.version, lines)


def _refuse_too_full(config: Config, copy_bytes: int) -> None:
    """Raise UpdateError if there is no room for two copies of the record."""
    parts = (Path(f"{config.store_path}{suffix}") for suffix in ("", *COMPANIONS))
    record_bytes = sum(part.stat().st_size for part in parts if part.exists())
    needed = 2 * record_bytes + max(LOG_BYTES, config.images.min_free_mb * MB) + copy_bytes
    missing_bytes = needed - free_bytes(config.state)
    if missing_bytes > 0:
        raise UpdateError(
            _(
                "there is no room for a copy of the record: {mb} MB more than are free are needed on"
                " the disk of {state}; keep images for fewer days, and try again",
                mb=missing_bytes // MB + 1,
                state=config.state,
            )
        )
