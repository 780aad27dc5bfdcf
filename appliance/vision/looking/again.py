"""Faces that are looked at again before they count.

Of a chest, a sleeve or a blurred wall that fills a region the network makes a face that fills it, with a score up to
.9. Shown with what is around it, it makes none. Measured on the photos of `val` with the shipped weights, regions of
128 to 320 px: of 976 squares below a face it drew one above half the region in 50, at .5 or more; a second look left
none of them. Of 728 real faces of that size, whole or cut, it left 722.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.faces import Face
from appliance.vision.looking.region import Region
from appliance.vision.looking.seams import merged
from appliance.vision.looking.squares import Size, even, placed

FILLING = 0.5  # of the region's side: a face whose longer side is above it
COARSE, CLOSER = 3, 0.75  # what a region scaled down by more shows is seen again in a part of it, up to so large
AROUND = 3.0  # times as large as the face is the region in which it is seen again
INPUT_PX = 160

Found = list[tuple[Region, Sequence[Face]]]
"""Regions with the faces in each, bboxes in px of its input."""


def faces_in(
    regions: Sequence[Region], look: Callable[[Sequence[Region]], Found], size: Size, max_iou: float
) -> tuple[list[Face], list[Region]]:
    """The faces of a frame of `size`, as `seams.merged`, and all regions that were looked at for that.

    look: what the detector finds in regions. It is asked again for a region around each face that fills its region, or
    that only a coarse look showed; what that shows of the face counts, if anything.
    """
    first = look(regions)
    places = [_around(face, size) for face in merged(_split(first, size, doubtful=True), size, max_iou)]
    second = look(places) if places else []
    certain = [*_split(first, size, doubtful=False), *_split(second, size, doubtful=False)]
    return merged(certain, size, max_iou), [*regions, *places]


def _split(found: Found, size: Size, doubtful: bool) -> Found:
    """Only the faces that are doubtful, or only those that are not."""
    return [
        (region, [face for face in faces if _is_doubtful(face, region, size) == doubtful]) for region, faces in found
    ]


def _is_doubtful(face: Face, region: Region, size: Size) -> bool:
    left, top, right, bottom = region.to_frame(face.bbox_px)
    within = max(min(right, size[0]) - max(left, 0), min(bottom, size[1]) - max(top, 0))  # the network goes beyond
    share = within / region.side
    if region.side > COARSE * region.input_px and AROUND * share < CLOSER:
        return True
    return share > FILLING and region.side < max(size)  # of the whole frame nothing more can be shown


def _around(face: Face, size: Size) -> Region:
    left, top, right, bottom = face.bbox_px
    side = min(max(AROUND * _longer_px(face), INPUT_PX), even(max(*size, INPUT_PX)))
    return placed(size, (left + right - side) / 2, (top + bottom - side) / 2, side, INPUT_PX)


def _longer_px(face: Face) -> float:
    left, top, right, bottom = face.bbox_px
    return max(right - left, bottom - top)
