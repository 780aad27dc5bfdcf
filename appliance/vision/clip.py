"""The demo clip: people with and without masks walk through the picture. Made on the spot, and its truth is known.

The people are the golden pictures (two portraits in the public domain, masks drawn), so that no private person is in
the repository, and the detector really has to find those faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from appliance.faces import State
from appliance.vision.bboxes import Float32Array
from appliance.vision.golden import GoldenPicture, load_golden
from appliance.vision.pixels import Pixels, frame_of, scale_to

ROUND_S = 30  # the scene below; a longer clip repeats it
NOISE = 4  # of 255, like a cheap sensor
ROOMS = 8


@dataclass(frozen=True, slots=True)
class Appearance:
    """One person passes: from when to when (seconds of the clip), and how the mask is worn."""

    person: str
    state: State
    enters_s: float
    leaves_s: float


@dataclass(frozen=True, slots=True)
class _Walk:
    """picture: a golden file; face: its height as a share of the frame's; y: its middle, likewise."""

    picture: str
    enters_s: float
    leaves_s: float
    to_right: bool
    face: float
    y: float


_SCENE = (
    _Walk("collins-worn.jpg", 1, 9, True, 0.20, 0.30),
    _Walk("hopper-bare.jpg", 4, 12, False, 0.22, 0.70),
    _Walk("collins-nose-out.jpg", 10.5, 17.5, True, 0.26, 0.32),
    _Walk("hopper-worn.jpg", 13, 21, True, 0.20, 0.72),
    _Walk("collins-worn.jpg", 19.5, 26, False, 0.22, 0.30),  # she comes back
    _Walk("hopper-on-chin.jpg", 22.5, 28.5, False, 0.25, 0.70),
)


def make_clip(
    path: Path, seconds: int = ROUND_S, width: int = 640, height: int = 360, fps: int = 30
) -> list[Appearance]:
    """Write the clip (H.264, a key frame each second) and tell who is in it. width, height: even.

    The file is there only when it is whole. Raises OSError, av.error.FFmpegError, UserError.
    """
    walks = list(_walks(seconds))
    draft = path.with_suffix(".part.mp4")
    try:
        _write(draft, _frames(walks, seconds, width, height, fps), width, height, fps)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    truth = {picture.file: picture.faces[0].state for picture, _ in load_golden() if picture.faces}
    return [Appearance(walk.picture, truth[walk.picture], walk.enters_s, walk.leaves_s) for walk in walks]


def _write(path: Path, images: Iterator[Pixels], width: int, height: int, fps: int) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        # A fast preset: the clip is made while somebody waits. No B-frames, as from most cameras. And no key frames
        # where the encoder sees a new scene: it takes the noise of an empty room for one.
        options = {"preset": "veryfast", "g": str(fps), "bf": "0", "crf": "23", "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, image in enumerate(images):
            frame = frame_of(image)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _walks(seconds: int) -> Iterator[_Walk]:
    """The scene, over and over; only walks that end within the clip."""
    for begin in range(0, seconds, ROUND_S):
        for walk in _SCENE:
            if begin + walk.leaves_s <= seconds:
                yield _Walk(
                    walk.picture, begin + walk.enters_s, begin + walk.leaves_s, walk.to_right, walk.face, walk.y
                )


def _frames(walks: list[_Walk], seconds: int, width: int, height: int, fps: int) -> Iterator[Pixels]:
    figures = {walk: _Figure(walk, width, height) for walk in walks}
    rooms = _noisy_rooms(width, height)
    for number in range(seconds * fps):
        now_s = number / fps
        picture = rooms[number % len(rooms)].copy()
        for walk, figure in figures.items():
            if walk.enters_s <= now_s < walk.leaves_s:
                figure.draw(picture, (now_s - walk.enters_s) / (walk.leaves_s - walk.enters_s))
        yield picture


def _noisy_rooms(width: int, height: int) -> list[Pixels]:
    """The empty room in a few versions of noise: drawing new noise for each frame would be most of the work."""
    chance = np.random.default_rng(1)
    wall = np.linspace(150, 185, height)[:, None, None] + np.array([0, 2, 6])
    return [(wall + chance.normal(0, NOISE, (height, width, 1))).astype(np.uint8) for _ in range(ROOMS)]


class _Figure:
    """Head and shoulders, cut out softly, on their way through the picture."""

    def __init__(self, walk: _Walk, width: int, height: int) -> None:
        picture, image = next(pair for pair in load_golden() if pair[0].file == walk.picture)
        scale = walk.face * height / _face_height_px(picture)
        side = max(2, round(image.shape[0] * scale))
        self.alpha = _oval(side)
        self.image = scale_to(image, side, side) * self.alpha
        self.to_right = walk.to_right
        self.top = round(walk.y * height - _face_middle_px(picture) * scale)
        self.travel = width + side

    def draw(self, picture: Pixels, progress: float) -> None:
        """Draw it into the picture. progress: 0 (just outside) to 1 (just out on the other side)."""
        side = self.image.shape[0]
        way = progress if self.to_right else 1 - progress
        left = round(way * self.travel) - side
        height, width = picture.shape[:2]
        x0, x1, y0, y1 = max(0, left), min(width, left + side), max(0, self.top), min(height, self.top + side)
        if x0 >= x1 or y0 >= y1:
            return
        part = (slice(y0 - self.top, y1 - self.top), slice(x0 - left, x1 - left))
        seen = picture[y0:y1, x0:x1]
        seen[:] = self.image[part] + (1 - self.alpha[part]) * seen  # a mean of two colours: no overflow


def _face_height_px(picture: GoldenPicture) -> float:
    bbox = picture.faces[0].bbox_px
    return bbox[3] - bbox[1]


def _face_middle_px(picture: GoldenPicture) -> float:
    bbox = picture.faces[0].bbox_px
    return (bbox[1] + bbox[3]) / 2


def _oval(side: int) -> Float32Array:
    """An oval with a soft edge, side x side x 1, 0 to 1."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    distance = np.sqrt((x / 0.42) ** 2 + (y / 0.5) ** 2)
    oval: Float32Array = np.clip((1 - distance) * 8, 0, 1)[..., None].astype(np.float32)
    return oval
