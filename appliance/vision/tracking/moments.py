"""Of which moments of a person something is kept beside the image."""

from __future__ import annotations

from dataclasses import dataclass

SCENE_PAUSE_S = 2.0
FACE_PAUSE_S = 1.5  # before the first one; twice as long before the next, and so on
MOST_FACES = 3


@dataclass(slots=True)
class Moments:
    """Of which moments of one person there is something already. Times are seconds since 1970."""

    scene_utc: float = float("-inf")
    face_utc: float | None = None  # of the last one; None: not even when the person came is known
    faces: int = 0

    def wants_scene(self, utc: float) -> bool:
        """Whether a scene goes with the image that is taken now; if so, it is taken as done."""
        if utc - self.scene_utc < SCENE_PAUSE_S:
            return False
        self.scene_utc = utc
        return True

    def note_image(self, utc: float) -> None:
        """The image itself is of this moment."""
        self.face_utc = utc

    def wants_face(self, utc: float) -> bool:
        """Whether another face is wanted of this moment; if so, it is taken as done."""
        if self.face_utc is None or self.faces >= MOST_FACES:
            return False
        if utc - self.face_utc < FACE_PAUSE_S * 2**self.faces:
            return False
        self.faces, self.face_utc = self.faces + 1, utc
        return True
