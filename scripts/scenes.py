"""Scripted scenes: clips of known people before a camera, made on the spot, with their truth.

    scene = Scene(1920, 1080, seconds=20, actors=(across(people[0], (1920, 1080), 2.0, face_px=60, y=400),))
    path = film(scene, folder)          # H.264 in MP4; a clip that is in the folder already is not made again
    for visit in truth(scene): ...      # who is there, from when to when, where, how large, how much of the face shows

An actor is one person to be counted once; who leaves and comes back later is two actors of one person. Each has a way:
waypoints (when, where the middle of the face is, how large it is), smoothed, between them as people move: a bob while
walking, a sway while standing. Nothing depends on chance but what a seed gives, so a scene is the same everywhere.
Ready-made scenes: scene_sets.py. People: scene_people.py. Rooms: scene_rooms.py.
"""

from __future__ import annotations

import enum
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from appliance.faces import Bbox, State
from scripts.scene_people import Person, Sprite, cut_person, cut_picture, painted_block
from scripts.scene_rooms import Canvas, Room

SMOOTH_S = 0.3  # nobody starts or turns within no time
TRUTH_FPS = 15  # how often the truth is looked up
WHOLE = 0.95  # a face of which this share shows is wholly visible
SAMPLES = 12  # the face is looked up at 12 x 12 points
BITS = 1.9  # a second for each px, as cameras are set: 4 Mbit/s at 1080p. They spend it on noise where nothing moves
SPEED = 8.0  # face widths a second of somebody who walks: 1.3 m/s


class Kind(enum.Enum):
    """What an actor is: somebody, or a picture of somebody on paper or a screen, which does not move."""

    PERSON = "person"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Waypoint:
    """At at_s of the clip the middle of the face is at x, y (px of the frame) and its shorter side is face_px."""

    at_s: float
    x: float
    y: float
    face_px: float


@dataclass(frozen=True)
class Actor:
    """One person in a scene, there from its first to its last waypoint (of which both are best outside the frame).

    depth: whoever is further back (more) is drawn first. blur: out of focus, in face sides.
    optional: it may be counted or not, but not twice.
    """

    person: Person
    way: tuple[Waypoint, ...]
    depth: float = 0.0
    kind: Kind = Kind.PERSON
    blur: float = 0.0
    optional: bool = False

    @cached_property
    def _points(self) -> NDArray[np.float64]:
        return np.array([(point.at_s, point.x, point.y, point.face_px) for point in self.way], np.float64)

    @cached_property
    def _phase(self) -> float:
        return zlib.crc32(f"{self.person.name}{self.way[0].at_s}".encode()) % 1000 / 1000

    def sprite(self, side_px: float) -> Sprite:
        """It at a size of the face."""
        cutout = cut_person(self.person, side_px) if self.kind is Kind.PERSON else cut_picture(self.person)
        return cutout.sprite(side_px, self.blur)

    def is_there(self, now_s: float) -> bool:
        """Whether it takes part at now_s, in the frame or not."""
        return self.way[0].at_s <= now_s < self.way[-1].at_s

    def place(self, now_s: float) -> tuple[float, float, float]:
        """x, y, face_px at now_s (see Waypoint)."""
        around = now_s + np.linspace(-SMOOTH_S / 2, SMOOTH_S / 2, 9)
        points = self._points
        x, y, side = (float(np.interp(around, points[:, 0], points[:, column]).mean()) for column in (1, 2, 3))
        if self.kind is Kind.PICTURE:
            return x, y, side
        ends = (np.interp(now_s + 0.1, points[:, 0], points[:, 1]), np.interp(now_s - 0.1, points[:, 0], points[:, 1]))
        pace = min(1.0, abs(float(ends[0] - ends[1])) / 0.2 / side / SPEED)  # 0 stands, 1 walks
        step, breath = 2 * np.pi * (1.8 * now_s + self._phase), 2 * np.pi * (0.21 * now_s + self._phase)
        y += side * (0.06 * pace * np.sin(step) + 0.02 * (1 - pace) * np.sin(1.7 * breath))
        x += side * 0.1 * (1 - pace) * np.sin(breath)
        return x, y, side

    def bbox(self, now_s: float) -> Bbox:
        """The face at now_s, px of the frame, not clipped to it."""
        x, y, side = self.place(now_s)
        wide, high = self.sprite(side).face
        return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


