"""The people of scripted scenes: faces of photos whose truth is known, softly cut out, on a painted body.

A body wears clothes of one colour, those of the photo where it shows them, so that motion, and what is worn below the
face, look like those of a person. Photos: the split `val` of the data set that models/ is trained on, where it is at
hand (MB9K_DATA names the folder), else the golden pictures.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, State
from appliance.vision.golden import load_golden
from appliance.vision.pixels import Pixels
from models.data.dataset import IGNORE, label_fixes, read_labels

Float32Array = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]
UInt16Array = NDArray[np.uint16]

MIN_FACE_PX = 80  # shorter side; a smaller face has nothing to show when it comes close
CUT_FACE_PX = (110, 420)  # people are painted at these sizes, and scaled down; painting them large takes longer
ABOVE, BELOW, BESIDE = 0.95, 7.4, 1.6  # how far a person reaches beyond the face, in its heights and widths
CHEST = (1.4, 1.8)  # where the photo shows clothes, in face heights below the top of the face
EDGE = 0.1  # how wide the soft edge is, in faces
KEPT_SPRITES = 12  # of one person: whoever comes closer needs another size every few frames, and large ones are large


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody to put into a scene. name: of the photo and the clothes; there is one of each.

    photo: uint8 height x width x 3, RGB. face_px: left, top, right, bottom of the face in it.
    clothes: RGB, 0 to 255; None: those of the photo, or some.
    """

    name: str
    state: State
    photo: Pixels
    face_px: tuple[float, float, float, float]
    clothes: tuple[int, int, int] | None = None

    @property
    def side_px(self) -> float:
        """The shorter side of the face in the photo."""
        left, top, right, bottom = self.face_px
        return min(right - left, bottom - top)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A picture to lay over others, as planes of YUV 4:2:0 (BT.601, 16 to 235).

    luma, blue, red: multiplied by alpha already. rest: 256 x (1 - alpha), at the size of luma; half_rest: of chroma.
    middle: of the face, px from the upper left corner; face: its width and height, px.
    """

    luma: UInt8Array
    blue: UInt8Array
    red: UInt8Array
    rest: UInt16Array
    half_rest: UInt16Array
    middle: tuple[float, float]
    face: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), even."""
        return self.luma.shape[1], self.luma.shape[0]


@dataclass(frozen=True, eq=False)
class Cutout:
    """A picture with its transparency, from which sprites of any size are made.

    rgba: float32 height x width x 4, 0 to 255, colours multiplied by alpha. middle, face: as of a sprite.
    """

    rgba: Float32Array
    middle: tuple[float, float]
    face: tuple[float, float]
    sprites: dict[int, Sprite] = field(default_factory=dict)

    def sprite(self, side_px: float, blur: float = 0.0) -> Sprite:
        """It at a size: side_px is the shorter side of the face, blur the sigma in such sides; within 1 %."""
        step = round(np.log(max(side_px, 1.0)) / np.log(1.02))
        key = step * 1000 + round(blur * 100)
        if key not in self.sprites:
            scale = float(1.02**step) / min(self.face)
            if len(self.sprites) >= KEPT_SPRITES:
                del self.sprites[next(iter(self.sprites))]
            self.sprites[key] = _sprite(self, scale, blur)
        return self.sprites[key]


