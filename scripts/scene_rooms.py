"""The rooms of scripted scenes: what a camera sees where nobody is. Still, or with a flag, a tree and a fan in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.scene_people import Float32Array, Sprite, UInt8Array, sprite_of, yuv_of

VERSIONS = 8  # of the noise: drawing new noise for each frame would be most of the work
DRIFT, DRIFT_S = 5, 11.0  # how much brighter a restless room becomes, of 255, and how long that takes there and back
LOOP_FPS = 15  # how often what moves in a restless room changes


class Canvas:
    """A frame being drawn, as planes of YUV 4:2:0. whole: uint8 (height * 3/2) x width, as PyAV takes it."""

    def __init__(self, whole: UInt8Array) -> None:
        self.whole = whole
        self.width, self.height = whole.shape[1], whole.shape[0] * 2 // 3
        self.luma = whole[: self.height]
        chroma = whole[self.height :].reshape(2, self.height // 2, self.width // 2)
        self.blue, self.red = chroma[0], chroma[1]

    def draw(self, sprite: Sprite, left: int, top: int) -> None:
        """Lay a sprite over it; it may reach beyond."""
        _lay(self.luma, sprite.luma, sprite.rest, left, top)
        _lay(self.blue, sprite.blue, sprite.half_rest, left // 2, top // 2)
        _lay(self.red, sprite.red, sprite.half_rest, left // 2, top // 2)


def _lay(plane: UInt8Array, over: UInt8Array, rest: NDArray[np.uint16], left: int, top: int) -> None:
    height, width = plane.shape
    x0, x1, y0, y1 = max(0, left), min(width, left + over.shape[1]), max(0, top), min(height, top + over.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    seen = plane[y0:y1, x0:x1]
    below = seen * rest[part]  # uint8 x uint16: no overflow, 255 x 256
    below >>= 8
    np.add(below, over[part], out=seen, casting="unsafe")


@dataclass(frozen=True)
class Room:
    """width, height: px, even. noise: of the sensor, spread in 1/255."""

    width: int
    height: int
    restless: bool = False
    seed: int = 1
    noise: float = 2.0

    def canvas(self, number: int, now_s: float) -> Canvas:
        """The empty room in frame `number` at now_s; to be drawn upon."""
        # No two frames in a row have the same noise.
        version = (number * 3 + number // VERSIONS) % VERSIONS
        canvas = Canvas(_walls(self)[version].copy())
        if self.restless:
            for loop, left, top in _moving(self):
                canvas.draw(loop[int(now_s * LOOP_FPS) % len(loop)], left, top)
        return canvas

    def finish(self, canvas: Canvas, now_s: float) -> None:
        """What the light does to all of the frame."""
        if self.restless:
            level = DRIFT * (0.5 - 0.5 * np.cos(2 * np.pi * now_s / DRIFT_S))
            canvas.luma += np.uint8(round(level))  # nothing is brighter than 240


@lru_cache(maxsize=4)
def _walls(room: Room) -> list[UInt8Array]:
    """The empty room, in versions of noise."""
    chance = np.random.default_rng(room.seed)
    height, width = room.height, room.width
    x, y = np.linspace(0, 1, width, dtype=np.float32)[None, :], np.linspace(0, 1, height, dtype=np.float32)[:, None]
    tone = chance.uniform(95, 150, 3).astype(np.float32)
    slope = chance.uniform(-25, 45, 2)
    light = slope[0] * x + slope[1] * y
    grain = sum(_texture(height, width, parts, chance) * weight for parts, weight in ((6, 9), (40, 5), (240, 3)))
    picture = np.repeat((light + grain)[..., None], 3, axis=2) + tone
    floor = y[:, 0] > 0.82
    picture[floor] = picture[floor] * 0.72 + chance.uniform(0, 25, 3).astype(np.float32)
    for _ in range(5):  # doors, shelves, windows
        wide, high = chance.uniform(0.05, 0.16), chance.uniform(0.1, 0.45)
        left, top = chance.uniform(0, 1 - wide), chance.uniform(0.02, 0.8 - high)
        rows, columns = (
            slice(int(top * height), int((top + high) * height)),
            slice(int(left * width), int((left + wide) * width)),
        )
        picture[rows, columns] = picture[rows, columns] * 0.8 + chance.uniform(0, 60, 3).astype(np.float32)
    luma, blue, red = yuv_of(np.clip(picture, 12, 225), np.ones((height, width), np.float32))
    noisy = []
    for _ in range(VERSIONS):
        noise = chance.normal(0, room.noise, (height, width)).astype(np.float32)
        brightness = np.clip(luma + noise, 16, 235).astype(np.uint8)
        noisy.append(np.concatenate([brightness.ravel(), blue.ravel(), red.ravel()]).reshape(-1, width))
    return noisy


def _texture(height: int, width: int, parts: int, chance: np.random.Generator) -> Float32Array:
    """Smooth noise of spread 1, `parts` grains wide."""
    rows = max(2, round(parts * height / width))
    points = chance.normal(0, 1, (rows, parts)).astype(np.float32)
    texture: Float32Array = cv2.resize(points, (width, height), interpolation=cv2.INTER_CUBIC)
    return texture


@lru_cache(maxsize=4)
def _moving(room: Room) -> list[tuple[list[Sprite], int, int]]:
    """What moves all the time: the phases of each, and where it is (left, top)."""
    scale = room.height / 1080
    chance = np.random.default_rng(room.seed + 100)
    placed = []
    for make, x in ((_flag, 0.06), (_tree, 0.36), (_fan, 0.82)):
        loop = make(scale, chance)
        placed.append((loop, round(x * room.width), round(chance.uniform(0.03, 0.12) * room.height)))
    return placed


def _flag(scale: float, chance: np.random.Generator) -> list[Sprite]:
    """A flag of stripes that waves, 1.6 s."""
    wide, high, phases = round(300 * scale / 2) * 2, round(220 * scale / 2) * 2, 24
    colours = chance.uniform(40, 200, (3, 3)).astype(np.float32)
    rows = np.arange(high, dtype=np.float32)[:, None] / high
    columns = np.arange(wide, dtype=np.float32)[None, :] / wide
    loop = []
    for phase in range(phases):
        wave = np.sin(2 * np.pi * (1.5 * columns - phase / phases)) * columns
        place = (rows - 0.15 - 0.1 * wave) / 0.7
        stripes = colours[np.clip(place * 3, 0, 2).astype(int)]
        shade = 1 + 0.25 * np.cos(2 * np.pi * (1.5 * columns - phase / phases)) * columns
        edge = np.clip(np.minimum(place, 1 - place) * high * 0.5, 0, 1).astype(np.float32)
        loop.append(_phase(np.clip(stripes * np.broadcast_to(shade, place.shape)[..., None], 0, 225), edge))
    return loop


def _tree(scale: float, chance: np.random.Generator) -> list[Sprite]:
    """Leaves in the wind, 2.4 s."""
    side, phases = round(420 * scale / 2) * 2, 36
    leaves = chance.uniform(0, 1, (260, 6))
    loop = []
    for phase in range(phases):
        rgba = np.zeros((side, side, 4), np.float32)
        for x, y, size, green, when, far in leaves:
            swing = 0.03 * far * np.sin(2 * np.pi * (phase / phases + when)) + 0.02 * np.sin(2 * np.pi * phase / phases)
            middle = (
                round((0.5 + 0.4 * (x - 0.5) * 2 * np.sqrt(1 - (2 * y - 1) ** 2) + swing) * side),
                round((0.1 + 0.8 * y) * side),
            )
            axes = (max(1, round((0.03 + 0.03 * size) * side)), max(1, round(0.02 * side)))
            colour = (40 + 40 * size, 70 + 70 * green, 30 + 20 * size, 255.0)
            cv2.ellipse(rgba, middle, axes, 180 * when + 300 * swing, 0, 360, colour, -1, cv2.LINE_AA)
        loop.append(sprite_of(cv2.GaussianBlur(rgba, (3, 3), 0)))
    return loop


def _fan(scale: float, chance: np.random.Generator) -> list[Sprite]:
    """Four blades, a quarter turn in .8 s."""
    side, phases = round(240 * scale / 2) * 2, 12
    colour = (*chance.uniform(50, 90, 3), 255.0)
    loop = []
    for phase in range(phases):
        rgba = np.zeros((side, side, 4), np.float32)
        for blade in range(4):
            angle = 90 * (blade + phase / phases)
            cv2.ellipse(
                rgba, (side // 2, side // 2), (side // 2 - 2, side // 2 - 2), angle, 0, 42, colour, -1, cv2.LINE_AA
            )
        loop.append(sprite_of(cv2.GaussianBlur(rgba, (3, 3), 0)))
    return loop


def _phase(rgb: Float32Array, alpha: Float32Array) -> Sprite:
    return sprite_of(np.dstack([rgb * alpha[..., None], alpha * 255]).astype(np.float32))
