"""Training samples: cut, scaled, tilted, and augmented with what cameras do to pictures.

albumentations would do for light and noise, but not for windows around faces with regions nobody labelled.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.data import transplant
from models.data.dataset import IGNORE, STATES, Bboxes, Int64Array, Photo, Pixels
from models.data.landmarks import Points
from models.data.synthesis import draw_mask
from models.data.transplant import Donor

GREY = 114
BARE, INCORRECT = STATES.index("no_mask"), STATES.index("incorrect")
MIN_FACE_PX = 5.0  # smaller faces are neither faces nor background
WHOLE = 0.5  # of the inputs of 416 px and less: fraction scaled about as the presets scale a whole picture
CLOSE = 0.3  # of the faces brought to a size: fraction that fills much of the frame
MAX_SCALE = 10.0
MAX_STRETCH = 0.12  # of width against height, natural logarithm
MAX_TILT_DEG = 15.0
LONGEST_PX = (400.0, 900.0)  # longest side of a whole picture, drawn evenly in log
LONGEST = (0.7, 2.7)  # the same in sides of the input: its limits
UPSCALED = 0.5  # fraction of inputs that hold no more than a smaller picture upscaled, as streams do
UPSCALED_BY = (1.2, 1.9)


@dataclass(frozen=True, slots=True)
class Chances:
    """That a bare face gets a drawn mask, and that a masked face gets a nose above its mask."""

    drawn: float
    transplanted: float


@dataclass(slots=True)
class Sample:
    """A training input. pixels: uint8 S x S x 3, RGB; bboxes: n x 4 corners, px; states: n."""

    pixels: Pixels
    bboxes: Bboxes
    states: Int64Array


def with_made_masks(
    photo: Photo, points: dict[int, Points], pool: list[Donor], chances: Chances, random: np.random.Generator
) -> Photo:
    """The photo, with masks drawn on some of its bare faces, and noses above some of its masks."""
    sides = (photo.bboxes[:, 2:] - photo.bboxes[:, :2]).min(1, initial=np.inf)

    def chance(number: int) -> float:
        if photo.states[number] == BARE:
            return chances.drawn
        return chances.transplanted if pool and sides[number] >= transplant.MIN_FACE_PX else 0.0

    chosen = [number for number in points if random.random() < chance(number)]
    if not chosen:
        return photo
    made = Photo(photo.name, photo.pixels.copy(), photo.bboxes, photo.states.copy())
    for number in chosen:
        left, top, right, bottom = photo.bboxes[number]
        margin = 0.4 * max(right - left, bottom - top)
        x0, y0 = int(max(0, left - margin)), int(max(0, top - margin))
        around = made.pixels[y0 : int(bottom + margin), x0 : int(right + margin)]
        spots = points[number] - np.array([x0, y0], np.float32)
        if photo.states[number] == BARE:
            state = draw_mask(around, spots, random)
        else:
            state = transplant.show_nose(around, spots, pool, random)
        if state is not None:
            made.states[number] = state
    return made


def cut(photo: Photo, size: int, random: np.random.Generator, incorrect_times: float = 1.0) -> Sample:
    """A size x size window of the photo around one of its faces, a wrongly worn mask taken `incorrect_times` as often.

    Scaled about as the whole picture would be, or so that the face gets a size drawn evenly (in log) up to the full
    frame: the latter more often the larger the input, since only there a face can be large.
    """
    height, width = photo.pixels.shape[:2]
    faces = np.flatnonzero(photo.states != IGNORE)
    chances = np.where(photo.states[faces] == INCORRECT, incorrect_times, 1.0)
    focus = int(random.choice(faces, p=chances / chances.sum())) if len(faces) else None
    if focus is None or random.random() < WHOLE * min(1.0, (416 / size) ** 2):
        longest = float(np.exp(random.uniform(*np.log(LONGEST_PX))))
        scale = float(np.clip(longest, LONGEST[0] * size, LONGEST[1] * size)) / max(height, width)
        if focus is not None:
            scale = min(scale, 0.95 * size / float((photo.bboxes[focus, 2:] - photo.bboxes[focus, :2]).max()))
    else:
        left, top, right, bottom = photo.bboxes[focus]
        side = float(np.sqrt((right - left) * (bottom - top)))
        smallest = 0.35 * size if random.random() < CLOSE else 10.0
        new_side = float(np.exp(random.uniform(np.log(smallest), np.log(0.95 * size))))
        scale = float(np.clip(new_side / max(side, 4.0), 0.4 * size / max(height, width), MAX_SCALE))
    return _window(photo, scale, size, focus, random)


def _window(photo: Photo, scale: float, size: int, focus: int | None, random: np.random.Generator) -> Sample:
    height, width = photo.pixels.shape[:2]
    stretch = float(np.exp(random.uniform(-MAX_STRETCH, MAX_STRETCH)))
    scales = np.array([scale * stretch, scale / stretch])
    corner = np.empty(2)
    for axis, length in enumerate(scales * (width, height)):
        low, top = min(0.0, length - size), max(0.0, length - size)
        if focus is not None:  # keep the chosen face in the window, its centre anywhere
            near, far = photo.bboxes[focus, axis] * scales[axis], photo.bboxes[focus, axis + 2] * scales[axis]
            low, top = max(low, min(far - size, near)), min(top, max(far - size, near))
            low, top = min(low, top), max(low, top)
        corner[axis] = random.uniform(low, top)
    fill = GREY if random.random() < 0.7 else int(random.integers(0, 256))
    canvas = np.full((size, size, 3), fill, np.uint8)
    # source rectangle in whole pixels, then its place on the canvas
    x0, y0 = (int(v) for v in np.maximum(0, np.floor(corner / scales)))
    x1, y1 = (int(v) for v in np.minimum((width, height), np.ceil((corner + size) / scales)))
    left, top_ = (round(v) for v in (x0, y0) * scales - corner)
    target = (max(1, round((x1 - x0) * scales[0])), max(1, round((y1 - y0) * scales[1])))
    way = cv2.INTER_AREA if scale < 0.8 else cv2.INTER_LINEAR
    part = cv2.resize(photo.pixels[y0:y1, x0:x1], target, interpolation=way)
    dx, dy = max(0, left), max(0, top_)
    part = part[dy - top_ : dy - top_ + size - dy, dx - left : dx - left + size - dx]
    canvas[dy : dy + part.shape[0], dx : dx + part.shape[1]] = part
    bboxes = (photo.bboxes * np.tile(scales, 2)).astype(np.float32)
    bboxes[:, 0::2] += left - x0 * scales[0]
    bboxes[:, 1::2] += top_ - y0 * scales[1]
    return clip_faces(canvas, bboxes, photo.states)


def clip_faces(pixels: Pixels, bboxes: Bboxes, states: Int64Array) -> Sample:
    """Faces cut off by the edge: more than half left is a face, a bit is ignored."""
    height, width = pixels.shape[:2]
    clipped = bboxes.copy()
    clipped[:, 0::2] = clipped[:, 0::2].clip(0, width)
    clipped[:, 1::2] = clipped[:, 1::2].clip(0, height)
    area = np.prod(bboxes[:, 2:] - bboxes[:, :2], axis=1)
    visible = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1) / np.maximum(area, 1e-6)
    small = (clipped[:, 2:] - clipped[:, :2]).min(1, initial=1e9) < MIN_FACE_PX
    states = np.where((visible < 0.5) | small, IGNORE, states)
    inside = visible > 0.05
    return Sample(pixels, clipped[inside], states[inside])


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    bboxes = sample.bboxes.copy()
    bboxes[:, [0, 2]] = sample.pixels.shape[1] - bboxes[:, [2, 0]]
    return Sample(np.ascontiguousarray(sample.pixels[:, ::-1]), bboxes, sample.states)


def tilt(sample: Sample, random: np.random.Generator) -> Sample:
    """Turned around its middle. A face is taken for an ellipse: its bbox grows less than the turned bbox would."""
    angle_deg = random.uniform(-MAX_TILT_DEG, MAX_TILT_DEG)
    size = sample.pixels.shape[0]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), angle_deg, 1.0)
    pixels = cv2.warpAffine(sample.pixels, matrix, (size, size), borderValue=(GREY, GREY, GREY))
    half = (sample.bboxes[:, 2:] - sample.bboxes[:, :2]) / 2
    middle = (sample.bboxes[:, :2] + half) @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    return clip_faces(pixels, np.concatenate([middle - half, middle + half], 1).astype(np.float32), sample.states)


def mosaic(parts: list[Sample]) -> Sample:
    """Four samples of one size, two by two."""
    size = parts[0].pixels.shape[0]
    rows = [np.concatenate([parts[i].pixels, parts[i + 1].pixels], 1) for i in (0, 2)]
    shifts = [(0, 0), (size, 0), (0, size), (size, size)]
    bboxes = [part.bboxes + np.array(shift * 2, np.float32) for part, shift in zip(parts, shifts, strict=True)]
    states = np.concatenate([part.states for part in parts])
    return Sample(np.concatenate(rows, 0), np.concatenate(bboxes), states)


def augment(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Light, colour, blur, noise and compression as cheap cameras and bad light make them; detail lost."""
    if random.random() < UPSCALED:
        pixels = _upscaled(pixels, random)
    table = np.arange(256, dtype=np.float32) / 255
    if random.random() < 0.8:
        gamma = float(np.exp(random.normal(0, 0.3)))
        if random.random() < 0.15:
            gamma = random.uniform(1.8, 3.5)  # night
        gain = random.uniform(0.7, 1.25)
        tables = np.stack([table**gamma * gain * tint for tint in random.normal(1, 0.06, 3)], -1)
        lut = np.clip(tables * 255, 0, 255).astype(np.uint8)
        pixels = cv2.LUT(pixels, lut[None])
    if random.random() < 0.3:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        saturation = np.clip(np.arange(256) * random.uniform(0.0, 1.5), 0, 255).astype(np.uint8)
        hsv[:, :, 1] = saturation[hsv[:, :, 1]]
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if random.random() < 0.12:
        pixels = _uneven_light(pixels, random)
    if random.random() < 0.2:
        pixels = _blur(pixels, random)
    if random.random() < 0.2:
        noise = np.empty(pixels.shape, np.int16)
        cv2.randn(noise, 0, random.uniform(3, 16))
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(12, 60))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
    return pixels


