"""Walks before a tracker, face by face, as a detector would report them five times a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from appliance.faces import CLASSES, Face, State
from appliance.vision.colours import Colours
from appliance.vision.looking.region import Region
from appliance.vision.tracking.track import Seen, Track
from appliance.vision.tracking.tracker import Tracker

SCORE_THRESHOLD, LOST_S, STEP_S = 0.5, 2.5, 0.2
UTC = 1_790_000_000.0  # when the scene's clock shows 0
Where = Callable[[float], tuple[float, float] | None]


def face(
    x: float, y: float, size: float = 40, state: State = State.MASK, score: float = 0.9, probability: float = 0.9
) -> Face:
    """A face with its middle at (x, y); `probability` is that of its state."""
    likeliest = state if state is not State.UNKNOWN else State.MASK
    mask, no_mask, incorrect = (probability if likeliest is c else (1 - probability) / 2 for c in CLASSES)
    bbox = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
    return Face(bbox, score, (mask, no_mask, incorrect), state)


def dressed(one: Face, main: int) -> Seen:
    """The face with clothes mostly of one colour of 32."""
    colours: Colours = np.full(32, 0.2 / 32, dtype=np.float32)
    colours[main] += 0.8
    return Seen(one, colours)


class Scene:
    """Feeds a tracker frame by frame and remembers what it said."""

    def __init__(self, lost_s: float = LOST_S, size: tuple[int, int] | None = None) -> None:
        self.size = size
        self.tracker = Tracker(SCORE_THRESHOLD, lost_s)
        self.now_s = 100.0
        self.seen: dict[str, Track] = {}
        self.ended: list[Track] = []
        self.now_seen: list[Track] = []

    def show(
        self, faces: Iterable[Face | Seen], after_s: float = STEP_S, regions: Sequence[Region] | None = None
    ) -> list[Track]:
        """One frame; the confirmed tracks in it."""
        seen = [one if isinstance(one, Seen) else Seen(one) for one in faces]
        self.now_s += after_s
        update = self.tracker.update(seen, self.now_s, UTC + self.now_s, regions, self.size)
        self.ended += update.ended
        self.now_seen = update.seen
        self.seen |= {track.key: track for track in update.seen}
        return update.seen

    def play(self, seconds: float, *walkers: Where, size: float = 40) -> None:
        """Walkers say where they are at a time (seconds from the start of this call), or None when out of view."""
        for frame in range(round(seconds / STEP_S)):
            places = [walker(frame * STEP_S) for walker in walkers]
            self.show(face(*place, size) for place in places if place)
