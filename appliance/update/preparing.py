"""A bundle looked at before anything is done: whether it may be installed on this box, and what people should know.

Nothing is changed; whoever can read the bundle and the configuration can ask, and root asks again before it acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from appliance.config import Config
from appliance.store.soundness import COMPANIONS, newest_known
from appliance.update.building import refuse_too_full
from appliance.update.bundle import Bundle, verified
from appliance.update.planning import refuse_unfit, what_changes
from appliance.update.releases import Releases
from appliance.update.versions import UpdateError, this_machine, this_python


@dataclass(frozen=True, slots=True)
class Prepared:
    """What would be installed. before, after: the versions. lines: what changes, a sentence each."""

    bundle: Bundle
    before: str
    after: str
    lines: list[str]


def prepare(config: Config, path: Path, utc: float, copy_bytes: int = 0) -> Prepared:
    """Look at a bundle. copy_bytes: what root's own copy of it will take. Raises UpdateError, OSError."""
    releases = Releases(Path(config.update.releases))
    bundle = verified(path, authorities(config), utc)
    current = releases.current()
    refuse_unfit(bundle, current, releases.all(), this_python(), this_machine())
    parts = (Path(f"{config.store_path}{suffix}") for suffix in ("", *COMPANIONS))
    record_bytes = sum(part.stat().st_size for part in parts if part.exists())
    refuse_too_full(
        bundle, releases, config.state, record_bytes, config.images.min_free_mb * 1_000_000, copy_bytes=copy_bytes
    )
    installed = {each.name.replace("_", "-").lower(): each.version for each in distributions()}
    lines = what_changes(bundle, current, installed, newest_known(), config.update.health_s)
    return Prepared(bundle, current, bundle.manifest.version, lines)


def authorities(config: Config) -> str:
    """Who may sign, PEM. Raises UpdateError."""
    path = Path(config.update.authority)
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UpdateError(
            f"{path}: {error}; put the certificate of your updates' authority there (update.authority)"
        ) from error
