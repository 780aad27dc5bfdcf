"""One export: what is wanted of the record, and in what form. The page, the API and the command all ask here."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import InputError, UserError
from appliance.exports import faces, pictures, rows
from appliance.exports.columns import DETECTIONS, SUMS, Table
from appliance.exports.formats import Format, csv_parts, json_line_parts, write_sqlite
from appliance.exports.pictures import May
from appliance.exports.rows import Batch, LocalTimes, Zone
from appliance.images import ImageFiles
from appliance.store import DetectionFilter, Store
from appliance.store.trends import Step
from appliance.times import utc_text


class What(str, enum.Enum):
    """What is exported."""

    DETECTIONS = "detections"
    SUMS = "sums"
    FACES = "faces"


FORMATS = {
    What.DETECTIONS: (Format.CSV, Format.JSON_LINES, Format.SQLITE, Format.ZIP),
    What.SUMS: (Format.CSV, Format.JSON_LINES, Format.SQLITE),
    What.FACES: (Format.ZIP,),
}
"""In which forms each may be had. A ZIP has images in it."""


def stamp(utc: float) -> str:
    """A time as it stands in the name of a file: 20261127T201500Z."""
    return f"{utc_text(utc)[:19].replace('-', '').replace(':', '')}Z"


def file_name(box: str, what: What, form: Format, now_utc: float) -> str:
    """What its file is called: mb9k-hallway-detections-20261127T201500Z.csv."""
    return f"mb9k-{box}-{what.value}-{stamp(now_utc)}.{form.value}"


@dataclass(frozen=True)
class Export:
    """An export of a box. Whatever its size, little of it is in memory.

    may: whether the images of a stream may be handed out. step: of sums. said: is told how many rows more are done.
    """

    what: What
    format: Format
    where: DetectionFilter
    store: Store
    images: ImageFiles
    zone: Zone
    box: str
    now_utc: float
    may: May = lambda _: True
    step: Step = Step.HOUR
    said: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.format not in FORMATS[self.what]:
            forms = " or ".join(form.value for form in FORMATS[self.what])
            raise InputError(f"{self.what.value} come as {forms}, not as {self.format.value}.")

    def total_rows(self) -> int | None:
        """How many rows of the record are read; None: of sums nobody knows before."""
        return None if self.what is What.SUMS else self.store.detections.counts(self.where).total

    def parts(self) -> Iterator[bytes]:
        """All of it, part by part; a SQLite file must be written. Raises OSError, sqlite3.Error."""
        with_images = (self.store, self.images, self.where, LocalTimes(self.zone), self.may, self.now_utc, self.said)
        if self.what is What.FACES:
            return faces.zip_parts(*with_images)
        if self.format is Format.ZIP:
            return pictures.zip_parts(*with_images)
        writer = csv_parts if self.format is Format.CSV else json_line_parts
        return writer(self._table, self._batches())

    def write_sqlite(self, path: Path) -> None:
        """All of it as a new SQLite file. Raises OSError, sqlite3.Error."""
        about = {
            "box": self.box,
            "what": self._table.about,
            **({"step": self.step.value} if self.what is What.SUMS else {}),
            "made_utc": utc_text(self.now_utc),
            "time_zone": self.zone.name,
            **{f"only_{name}": str(value) for name, value in self.where.parameters().items()},
        }
        write_sqlite(path, self._table, self._batches(), about)

    @property
    def _table(self) -> Table:
        return SUMS if self.what is What.SUMS else DETECTIONS

    def _batches(self) -> Iterator[Batch]:
        store, where, times = self.store, self.where, LocalTimes(self.zone)
        found = (
            rows.sums(store, where, self.step, times)
            if self.what is What.SUMS
            else rows.detections(store, where, times)
        )
        for batch in found:
            yield batch
            self.said(len(batch))


def refuse_to_write_over(path: Path) -> None:
    """Raises UserError where there is a file already."""
    if path.exists():
        raise UserError(f"{path} is there already; name another file")


def write_file(export: Export, path: Path) -> None:
    """An export as a file that only its owner may read: whole, or not there.

    Raises UserError (there is one already), OSError, sqlite3.Error.
    """
    refuse_to_write_over(path)
    draft = path.with_name(f"{path.name}.partial")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(0o600)
        if export.format is Format.SQLITE:
            export.write_sqlite(draft)
        else:
            _write(draft, export.parts())
        draft.rename(path)
    except (OSError, sqlite3.Error):
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _write(path: Path, parts: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
