"""JPEG out of pixels, and pictures that change size."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from appliance.vision.jpeg import encode_jpeg
from appliance.vision.pixels import Pixels, pixels_of, scale_to, shrink


def decoded(jpeg: bytes) -> Pixels:
    with av.open(io.BytesIO(jpeg), "r") as container:
        return pixels_of(next(container.decode(video=0)))


def waves(width: int, height: int) -> Pixels:
    """Smooth in all three colours, as most of a photo is."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height, 40) * 6
    return (np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=2) * 110 + 128).astype(np.uint8)


@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 90), (128, 128, 128)]
)
def test_colours_come_back_as_they_went_in(colour: tuple[int, int, int]) -> None:
    image = np.full((40, 48, 3), colour, dtype=np.uint8)
    difference = decoded(encode_jpeg(image, 95)).astype(int) - image
    assert abs(difference).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (47, 33), (641, 361), (640, 360)])
def test_any_size_is_kept_and_looks_the_same(size: tuple[int, int]) -> None:
    image = waves(*size)
    jpeg = encode_jpeg(image)
    assert jpeg.startswith(b"\xff\xd8\xff") and jpeg.endswith(b"\xff\xd9")
    back = decoded(jpeg)
    assert back.shape == image.shape
    assert abs(back.astype(int) - image).mean() < 6


def test_better_quality_is_larger_and_closer() -> None:
    chance = np.random.default_rng(1)
    image = np.clip(waves(320, 240) + chance.normal(0, 8, (240, 320, 1)), 0, 255).astype(np.uint8)
    jpegs = [encode_jpeg(image, quality) for quality in (10, 50, 85, 95)]
    errors = [abs(decoded(jpeg).astype(int) - image).mean() for jpeg in jpegs]
    assert [len(jpeg) for jpeg in jpegs] == sorted(len(jpeg) for jpeg in jpegs)
    assert errors == sorted(errors, reverse=True)
    assert len(jpegs[0]) * 4 < len(jpegs[3])


def test_scaling_down_is_area_averaging() -> None:
    chance = np.random.default_rng(1)
    image: Pixels = chance.integers(0, 256, (360, 640, 3), dtype=np.uint8)
    exact = image.reshape(90, 4, 160, 4, 3).mean(axis=(1, 3))
    assert abs(scale_to(image, 160, 90) - exact).max() < 1.5


def test_shrinking_never_enlarges() -> None:
    image = waves(300, 200)
    assert shrink(image, 400) is image
    assert shrink(image, 150).shape == (100, 150, 3)
    assert shrink(waves(1000, 3), 100).shape == (2, 100, 3)
