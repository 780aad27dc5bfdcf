"""One export: what is wanted of the record, and in what form. The page, the API and the command all ask here."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import InputError
from appliance.exports import faces, pictures, rows
from appliance.exports.batches import Batch, LocalTimes, Zone
from appliance.exports.columns import DETECTIONS, SUMS
from appliance.exports.formats import Format
from appliance.exports.pictures import May
from appliance.exports.sheets import Sheet, named_file
from appliance.images import ImageFiles
from appliance.language import _
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


def file_name(box: str, what: What, form: Format, now_utc: float) -> str:
    """What its file is called: mb9k-hallway-detections-20261127T201500Z.csv."""
    return named_file(box, what.value, form, now_utc)


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
    may: May = lambda _row: True
    step: Step = Step.HOUR
    said: Callable[[int], None] = lambda _rows: None

    def __post_init__(self) -> None:
        if self.format not in FORMATS[self.what]:
            forms = " or ".join(form.value for form in FORMATS[self.what])
            raise InputError(
                _("{what} come as {forms}, not as {form}.", what=self.what.value, forms=forms, form=self.format.value)
            )

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
        return self._sheet.parts()

    def write_sqlite(self, path: Path) -> None:
        """All of it as a new SQLite file. Raises OSError, sqlite3.Error."""
        self._sheet.write_sqlite(path)

    @property
    def _sheet(self) -> Sheet:
        table = SUMS if self.what is What.SUMS else DETECTIONS
        about = {
            "box": self.box,
            "what": table.about,
            **({"step": self.step.value} if self.what is What.SUMS else {}),
            "made_utc": utc_text(self.now_utc),
            "time_zone": self.zone.name,
            **{f"only_{name}": str(value) for name, value in self.where.parameters().items()},
        }
        return Sheet(table, self.format, self._batches, about, self.said)

    def _batches(self) -> Iterator[Batch]:
        store, where, times = self.store, self.where, LocalTimes(self.zone)
        if self.what is What.SUMS:
            return rows.sums(store, where, self.step, times)
        return rows.detections(store, where, times)
