"""A box counts the people of scripted scenes, each once and in the right state: a part of `scripts/bench count`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from scripts.count_scenes import Cast, crossing, cuts, pillar, relay
from scripts.scene_judges import observed
from scripts.scene_people import golden_people
from scripts.scene_score import score
from scripts.scenes import Scene, film, truth


@pytest.fixture
def cast() -> Cast:
    """Four people of the golden pictures, each in other clothes."""
    people = golden_people()
    return cycle([people[index] for index in (1, 12, 20, 29)])


@pytest.mark.parametrize(
    "make",
    [
        lambda cast: crossing(cast, angles=(180, 90)),
        lambda cast: relay(cast, pairs=2),
        lambda cast: cuts(cast, scenes=2),
        lambda cast: pillar(cast, people=4),
    ],
    ids=["crossing", "one leaves as another comes", "a cut", "behind a pillar"],
)
def test_a_box_counts_everybody_once(tmp_path: Path, cast: Cast, make: Callable[[Cast], Scene]) -> None:
    scene = make(cast)
    result = score(truth(scene), observed(film(scene, tmp_path), steadily=True).counted)
    assert result.problems == []
    assert result.counted == result.expected
