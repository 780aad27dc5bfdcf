"""The scenes that a count must survive, of people known beforehand: whoever makes one of two or two of one fails them.

What the truth is where it could be argued: whoever leaves and comes back after five seconds is counted twice, because
faces are never compared. A poster or a picture on a screen is one person, counted once: a still face looks like
somebody who waits. A face out of focus far behind may be counted or not, but not twice. After a stop of the stream of
twenty seconds, and after a cut, everybody is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import numpy as np

from scripts.scene_people import Person
from scripts.scene_sets import Way, route
from scripts.scenes import Actor, Block, Kind, Scene, Waypoint, across

SIZE = WIDTH, HEIGHT = 1280, 720
FACE = 64.0
OUT = 2.5 * FACE  # so far beyond the edge nothing of a body is seen
RIGHT, LEFT = WIDTH + OUT, -OUT
EYES = 300.0  # where the middle of a face is that walks through the middle of the picture

Cast = Iterator[Person]


def count_scenes(people: Sequence[Person], seed: int = 3) -> dict[str, Scene]:
    """All of them by name, cast from the people in the order of the seed."""
    makes: dict[str, Callable[[Cast], Scene]] = {
        "crossing at each angle": crossing,
        "meeting and parting": meeting,
        "leaving and returning": returning,
        "behind a pillar": pillar,
        "two side by side": side_by_side,
        "a group of six": groups,
        "a queue that shuffles": queue,
        "one leaves as another comes": relay,
        "a poster on the wall": poster,
        "a picture on a screen": screen,
        "a blurred face behind": blurred,
        "the stream stops": stopped,
        "cuts": cuts,
    }
    order = np.random.default_rng(seed).permutation(len(people))
    cast = cycle([people[index] for index in order])
    return {name: make(cast) for name, make in makes.items()}


def crossing(cast: Cast, angles: Sequence[float] = (180, 150, 120, 90, 60, 30, 0)) -> Scene:
    """Two at a time pass through one place at one time, one before the other, at each angle (0: overtaking)."""
    actors = []
    for number, angle in enumerate(angles):
        meet_s = 4 + 5.0 * number
        actors.append(Actor(next(cast), _through(meet_s, 0, 80, 7 if angle else 5)))
        actors.append(Actor(next(cast), _through(meet_s, angle, 66, 8 if angle else 11), depth=1))
    return Scene(*SIZE, 4 + 5.0 * len(angles) + 2, tuple(actors), seed=11)


def _through(meet_s: float, angle: float, face_px: float, speed: float) -> Way:
    """Straight through the middle of the picture at meet_s; angle: degrees, 0 to the right, 90 down."""
    step = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * speed * face_px
    reach = [WIDTH / 2 + 2.5 * face_px, HEIGHT / 2 + 8 * face_px]
    half_s = min(float(far / abs(pace)) for far, pace in zip(reach, step, strict=True) if abs(pace) > 1)
    middle = np.array([WIDTH / 2, EYES])
    (begin_x, begin_y), (end_x, end_y) = (middle - step * half_s).tolist(), (middle + step * half_s).tolist()
    return Waypoint(meet_s - half_s, begin_x, begin_y, face_px), Waypoint(meet_s + half_s, end_x, end_y, face_px)


def meeting(cast: Cast, pairs: int = 6) -> Scene:
    """Two come from both sides, stand before each other, and go back or on."""
    actors = []
    for number in range(pairs):
        begin_s, goes_on, apart = 1 + 7.0 * number, number % 2, 1.3 * FACE
        left, right = WIDTH / 2 - apart, WIDTH / 2 + apart
        first = ((LEFT, EYES), (left, EYES, 2.5), (RIGHT if goes_on else LEFT, EYES))
        second = ((RIGHT, EYES + 20), (right, EYES + 20, 2.5), (LEFT if goes_on else RIGHT, EYES + 20))
        actors += [Actor(next(cast), route(begin_s, FACE, first)), Actor(next(cast), route(begin_s, FACE, second), 1)]
    return Scene(*SIZE, 1 + 7.0 * pairs + 2, tuple(actors), seed=12)


def returning(cast: Cast, people: int = 6) -> Scene:
    """Everybody leaves and comes back five seconds later, at the same place: two visits."""
    actors = []
    for number in range(people):
        person, y, begin_s = next(cast), 170.0 + 200 * (number % 2), 1 + 4.5 * number
        actors.append(across(person, SIZE, begin_s, FACE, y, 7, number % 3 != 0, depth=1 - number % 2))
        back_s = actors[-1].way[-1].at_s + 5
        actors.append(across(person, SIZE, back_s, FACE, y, 7, number % 3 == 0, depth=1 - number % 2))
    return Scene(*SIZE, actors[-1].way[-1].at_s + 1, tuple(actors), seed=13)


def pillar(cast: Cast, people: int = 12) -> Scene:
    """Everybody goes behind a pillar, for up to two seconds; at times two at once from both sides."""
    block = Block(560, 0, 200, HEIGHT, depth=0.5)
    actors, begin_s = [], 1.0
    for number in range(people):
        stay_s = (0.0, 0.5, 1.0, 1.3, 0.0, 0.0)[number % 6]
        to_right = number % 2 == 0
        stations = ((LEFT, EYES), (660.0, EYES, stay_s), (RIGHT, EYES))
        actors.append(
            Actor(next(cast), route(begin_s, FACE, stations if to_right else stations[::-1], 7), 1 + number % 2)
        )
        begin_s += 0.0 if number % 6 == 4 else 3.0
    return Scene(*SIZE, begin_s + 5, tuple(actors), (block,), seed=14)


def side_by_side(cast: Cast, pairs: int = 6) -> Scene:
    """Two walk beside each other, one a little behind."""
    actors = []
    for number in range(pairs):
        begin_s, to_right = 1 + 4.0 * number, number % 2 == 0
        apart_s = (1.9, 1.6, 2.3)[number % 3] / 7
        actors.append(across(next(cast), SIZE, begin_s, FACE, EYES, 7, to_right))
        actors.append(across(next(cast), SIZE, begin_s + apart_s, FACE, EYES - 18, 7, to_right, depth=1))
    return Scene(*SIZE, 1 + 4.0 * pairs + 3, tuple(actors), seed=15)


def groups(cast: Cast, count: int = 2) -> Scene:
    """Six walk through together, in two rows."""
    actors = []
    for number in range(count):
        begin_s, to_right = 1 + 8.0 * number, number % 2 == 0
        for column in range(3):
            for row in range(2):
                face_px = FACE * (1 - 0.15 * row)
                y, late_s = EYES - 1.5 * FACE * row, (2.1 * column + row) / 5
                speed = 5 * FACE / face_px
                actors.append(across(next(cast), SIZE, begin_s + late_s, face_px, y, speed, to_right, depth=row))
    return Scene(*SIZE, 8.0 * count + 3, tuple(actors), seed=16)


def queue(cast: Cast, people: int = 13, places: int = 6) -> Scene:
    """Each 2.5 s the first goes, the others move up by one place, and another comes."""
    actors = []
    for number in range(people):
        stations = [(LEFT, EYES)]
        way = list(route(0.5 + 2.5 * number, FACE, [*stations, (200.0, EYES)], 6))
        for place in range(1, places + 1):
            moves_s = 0.5 + 2.5 * (number + place) + 0.15 * ((places - place) % 3)
            x = 200.0 + 160 * place if place < places else RIGHT
            pace_s = abs(x - way[-1].x) / (5 * FACE)
            y = EYES + 12 * ((number + place) % 3 - 1)
            way += [Waypoint(moves_s, way[-1].x, way[-1].y, FACE), Waypoint(moves_s + pace_s, x, y, FACE)]
        actors.append(Actor(next(cast), tuple(way), depth=number % 2))
    return Scene(*SIZE, actors[-1].way[-1].at_s + 1, tuple(actors), seed=17)


def relay(cast: Cast, pairs: int = 7) -> Scene:
    """One leaves as another comes: at the same edge at the same moment, or on the heels of the other."""
    actors = []
    for number in range(pairs):
        begin_s, to_right = 1 + 5.5 * number, number % 2 == 0
        first = across(next(cast), SIZE, begin_s, FACE, EYES, 8, to_right)
        if number % 3 == 2:
            second_s, back = begin_s + 2.4 / 8, to_right
        else:
            # The second face appears .2 s after the first is gone, at the same place.
            second_s, back = first.way[-1].at_s - 2 * (OUT - FACE / 2) / (8 * FACE) + 0.2, not to_right
        actors += [first, across(next(cast), SIZE, second_s, FACE, EYES, 8, back, depth=1)]
    return Scene(*SIZE, actors[-1].way[-1].at_s + 1, tuple(actors), seed=18)


def poster(cast: Cast, passers: int = 11) -> Scene:
    """A face on a poster, and people who pass, some before it."""
    still = Actor(next(cast), _still(900, 220, 70, 0, 999), depth=9, kind=Kind.PICTURE)
    return _passing(cast, passers, (still,), seed=19)


def screen(cast: Cast, passers: int = 11) -> Scene:
    """A dark screen that shows a face from the third second on, and people who pass, some before it."""
    dark = Block(740, 36, 360, 350, depth=10, rgb=(24, 24, 26))
    shown = Actor(next(cast), _still(920, 210, 76, 3, 999), depth=9, kind=Kind.PICTURE)
    return _passing(cast, passers, (shown,), (dark,), seed=20)


def blurred(cast: Cast, passers: int = 12) -> Scene:
    """Somebody out of focus stands far behind, and people pass."""
    behind = Actor(next(cast), _still(420, 200, 44, 0, 999), depth=9, blur=0.2, optional=True)
    return _passing(cast, passers, (behind,), seed=21)


def _passing(
    cast: Cast, passers: int, others: tuple[Actor, ...], blocks: tuple[Block, ...] = (), seed: int = 1
) -> Scene:
    actors = list(others)
    for number in range(passers):
        y = EYES - 60 if number % 3 == 0 else EYES + 60
        actors.append(across(next(cast), SIZE, 1 + 2.7 * number, FACE, y, 7, number % 2 == 0, depth=number % 3))
    return Scene(*SIZE, 1 + 2.7 * passers + 3, tuple(actors), blocks, seed=seed)


def _still(x: float, y: float, face_px: float, from_s: float, until_s: float) -> Way:
    return Waypoint(from_s, x, y, face_px), Waypoint(until_s, x, y, face_px)


def stopped(cast: Cast) -> Scene:
    """Nothing comes from the camera for 1.5 s while three walk, and for 20 s while three stand there."""
    actors = [
        across(next(cast), SIZE, 1 + 1.3 * number, FACE, EYES, 6, number % 2 == 0, number % 2) for number in range(3)
    ]
    actors += [across(next(cast), SIZE, 6.5 + 1.0 * number, FACE, EYES, 5, depth=number) for number in range(3)]
    places = (300.0, 600.0, 900.0)
    actors += [
        Actor(
            next(cast),
            route(12 + 0.6 * number, FACE, ((LEFT, EYES), (x, EYES, 60.0)), 7)[:-1] + _still(x, EYES, FACE, 39, 40)[:1],
        )
        for number, x in enumerate(places[::-1])
    ]
    # The first of those who stood there is still there afterwards, at the second place is another, the third is free.
    for person, x in ((actors[-1].person, places[0]), (next(cast), places[1])):
        actors.append(Actor(person, route(39, FACE, ((x, EYES, 4.0), (RIGHT, EYES)), 7)))
    actors += [
        across(next(cast), SIZE, 41 + 2.0 * number, FACE, EYES + 90, 7, number % 2 == 0, -1) for number in range(3)
    ]
    return Scene(*SIZE, 50, tuple(actors), stops=((8.5, 10.0), (19.0, 39.0)), seed=22)


def cuts(cast: Cast, scenes: int = 4) -> Scene:
    """Each 6 s another scene, with other people, one of them where one was before."""
    actors = []
    for number in range(scenes):
        begin_s, end_s = 6.0 * number, 6.0 * (number + 1)
        others = 250.0 + 180 * (number % 2)
        actors.append(Actor(next(cast), _still(640, EYES, FACE, begin_s, end_s)))
        actors.append(Actor(next(cast), _still(others, EYES - 40, FACE, begin_s, end_s), depth=1))
        walk = across(next(cast), SIZE, begin_s - 1.5 + 0.3 * number, FACE, EYES + 120, 5, number % 2 == 0, depth=-1)
        actors.append(Actor(walk.person, _between(walk, begin_s, end_s), depth=-1))
    return Scene(*SIZE, 6.0 * scenes, tuple(actors), cuts=tuple(6.0 * number for number in range(1, scenes)), seed=23)


def _between(actor: Actor, begin_s: float, end_s: float) -> Way:
    """Its way, cut off at both ends."""
    whole = np.array([(point.at_s, point.x, point.y, point.face_px) for point in actor.way])
    times = [max(begin_s, actor.way[0].at_s), min(end_s, actor.way[-1].at_s)]
    x, y, side = (np.interp(times, whole[:, 0], whole[:, column]).tolist() for column in (1, 2, 3))
    return tuple(Waypoint(*point) for point in zip(times, x, y, side, strict=True))
