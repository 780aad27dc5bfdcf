"""A region: the square of a frame that the detector looks at in one go."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.faces import Bbox


@dataclass(frozen=True, slots=True)
class Region:
    """A square of the frame. Where it reaches beyond the frame, it is grey.

    left, top, side: px of the frame, even, because chroma comes in pairs.
    input_px: the side of the network's input, a multiple of 32 and at most `side`. The same as `side`: cut 1:1, as the
    camera sees it; less: scaled down, so that a large face fits.
    """

    left: int
    top: int
    side: int
    input_px: int

    def holds(self, x: float, y: float) -> bool:
        """Whether the point, px of the frame, lies in it."""
        return self.left <= x < self.left + self.side and self.top <= y < self.top + self.side

    def to_frame(self, bbox_px: Bbox) -> Bbox:
        """A bbox in px of the network's input as one of the frame; not clipped to the frame."""
        scale = self.side / self.input_px
        left, top, right, bottom = bbox_px
        return left * scale + self.left, top * scale + self.top, right * scale + self.left, bottom * scale + self.top
