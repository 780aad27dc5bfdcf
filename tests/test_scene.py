from __future__ import annotations

import numpy as np
import pytest

from appliance.vision.looking.scene import Levels, kept, kept_somewhere, light_between
from tests.luma_scenes import room


def seen(seed: int, shift_px: int = 0) -> Levels:
    return room(seed)[64 - shift_px : 1016 - shift_px : 8, 64 - shift_px : 1856 - shift_px : 8]


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (0.5, 10), (1.5, -20), (1, 30)])
def test_gain_and_offset_are_found_although_nearly_half_is_hidden(gain: float, offset: float) -> None:
    before = np.random.default_rng(1).uniform(20, 140, 500).astype(np.float32)
    after = (before * gain + offset).astype(np.float32)
    after[:220] = 90
    light = light_between(before, after)
    assert light.gain == pytest.approx(gain, abs=0.05)
    assert light.offset == pytest.approx(offset, abs=4)
    assert 0.5 < light.explains < 0.7


def test_no_light_explains_another_scene() -> None:
    assert light_between(seen(1)[::8, ::8].ravel(), seen(2)[::8, ::8].ravel()).explains < 0.5


def test_a_scene_in_another_light_is_the_same_scene() -> None:
    darker = np.float32(255) * (seen(1) / np.float32(255)) ** 2
    assert (kept(seen(1), darker, 1) or 0) > 0.7


def test_a_shaken_scene_is_found_where_it_went() -> None:
    assert (kept_somewhere(seen(1), seen(1, 48), 1) or 0) > 0.7
    assert (kept(seen(1), seen(1, 48), 1) or 0) < 0.5


def test_of_another_scene_hardly_anything_is_kept() -> None:
    for other in range(2, 8):
        assert (kept(seen(1), seen(other), 1) or 0) < 0.08
        assert (kept_somewhere(seen(1), seen(other), 1) or 0) < 0.08


def test_in_the_dark_nothing_can_be_told() -> None:
    assert kept(seen(1), np.full_like(seen(1), 12), 1) is None


def test_bars_above_and_below_a_film_are_no_scene() -> None:
    one, other = seen(1).copy(), seen(2).copy()
    for picture in (one, other):
        picture[:30] = picture[-30:] = 16
    assert (kept(one, other, 1) or 0) < 0.08
