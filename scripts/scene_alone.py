"""What the detector itself makes of the people of a scene: how much a box can get right at best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, State
from appliance.vision.bboxes import iou
from appliance.vision.detector import Detector
from appliance.vision.frame import Frame
from appliance.vision.looking.region import Region
from appliance.vision.looking.regions import AROUND, LEAST_PX, UNSETTLED_FACE_PX
from appliance.vision.looking.squares import multiple, placed
from scripts.scenes import Visit

LOOKS = 9  # at each person
MIN_OVERLAP = 0.25


def alone(detector: Detector, path: Path, visits: Sequence[Visit]) -> dict[Visit, State]:
    """Each person's state by the detector alone: shown where they are, at the size in which it sees best.

    The vote over LOOKS looks while the whole face shows; UNKNOWN for who is never found or never seen whole. So much of
    what is wrong is due to the network and the photo, and not to where a box looks or whom it takes for whom.
    """
    weights = {visit: np.zeros(len(CLASSES)) for visit in visits}
    due = {visit: np.linspace(*visit.whole_s, LOOKS).tolist() for visit in visits if visit.whole_s}
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            now_s = picture.time or 0.0
            frame = Frame(picture, now_s, now_s)
            for visit in [visit for visit, times in due.items() if times and times[0] <= now_s]:
                del due[visit][0]
                bbox = [float(np.interp(now_s, visit.at_s, visit.bboxes[:, edge])) for edge in range(4)]
                weights[visit] += _judged(detector, frame, bbox)
    return {
        visit: CLASSES[int(weight.argmax())] if weight.any() else State.UNKNOWN for visit, weight in weights.items()
    }


def _judged(detector: Detector, frame: Frame, bbox: Sequence[float]) -> NDArray[np.float64]:
    """The class probabilities of the face there, weighed by its score; zeros: none is found, or it is unknown."""
    region = _around(bbox, (frame.width, frame.height))
    best, probabilities = MIN_OVERLAP, np.zeros(len(CLASSES))
    for face in detector.look(frame.cuts([region]))[0]:
        shown = np.array([region.to_frame(face.bbox_px)], np.float32)
        overlap = float(iou(shown, np.array([bbox], np.float32))[0, 0])
        if overlap > best and face.state is not State.UNKNOWN:
            best, probabilities = overlap, face.score * np.array(face.class_probabilities)
    return probabilities


def _around(bbox: Sequence[float], size: tuple[int, int]) -> Region:
    """As the planner cuts one for a person it knows."""
    left, top, right, bottom = bbox
    side = max(AROUND * max(right - left, bottom - top), LEAST_PX)
    input_px = min(multiple(side), multiple(AROUND * UNSETTLED_FACE_PX))
    side = max(side, input_px)
    return placed(size, (left + right - side) / 2, (top + bottom - side) / 2, side, input_px)
