"""The nouns: what a box sees, in values that every room shares."""

from __future__ import annotations

import enum
from dataclasses import dataclass

Bbox = tuple[float, float, float, float]
"""(left, top, right, bottom) in image pixels, origin top left."""


class State(str, enum.Enum):
    """How a person wears the mask."""

    MASK = "mask"
    NO_MASK = "no_mask"
    INCORRECT = "incorrect"
    UNKNOWN = "unknown"


CLASSES = (State.MASK, State.NO_MASK, State.INCORRECT)
"""The states a detector has scores for, in the order of `Face.class_probabilities`."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one image.

    bbox_px: (left, top, right, bottom) in pixels of the image it was found in.
    score: 0 to 1, the detector's confidence that this is a face.
    class_probabilities: of mask, no_mask, incorrect (the order of `CLASSES`); they sum to 1.
    state: the likeliest class where the model's thresholds allow it; else UNKNOWN.
    too_small: why it is UNKNOWN: the face has too few pixels to judge.
    """

    bbox_px: Bbox
    score: float
    class_probabilities: tuple[float, float, float]
    state: State
    too_small: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """One person who passed a camera: the record of one track.

    first_seen_utc, last_seen_utc: seconds since 1970.
    state: voted over the faces of the track; confidence: the vote's share, 0 to 1.
    votes: how many faces voted.
    bbox_px: where the face was at its best moment, in a frame of frame_width x frame_height pixels.
    model: id of the model that classified the faces.
    too_small: why the state is UNKNOWN: the faces had too few pixels to judge. Never with another state.
    """

    first_seen_utc: float
    last_seen_utc: float
    state: State
    confidence: float
    votes: int
    bbox_px: Bbox
    frame_width: int
    frame_height: int
    model: str
    too_small: bool = False


@dataclass(frozen=True, slots=True)
class StillPlace:
    """A place in a stream's picture where a face does not move: after an hour it is a thing, and nobody new.

    bbox: (left, top, right, bottom), fractions of the picture's width and height. still_s: for so long it has not
    moved. unseen_s: for so long no face was seen there since, of the time in which the stream was judged.
    """

    bbox: Bbox
    still_s: float
    unseen_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """How well a stream can be judged, of the last ten minutes. Shares 0 to 1; None: not known yet.

    too_small: share of persons whose faces were too small to judge. looks: share of the looks wanted that the box could
    afford; 1: all. smallest_face_px: shorter side of the smallest face that is judged, px of the picture.
    decoding_ms: CPU time a second that decoding takes now; idle_ms: what it would take while nothing moves, if key
    frames came each second (None: it does already). delay_s: from when the camera showed a frame until it was judged,
    on average.
    """

    too_small: float | None = None
    looks: float | None = None
    smallest_face_px: float | None = None
    decoding_ms: float | None = None
    idle_ms: float | None = None
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What was done with a stream since the box began to judge it: sums that only grow until it begins again.

    frames_judged: the detector looked at parts of them. looks_put_off: wanted, not made for want of computing time.
    persons_left: who was in view and left; faces_too_small: of them, without a state because their faces had too few
    pixels. delays_s: of the frames judged, from when the camera showed them until they were. dropped_s: how much of the
    stream nobody took in time.
    """

    frames_judged: int = 0
    looks_put_off: int = 0
    persons_left: int = 0
    faces_too_small: int = 0
    delays_s: float = 0.0
    dropped_s: float = 0.0


class PictureFault(str, enum.Enum):
    """Why a picture that comes does not show what it should: for longer than anybody stands before a camera."""

    DARK = "dark"
    BLURRED = "blurred"
    COVERED = "covered"  # hardly anything can be seen in it
    MOVED = "moved"  # the camera looks elsewhere


@dataclass(frozen=True, slots=True)
class Judging:
    """What judges the streams just now.

    backend: onnx, tensorrt or jetson. name: the same for people. reason: why this one, a sentence or two. since_utc:
    since when (2026-11-23T16:00:00Z). progress: what is being prepared meanwhile, a sentence.
    """

    backend: str
    name: str
    reason: str
    since_utc: str
    progress: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Persons by state."""

    mask: int = 0
    no_mask: int = 0
    incorrect: int = 0
    unknown: int = 0

    def without(self, others: Counts) -> Counts:
        """Those of these that are not among the others."""
        return Counts(
            **{state.value: max(0, getattr(self, state.value) - getattr(others, state.value)) for state in State}
        )

    @property
    def total(self) -> int:
        """All persons, classified or not."""
        return self.classified + self.unknown

    @property
    def classified(self) -> int:
        """The persons a rate may speak of: unknown is never counted into it."""
        return self.mask + self.no_mask + self.incorrect
