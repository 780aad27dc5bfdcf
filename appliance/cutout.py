"""What of a frame is in the image of a detection: pure geometry, for who cuts it out and for who reads it later."""

from __future__ import annotations

MARGIN = 0.3  # of the bbox, on each side
MAX_SIDE_PX = 320

Part = tuple[int, int, int, int]
"""(left, top, right, bottom) in whole px of a frame."""


def around(bbox_px: tuple[float, float, float, float], width: int, height: int) -> Part:
    """The bbox and MARGIN around it, as far as it is in a frame of this size; at least 2 x 2."""
    left, top, right, bottom = bbox_px
    aside, above = (right - left) * MARGIN, (bottom - top) * MARGIN
    x0, y0 = max(0, int(left - aside)), max(0, int(top - above))
    x1, y1 = min(width, max(x0 + 2, round(right + aside))), min(height, max(y0 + 2, round(bottom + above)))
    return min(x0, width - 2), min(y0, height - 2), x1, y1


def shrunk_size(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Width and height scaled down so that no side is longer than max_side_px; never scaled up."""
    scale = min(1.0, max_side_px / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))
