"""The folder of releases: a virtual environment for each version, and links to two of them.

`current` is what runs. `proven` is the one that last proved itself: it makes updates and undoes them, so that a version
that cannot even start cannot stand in the way.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from appliance.files import sync
from appliance.language import _
from appliance.update.versions import ELSEWHERE, UpdateError, is_version, order

CURRENT, PROVEN = "current", "proven"
KEPT = 3
DRAFT = ".new"
_WHEELS, _GONE, _WAITING = ".wheels", ".gone-", ".waiting.mb9k"


class Releases:
    """What is installed, by version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[str]:
        """Every release there is, oldest version first; one that is being made, too. Raises OSError."""
        names = [path.name for path in self.folder.iterdir() if is_version(path.name) and path.is_dir()]
        return sorted(names, key=order)

    def current(self) -> str:
        """The release that runs. Raises UpdateError where this box has none."""
        name = self._named_by(CURRENT)
        if name is None:
            raise UpdateError(
                _(
                    "{folder} has no release that runs (no link {current}): {elsewhere}",
                    folder=self.folder,
                    current=CURRENT,
                    elsewhere=_(ELSEWHERE),
                )
            )
        return name

    def before_current(self) -> str:
        """The newest that is older than the one that runs. Raises UpdateError: there is none."""
        current = self.current()
        older = [version for version in self.all() if order(version) < order(current)]
        if not older:
            raise UpdateError(
                _("no release older than {current} is kept; `mb9k update list` shows what is", current=current)
            )
        return older[-1]

    def proven(self) -> str | None:
        """The release that last proved itself; None: there was no update yet."""
        return self._named_by(PROVEN)

    def python(self, version: str) -> Path:
        """The interpreter of a release."""
        return self.folder / version / "bin" / "python"

    def point(self, link: str, version: str) -> None:
        """Let a link name this release, from one moment to the next, also on the disk. Raises OSError."""
        if self._named_by(link) == version:
            return
        new = self.folder / f".{link}{DRAFT}"
        new.unlink(missing_ok=True)
        new.symlink_to(version)
        new.rename(self.folder / link)
        sync(self.folder)

    def remove(self, version: str) -> None:
        """Remove a release; it is no release any more from the first moment on. Raises OSError."""
        if (self.folder / version).is_dir():
            (self.folder / version).rename(self.folder / f"{_GONE}{version}")
        self.sweep()

    def prune(self) -> list[str]:
        """Remove all but the current one and the newest others, KEPT in all; which were removed. Raises OSError."""
        spared = {self.current(), self.proven()}
        others = [version for version in self.all() if version not in spared]
        old = others[: max(0, len(others) + len(spared) - KEPT)]
        for version in old:
            self.remove(version)
        return old

    @property
    def wheels(self) -> Path:
        """Where the wheels of a bundle lie while they are installed."""
        return self.folder / _WHEELS

    @property
    def waiting(self) -> Path:
        """The bundle that root has taken over from the page, until it is installed or refused."""
        return self.folder / _WAITING

    def sweep(self) -> None:
        """Remove what a making or removing left that was cut off. Raises OSError."""
        for left_over in [self.wheels, *self.folder.glob(f"{_GONE}*")]:
            if left_over.exists():
                shutil.rmtree(left_over)
        for draft in self.folder.glob(f".*{DRAFT}"):
            draft.unlink(missing_ok=True)

    def refuse_unwritable(self) -> None:
        """Raise UpdateError if this user may not change what is installed."""
        if not os.access(self.folder, os.W_OK | os.X_OK):
            owner = " ".join(["sudo", *sys.argv[:1], "update ..."])
            raise UpdateError(
                _("this user may not change {folder}; do it as root: {owner}", folder=self.folder, owner=owner)
            )

    def _named_by(self, link: str) -> str | None:
        try:
            name = (self.folder / link).readlink().name
        except OSError:
            return None
        return name if is_version(name) and (self.folder / name).is_dir() else None
