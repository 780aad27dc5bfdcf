"""Draws the golden pictures of the self-test, and the people of the demo clip, from two portraits in the public domain.

    python -m models.release.make_golden ASTRONAUT_PNG GRACE_HOPPER_JPG

The portraits come with scikit-image (skimage/data/astronaut.png: Eileen Collins, NASA) and matplotlib
(mpl-data/sample_data/grace_hopper.jpg: Grace Hopper, US Navy); works of the United States government are in the public
domain. The masks are drawn. Needs Pillow (extra `train`); the appliance only needs what this leaves in models/golden/.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

FOLDER = Path(__file__).parents[1] / "golden"
SCALE = 4  # drawn larger and scaled down: smooth edges

Point = tuple[float, float]


@dataclass(frozen=True)
class Portrait:
    """A portrait and where its face is: left, top, right, bottom in pixels, from forehead to chin."""

    name: str
    face: tuple[float, float, float, float]

    def at(self, x: float, y: float) -> Point:
        """A point in face coordinates (0 to 1 from left to right and forehead to chin) as pixels."""
        left, top, right, bottom = self.face
        return left + x * (right - left), top + y * (bottom - top)


COLLINS = Portrait("collins", (177, 62, 276, 178))
HOPPER = Portrait("hopper", (173, 110, 360, 330))

# Outlines of a mask in face coordinates: the upper edge from ear to ear, then the lower edge back.
WORN = ((0.03, 0.5), (0.3, 0.46), (0.5, 0.4), (0.7, 0.46), (0.97, 0.5), (0.93, 0.8), (0.72, 1.0), (0.5, 1.04),
        (0.28, 1.0), (0.07, 0.8))  # fmt: skip
NOSE_OUT = ((0.05, 0.66), (0.3, 0.66), (0.5, 0.67), (0.7, 0.66), (0.95, 0.66), (0.92, 0.88), (0.72, 1.06), (0.5, 1.1),
            (0.28, 1.06), (0.08, 0.88))  # fmt: skip
ON_CHIN = ((0.08, 0.84), (0.3, 0.86), (0.5, 0.87), (0.7, 0.86), (0.92, 0.84), (0.86, 1.02), (0.7, 1.14), (0.5, 1.18),
           (0.3, 1.14), (0.14, 1.02))  # fmt: skip


def with_mask(
    image: Image.Image, who: Portrait, outline: tuple[Point, ...], colour: tuple[int, int, int]
) -> Image.Image:
    """The portrait with a pleated mask of this outline: shaded to the sides, with loops to the ears."""
    size = (image.width * SCALE, image.height * SCALE)
    points = [(x * SCALE, y * SCALE) for x, y in (who.at(*point) for point in outline)]
    shape = Image.new("L", size, 0)
    ImageDraw.Draw(shape).polygon(points, fill=255)
    shape = shape.filter(ImageFilter.GaussianBlur(3 * SCALE)).point(lambda value: 255 if value > 110 else 0)

    cloth = Image.new("RGB", size, colour)
    pen = ImageDraw.Draw(cloth)
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    for height in (0.3, 0.5, 0.7):  # pleats sag in the middle
        y, sag = top + height * (bottom - top), 0.05 * (bottom - top)
        line = [(left, y), (left + (right - left) * 0.3, y + sag), (left + (right - left) * 0.7, y + sag), (right, y)]
        pen.line(line, fill=tuple(int(part * 0.78) for part in colour), width=2 * SCALE)
        pen.line(
            [(x, y + 2 * SCALE) for x, y in line], fill=tuple(min(255, int(p * 1.08)) for p in colour), width=SCALE
        )
    shade = Image.new("L", size, 0)
    ImageDraw.Draw(shade).ellipse(
        (left + (right - left) * 0.12, top - 0.1 * (bottom - top), right - (right - left) * 0.12, bottom), fill=255
    )
    shade = shade.filter(ImageFilter.GaussianBlur(12 * SCALE))
    cloth = Image.composite(cloth, ImageChops.multiply(cloth, Image.new("RGB", size, (165, 165, 172))), shade)
    cloth = cloth.filter(ImageFilter.GaussianBlur(SCALE * 0.8))

    big = image.resize(size, Image.Resampling.BICUBIC)
    loops = ImageDraw.Draw(big)
    for edge, ear in (
        (outline[0], (0.0, 0.36)),
        (outline[4], (1.0, 0.36)),
        (outline[9], (0.0, 0.6)),
        (outline[5], (1.0, 0.6)),
    ):
        start, end = who.at(*edge), who.at(*ear)
        loops.line(
            [(start[0] * SCALE, start[1] * SCALE), (end[0] * SCALE, end[1] * SCALE)],
            fill=(235, 235, 235),
            width=int(1.4 * SCALE),
        )
    shadow = shape.filter(ImageFilter.GaussianBlur(5 * SCALE)).point(lambda value: int(value * 0.35))
    big.paste((40, 25, 20), mask=shadow)
    big.paste(cloth, mask=shape)
    return big.resize(image.size, Image.Resampling.LANCZOS)


def main(astronaut: Path, hopper: Path) -> None:
    """Draw all pictures into models/golden/."""
    FOLDER.mkdir(exist_ok=True)
    surgical, white, black = (150, 195, 222), (228, 230, 232), (46, 48, 54)
    for who, path, crop, colours in (
        (COLLINS, astronaut, (70, 0, 382, 312), (surgical, white, black)),
        (HOPPER, hopper, (60, 10, 472, 422), (white, surgical, surgical)),
    ):
        portrait = Image.open(path).convert("RGB")
        for kind, outline, colour in (
            ("bare", None, None),
            ("worn", WORN, colours[0]),
            ("nose-out", NOSE_OUT, colours[1]),
            ("on-chin", ON_CHIN, colours[2]),
        ):
            picture = portrait if outline is None or colour is None else with_mask(portrait, who, outline, colour)
            picture.crop(crop).save(FOLDER / f"{who.name}-{kind}.jpg", quality=88, optimize=True)
    portrait = Image.open(astronaut).convert("RGB")
    portrait.crop((300, 190, 512, 402)).save(FOLDER / "no-face.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
