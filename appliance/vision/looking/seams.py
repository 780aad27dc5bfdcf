"""What several regions of a frame showed, as the faces of the frame: nobody twice, and nobody cut in half.

A seam is an edge of a region inside the frame. A face that lies across it is seen in part, and its bbox ends there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.faces import Bbox, Face
from appliance.vision.bboxes import area_of, common
from appliance.vision.looking.region import Region

TOUCHING = 0.12  # of the face's longer side: so near a seam it may be cut; the network does not draw to the pixel
TOUCHING_PX = 2.0  # of the input; the same for small faces
# So much of a face within another is the same one, drawn otherwise or only in part. Of 11 000 faces that were found in
# the photos of `train` and `val` 93 lay so within another, none of them somebody else's; from .6 to .7 two of 53 did.
WITHIN = 0.7
ALONG = 0.5  # of the shorter of two faces, along a seam: so much of it beside the other is the same one


@dataclass(frozen=True, slots=True)
class _Shown:
    """A face as a region showed it.

    shown: what of the frame the region shows. seams: those at which the face ends, as indices into `shown`.
    """

    face: Face
    shown: Bbox
    seams: tuple[int, ...]

    @property
    def is_cut(self) -> bool:
        return bool(self.seams)

    @property
    def rank(self) -> tuple[object, ...]:
        """The lower, the better. The last ones only make the result the same in whatever order the regions come."""
        face = self.face
        return (
            self.is_cut, face.too_small, -face.score, face.bbox_px, face.class_probabilities, self.shown,
        )  # fmt: skip


def merged(found: Sequence[tuple[Region, Sequence[Face]]], size: tuple[int, int], max_iou: float) -> list[Face]:
    """The faces of a frame of `size` (width, height), highest score first, bboxes in its px and clipped to it.

    found: the regions looked at, each with its faces, bboxes in px of its input. max_iou: two bboxes that overlap by
    more are of one face. Of several views of a face that one stays which is whole, then large enough to judge, then of
    the highest score.
    """
    views = sorted(
        (view for region, faces in found for view in _views(region, faces, size)), key=lambda view: view.rank
    )
    kept: list[_Shown] = []
    places = np.empty((len(views), 4))  # of those, to compare with neighbours only: there may be a thousand
    for view in views:
        near = np.flatnonzero(_touches(places[: len(kept)], view)).tolist()
        if not any(_is_same(view, kept[index], max_iou) for index in near):
            places[len(kept)] = view.face.bbox_px
            kept.append(view)
    return sorted((view.face for view in kept), key=lambda face: (-face.score, face.bbox_px))


def is_whole(bbox_px: Bbox, regions: Sequence[Region], size: tuple[float, float]) -> bool:
    """Whether any of the regions shows the face, px of the frame, without a seam through it."""
    frame = (0.0, 0.0, float(size[0]), float(size[1]))
    for region in regions:
        shown = common(region.to_frame((0, 0, region.input_px, region.input_px)), frame)
        inside = common(bbox_px, shown) == bbox_px
        if inside and not list(_seams_at(bbox_px, shown, size, TOUCHING_PX * region.side / region.input_px)):
            return True
    return False


def _views(region: Region, faces: Sequence[Face], size: tuple[int, int]) -> Iterator[_Shown]:
    frame = (0.0, 0.0, float(size[0]), float(size[1]))
    shown = common(region.to_frame((0, 0, region.input_px, region.input_px)), frame)
    for face in faces:
        bbox_px = common(region.to_frame(face.bbox_px), frame)
        if area_of(bbox_px) > 0:
            seams = _seams_at(bbox_px, shown, size, TOUCHING_PX * region.side / region.input_px)
            yield _Shown(replace(face, bbox_px=bbox_px), shown, tuple(seams))


def _seams_at(bbox_px: Bbox, shown: Bbox, size: tuple[float, float], least_px: float) -> Iterator[int]:
    near_px = max(least_px, TOUCHING * max(bbox_px[2] - bbox_px[0], bbox_px[3] - bbox_px[1]))
    for edge, frame_edge in enumerate((0, 0, *size)):
        if shown[edge] != frame_edge and abs(bbox_px[edge] - shown[edge]) < near_px:
            yield edge


def _touches(bboxes: NDArray[np.float64], view: _Shown) -> NDArray[np.bool_]:
    """Which bboxes reach as far as the view, or as the seams at which it ends."""
    left, top, right, bottom = view.face.bbox_px
    for edge in view.seams:
        at = view.shown[edge]
        if edge % 2:
            top, bottom = min(top, at), max(bottom, at)
        else:
            left, right = min(left, at), max(right, at)
    touches: NDArray[np.bool_] = (bboxes[:, 0] <= right) & (bboxes[:, 2] >= left)
    touches &= (bboxes[:, 1] <= bottom) & (bboxes[:, 3] >= top)
    return touches


def _is_same(view: _Shown, better: _Shown, max_iou: float) -> bool:
    """Whether both are of one face; `better` is never cut where `view` is not.

    A cut one is compared with what its region shows of the other, and is no evidence against a smaller one within it.
    """
    first, second = view.face.bbox_px, better.face.bbox_px
    if any(_lies_across(second, view, edge) for edge in view.seams):
        return True
    both = area_of(common(first, second))
    if not both:
        return False
    smaller = area_of(first) if view.is_cut else min(area_of(first), area_of(second))
    if _iou(first, second) > max_iou or both > WITHIN * smaller:
        return True
    first = common(first, better.shown) if better.is_cut else first
    second = common(second, view.shown) if view.is_cut else second
    return _iou(first, second) > max_iou


def _lies_across(bbox_px: Bbox, view: _Shown, edge: int) -> bool:
    """Whether the face lies across the seam where the view ends, beside it.

    Of a chin that reaches into a region the network makes a face of chin and neck, which is another bbox altogether.
    """
    axis, along = edge % 2, 1 - edge % 2
    if not bbox_px[axis] < view.shown[edge] < bbox_px[axis + 2]:
        return False
    seen = view.face.bbox_px
    beside = min(seen[along + 2], bbox_px[along + 2]) - max(seen[along], bbox_px[along])
    return beside > ALONG * min(seen[along + 2] - seen[along], bbox_px[along + 2] - bbox_px[along])


def _iou(first: Bbox, second: Bbox) -> float:
    both = area_of(common(first, second))
    return both / (area_of(first) + area_of(second) - both) if both else 0.0
