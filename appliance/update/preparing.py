"""A bundle looked at before anything is done: whether it may be installed on this box, and what people should know.

Nothing is changed; whoever can read the bundle and the configuration can ask, and root asks again before it acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from appliance.config import Config
from appliance.language import ENGLISH, N_, _, speaking
from appliance.outside import system_words
from appliance.store.soundness import COMPANIONS, newest_known
from appliance.update.building import refuse_too_full
from appliance.update.bundle import Bundle, verified
from appliance.update.planning import changes_form, refuse_unfit, what_changes
from appliance.update.releases import Releases
from appliance.update.versions import UpdateError, this_machine, this_python

AGAIN = N_("Later, too, {before} can run again, with all that was counted.")
NEVER_AGAIN = N_("Once {after} has proved itself, {before} cannot run again: it could not read the record.")
NEEDS = N_("It needs {mb} MB on the disk, which has them.")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What would be installed. before, after: the versions. lines: what changes, a sentence each.

    needed_bytes: of room on the disk, for a while. keeps_form: whether the record does, so that `before` can read it.
    """

    bundle: Bundle
    before: str
    after: str
    lines: list[str]
    needed_bytes: int
    keeps_form: bool

    @property
    def later(self) -> list[str]:
        """What to know of the disk and of going back, beside what changes."""
        again = (
            AGAIN.format(before=self.before)
            if self.keeps_form
            else NEVER_AGAIN.format(after=self.after, before=self.before)
        )
        return [NEEDS.format(mb=self.needed_bytes // 1_000_000 + 1), again]


def prepare(config: Config, path: Path, utc: float, copy_bytes: int = 0) -> Prepared:
    """Look at a bundle. copy_bytes: what root's own copy of it will take. Raises UpdateError, OSError."""
    releases = Releases(Path(config.update.releases))
    bundle = verified(path, authorities(config), utc)
    current = releases.current()
    refuse_unfit(bundle, current, releases.all(), this_python(), this_machine())
    parts = (Path(f"{config.store_path}{suffix}") for suffix in ("", *COMPANIONS))
    record_bytes = sum(part.stat().st_size for part in parts if part.exists())
    needed_bytes = refuse_too_full(
        bundle, releases, config.state, record_bytes, config.images.min_free_mb * 1_000_000, copy_bytes=copy_bytes
    )
    installed = {each.name.replace("_", "-").lower(): each.version for each in distributions()}
    known = newest_known()
    with speaking(ENGLISH):  # they are noted with the bundle, for whoever looks at it later
        lines = what_changes(bundle, current, installed, known, config.update.health_s)
    return Prepared(
        bundle, current, bundle.manifest.version, lines, needed_bytes, keeps_form=not changes_form(bundle, known)
    )


def authorities(config: Config) -> str:
    """Who may sign, PEM. Raises UpdateError."""
    path = Path(config.update.authority)
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UpdateError(
            _(
                "{path}: {error}; put the certificate of your updates' authority there (update.authority)",
                path=path,
                error=system_words(error),
            )
        ) from error
