"""What is kept of a stream: its images, and for how long. The box's settings are the limit; a stream may keep less."""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAX_DAYS = 3650


class ImageMode(str, enum.Enum):
    """What of a person's picture is written."""

    FULL = "full"
    EYES_PIXELATED = "eyes_pixelated"
    NO_IMAGES = "no_images"


STRICTNESS = {ImageMode.FULL: 0, ImageMode.EYES_PIXELATED: 1, ImageMode.NO_IMAGES: 2}


@dataclass(frozen=True, slots=True)
class Keeping:
    """What was chosen for a stream; None: as the box has it.

    images_days: how long images are kept, at most as long as the box keeps any. detections_days: how long detections
    are; None: until somebody deletes them.
    """

    images: ImageMode | None = None
    images_days: int | None = None
    detections_days: int | None = None

    def mode(self, keep: bool, pixelate_eyes: bool) -> ImageMode:
        """What is in force on a box with these settings (images.keep, images.pixelate_eyes)."""
        if not keep:
            return ImageMode.NO_IMAGES
        return self.images or (ImageMode.EYES_PIXELATED if pixelate_eyes else ImageMode.FULL)

    def days(self, keep_days: int) -> int:
        """For how many days its images are kept on a box that keeps none for longer than keep_days."""
        return min(keep_days, self.images_days or keep_days, self.detections_days or keep_days)