def photo_folder() -> Path:
    """Where the photos are, if they are at hand."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    return Path(os.environ.get("MB9K_DATA", beside)) / "mask"


def photo_people(min_face_px: float = MIN_FACE_PX) -> list[Person]:
    """Everybody who is alone on a photo of `val` with a face large enough; none where the photos are not at hand."""
    folder = photo_folder()
    table = folder / "annotations_harmonised" / "val.json"
    if not table.is_file():
        return []
    people = []
    for labels in read_labels(table, label_fixes()):
        if len(labels.bboxes) != 1 or labels.states[0] == IGNORE:
            continue
        left, top, right, bottom = labels.bboxes[0].tolist()
        if min(right - left, bottom - top) < min_face_px:
            continue
        photo = cv2.imread(str(folder / "images" / "val" / labels.file), cv2.IMREAD_COLOR)
        if photo is not None:
            state = CLASSES[int(labels.states[0])]
            people.append(Person(labels.file, state, _rgb(photo), (left, top, right, bottom)))
    return people


def golden_people() -> list[Person]:
    """The golden pictures, each in clothes of several colours."""
    colours = ((178, 44, 44), (40, 90, 170), (52, 130, 70), (205, 170, 60), (120, 60, 140), (60, 62, 70))
    people = []
    for number, clothes in enumerate(colours):
        for picture, image in load_golden():
            for face in picture.faces:
                name = f"{picture.file}-{number}"
                people.append(Person(name, face.state, image, face.bbox_px, clothes))
    return people


def _rgb(bgr: NDArray[np.generic]) -> Pixels:
    return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


def cut_person(person: Person, side_px: float) -> Cutout:
    """Head, shoulders and a body, on nothing, for sprites whose face is so large."""
    return _cut_person(person, next((cut for cut in CUT_FACE_PX if side_px <= cut), CUT_FACE_PX[-1]))


@lru_cache(maxsize=128)
def _cut_person(person: Person, max_face_px: int) -> Cutout:
    scale = min(1.0, max_face_px / person.side_px)
    left, top, right, bottom = (value * scale for value in person.face_px)
    wide, high = right - left, bottom - top
    size = (round((1 + 2 * BESIDE) * wide), round((ABOVE + BELOW) * high))
    moved = np.array([[scale, 0, BESIDE * wide - left], [0, scale, ABOVE * high - top]], np.float32)
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    photo = cv2.warpAffine(person.photo, moved, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = np.ones(person.photo.shape[:2], np.float32)
    there = cv2.warpAffine(inside, moved, size, borderValue=0)
    # Every px in faces: x from the middle of the face, y down from its top.
    x = (np.arange(size[0], dtype=np.float32)[None, :] - (BESIDE + 0.5) * wide) / wide
    y = (np.arange(size[1], dtype=np.float32)[:, None] - ABOVE * high) / high
    shoulders = _soft(1 - np.hypot(x / 1.5, (y - 2.35) / 1.15))
    head = _soft(1 - np.hypot(x / 0.84, (y - 0.42) / 0.92))
    trunk = np.clip((1.5 - np.abs(x)) / EDGE, 0, 1) * np.clip((y - 2.3) / EDGE, 0, 1) * np.clip((7.3 - y) / EDGE, 0, 1)
    neck = _soft(1 - np.hypot(x / 0.42, (y - 1.05) / 0.6))
    body = np.maximum(np.maximum(shoulders, trunk), neck)
    shown = np.maximum(head, shoulders) * np.clip((CHEST[1] + 0.1 - y) / 0.3, 0, 1) * _faded(there, wide)
    colour = _clothes(person, photo, there, x, y)
    picture = photo.astype(np.float32)
    if person.clothes is not None:
        picture = _dyed(picture, colour, np.clip((y - 1.2) / 0.2, 0, 1))
    painted = _painted(person, colour, x, y)
    alpha = shown + (1 - shown) * body
    rgb = picture * shown[..., None] + painted * ((1 - shown) * body)[..., None]
    rgba = np.dstack([rgb, alpha * 255]).astype(np.float32)
    return Cutout(rgba, ((BESIDE + 0.5) * wide, (ABOVE + 0.5) * high), (wide, high))


@lru_cache(maxsize=32)
def cut_picture(person: Person, frame_rgb: tuple[int, int, int] = (40, 38, 36)) -> Cutout:
    """The photo as it hangs on a wall: a rectangle around the face, in a narrow frame."""
    left, top, right, bottom = person.face_px
    wide, high = right - left, bottom - top
    height, width = person.photo.shape[:2]
    x0, x1 = round(max(0, left - wide)), round(min(width, right + wide))
    y0, y1 = round(max(0, top - 0.8 * high)), round(min(height, bottom + high))
    rim = max(2, round(0.12 * wide))
    photo = cv2.copyMakeBorder(person.photo[y0:y1, x0:x1], rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=frame_rgb)
    rgba = np.dstack([photo, np.full(photo.shape[:2], 255)]).astype(np.float32)
    middle = ((left + right) / 2 - x0 + rim, (top + bottom) / 2 - y0 + rim)
    return Cutout(rgba, middle, (wide, high))


@lru_cache(maxsize=16)
def painted_block(width: int, height: int, rgb: tuple[int, int, int], seed: int) -> Sprite:
    """A rectangle with a texture: a pillar, a dark screen. width, height: px, even."""
    texture = _texture(height, width, max(8, width // 6), np.random.default_rng(seed)) * 10
    light = 6 * np.cos(np.linspace(-1.4, 1.4, width, dtype=np.float32))[None, :]
    colours = np.array(rgb, np.float32) + (texture + light)[..., None]
    rgba = np.dstack([np.clip(colours, 0, 255), np.full((height, width), 255)]).astype(np.float32)
    return _sprite(Cutout(rgba, (width / 2, height / 2), (width, height)), 1.0, 0.0)


def sprite_of(rgba: Float32Array) -> Sprite:
    """A picture of its own size; rgba as of a cutout."""
    height, width = rgba.shape[:2]
    return _sprite(Cutout(rgba, (width / 2, height / 2), (width, height)), 1.0, 0.0)


def _soft(inside: Float32Array) -> Float32Array:
    """Of a distance from the edge, in shares of the radius: 0 outside, 1 inside, in between a soft edge."""
    soft: Float32Array = np.clip(inside / EDGE, 0, 1)
    return soft


def _faded(there: Float32Array, wide: float) -> Float32Array:
    """Where the photo is, with a soft edge towards where it ends."""
    padded = cv2.copyMakeBorder((there > 0.99).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    faded: Float32Array = np.clip(distance / (0.15 * wide), 0, 1).astype(np.float32)
    return faded


def _clothes(person: Person, photo: Pixels, there: Float32Array, x: Float32Array, y: Float32Array) -> Float32Array:
    """RGB: as asked for, else what the photo shows below the face, else some."""
    if person.clothes is not None:
        return np.array(person.clothes, np.float32)
    chest = (np.abs(x) < 0.5) & (y > CHEST[0]) & (y < CHEST[1]) & (there > 0.99)
    if chest.sum() > 0.4 * ((np.abs(x) < 0.5) & (y > CHEST[0]) & (y < CHEST[1])).sum():
        middle: Float32Array = np.median(photo[chest], axis=0).astype(np.float32)
        return middle
    chance = np.random.default_rng(zlib.crc32(person.name.encode()))
    return chance.uniform(30, 200, 3).astype(np.float32)


def _dyed(picture: Float32Array, colour: Float32Array, share: Float32Array) -> Float32Array:
    """The picture in another colour, as bright and as dark in its parts as before; share: 0 to 1, where."""
    light = picture.mean(axis=2) + 20
    where = share[:, 0] > 0.5
    mean = float(light[where].mean()) if where.any() else 128.0
    dyed = colour * np.clip(light / mean, 0.4, 1.6)[..., None]
    mixed: Float32Array = picture + share[..., None] * (np.clip(dyed, 0, 255) - picture)
    return mixed


def _painted(person: Person, colour: Float32Array, x: Float32Array, y: Float32Array) -> Float32Array:
    """The body: round by its shading, folds and a pattern in its clothes, darker below the belt."""
    chance = np.random.default_rng(zlib.crc32(person.name.encode()) + 1)
    height, width = y.shape[0], x.shape[1]
    folds = _texture(height, width, max(4, width // 9), chance) * 7
    stripes = 8 * np.sign(np.sin(2 * np.pi * y * chance.uniform(1, 3))) * float(chance.random() < 0.4)
    shade = np.clip(1.08 - 0.16 * x**2, 0.5, 1.1)
    trousers = np.clip((y - 4.3) / 0.05, 0, 1)
    base = colour * (1 - trousers[..., None]) + np.clip(colour * 0.4 + 18, 0, 255) * trousers[..., None]
    gap = 1 - 0.45 * np.clip(1 - np.abs(x) / 0.08, 0, 1) * np.clip((y - 4.8) / 0.3, 0, 1)
    body: Float32Array = np.clip(base * (shade * gap)[..., None] + (folds + stripes)[..., None], 0, 255)
    return body.astype(np.float32)


def _texture(height: int, width: int, grain_px: int, chance: np.random.Generator) -> Float32Array:
    """Smooth noise of mean 0 and spread 1; grain_px: how far apart its points are."""
    points = chance.normal(0, 1, (height // grain_px + 3, width // grain_px + 3)).astype(np.float32)
    texture: Float32Array = cv2.resize(points, (width, height), interpolation=cv2.INTER_CUBIC)
    return texture


def _sprite(cutout: Cutout, scale: float, blur: float) -> Sprite:
    height, width = cutout.rgba.shape[:2]
    wide, high = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rgba = cv2.resize(cutout.rgba, (wide, high), interpolation=method)
    factor = (wide / width, high / height)
    face = (cutout.face[0] * factor[0], cutout.face[1] * factor[1])
    if blur:
        rgba = cv2.GaussianBlur(rgba, (0, 0), blur * min(face), borderType=cv2.BORDER_CONSTANT)
    alpha = np.clip(rgba[..., 3] / 255, 0, 1)
    planes = yuv_of(np.clip(rgba[..., :3], 0, 255), alpha)
    half = cv2.resize(alpha, (wide // 2, high // 2), interpolation=cv2.INTER_AREA)
    middle = (cutout.middle[0] * factor[0], cutout.middle[1] * factor[1])
    return Sprite(*planes, _rest(alpha), _rest(half), middle, face)


def _rest(alpha: Float32Array) -> UInt16Array:
    return (256 - np.rint(alpha * 256)).astype(np.uint16)


def yuv_of(rgb: Float32Array, alpha: Float32Array) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """Planes Y, U, V (4:2:0, BT.601, 16 to 235) of RGB, 0 to 255, which alpha was multiplied into already."""
    size = (rgb.shape[1] // 2, rgb.shape[0] // 2)
    luma = rgb @ np.array([0.2568, 0.5041, 0.0979], np.float32) + 16 * alpha
    small = cv2.resize(np.dstack([rgb, alpha]), size, interpolation=cv2.INTER_AREA)
    blue = small @ np.array([-0.1482, -0.2910, 0.4392, 128], np.float32)
    red = small @ np.array([0.4392, -0.3678, -0.0714, 128], np.float32)
    whole: Sequence[UInt8Array] = [np.rint(np.clip(plane, 0, 240)).astype(np.uint8) for plane in (luma, blue, red)]
    return whole[0], whole[1], whole[2]