def _upscaled(pixels: Pixels, random: np.random.Generator) -> Pixels:
    size = pixels.shape[0]
    smaller = round(size / random.uniform(*UPSCALED_BY))
    small = cv2.resize(pixels, (smaller, smaller), interpolation=cv2.INTER_AREA)
    large: Pixels = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    return large


def _uneven_light(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Dark in the middle and bright around (backlight), or a ramp from side to side."""
    size = pixels.shape[0]
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    if random.random() < 0.6:
        cx, cy = random.uniform(0.2, 0.8, 2)
        reach = random.uniform(0.25, 0.6)
        field = 1 - np.exp(-((columns - cx) ** 2 + (rows - cy) ** 2) / (2 * reach**2))
        gain = random.uniform(0.15, 0.5) + field * random.uniform(0.8, 1.6)
    else:
        angle = random.uniform(0, 2 * np.pi)
        ramp = (columns - 0.5) * np.cos(angle) + (rows - 0.5) * np.sin(angle)
        gain = 1 + ramp * random.uniform(0.6, 1.5)
    lit: Pixels = np.clip(pixels * gain[:, :, None], 0, 255).astype(np.uint8)
    return lit


def _blur(pixels: Pixels, random: np.random.Generator) -> Pixels:
    if random.random() < 0.5:
        soft: Pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.5, 1.6))
        return soft
    length = int(random.integers(3, 9))
    kernel = np.zeros((length, length), np.float32)
    angle = random.uniform(0, np.pi)
    middle = (length - 1) / 2
    step = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = [tuple(round(middle + sign * v) for v in step) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    moved: Pixels = cv2.filter2D(pixels, -1, kernel / kernel.sum())
    return moved
