"""Scripted people for the tracker: who walks where, and what a detector would say of it.

A stand-in for camera, planner and detector, and nothing of the tracker: faces jitter, are missed, hidden by whoever is
nearer and cut by the edge of the frame; looks are irregular, and only where something moves or a track is due.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Bbox, Face, State
from appliance.vision.looking.region import Region
from appliance.vision.looking.regions import Expected
from appliance.vision.tracking.track import Seen, Track
from appliance.vision.tracking.tracker import Tracker

WIDTH, HEIGHT = 1280, 720
LOOK_S, SETTLED_S, QUIET_S = 0.1, 0.35, 1.0  # between looks at new people, at settled tracks, where nothing moves
THRESHOLD, LOWEST_SCORE, LOST_S = 0.5, 0.25, 2.5
UTC = 1_790_000_000.0
Place = tuple[float, float, float]
"""The middle of a face, px of the frame, and its width."""
Way = Callable[[float], Place | None]
"""Where somebody is at a time; None: not in the scene."""


@dataclass(frozen=True)
class Person:
    """Somebody in a scene. clothes: shares of colours that sum to 1. score: what the detector makes of it at best."""

    way: Way
    state: State
    clothes: NDArray[np.float32]
    score: float = 0.85
    wavers: float = 0.06  # how much the score varies


@dataclass
class Scene:
    """People, things that hide them (left and right edge, px), and when the camera shows nothing or another scene.

    expected: how many people are to be counted. stopped: from and to when no frame comes. cuts: when all changes.
    """

    name: str
    seconds: float
    people: list[Person]
    expected: int
    pillars: list[tuple[float, float]] = field(default_factory=list)
    stopped: tuple[float, float] | None = None
    cuts: list[float] = field(default_factory=list)


@dataclass
class Count:
    """What a tracker made of a scene. right: of how many people the state was voted right, of all `expected`."""

    counted: int
    right: int
    tracks: list[Track]
    owners: dict[str, Counter[int]]


@dataclass
class _Shown:
    """A face as a detector reports it, and whose it is."""

    seen: Seen
    person: int


# --- people


def clothes(rng: np.random.Generator) -> NDArray[np.float32]:
    """What somebody wears: black, grey and blue more often than anything else."""
    shares = np.zeros(32)
    main = rng.choice([0, 1, 2, 3, *range(4, 32)], p=[0.2, 0.12, 0.1, 0.08, *[0.5 / 28] * 28])
    shares[main] = 0.6
    shares[rng.integers(32)] += 0.25
    shares += rng.dirichlet(np.full(32, 0.5)) * 0.15
    worn: NDArray[np.float32] = (shares / shares.sum()).astype(np.float32)
    return worn


def person(rng: np.random.Generator, way: Way, state: State | None = None) -> Person:
    """Somebody dressed by chance; the state, too, where it is not given."""
    chosen = state or CLASSES[rng.choice(3, p=[0.5, 0.4, 0.1])]
    return Person(way, chosen, clothes(rng), score=rng.uniform(0.7, 0.95))


def walk(start: tuple[float, float], end: tuple[float, float], begin_s: float, end_s: float, size: float) -> Way:
    """Straight on at one speed, bobbing a little; nobody before and after."""

    def way(t: float) -> Place | None:
        if not begin_s <= t <= end_s:
            return None
        share = (t - begin_s) / (end_s - begin_s)
        bob = 0.04 * size * math.sin(t * 11)
        return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]) + bob, size

    return way


def along(points: Sequence[tuple[float, float, float]], size: float) -> Way:
    """Through points (time, x, y), straight in between."""
    times, xs, ys = zip(*points, strict=True)

    def way(t: float) -> Place | None:
        if not times[0] <= t <= times[-1]:
            return None
        return float(np.interp(t, times, xs)), float(np.interp(t, times, ys)), size

    return way


def across(rng: np.random.Generator, begin_s: float, y: float, size: float, to_right: bool, speed: float = 0.0) -> Way:
    """Through the whole frame, `speed` in face widths a second (0: by chance)."""
    speed = speed or rng.uniform(5, 10)
    seconds = (WIDTH + 2 * size) / (speed * size)
    left, right = (-size, y), (WIDTH + size, y + rng.uniform(-30, 30))
    ends = (left, right) if to_right else (right, left)
    return walk(*ends, begin_s, begin_s + seconds, size)


# --- a detector's view of them


def _hidden(place: Place, others: Sequence[Place], pillars: Sequence[tuple[float, float]]) -> float:
    """The share of the face that something nearer hides: a pillar, or the head and the body of someone larger."""
    x, y, size = place
    low, high = x - size / 2, x + size / 2
    shares = [max(0.0, min(high, right) - max(low, left)) / size for left, right in pillars]
    for other_x, other_y, other in others:
        if other > size and y > other_y - 0.7 * other:
            half = other * (0.65 if y < other_y + 0.6 * other else 1.3)
            shares.append(max(0.0, min(high, other_x + half) - max(low, other_x - half)) / size)
    return max(shares, default=0.0)


def _worn(one: Person, place: Place, others: Sequence[tuple[Person, Place]], rng: np.random.Generator) -> Seen | None:
    x, y, size = place
    if y + size * 1.5 > HEIGHT:
        return None
    colours = one.clothes.astype(np.float64)
    for other, (other_x, other_y, other_size) in others:
        if other_size > size and other_y - 0.7 * other_size < y + 1.6 * size:
            overlap = min(x + 0.8 * size, other_x + 1.3 * other_size) - max(x - 0.8 * size, other_x - 1.3 * other_size)
            share = min(1.0, max(0.0, overlap / (1.6 * size)))
            colours = (1 - share) * colours + share * other.clothes
    colours = 0.9 * colours + 0.1 * rng.dirichlet(np.full(32, 0.3))
    return Seen(_NOBODY, colours.astype(np.float32))


_NOBODY = Face((0, 0, 1, 1), 0.0, (1, 0, 0), State.UNKNOWN)


def _shown(scene: Scene, t: float, rng: np.random.Generator) -> Iterator[_Shown]:
    """The faces of the whole frame at a time."""
    here = [(index, one, place) for index, one in enumerate(scene.people) if (place := one.way(t)) is not None]
    for index, one, place in here:
        x, y, size = place
        others = [(other, at) for number, other, at in here if number != index]
        hidden = _hidden(place, [at for _, at in others], scene.pillars)
        left, right = max(0.0, x - size / 2), min(float(WIDTH), x + size / 2)
        top, bottom = max(0.0, y - size * 0.6), min(float(HEIGHT), y + size * 0.6)
        inside = max(0.0, right - left) * max(0.0, bottom - top) / (size * size * 1.2)
        if hidden > 0.5 or inside < 0.5 or rng.random() < 0.06:
            continue
        score = one.score + rng.normal() * one.wavers - 0.6 * hidden - 0.5 * (1 - inside)
        if score < LOWEST_SCORE:
            continue
        jitter = rng.normal(0, 0.03 * size, 4)
        bbox = (left + jitter[0], top + jitter[1], right + jitter[2], bottom + jitter[3])
        face = _face(bbox, min(score, 0.99), one.state, rng)
        worn = _worn(one, place, others, rng)
        yield _Shown(Seen(face, None if worn is None else worn.colours), index)


def _face(bbox: Bbox, score: float, state: State, rng: np.random.Generator) -> Face:
    """One face in 20 seems to have another state, one in 20 none."""
    index = CLASSES.index(state)
    if rng.random() < 0.05:
        index = int(rng.choice([other for other in range(3) if other != index]))
    sure = rng.uniform(0.65, 0.99)
    mask, no_mask, incorrect = (sure if number == index else (1 - sure) / 2 for number in range(3))
    found = State.UNKNOWN if rng.random() < 0.05 else CLASSES[index]
    clipped = (max(0.0, bbox[0]), max(0.0, bbox[1]), min(float(WIDTH), bbox[2]), min(float(HEIGHT), bbox[3]))
    return Face(clipped, score, (mask, no_mask, incorrect), found)


# --- where the detector looks


def _region(x: float, y: float, size: float) -> Region:
    side = max(64, round(size * 2) * 2)
    return Region(int(x - side / 2) // 2 * 2, int(y - side / 2) // 2 * 2, side, side // 32 * 32)


def _regions(scene: Scene, t: float, expected: Sequence[Expected], due_s: dict[Hashable, float]) -> list[Region]:
    """Around each track that is due, and around everybody who moves where no track is expected."""
    regions, covered = [], []
    moving = [place for one in scene.people if _moves(one, t) and (place := one.way(t)) is not None]
    for one in expected:
        left, top, right, bottom = one.bbox_px
        x, y, size = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top)
        around = _region(x, y, size + one.spread_px)
        covered.append(around)
        moves = any(around.holds(x, y) for x, y, _ in moving)
        pause_s = LOOK_S if not one.settled else QUIET_S if one.still and not moves else SETTLED_S
        if t >= due_s.get(one.key, 0.0) - 0.01:
            due_s[one.key] = t + pause_s
            regions.append(around)
    for somebody in scene.people:
        now = somebody.way(t)
        if now is None or any(region.holds(now[0], now[1]) for region in covered):
            continue
        if _moves(somebody, t) or t % QUIET_S < LOOK_S:
            regions.append(_region(*now))
    return regions


def _moves(somebody: Person, t: float) -> bool:
    now, before = somebody.way(t), somebody.way(t - LOOK_S)
    return now is not None and (before is None or math.dist(now[:2], before[:2]) > 0.05 * now[2])


def watched(scene: Scene, seed: int) -> Count:
    """What the tracker makes of a scene, looked at as a planner would."""
    rng = np.random.default_rng(seed)
    tracker = Tracker(THRESHOLD, LOST_S)
    tracks: dict[str, Track] = {}
    whose: dict[Bbox, int] = {}
    owners: dict[str, Counter[int]] = {}
    due_s: dict[Hashable, float] = {}
    t, cuts = 0.0, list(scene.cuts)
    while t < scene.seconds:
        t += LOOK_S * rng.uniform(0.8, 1.25)
        if scene.stopped and scene.stopped[0] <= t < scene.stopped[1]:
            t = scene.stopped[1]
        if cuts and t >= cuts[0]:
            cuts.pop(0)
            tracker.end_all()
        regions = _regions(scene, t, tracker.expected(t), due_s)
        shown = [
            one
            for one in _shown(scene, t, rng)
            if any(region.holds(*_middle(one.seen.face.bbox_px)) for region in regions)
        ]
        whose |= {one.seen.face.bbox_px: one.person for one in shown}
        rng.shuffle(shown)
        if not regions:
            continue
        update = tracker.update([one.seen for one in shown], t, UTC + t, regions, (WIDTH, HEIGHT))
        for track in update.seen:
            tracks[track.key] = track
            owners.setdefault(track.key, Counter())[whose[track.bbox_px]] += 1
    return counted(scene, list(tracks.values()), owners)


def counted(scene: Scene, tracks: list[Track], owners: dict[str, Counter[int]]) -> Count:
    """The verdict: a person is right where the track with most of the person's faces says so."""
    right = 0
    for index, somebody in enumerate(scene.people):
        mine = [track for track in tracks if owners[track.key].most_common(1)[0][0] == index]
        best = max(mine, key=lambda track: owners[track.key][index], default=None)
        right += best is not None and best.state is somebody.state
    return Count(len(tracks), right, tracks, owners)


def _middle(bbox: Bbox) -> tuple[float, float]:
    return (bbox[0] + bbox[2]) / 2, (bbox[1] + bbox[3]) / 2
