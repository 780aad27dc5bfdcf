"""What the first boot and the hotspot leave for the screen to say: small files that are gone with a restart."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

FOLDER = Path("/run/mb9k-first-boot")


class Hotspot(msgspec.Struct, frozen=True):
    """The box's own Wi-Fi. address: where the page is, seen from there."""

    ssid: str
    password: str
    address: str


@dataclass(frozen=True, slots=True)
class Notes:
    """A folder that root writes and the screen reads."""

    folder: Path = FOLDER

    def wifi(self) -> str:
        """What became of the Wi-Fi file, a sentence or two; empty: there was none. Raises OSError."""
        return _read(self.folder / "wifi").strip()

    def say_wifi(self, sentence: str) -> None:
        """Have the screen say this of the Wi-Fi file; empty: nothing. Raises OSError."""
        self._write("wifi", sentence)

    def hotspot(self) -> Hotspot | None:
        """The hotspot, while it is on. Raises OSError."""
        text = _read(self.folder / "hotspot")
        try:
            return msgspec.json.decode(text, type=Hotspot) if text else None
        except msgspec.DecodeError:
            return None

    def say_hotspot(self, hotspot: Hotspot | None) -> None:
        """Have the screen show this hotspot; None: none. Raises OSError."""
        self._write("hotspot", msgspec.json.encode(hotspot).decode() if hotspot else "")

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all. The folder's group may read it, and nobody else: it may hold a password."""
        path = self.folder / name
        if not text:
            path.unlink(missing_ok=True)
            return
        draft = path.with_name(f".{name}-{os.getpid()}")
        try:
            draft.touch(0o600)
            draft.write_text(text)
            os.chown(draft, -1, self.folder.stat().st_gid)
            draft.chmod(0o640)
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
