"""The folder of bundles that people gave to the box: one that is whole, and parts of what is on its way.

A part counts for nothing, and is swept whenever its service starts. What is whole was looked at when it came; root
believes nothing of that and looks again.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec
from msgspec.structs import replace

from appliance.config import Config
from appliance.disk import LOG_BYTES, free_bytes
from appliance.files import replace_file, sync
from appliance.language import _
from appliance.slots.either import prepare_either
from appliance.update.preparing import Prepared
from appliance.update.releases import Releases
from appliance.update.versions import UpdateError

MB = 1_000_000
PART, WHOLE = ".part", ".bundle"
UPLOAD_NAME = r"^[0-9a-f]{16}\.bundle$"
"""What a whole one is called: nothing of who sent it stands in a name."""


class Plan(msgspec.Struct, frozen=True):
    """What an upload would change. before, after: the versions. lines: a sentence each, for people.

    release: which one ran when it was made; the plan is of no use when another does.
    """

    before: str
    after: str
    lines: list[str]
    release: str


class Upload(msgspec.Struct, frozen=True):
    """A bundle that is whole, and fits this box. file: its name in the folder. name: as people call it. by: who."""

    file: str
    name: str
    size_bytes: int
    by: str
    utc: float
    plan: Plan


class Uploads:
    """The folder. service: whose parts these are; a box and its centre's commands may fetch at the same time."""

    def __init__(self, config: Config, service: str) -> None:
        self.config, self.service = config, service
        self.folder = config.uploads_dir
        self._note = self.folder / "upload.json"

    def new_part(self, size_bytes: int) -> Path:
        """Where so many bytes may be written. Raises UpdateError: there is no room, or they are too many; OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.refuse_too_large(size_bytes)
        missing_bytes = size_bytes - self.room_bytes()
        if missing_bytes > 0:
            raise UpdateError(
                _(
                    "There is no room for it: {mb} MB more are needed on the disk of {state}. Keep"
                    " images for fewer days, and send it again.",
                    mb=missing_bytes // MB + 1,
                    state=self.config.state,
                )
            )
        return self.folder / f"{self.service}-{secrets.token_hex(8)}{PART}"

    def refuse_too_large(self, size_bytes: int) -> None:
        """Raise UpdateError if it is larger than this box takes."""
        limit_mb = self.config.update.upload_mb
        if size_bytes > limit_mb * MB:
            raise UpdateError(
                _("It is larger than the {limit_mb} MB that this box takes (update.upload_mb).", limit_mb=limit_mb)
            )

    def room_bytes(self) -> int:
        """How much may be written, so that no image has to go for it. Raises OSError."""
        return free_bytes(self.folder) - max(LOG_BYTES, self.config.images.min_free_mb * MB)

    def keep(self, part: Path, name: str, by: str, utc: float) -> Upload:
        """Look at what came, and have it in the place of what there was. Raises UpdateError, OSError; then it is gone.

        part: on the disk.
        """
        whole = self.folder / f"{secrets.token_hex(8)}{WHOLE}"
        try:
            size_bytes = part.stat().st_size
            upload = Upload(whole.name, name[:200], size_bytes, by, utc, self._plan(part, size_bytes, utc))
            part.rename(whole)
            sync(self.folder)
            replace_file(self._note, msgspec.json.encode(upload).decode())
        except (UpdateError, OSError):
            whole.unlink(missing_ok=True)
            raise
        finally:
            part.unlink(missing_ok=True)
        self._remove_others(upload)
        return upload

    def current(self) -> Upload | None:
        """The bundle that is whole."""
        try:
            upload = msgspec.json.decode(self._note.read_bytes(), type=Upload)
            return upload if (self.folder / upload.file).stat().st_size == upload.size_bytes else None
        except (OSError, msgspec.DecodeError):
            return None

    def look_again(self, upload: Upload, utc: float) -> Upload:
        """The same with a plan for the version that runs now. Raises UpdateError, OSError."""
        renewed = replace(upload, plan=self._plan(self.folder / upload.file, upload.size_bytes, utc))
        replace_file(self._note, msgspec.json.encode(renewed).decode())
        return renewed

    def forget(self) -> None:
        """Remove the one there is. Raises OSError."""
        self._note.unlink(missing_ok=True)
        self._remove_others(None)

    def sweep(self) -> None:
        """Remove what a service of this name left when it was cut off. Raises OSError."""
        for part in self.folder.glob(f"{self.service}-*{PART}"):
            part.unlink(missing_ok=True)
        self._remove_others(self.current())
        for draft in self.folder.glob(f".{self._note.name}-*"):
            draft.unlink(missing_ok=True)

    def _remove_others(self, kept: Upload | None) -> None:
        for path in self.folder.glob(f"*{WHOLE}"):
            if kept is None or path.name != kept.file:
                path.unlink(missing_ok=True)

    def _plan(self, path: Path, size_bytes: int, utc: float) -> Plan:
        prepared = prepare_either(self.config, path, utc, copy_bytes=size_bytes)
        release = Releases(Path(self.config.update.releases)).current()
        later = prepared.later if isinstance(prepared, Prepared) else []
        return Plan(prepared.before, prepared.after, [*prepared.lines, *later], release)


def open_upload(folder: Path, name: str) -> int:
    """A handle of an upload, for root: the folder belongs to others, who may put anything there, or a link.

    Raises OSError, UpdateError.
    """
    if not _is_upload_name(name):
        raise UpdateError(_("An upload has no such name."))
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    there = os.open(folder, flags | os.O_DIRECTORY)
    try:
        return os.open(name, flags | os.O_NONBLOCK, dir_fd=there)  # a pipe must not hold root
    finally:
        os.close(there)


def _is_upload_name(name: str) -> bool:
    stem, dot, end = name.partition(".")
    return dot + end == WHOLE and len(stem) == 16 and all(each in "0123456789abcdef" for each in stem)
