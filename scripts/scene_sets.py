"""Ready-made scenes, as cameras see them: nobody, people who walk by, a busy door, a crowd."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.scene_people import Person, golden_people, photo_people
from scripts.scenes import SPEED, Actor, Scene, Waypoint, across

Size = tuple[int, int]
Way = tuple[Waypoint, ...]


def somebody(seed: int = 5) -> list[Person]:
    """People in the order of a seed: those of the photos, or the golden ones where there are none."""
    people = photo_people() or golden_people()
    return [people[index] for index in np.random.default_rng(seed).permutation(len(people))]


def quiet(size: Size, seconds: float, restless: bool = False) -> Scene:
    """Nobody comes."""
    return Scene(*size, seconds, restless=restless)


def passers(
    size: Size, seconds: float, period_s: float, face_px: tuple[float, float], seed: int = 5, restless: bool = False
) -> Scene:
    """One person walks by each period_s, from either side, 6 to 10 face widths a second; all leave before the end.

    face_px: from the smallest to the largest shorter side of the faces.
    """
    chance, people = np.random.default_rng(seed), somebody(seed)
    actors: list[Actor] = []
    begin_s = 1.5
    while begin_s < seconds:
        side, speed = chance.uniform(*face_px), chance.uniform(6, 10)
        y, to_right = chance.uniform(0.15, 0.6) * size[1], bool(chance.random() < 0.5)
        actor = across(people[len(actors) % len(people)], size, begin_s, side, max(y, 1.2 * side), speed, to_right)
        if actor.way[-1].at_s <= seconds:
            actors.append(actor)
        begin_s += period_s
    return Scene(*size, seconds, tuple(actors), restless=restless, seed=seed)


def gathering(size: Size, seconds: float, count: int, face_px: float, seed: int = 5, restless: bool = False) -> Scene:
    """So many people come in one after the other, stand or shift about in two rows, and stay: a busy door, a crowd."""
    chance, people = np.random.default_rng(seed), somebody(seed)
    actors: list[Actor] = []
    rows = 1 if count <= 4 else 2
    for number in range(count):
        row, column = number % rows, number // rows
        columns = -(-count // rows)
        side = face_px * (1.0 if row == 0 else 0.75)
        x = size[0] * (column + 0.5 + 0.35 * row) / (columns + 0.35 * (rows - 1))
        y = size[1] * (0.45 if row == 0 else 0.22)
        from_x = -2.5 * side if x < size[0] / 2 else size[0] + 2.5 * side
        arrives_s = 0.4 * number + abs(x - from_x) / (7 * side)
        way = [Waypoint(0.4 * number, from_x, y, side), Waypoint(arrives_s, x, y, side)]
        while way[-1].at_s < seconds + 1:
            stays_s = chance.uniform(2, 5)
            way.append(Waypoint(way[-1].at_s + stays_s, way[-1].x, y, side))
            way.append(Waypoint(way[-1].at_s + 0.5, x + chance.uniform(-0.6, 0.6) * side, y, side))
        actors.append(Actor(people[number % len(people)], tuple(way), depth=row))
    return Scene(*size, seconds, tuple(actors), restless=restless, seed=seed)


def route(begin_s: float, face_px: float, stations: Sequence[tuple[float, ...]], speed: float = SPEED) -> Way:
    """A way through stations (x, y) or (x, y, stay_s), px and s; speed: face widths a second."""
    way: list[Waypoint] = []
    for x, y, *stay_s in stations:
        if way:
            begin_s += float(np.hypot(x - way[-1].x, y - way[-1].y)) / (speed * face_px)
        way.append(Waypoint(begin_s, x, y, face_px))
        if stay_s and stay_s[0]:
            begin_s += stay_s[0]
            way.append(Waypoint(begin_s, x, y, face_px))
    return tuple(way)
