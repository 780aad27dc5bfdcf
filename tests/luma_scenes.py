"""Drawn luma with known truth: rooms with texture and edges, people of any size and contrast, sensor noise, and what
breaks motion detectors. All is drawn in px of the frame and sampled as the box does it."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from appliance.vision.looking.motion import Motion, Moving

WIDTH, HEIGHT, STEP = 1920, 1080, 8
Picture = NDArray[np.float32]
Luma = NDArray[np.uint8]
Look = tuple[float, Moving]


@dataclass
class Canvas:
    """Every `step`-th px both ways of a frame that is never drawn as a whole."""

    samples: Picture
    step: int

    def paste(self, patch: Picture, left: float, top: float) -> None:
        """Puts the patch there, px of the frame."""
        x, y, step = round(left), round(top), self.step
        row, column = max(0, -(-y // step)), max(0, -(-x // step))
        sampled = patch[max(0, row * step - y) :: step, max(0, column * step - x) :: step]
        target = self.samples[row : row + sampled.shape[0], column : column + sampled.shape[1]]
        target[:] = sampled[: target.shape[0], : target.shape[1]]


Draw = Callable[[Canvas, float], None]
"""Draws what is there at a time, s."""


def texture(height: int, width: int, seed: int, contrast: float) -> Picture:
    """Blotches of all sizes, as walls, clothes and leaves have; mean 0, standard deviation `contrast`."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    for size in (4, 8, 16, 32, 64, 128):
        grid = random.normal(0, math.sqrt(size), (-(-height // size), -(-width // size))).astype(np.float32)
        total += grid.repeat(size, 0)[:height].repeat(size, 1)[:, :width]
    return np.asarray(total * np.float32(contrast / max(1e-6, float(total.std()))))


def room(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A wall with furniture: light from one side, rectangles with edges, texture."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = 110 + random.uniform(-30, 30) * rows / height + random.uniform(-30, 30) * columns / width
    for _ in range(25):
        top, left = int(random.integers(0, height)), int(random.integers(0, width))
        bottom = top + int(random.integers(height // 20, height // 3))
        right = left + int(random.integers(width // 30, width // 4))
        picture[top:bottom, left:right] = random.uniform(40, 200)
    return np.asarray(np.clip(picture + texture(height, width, seed, 8), 16, 235), np.float32)


@dataclass
class Person:
    """Somebody in textured clothes. The default size is that of somebody whose face has 28 px.

    at_px: (left, top) at `from_s`. speed_px: (right, down) px a second until `stops_s`, and again after `goes_on_s`.
    contrast: levels darker than what is behind. level: or so bright.
    """

    at_px: tuple[float, float] = (-80, 500)
    speed_px: tuple[float, float] = (190, 0)
    size_px: tuple[int, int] = (70, 200)
    contrast: float = 40
    level: float | None = None
    from_s: float = 0
    until_s: float = math.inf
    stops_s: float = math.inf
    goes_on_s: float = math.inf
    seed: int = 7

    def __post_init__(self) -> None:
        self._clothes = texture(self.size_px[1], self.size_px[0], self.seed, 6)

    def bbox_px(self, now_s: float) -> tuple[float, float, float, float] | None:
        if not self.from_s <= now_s < self.until_s:
            return None
        walked_s = min(now_s, self.stops_s) - self.from_s + max(0.0, now_s - self.goes_on_s)
        left, top = (at + speed * walked_s for at, speed in zip(self.at_px, self.speed_px, strict=True))
        return left, top, left + self.size_px[0], top + self.size_px[1]

    def draw(self, canvas: Canvas, now_s: float) -> None:
        bbox = self.bbox_px(now_s)
        if bbox is None:
            return
        left, top, right, bottom = (max(0, int(px / canvas.step)) for px in bbox)
        behind = canvas.samples[top:bottom, left:right]
        if behind.size:
            level = float(behind.mean()) - self.contrast if self.level is None else self.level
            canvas.paste(self._clothes + np.float32(level), bbox[0], bbox[1])


@dataclass
class Film:
    """What a camera sees. light: (gain, offset) at a time. shake_px: (right, down). noise: of the sensor, levels."""

    picture: Picture
    draw: Sequence[Draw] = ()
    light: Callable[[float], tuple[float, float]] = lambda _: (1, 0)
    shake_px: Callable[[float], tuple[int, int]] = lambda _: (0, 0)
    noise: Callable[[float], float] = lambda _: 2
    step: int = STEP

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(3)
        self._wide = np.pad(self.picture, 64, mode="edge")

    def luma(self, now_s: float) -> Luma:
        right, down = self.shake_px(now_s)
        height, width = self.picture.shape
        view = self._wide[64 - down : 64 - down + height : self.step, 64 - right : 64 - right + width : self.step]
        canvas = Canvas(view.copy(), self.step)
        for draw in self.draw:
            draw(canvas, now_s)
        gain, offset = self.light(now_s)
        noise = self._random.normal(0, self.noise(now_s), canvas.samples.shape)
        return np.asarray(np.clip(np.round(canvas.samples * gain + offset + noise), 0, 255), np.uint8)


def looks(film: Film, until_s: float, every_s: float = 0.1, motion: Motion | None = None) -> list[Look]:
    motion = motion or Motion()
    times = [look * every_s for look in range(round(until_s / every_s))]
    return [(now_s, motion.look(film.luma(now_s), film.step, now_s)) for now_s in times]


def between(all_looks: Iterable[Look], from_s: float, until_s: float) -> list[Look]:
    return [look for look in all_looks if from_s <= look[0] < until_s]


def fresh(moving: Moving) -> NDArray[np.bool_]:
    return np.asarray(moving.cells & ~moving.restless)


def seen(all_looks: Iterable[Look], person: Person) -> float:
    """The share of the looks with the person wholly in the frame in which fresh motion touches him."""
    hits = []
    for now_s, moving in all_looks:
        bbox = person.bbox_px(now_s)
        if bbox is None:
            continue
        left, top, right, bottom = (math.floor(px / moving.cell_px) for px in bbox)
        if left >= 0 and top >= 0 and right < moving.cells.shape[1] and bottom < moving.cells.shape[0]:
            hits.append(bool(fresh(moving)[top : bottom + 1, left : right + 1].any()))
    return sum(hits) / len(hits)


def false_cells(all_looks: Iterable[Look], *people: Person) -> list[int]:
    """At each look, the fresh cells that are further than two cells from everybody."""
    counts = []
    for now_s, moving in all_looks:
        cells = fresh(moving).copy()
        for person in people:
            if bbox := person.bbox_px(now_s):
                left, top, right, bottom = (math.floor(px / moving.cell_px) for px in bbox)
                cells[max(0, top - 2) : max(0, bottom + 3), max(0, left - 2) : max(0, right + 3)] = False
        counts.append(int(cells.sum()))
    return counts


def flag(canvas: Canvas, now_s: float) -> None:
    """Stripes that wave, 240 by 160 px."""
    rows, columns = np.mgrid[0:160, 0:240]
    waves = rows + 12 * np.sin(columns / 30 - now_s * 6) + 6 * math.sin(now_s * 1.3)
    canvas.paste((120 + 60 * np.sign(np.sin(waves / 12))).astype(np.float32), 1200, 200)


def fan(canvas: Canvas, now_s: float) -> None:
    """Three blades, 300 px across, more than four turns in three seconds."""
    rows, columns = np.mgrid[0:300, 0:300] - 150
    blades = np.sin(3 * (np.arctan2(rows, columns) + now_s * 9)) > 0
    canvas.paste(np.where(np.hypot(rows, columns) < 150, 100 + 60 * blades, 130).astype(np.float32), 1000, 300)


LEAVES = texture(500, 700, 5, 25) + 100


def tree(canvas: Canvas, now_s: float) -> None:
    """Leaves that sway by up to 24 px in gusts, 600 by 460 px."""
    gust = 0.5 + 0.5 * math.sin(now_s * 0.35)
    right = round(gust * 18 * math.sin(now_s * 2.1) + 6 * math.sin(now_s * 5.3))
    canvas.paste(LEAVES[20:480, 40 + right : 640 + right], 1100, 100)


def rain(canvas: Canvas, now_s: float) -> None:
    """A hundred streaks, everywhere, each time elsewhere."""
    random = np.random.default_rng(round(now_s * 1000))
    height, width = canvas.samples.shape
    for _ in range(100):
        row, column, length = random.integers(0, height), random.integers(0, width), random.integers(2, 8)
        canvas.samples[row : row + length, column] += random.uniform(15, 50)


def through_h264(
    frames: Iterable[Luma], fps: int, bits_per_s: int, key_frame_every: int
) -> Iterator[tuple[Luma, bool]]:
    """Whole luma pictures as a camera of few bits sends them, and whether each is a key frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.pix_fmt, stream.bit_rate, stream.gop_size = "yuv420p", bits_per_s, key_frame_every
        rate = {"maxrate": str(bits_per_s), "bufsize": str(bits_per_s)}
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0", **rate}
        for luma in frames:
            stream.height, stream.width = luma.shape
            container.mux(stream.encode(av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as sent:
        for frame in sent.decode(video=0):
            plane = frame.planes[0]
            rows = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)
            yield rows[:, : plane.width].copy(), bool(frame.key_frame)