@dataclass(frozen=True)
class Block:
    """Something that stands in the room: a pillar, a dark screen. Even px of the frame; depth as of an actor."""

    left: int
    top: int
    width: int
    height: int
    depth: float = 0.0
    rgb: tuple[int, int, int] = (120, 112, 104)


@dataclass(frozen=True)
class Scene:
    """A clip to be made. width, height: px, even.

    cuts: when the camera begins to show another room (s); the actors of before should end there and others begin.
    stops: (from, to) when nothing comes from the camera: the frames are missing, the time goes on.
    key_frame_s: how often a key frame comes. b_frames: how many in a row, as OBS sends two.
    """

    width: int
    height: int
    seconds: float
    actors: tuple[Actor, ...] = ()
    blocks: tuple[Block, ...] = ()
    restless: bool = False
    seed: int = 1
    noise: float = 2.0
    cuts: tuple[float, ...] = ()
    stops: tuple[tuple[float, float], ...] = ()
    fps: int = 30
    key_frame_s: float = 1.0
    b_frames: int = 0

    def room(self, now_s: float) -> Room:
        """What the camera shows at now_s."""
        shown = sum(cut_s <= now_s for cut_s in self.cuts)
        return Room(self.width, self.height, self.restless, self.seed + shown, self.noise)

    def times(self) -> Iterator[tuple[int, float]]:
        """Number and time (s) of each frame of the clip."""
        for number in range(round(self.seconds * self.fps)):
            now_s = number / self.fps
            if not any(begin_s <= now_s < end_s for begin_s, end_s in self.stops):
                yield number, now_s

    @property
    def name(self) -> str:
        """Another for each scene, and for each way to draw it."""
        who = [
            (actor.person.name, actor.person.clothes, actor.way, actor.depth, actor.kind, actor.blur)
            for actor in self.actors
        ]
        rest = [getattr(self, name) for name in self.__dataclass_fields__ if name != "actors"]
        return hashlib.sha256(repr((_drawn_by(), who, rest)).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Visit:
    """The truth about one actor: n looks at it, TRUTH_FPS a second, while any of the face shows.

    at_s: n. bboxes: n x 4, px of the frame, not clipped. shown: n, which share of the face shows (0 to 1).
    """

    actor: Actor
    at_s: NDArray[np.float64]
    bboxes: NDArray[np.float64]
    shown: NDArray[np.float64]

    @property
    def state(self) -> State:
        """How the mask is worn."""
        return self.actor.person.state

    @property
    def enters_s(self) -> float:
        """When any of the face shows first."""
        return float(self.at_s[0])

    @property
    def leaves_s(self) -> float:
        """When any of the face shows last."""
        return float(self.at_s[-1])

    @property
    def whole_s(self) -> tuple[float, float] | None:
        """(first, last) time when all of the face shows; None: never."""
        whole = self.at_s[self.shown >= WHOLE]
        return (float(whole[0]), float(whole[-1])) if len(whole) else None

    @property
    def face_px(self) -> tuple[float, float]:
        """The smallest and the largest shorter side of the face."""
        sides = (self.bboxes[:, 2:] - self.bboxes[:, :2]).min(axis=1)
        return float(sides.min()), float(sides.max())


def across(
    person: Person,
    size: tuple[int, int],
    begin_s: float,
    face_px: float,
    y: float,
    speed: float = SPEED,
    to_right: bool = True,
    depth: float = 0.0,
    y_end: float | None = None,
) -> Actor:
    """Somebody who walks through the frame of size (width, height), from side to side. speed: face widths a second."""
    beyond = 2.5 * face_px  # all of the body
    begin_x, end_x = (-beyond, size[0] + beyond) if to_right else (size[0] + beyond, -beyond)
    end_s = begin_s + (size[0] + 2 * beyond) / (speed * face_px)
    end_y = y if y_end is None else y_end
    return Actor(person, (Waypoint(begin_s, begin_x, y, face_px), Waypoint(end_s, end_x, end_y, face_px)), depth)


def film(scene: Scene, folder: Path) -> Path:
    """The clip of the scene, in the folder. Raises OSError, av.error.FFmpegError."""
    path = folder / f"{scene.name}.mp4"
    if path.is_file():
        return path
    draft = path.with_suffix(".part.mp4")
    try:
        _write(scene, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def drawn(scene: Scene, number: int) -> Canvas:
    """Frame `number` of the scene."""
    now_s = number / scene.fps
    room = scene.room(now_s)
    canvas = room.canvas(number, now_s)
    for thing in _by_depth(scene, now_s):
        if isinstance(thing, Actor):
            x, y, side = thing.place(now_s)
            sprite = thing.sprite(side)
            canvas.draw(sprite, round(x - sprite.middle[0]), round(y - sprite.middle[1]))
        else:
            canvas.draw(painted_block(thing.width, thing.height, thing.rgb, scene.seed), thing.left, thing.top)
    room.finish(canvas, now_s)
    return canvas


def truth(scene: Scene) -> list[Visit]:
    """Who is there, in the order of the actors; those whose face never shows are left out."""
    step = max(1, round(scene.fps / TRUTH_FPS))
    found: dict[int, list[tuple[float, Bbox, float]]] = {}
    for number, now_s in scene.times():
        if number % step == 0:
            things = _by_depth(scene, now_s)
            for index, thing in enumerate(things):
                if isinstance(thing, Actor):
                    bbox = thing.bbox(now_s)
                    shown = _shown(bbox, things[index + 1 :], now_s, (scene.width, scene.height))
                    found.setdefault(id(thing), []).append((now_s, bbox, shown))
    visits = []
    for actor in scene.actors:
        looks = found.get(id(actor), [])
        seen = [index for index, look in enumerate(looks) if look[2] > 0]
        if seen:
            kept = looks[seen[0] : seen[-1] + 1]
            times, bboxes, shown_shares = (np.array(column, np.float64) for column in zip(*kept, strict=True))
            visits.append(Visit(actor, times, bboxes, shown_shares))
    return visits


@cache
def _drawn_by() -> str:
    """A digest of the code that draws."""
    here = Path(__file__).parent
    code = b"".join((here / f"{name}.py").read_bytes() for name in ("scenes", "scene_people", "scene_rooms"))
    return hashlib.sha256(code).hexdigest()


def _by_depth(scene: Scene, now_s: float) -> list[Actor | Block]:
    """What is in the room, furthest first."""
    things: list[Actor | Block] = [*scene.blocks, *(actor for actor in scene.actors if actor.is_there(now_s))]
    return sorted(things, key=lambda thing: -thing.depth)


def _shown(bbox: Bbox, before: Sequence[Actor | Block], now_s: float, size: tuple[int, int]) -> float:
    """Which share of the face is in the frame of size (width, height) and behind nothing; before: what is nearer."""
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    x = (bbox[0] + steps * (bbox[2] - bbox[0]))[None, :]
    y = (bbox[1] + steps * (bbox[3] - bbox[1]))[:, None]
    seen = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    for thing in before:
        if isinstance(thing, Block):
            hides = (
                (x >= thing.left) & (x < thing.left + thing.width) & (y >= thing.top) & (y < thing.top + thing.height)
            )
        else:
            at_x, at_y, side = thing.place(now_s)
            sprite = thing.sprite(side)
            columns = np.rint(x - at_x + sprite.middle[0]).astype(int)
            rows = np.rint(y - at_y + sprite.middle[1]).astype(int)
            inside = (columns >= 0) & (columns < sprite.size[0]) & (rows >= 0) & (rows < sprite.size[1])
            rest = sprite.rest[np.clip(rows, 0, sprite.size[1] - 1), np.clip(columns, 0, sprite.size[0] - 1)]
            hides = inside & (rest < 128)
        seen = seen & ~hides
    return float(seen.mean())


def _write(scene: Scene, path: Path) -> None:
    # No key frames where the encoder sees a new scene: noise may look like one, and few cameras do it.
    options = {"preset": "veryfast", "sc_threshold": "0", "bf": str(scene.b_frames)}
    options["g"] = str(round(scene.key_frame_s * scene.fps))
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=scene.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, scene.fps)
        stream.codec_context.thread_count = 1
        stream.codec_context.bit_rate = round(BITS * scene.width * scene.height)
        for number, _ in scene.times():
            frame = av.VideoFrame.from_ndarray(drawn(scene, number).whole, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, scene.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
