"""Scores what a box counted in a scripted scene against its truth: who was found, judged right, counted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.faces import State
from scripts.scenes import TRUTH_FPS, Visit

NEAR = 0.75  # in face sizes: a face that is told further from where one is, is not it
MIN_SHARE = 0.3  # of its looks a track shares with the person it is said to be
LONG_ENOUGH_S = 0.4  # whoever shows the whole face for less may be missed


@dataclass(frozen=True, eq=False)
class Counted:
    """One person as a box counted it. at_s, bboxes: when and where it was seen (s of the clip; n x 4, px)."""

    key: str
    state: State
    at_s: NDArray[np.float64]
    bboxes: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a box makes of a clip. cpu_ms: for each second of the clip, decoding included."""

    counted: list[Counted]
    cpu_ms: float


Judge = Callable[[Path], Judgement]


@dataclass(frozen=True, eq=False)
class Score:
    """One clip. found: of each visit, in its order, the tracks that are this person, longest first.

    strangers: tracks that are nobody.
    """

    visits: Sequence[Visit]
    found: list[list[Counted]]
    strangers: list[Counted]

    @property
    def expected(self) -> int:
        """How many are to be counted."""
        return sum(not visit.actor.optional for visit in self.visits)

    @property
    def counted(self) -> int:
        """How many were; whoever may be counted or not is left out the first time."""
        free = sum(visit.actor.optional and bool(tracks) for visit, tracks in self.pairs())
        return sum(len(tracks) for tracks in self.found) + len(self.strangers) - free

    @property
    def error(self) -> float:
        """The error of the count, as a share of those to be counted."""
        return abs(self.counted - self.expected) / max(1, self.expected)

    def pairs(self) -> list[tuple[Visit, list[Counted]]]:
        """Each visit with its tracks."""
        return list(zip(self.visits, self.found, strict=True))

    @property
    def right(self) -> int:
        """Of how many of those found, and to be counted, the state is right."""
        return sum(is_right(visit, tracks) for visit, tracks in self.pairs() if not visit.actor.optional)

    @property
    def problems(self) -> list[str]:
        """What went wrong, a phrase each."""
        told = []
        for visit, tracks in self.pairs():
            who = f"{visit.state.value} of {visit.enters_s:.1f} to {visit.leaves_s:.1f} s"
            if not tracks and not visit.actor.optional:
                told.append(f"missed {who}")
            if len(tracks) > 1:
                spans = ", ".join(f"{track.at_s[0]:.1f} to {track.at_s[-1]:.1f}" for track in tracks)
                told.append(f"{len(tracks)} times {who} ({spans})")
            if tracks and not visit.actor.optional and not is_right(visit, tracks):
                told.append(f"{who} as {tracks[0].state.value}")
        told += [f"nobody from {track.at_s[0]:.1f} to {track.at_s[-1]:.1f} s" for track in self.strangers]
        return told


def is_right(visit: Visit, tracks: Sequence[Counted]) -> bool:
    """Whether the longest track of a visit tells the right state."""
    return bool(tracks) and tracks[0].state is visit.state


def score(visits: Sequence[Visit], counted: Sequence[Counted]) -> Score:
    """Give each track to the person it lay on most of its time; one that lay on nobody is a stranger.

    Visits of less than LONG_ENOUGH_S are optional in that nobody need find them: they are left out where nobody did.
    """
    found: list[list[Counted]] = [[] for _ in visits]
    strangers = []
    for track in counted:
        shares = [_share(visit, track) for visit in visits]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= MIN_SHARE:
            found[best].append(track)
        else:
            strangers.append(track)
    for tracks in found:
        tracks.sort(key=lambda track: -len(track.at_s))
    kept = [index for index, visit in enumerate(visits) if found[index] or _whole_for_s(visit) >= LONG_ENOUGH_S]
    return Score([visits[index] for index in kept], [found[index] for index in kept], strangers)


def _whole_for_s(visit: Visit) -> float:
    return 0.0 if visit.whole_s is None else visit.whole_s[1] - visit.whole_s[0]


def _share(visit: Visit, track: Counted) -> float:
    """In which share of its looks the track lay on the person."""
    where = np.stack([np.interp(track.at_s, visit.at_s, visit.bboxes[:, side]) for side in range(4)], axis=1)
    there = (track.at_s >= visit.at_s[0] - 1 / TRUTH_FPS) & (track.at_s <= visit.at_s[-1] + 1 / TRUTH_FPS)
    size = np.sqrt(np.prod(where[:, 2:] - where[:, :2], axis=1))
    apart = np.linalg.norm((where[:, :2] + where[:, 2:] - track.bboxes[:, :2] - track.bboxes[:, 2:]) / 2, axis=1)
    return float((there & (apart < NEAR * size)).mean()) if len(track.at_s) else 0.0
