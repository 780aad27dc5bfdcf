"""How exactly people are counted in the scenes of count_scenes.py, beside whole-frame judging in the same run.

Everybody in them is known to the detector: it judges them right when they stand before it alone. So a wrong state is
one that went from one person to another, or was never seen well. What a region costs is fixed instead of measured, so
that a machine that does something else besides counts the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.count_scenes import count_scenes
from scripts.scene_judges import bare_decoding_ms, judges, known
from scripts.scene_score import Score, score
from scripts.scene_sets import somebody
from scripts.scenes import film, truth

MAX_ERROR, MAX_CLIP_ERROR, MIN_RIGHT = 0.03, 0.08, 0.95


def count() -> None:
    """Expected and counted, and how many states are right, in each clip and in all."""
    everybody = somebody()
    people, judged = known(everybody), judges(steadily=True)
    print(f"  {len(people)} of {len(everybody)} people are judged right when they stand alone; the others are left out")
    scores: dict[str, list[Score]] = {name: [] for name in judged}
    spent_ms: dict[str, float] = dict.fromkeys(scores, 0.0)
    bare_ms = 0.0
    print(f"  {'':30} {'people':>6}" + "".join(f"  {name + ': counted':>22} {'right':>5}" for name in scores))
    with tempfile.TemporaryDirectory() as folder:
        for name, scene in count_scenes(people).items():
            path, visits = film(scene, Path(folder)), truth(scene)
            bare_ms += bare_decoding_ms(path)
            for judged_by, judge in judged.items():
                judgement = judge(path)
                spent_ms[judged_by] += judgement.cpu_ms
                scores[judged_by].append(score(visits, judgement.counted))
            latest = [each[-1] for each in scores.values()]
            figures = "".join(f"  {one.counted:22} {one.right:5}" for one in latest)
            print(f"  {name:30} {latest[0].expected:6}{figures}", flush=True)
            for problem in latest[0].problems:
                print(f"      {problem}")
            path.unlink()
    for judged_by, each in scores.items():
        print(f"  {judged_by}: {_summary(each)}; {spent_ms[judged_by] / bare_ms:.2f} of bare decoding")
    print(
        f"  wanted: {MAX_ERROR:.0%} off over the set, {MAX_CLIP_ERROR:.0%} in each clip at most, {MIN_RIGHT:.0%} right"
    )


def _summary(scores: Sequence[Score]) -> str:
    expected = sum(one.expected for one in scores)
    off = sum(abs(one.counted - one.expected) for one in scores)
    right = sum(one.right for one in scores)
    worst = max(one.error for one in scores)
    once = sum(len(tracks) == 1 for one in scores for visit, tracks in one.pairs() if not visit.actor.optional)
    return (
        f"{off / expected:.1%} off over the set, {worst:.0%} in the worst clip, {right / expected:.1%} right, "
        f"{once} of {expected} persons counted exactly once"
    )
