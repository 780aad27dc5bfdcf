"""What somebody wears below the face, as a few numbers that tell people apart within the seconds of a track.

Nobody is recognised by it: two people in black coats are the same to it, and it is kept no longer than the track.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.faces import Bbox

Colours = NDArray[np.float32]
"""COUNT shares that sum to 1; two of them are compared by `colour_distance`."""

WIDTH = 1.6  # of the torso, in face widths: shoulders are wider, so that little of the background is in it
TOP, BOTTOM = 0.3, 2.0  # of the torso, below the chin, in face heights: below the neck, above the hands
MOST_SAMPLES = 24  # along either side of the torso
FEWEST_SAMPLES = 24  # in all; fewer tell nothing

CHROMA_WEIGHT = 0.7  # of the shares: a cloud before the sun changes the luma, and hardly the chroma
_CHROMA_CENTRES = (-36, -12, 0, 12, 36)  # from grey, closer together where most clothes are
_LUMA_CENTRES = (24, 56, 88, 120, 152, 184, 216)
COUNT = len(_CHROMA_CENTRES) ** 2 + len(_LUMA_CENTRES)


def _shares(centres: tuple[int, ...]) -> NDArray[np.float32]:
    """256 x len(centres): how each value is shared among its two nearest bins. So a little noise changes little."""
    values = np.arange(256)
    table = [np.interp(values, centres, np.eye(len(centres))[index]) for index in range(len(centres))]
    return np.stack(table, axis=1).astype(np.float32)


_OF_CHROMA = _shares(tuple(128 + centre for centre in _CHROMA_CENTRES))
_OF_LUMA = _shares(_LUMA_CENTRES)


def torso(bbox_px: Bbox) -> Bbox:
    """Where the clothes of an upright person with that face are; it may lie beyond the frame."""
    left, top, right, bottom = bbox_px
    middle, aside, height = (left + right) / 2, (right - left) * WIDTH / 2, bottom - top
    return middle - aside, bottom + TOP * height, middle + aside, bottom + BOTTOM * height


def colours_of(luma: NDArray[np.uint8], blue: NDArray[np.uint8], red: NDArray[np.uint8]) -> Colours:
    """The shares of some pixels' Y, Cb and Cr (128 is grey), arrays of one shape.

    A joint histogram of the chroma, to which is added one of the luma; both with soft bins.
    """
    shares = np.empty(COUNT, dtype=np.float32)
    chroma = _OF_CHROMA.take(blue.ravel(), axis=0).T @ _OF_CHROMA.take(red.ravel(), axis=0)
    shares[: chroma.size] = chroma.ravel() * (CHROMA_WEIGHT / luma.size)
    values = np.bincount(luma.ravel(), minlength=len(_OF_LUMA)) @ _OF_LUMA
    shares[chroma.size :] = values * ((1 - CHROMA_WEIGHT) / luma.size)
    return shares


def colour_distance(first: Colours, second: Colours) -> float:
    """0: the same colours, to 1: nothing in common; half the sum of the differences.

    On a film of streets, one person a second later: .08 in the middle, less than .23 in nine of ten; two people in one
    frame: .33 in the middle, more than .20 in nine of ten.
    """
    return float(np.abs(first - second).sum()) / 2
