"""From how far people are found, judged right and counted once: by the size of the face, beside whole-frame judging.

People of the photos walk, run and stand in lanes, one above the other, so that nobody hides a face: 1 to 12 at once, in
a still room and in one with a flag, a tree and a fan.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from appliance.faces import State
from appliance.vision.onnx import load_detector
from scripts.scene_alone import alone
from scripts.scene_judges import bare_decoding_ms, judges
from scripts.scene_people import Person
from scripts.scene_score import Counted, is_right, score
from scripts.scene_sets import Size, route, somebody
from scripts.scenes import Actor, Scene, Visit, Waypoint, film, truth

HD, UHD = (1920, 1080), (3840, 2160)
SIDES_PX = (16, 20, 28, 40, 56, 80, 120, 200, 400)
UHD_SIDES_PX = (20, 28, 56, 120)
SECONDS = 24.0
LANE = 2.3  # face sides from one lane to the next: a head is never before the face behind it
FEW, MANY = 4, 12
CROWDS_UP_TO_PX = 40  # above, twelve lanes do not fit
MOVES = {"walks": 8.0, "stands": 8.0, "runs": 18.0}  # face widths a second; 18 are 2.9 m/s
MIN_FOUND, MIN_RIGHT, FROM_PX = 0.90, 0.85, 28


@dataclass(frozen=True)
class Part:
    """People of one size in one clip. moves: how each actor moves, by id."""

    size: Size
    side_px: int
    scene: Scene
    moves: dict[int, str]


@dataclass
class Tally:
    """Persons, and how many of them were found, judged right, counted once; how many unknown.

    alone: how many the detector judges right when it is shown where they are.
    """

    persons: int = 0
    found: int = 0
    right: int = 0
    once: int = 0
    unknown: int = 0
    alone: int = 0

    def add(self, visit: Visit, tracks: Sequence[Counted], alone: State) -> None:
        """One person. alone: what the detector makes of them when it is shown where they are."""
        self.persons += 1
        self.found += bool(tracks)
        self.right += is_right(visit, tracks)
        self.once += len(tracks) == 1
        self.alone += alone is visit.state
        self.unknown += bool(tracks) and tracks[0].state is State.UNKNOWN

    def __str__(self) -> str:
        shares = (self.found, self.right, self.once)
        return " ".join(f"{share / max(1, self.persons):5.2f}" for share in shares) + f" {self.unknown:4}"


def far() -> None:
    """The table by size, and how those of FROM_PX and more fare by movement and by room."""
    people, detector = somebody(), load_detector()
    tables: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in judges()}
    strangers, spent_ms, bare_ms = dict.fromkeys(tables, 0), dict.fromkeys(tables, 0.0), 0.0
    print(f"  {'':24} {'':7}" + "".join(f" | {name:22}" for name in tables))
    print(f"  {'':24} persons" + " | found right  once unkn." * len(tables) + " | detector alone right")
    with tempfile.TemporaryDirectory() as folder:
        told = ""
        for part in parts(people):
            path, visits = film(part.scene, Path(folder)), truth(part.scene)
            bare_ms += bare_decoding_ms(path)
            best = alone(detector, path, visits)
            for name, judge in judges().items():
                judgement = judge(path)
                spent_ms[name] += judgement.cpu_ms
                result = score(visits, judgement.counted)
                strangers[name] += len(result.strangers)
                for visit, tracks in result.pairs():
                    for row in rows(part, visit):
                        tables[name][row].add(visit, tracks, best[visit])
            path.unlink()
            if told not in ("", rows(part, visits[0])[0]):
                _tell(told, tables)
            told = rows(part, visits[0])[0]
        _tell(told, tables)
    for row in sorted({row for table in tables.values() for row in table if "px" not in row}):
        _tell(row, tables)
    for name in tables:
        print(f"  {name}: {strangers[name]} counted who are nobody, {spent_ms[name] / bare_ms:.2f} of bare decoding")
    print(f"  wanted: {MIN_FOUND:.2f} found and {MIN_RIGHT:.2f} right from {FROM_PX} px on at 1080p")


def _tell(row: str, tables: dict[str, dict[str, Tally]]) -> None:
    ours = next(iter(tables.values()))[row]
    figures = "".join(f" | {table[row]}" for table in tables.values())
    print(f"  {row:24} {ours.persons:7}{figures} | {ours.alone / max(1, ours.persons):5.2f}", flush=True)


def rows(part: Part, visit: Visit) -> list[str]:
    """In which rows of the table a person stands."""
    named = [f"{part.size[1]}p, {part.side_px} px"]
    if part.side_px >= FROM_PX and part.size == HD:
        named += [
            f"1080p, {part.moves[id(visit.actor)]}",
            f"1080p, {'restless' if part.scene.restless else 'still'} room",
        ]
        named.append(f"1080p, all from {FROM_PX} on")
    return named


def parts(people: Sequence[Person]) -> Iterator[Part]:
    """All clips, sizes in order."""
    cast = cycle(people)
    for number, side_px in enumerate(SIDES_PX):
        for restless in (False, True):
            yield _part(cast, HD, side_px, FEW, restless, seed=number)
        if side_px <= CROWDS_UP_TO_PX:
            yield _part(cast, HD, side_px, MANY, number % 2 == 0, seed=100 + number)
    for number, side_px in enumerate(UHD_SIDES_PX):
        yield _part(cast, UHD, side_px, FEW, number % 2 == 1, seed=200 + number, seconds=SECONDS / 2)


def _part(
    cast: Iterator[Person], size: Size, side_px: int, lanes: int, restless: bool, seed: int, seconds: float = SECONDS
) -> Part:
    """Lanes in which one follows the other; who is higher in the picture is further back."""
    chance = np.random.default_rng(seed)
    fitting = max(1, int((size[1] - 2 * side_px) / (LANE * side_px)))
    lanes = min(lanes, fitting)
    places = np.sort(chance.permutation(fitting)[:lanes])
    actors, moves = [], {}
    for lane, place in enumerate(places.tolist()):
        y = 1.5 * side_px + LANE * side_px * place
        begin_s = 0.0 if lane % 2 else float(chance.uniform(0, 2))
        for turn in islice(cycle(MOVES), lane, lane + 12):
            actor = Actor(next(cast), _way(turn, begin_s, side_px, size, y, chance), depth=-place)
            actors.append(actor)
            moves[id(actor)] = turn
            begin_s = actor.way[-1].at_s + float(chance.uniform(0, 1))
            if begin_s > seconds - 2:
                break
    scene = Scene(*size, seconds, tuple(actors), restless=restless, seed=seed)
    return Part(size, side_px, scene, moves)


def _way(
    move: str, begin_s: float, side_px: float, size: Size, y: float, chance: np.random.Generator
) -> tuple[Waypoint, ...]:
    """Through the picture from a side; who stands at the beginning of the clip stood there before."""
    ends = [-2.5 * side_px, size[0] + 2.5 * side_px]
    if chance.random() < 0.5:
        ends.reverse()
    middle, speed = float(chance.uniform(0.2, 0.8)) * size[0], MOVES[move] * float(chance.uniform(0.8, 1.25))
    speed = min(speed, size[0] / side_px)  # close to a camera nobody crosses the picture in less than a second
    if move != "stands":
        return route(begin_s, side_px, ((ends[0], y), (ends[1], y)), speed)
    stations = ((middle, y, 6.0), (ends[1], y))
    return route(begin_s, side_px, stations if begin_s == 0.0 else ((ends[0], y), *stations), speed)
