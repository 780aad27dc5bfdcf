"""The scenes in which trackers go wrong, each with a known number of people. See `crossings.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from appliance.faces import State
from tests.crossings import HEIGHT, WIDTH, Person, Scene, across, along, person, walk

Rng = np.random.Generator
MIDDLE = WIDTH / 2, HEIGHT * 0.4


def crossing(rng: Rng, degrees: float) -> Scene:
    """Two people whose ways cross at an angle, in the middle, at about the same time."""
    size = rng.uniform(45, 90)
    people = []
    for turn in (0.0, math.radians(degrees)):
        speed, begin_s = rng.uniform(5, 9) * size, rng.uniform(0, 0.3)
        reach_s = 0.45 * HEIGHT / speed if abs(math.sin(turn)) > 0.5 else 0.55 * WIDTH / speed
        x, y = math.cos(turn) * speed * reach_s, math.sin(turn) * speed * reach_s
        mid_x, mid_y = MIDDLE[0], MIDDLE[1] + rng.uniform(-0.5, 0.5) * size
        way = walk((mid_x - x, mid_y - y), (mid_x + x, mid_y + y), begin_s, begin_s + 2 * reach_s, size)
        people.append(person(rng, way))
        size *= rng.uniform(0.85, 1.2)
    return Scene(f"crossing at {degrees:.0f}", 8, people, 2)


def meeting(rng: Rng) -> Scene:
    """Two people come from both sides, talk, and part: on, or back where they came from."""
    size, y = rng.uniform(50, 90), rng.uniform(200, 350)
    near, far = WIDTH / 2 - 0.8 * size, WIDTH / 2 + 0.8 * size
    back = rng.random() < 0.5
    ends = (-size, WIDTH + size) if back else (WIDTH + size, -size)
    talk_s = rng.uniform(1.5, 4)
    ways = [
        [(0.0, -size, y), (2.5, near, y), (2.5 + talk_s, near, y), (5.0 + talk_s, ends[0], y)],
        [(0.2, WIDTH + size, y), (2.6, far, y + 8), (2.7 + talk_s, far, y + 8), (5.4 + talk_s, ends[1], y + 8)],
    ]
    people = [person(rng, along(ways[0], size)), person(rng, along(ways[1], size * rng.uniform(0.85, 1.2)))]
    return Scene("meeting", 6 + talk_s, people, 2)


def returning(rng: Rng) -> Scene:
    """Somebody walks out of the frame and comes back after four seconds: two visits."""
    size, y = rng.uniform(50, 90), rng.uniform(200, 350)
    first = person(rng, along([(0, WIDTH / 2, y), (1.5, WIDTH / 2, y), (3.5, WIDTH + size, y)], size))
    second = replace(first, way=along([(7.5, WIDTH + size, y), (9.5, WIDTH / 2, y), (12, WIDTH / 2, y)], size))
    return Scene("returning", 12, [first, second], 2)


def pillar(rng: Rng) -> Scene:
    """Two people pass behind a pillar, one from each side, out of view for up to two seconds."""
    size = rng.uniform(50, 80)
    hidden_s = rng.uniform(0.8, 2.0)
    speed = rng.uniform(3, 6) * size
    half = speed * hidden_s / 2
    people = [
        person(rng, across(rng, 0.0, rng.uniform(150, 300), size, True, speed / size)),
        person(rng, across(rng, rng.uniform(0, 2), rng.uniform(330, 450), size, False, speed / size)),
    ]
    pillars = [(WIDTH / 2 - half, WIDTH / 2 + half)]
    return Scene("pillar", 4 + (WIDTH + 3 * size) / speed, people, 2, pillars)


def side_by_side(rng: Rng) -> Scene:
    """Two people walk together."""
    size, y, speed = rng.uniform(50, 90), rng.uniform(200, 300), rng.uniform(5, 8)
    apart = rng.uniform(1.3, 1.8) * size / (speed * size)
    people = [
        person(rng, across(rng, begin_s, y + rng.uniform(-15, 15), size, True, speed)) for begin_s in (0.0, apart)
    ]
    return Scene("side by side", 6, people, 2)


def group(rng: Rng) -> Scene:
    """Six people walk together in two rows."""
    size, speed = rng.uniform(50, 70), rng.uniform(4, 6)
    people = []
    for row in range(2):
        for column in range(3):
            begin_s = (column * 1.7 + row * 0.8 + rng.uniform(-0.1, 0.1)) / speed
            here = size * (1 + 0.25 * row)
            people.append(person(rng, across(rng, begin_s, 220 + 70 * row, here, True, speed * size / here)))
    return Scene("group of six", 8, people, 6)


def queue(rng: Rng) -> Scene:
    """Five people stand in a row; every three seconds the first leaves and the others move up."""
    size, y, gap = rng.uniform(50, 70), 300.0, 2.0
    people = []
    for place in range(5):
        points = [(0.0, 300 + place * gap * size, y)]
        for move in range(place + 1):
            at_s = 3.0 * (move + 1) + 0.15 * (place - move)
            x = 300 + (place - move) * gap * size
            after = (x - gap * size) if move < place else -size
            points += [(at_s, x, y), (at_s + (0.6 if move < place else 2.0), after, y)]
        people.append(person(rng, along(points, size * rng.uniform(0.95, 1.05))))
    return Scene("queue", 18, people, 5)


def changing_places(rng: Rng) -> Scene:
    """As one leaves, another comes: the same edge, the same height, eight times, .2 to 2 s apart."""
    size, y, t = rng.uniform(50, 90), rng.uniform(200, 350), 0.0
    people = []
    for number in range(8):
        seconds = (WIDTH / 2 + size) / (rng.uniform(5, 9) * size)
        inner, outer = (WIDTH / 2, y), (WIDTH + size, y + rng.uniform(-15, 15))
        if number % 2:
            way = walk(outer, (-size, y), t, t + 2 * seconds, size)
        else:
            way = walk((-size, y), outer, t, t + 2 * seconds, size)
        people.append(person(rng, way))
        # The next one's face is in view so long after this one's is not; both are outside for a moment.
        outside_s = 2 * size / ((outer[0] - inner[0]) / seconds)
        t += 2 * seconds - outside_s + rng.uniform(0.2, 2.0)
        size *= rng.uniform(0.85, 1.15)
    return Scene("one leaves, one comes", t + 1, people, 8)


def poster(rng: Rng) -> Scene:
    """A face on the wall, and four people who pass before it."""
    face = Person(lambda _: (640.0, 280.0, 50.0), State.NO_MASK, person(rng, lambda _: None).clothes)
    people = [person(rng, across(rng, 3.0 + 4 * number, 290, 80, number % 2 == 0)) for number in range(4)]
    return Scene("poster", 22, [face, *people], 5)


def flicker(rng: Rng) -> Scene:
    """A still face about as good as the threshold, for a minute; somebody walks by."""
    still = replace(person(rng, lambda _: (400.0, 300.0, 45.0)), score=0.5, wavers=0.05)
    return Scene("flicker", 60, [still, person(rng, across(rng, 20.0, 300, 60, True))], 2)


def stopped(rng: Rng, for_s: float) -> Scene:
    """The stream stops. Who stands there is the same after 5 s and somebody else after 20 s."""
    size = rng.uniform(50, 80)
    gap = (6.0, 6.0 + for_s)
    if for_s > 15:
        stay = person(rng, lambda t: (500.0, 300.0, size) if t < gap[0] else None)
        after = replace(stay, way=lambda t: (500.0, 300.0, size) if t >= gap[1] else None)
        standing = [stay, after]
    else:
        standing = [person(rng, lambda _: (500.0, 300.0, size))]
    walkers = [person(rng, across(rng, begin_s, 450, size, True)) for begin_s in (1.0, gap[1] + 0.5)]
    return Scene(f"stopped for {for_s:.0f} s", 12 + for_s, standing + walkers, len(standing) + 2, stopped=gap)


def cut(rng: Rng) -> Scene:
    """The camera shows another scene, with other people, some at the same places."""
    size = rng.uniform(50, 90)
    places = [(200 + 220 * number, rng.uniform(200, 400)) for number in range(3)]
    people = []
    for x, y in places:
        people += [
            person(rng, along([(0, x, y), (3.99, x + 20, y)], size)),
            person(rng, along([(4, x, y), (8, x - 20, y)], size)),
        ]
    return Scene("cut", 8, people, 6, cuts=[4.0])


def door(rng: Rng) -> Scene:
    """24 people in both directions through a minute, some past each other."""
    people, t = [], 0.0
    for _ in range(24):
        size = rng.uniform(60, 150)
        people.append(person(rng, across(rng, t, 120 + size * rng.uniform(0.8, 1.5), size, rng.random() < 0.5)))
        t += rng.exponential(2.0) + 0.2
    return Scene("door", t + 5, people, 24)


SCENES: dict[str, Callable[[Rng], Scene]] = {
    **{f"crossing at {turn}": partial(crossing, degrees=turn) for turn in (20, 45, 90, 135, 160, 180)},
    "meeting": meeting,
    "returning": returning,
    "pillar": pillar,
    "side by side": side_by_side,
    "group of six": group,
    "queue": queue,
    "one leaves, one comes": changing_places,
    "poster": poster,
    "flicker": flicker,
    "stopped for 5 s": partial(stopped, for_s=5),
    "stopped for 20 s": partial(stopped, for_s=20),
    "cut": cut,
    "door": door,
}
