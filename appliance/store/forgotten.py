"""What was forgotten for its age, and of which the audit has not told yet: one entry a day and stream, with numbers."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.sqlite import Database

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much of a stream. Detections went with their images; images: of detections that stay."""

    stream_id: int
    detections: int
    images: int


class ForgottenUntold:
    """The statements. All belong inside store.writing(), with what they tell of."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, forgotten: Forgotten, running_s: float) -> None:
        """So much more was forgotten. running_s: now, by the box's running time."""
        if forgotten.detections or forgotten.images:
            self.db.execute(
                "insert into forgotten_untold (stream_id, detections, images, running_s) values (?, ?, ?, ?)"
                " on conflict (stream_id) do update set detections = detections + excluded.detections,"
                " images = images + excluded.images",
                [forgotten.stream_id, forgotten.detections, forgotten.images, running_s],
            )

    def due(self, running_s: float) -> list[Forgotten]:
        """What is to be told: of a day that is over."""
        rows = self.db.execute(
            "select stream_id, detections, images from forgotten_untold where running_s <= ? order by stream_id",
            [running_s - DAY_S],
        )
        return [Forgotten(**row) for row in rows]

    def told(self, stream_id: int) -> None:
        """The audit has it."""
        self.db.execute("delete from forgotten_untold where stream_id = ?", [stream_id])
