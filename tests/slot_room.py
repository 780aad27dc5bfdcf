"""A box with two slots in a folder, for tests: real files of bootloaders, a real record, real questions asked of it.

RAUC's writing and the machine's restart are stand-ins: a test has no second partition and no machine to restart. Its
systemctl is a stand-in, too, which notes what it was told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from appliance.accounts.people import Role
from appliance.config import Config, load
from appliance.slots.bundle import SystemBundle, Told
from appliance.slots.changing import Changer
from appliance.slots.grubenv import HEAD, Grub
from appliance.slots.loader import Loader
from appliance.slots.trials import Trials
from appliance.store import Store
from appliance.store.soundness import newest_known
from appliance.update.asking import Box
from appliance.update.services import Systemd

UTC = 1_790_000_000.0
FRESH = b"ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n"
"""What an image has in its grubenv: slot B is empty."""
SYSTEMCTL = """#!/bin/sh
# A stand-in for systemctl, for tests: it notes what it was told.
echo "$*" >> {folder}/systemctl.txt
"""


def grubenv(path: Path, lines: bytes = FRESH) -> Path:
    """An environment block with these lines."""
    path.write_bytes((HEAD + lines).ljust(1024, b"#"))
    return path


class SlotRoom:
    """The box. slot: the one that runs; as after a restart, it is for the test to change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.slot = folder, "A"
        self.config_path = folder / "mb9k.toml"
        self.config_path.write_text(f'state_dir = "{folder / "state"}"\n')
        (folder / "state").mkdir()
        self.trials = Trials(folder / "update")
        self.loader: Loader = Grub(grubenv(folder / "grubenv"))
        (folder / "bin").mkdir()
        (folder / "bin" / "systemctl").write_text(SYSTEMCTL.format(folder=folder))
        (folder / "bin" / "systemctl").chmod(0o755)
        self.said: list[str] = []
        self.restarts: list[str] = []
        self.write: Callable[[Path, Callable[[str], None]], None] = self._written

    @property
    def config(self) -> Config:
        """The box's configuration."""
        return load(self.config_path)

    def _written(self, _path: Path, say: Callable[[str], None]) -> None:
        """A stand-in for RAUC: it says that the other slot must not start, and how far it is."""
        self.loader.set_good("B" if self.slot == "A" else "A", False)
        say("Writing it: 100 %")

    def changer(self) -> Changer:
        """What changes slots, in the system that runs."""
        box = Box(self.config.state, self.config_path)
        parts = (self.trials, self.loader, box, Systemd(), self.slot, Path(sys.executable))
        return Changer(*parts, self.write, self.restarts.append, self.said.append)

    def begin_record(self, *names: str) -> None:
        """A record with these people, or these more."""
        with closing(Store.open(self.config.store_path)) as store, store.writing():
            for name in names:
                store.people.add(name, "hash", Role.ADMIN, UTC)

    def people(self) -> list[str]:
        """Who is on record."""
        with closing(Store.open_readonly(self.config.store_path)) as store:
            return [row[0] for row in store.db.execute("select name from people order by id")]

    def systemctl_was_told(self) -> list[str]:
        """What the stand-in was told since it was asked last."""
        path = self.folder / "systemctl.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def path_of_programs(self) -> str:
        """PATH with the stand-in first."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"


def bundle(version: str = "0.2.0", **changes: object) -> SystemBundle:
    """What a bundle says of itself, without one."""
    words = {"format": 1, "program": version, "updates_from": "0.1.0", "schema": newest_known(), **changes}
    told = Told(**words)  # type: ignore[arg-type]
    return SystemBundle(Path("x.raucb"), "mb9k-amd64", version, f"{version}-1a2b", told, "the tests' signer")
