"""People who run past a camera."""

from __future__ import annotations

import pytest

from tests.walks import Scene, face


@pytest.mark.parametrize("faces_per_s", [8, 15, 22])
@pytest.mark.parametrize("first_x", [20.0, 1840.0, 900.0])
def test_who_is_first_seen_at_a_run_is_one(faces_per_s: float, first_x: float) -> None:
    """Looked at ten times a second, from the edge of the frame or already far inside it."""
    scene = Scene(size=(1920, 1080))
    way = -1 if first_x > 960 else 1
    for step in range(8):
        scene.show([face(first_x + way * step * 0.1 * faces_per_s * 40, 240.0)], after_s=0.1)
    assert len(scene.tracker.tracks) == 1
    assert scene.tracker.tracks[0].confirmed
    assert scene.tracker.tracks[0].hits == 8
